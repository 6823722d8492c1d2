"""An animated file and other meshes with joints of the same names: equal poses of all, the truth of every transfer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contrapposto.errors import ContrappostoError, InputError, MissingError
from contrapposto.files import sha256
from contrapposto.mesh.rigged import RiggedMesh
from contrapposto.mesh.shared_rig import borrowed_pose
from contrapposto.systems.npr.data.mesh_store import Identity, Origin, file_name
from contrapposto.systems.npr.data.prepare import Plan, Progress
from contrapposto.systems.npr.data.scaling import drawn

_SHARED = 0.8  # of the joints that the clips move


def plan(
    raw: Path | None,
    *,
    others: Sequence[str] | None = None,
    poses: int = 300,
    fps: float = 10.0,
    seed: int = 0,
) -> Plan:
    """See the module.

    Args:
        raw: the animated .glb or .gltf file.
        others: files in the same folder; None: all of them that have most of its joints, but for copies of its mesh.
        poses: drawn from all frames by the seed where there are more.
        fps: frames taken per second.
        seed: of the draw.
    """
    if raw is None or not raw.is_file():
        actual = f"raw={raw}"
        raise MissingError(
            "No animated file was given.", found=actual, fix="python prepare.py raw=ANIMATED.glb"
        )
    own = RiggedMesh(raw)
    if not own.clips:
        raise InputError(f"{raw} has no clips.", expected="an animated glTF file")
    rigs = {file_name(path.stem): RiggedMesh(path) for path in _files(raw, own, others)}
    if not rigs:
        raise InputError(
            f"No other file beside {raw} has the joints of its clips.", fix="data.options.others=[FILE]"
        )
    files = [raw, *(rig.path for rig in rigs.values())]
    origin = Origin(
        "shared_rig",
        source=f"meshes of the user's ({', '.join(file.stem for file in files)})",
        licence="unknown: the user's own",
        options={"poses": poses, "fps": fps, "seed": seed},
        input_hash=" ".join(sha256(file) for file in files),
    )

    def make(progress: Progress | None) -> Sequence[Identity]:
        places = [
            (clip, number / fps)
            for clip, seconds in sorted(own.clips.items())
            for number in range(int(seconds * fps + 1e-6) + 1)
        ]
        chosen = [places[i] for i in drawn(len(places), poses, seed, raw.stem)]
        names, groups = [f"{clip}#{time:g}" for clip, time in chosen], [clip for clip, _ in chosen]
        identities = []
        for number, (name, rig) in enumerate({file_name(raw.stem): own, **rigs}.items()):
            frames = np.concatenate([borrowed_pose(rig, own, clip, [time]) for clip, time in chosen])
            identities.append(Identity(name, rig.mesh, frames, names, groups))
            if progress:
                progress("identities", number + 1, len(rigs) + 1)
        return identities

    return Plan(origin, make)


def _files(raw: Path, own: RiggedMesh, others: Sequence[str] | None) -> list[Path]:
    if others is not None:
        return [raw.parent / name for name in others]
    moved = {str(own.nodes[t.node].get("name")) for tracks in own.tracks.values() for t in tracks}
    matches = []
    for path in sorted(raw.parent.glob("*.gl*")):
        if path == raw or path.suffix.lower() not in (".glb", ".gltf"):
            continue
        try:
            rig = RiggedMesh(path)
        except ContrappostoError:
            continue  # not every file beside it is a mesh
        names = {str(node.get("name")) for node in rig.nodes}
        same = rig.mesh.faces.shape == own.mesh.faces.shape and bool((rig.mesh.faces == own.mesh.faces).all())
        if not same and len(moved & names) >= _SHARED * len(moved):
            matches.append(path)
    return matches
