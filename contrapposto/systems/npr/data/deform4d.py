"""DeformingThings4D animals: folders of `.anime` files (docs/specs/npr.md, section 7.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contrapposto.errors import InputError, MissingError
from contrapposto.mesh.anime import read_anime
from contrapposto.systems.npr.data.mesh_store import Identity, Origin, file_name
from contrapposto.systems.npr.data.prepare import Plan, Progress
from contrapposto.systems.npr.data.scaling import drawn, scaled


def plan(
    raw: Path | None,
    *,
    identities: Sequence[str] | None = None,
    poses: int = 300,
    every: int = 3,
    normalize: str = "none",
    seed: int = 0,
) -> Plan:
    """See the module.

    Args:
        raw: the folder with `<identity>_<motion>/<identity>_<motion>.anime`, at any depth.
        identities: which; all where None.
        poses: per identity: distinct frames of its motions, drawn by the seed.
        every: keep every so many frames of a motion.
        normalize: see `scaled`; the template is frame 0 of the alphabetically first motion.
        seed: of the draw.
    """
    if raw is None or not raw.is_dir():
        raise MissingError(
            "DeformingThings4D has to be on this machine: its authors give it against a form.",
            found=f"raw={raw}",
            fix="python prepare.py data=deform4d raw=FOLDER",
        )
    files: dict[str, list[Path]] = {}
    for path in sorted(raw.rglob("*.anime"), key=lambda p: p.stem):
        name = path.stem.partition("_")[0]
        if identities is None or name in identities:
            files.setdefault(name, []).append(path)
    missing = sorted(set(identities or ()) - set(files))
    if missing or not files:
        raise InputError(
            f"{raw} has no .anime files of {', '.join(missing) or 'anything'}.",
            found=f"{sum(map(len, files.values()))} files of {', '.join(sorted(files)) or 'nobody'}",
            expected="files such as bear3EP_Agression/bear3EP_Agression.anime",
        )
    sizes = [(p.relative_to(raw).as_posix(), p.stat().st_size) for group in files.values() for p in group]
    origin = Origin(
        recipe="deform4d",
        source="DeformingThings4D (Li et al., ICCV 2021), animals",
        licence="as its authors give it: research use, no redistribution",
        attribution="Li et al., 4DComplete: Non-Rigid Motion Estimation Beyond the Observable Surface, ICCV 2021",
        options={"poses": poses, "every": every, "normalize": normalize, "seed": seed},
        input_hash=hashlib.sha256(repr(sizes).encode()).hexdigest(),
    )

    def make(progress: Progress | None) -> Sequence[Identity]:
        result = []
        for number, (name, group) in enumerate(files.items()):
            result.append(_identity(name, group, poses, every, normalize, seed))
            if progress:
                progress("identities", number + 1, len(files))
        return result

    return Plan(origin, make)


def _identity(name: str, files: list[Path], poses: int, every: int, normalize: str, seed: int) -> Identity:
    mesh, first = read_anime(files[0], every=every)
    frames, names, groups = [], [], []
    for path in files:
        other, motion = (mesh, first) if path == files[0] else read_anime(path, every=every)
        if other.faces.shape != mesh.faces.shape or (other.faces != mesh.faces).any():
            raise InputError(f"{path} has other faces than {files[0]}.", found=name)
        action = path.stem.partition("_")[2] or path.stem
        frames += list(motion.astype(np.float32))
        names += [f"{action}#{every * number}" for number in range(len(motion))]
        groups += [action] * len(motion)
    chosen = drawn(len(frames), poses, seed, name)
    template = mesh.moved(scaled(mesh.vertices[None], normalize)[0])
    stack = scaled(np.stack([frames[i] for i in chosen]).astype(np.float64), normalize)
    return Identity(file_name(name), template, stack, [names[i] for i in chosen], [groups[i] for i in chosen])
