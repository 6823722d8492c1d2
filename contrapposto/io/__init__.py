"""Read and write motion by the suffix of the file name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrapposto.errors import InputError

if TYPE_CHECKING:
    from contrapposto.motion import Motion

READABLE = (".npz", ".bvh", ".amc", ".glb", ".gltf", ".vrm", ".vrma", ".pkl")
WRITABLE = (".npz", ".bvh", ".glb", ".mp4", ".pkl")

_ONLY = {"asf": (".amc",), "clip": (".glb", ".gltf", ".vrm", ".vrma")}
"""Options that count for some formats alone, also where they are stated for all files of a command."""

_stated: ContextVar[Mapping[str, Any]] = ContextVar("stated", default={})  # noqa: B039 (never changed)
_BLENDER = "in Blender: File > Import > {}, then File > Export > glTF 2.0 (.glb)"
_HINTS = {
    ".asf": "name the .amc file; its .asf is found beside it",
    ".fbx": _BLENDER.format("FBX"),
    ".dae": _BLENDER.format("Collada"),
    ".usd": _BLENDER.format("USD"),
    ".usdz": _BLENDER.format("USD"),
    ".vmd": "in Blender with the add-on mmd_tools: import model and motion, then File > Export > glTF 2.0 (.glb)",
    ".c3d": "markers have no joints: solve them first, and export BVH",
    ".pt": "of GVHMR: p = torch.load(file)['smpl_params_global']; np.savez(name, fps=30, **{k: v.numpy() for k, v in "
    "p.items()})",
    ".npy": "positions of joints, HumanML3D's features, MDM's results: task=people_motion; rotations: np.savez(name, "
    "poses=..., trans=..., fps=20)",
    ".json": "people of a video: task=people_motion; devices: a .jsonl file and task=sage_track",
    ".csv": "of a headset and controllers: task=sage_track",
    ".jsonl": "of a headset and controllers: task=sage_track",
    ".trc": "markers have no joints: solve them first, and export BVH",
}

__all__ = ["READABLE", "WRITABLE", "read_motion", "stating", "write_motion"]


def read_motion(
    path: str | Path,
    *,
    native: bool = False,
    fps: float | None = None,
    up: str | None = None,
    forward: str | None = None,
    scale: float | None = None,
    reference_frame: int | None = None,
    joint_map: str | Path | Mapping[str, str] | None = None,
    **options: Any,
) -> Motion:
    """Read a clip: `.npz` of the SMPL family, `.bvh`, `.amc` with its `.asf`, animated `.glb`, `.gltf`, `.vrm`,
    `.vrma`, or a `.pkl` of pose arrays.

    Args:
        path: the file; the suffix decides about the format, in any case.
        native: leave the clip on the file's own skeleton; otherwise it is mapped onto SMPL-H (52 joints).
        fps: the true frame rate where the file states none or a wrong one; nothing is resampled.
        up: the file's vertical axis: `y`, `z`, `x`, or one with a minus sign. By default it is found from the rest
            pose, trunk, legs and floor; what differs from the format's habit is reported (`io.checks.note`).
        forward: the axis of the file that becomes forward (-y); by default the world is turned about a horizontal
            axis alone.
        scale: metres per unit of length of the file.
        reference_frame: see `contrapposto.retarget.to_smpl`.
        joint_map: names of the file's joints to SMPL's, or a yaml file of such lines.
        options: of the format's reader: `root_offset` of BVH, `asf` of AMC, `clip` of GLB.

    Raises:
        InputError: an unknown suffix, a file that cannot be used, or a skeleton that cannot be mapped.
        ConfigError: an option that this format does not have, or a value that it cannot have.
    """
    from contrapposto.io.reading import Reading

    stated: dict[str, Any] = {"up": up, "forward": forward, "scale": scale, "fps": fps}
    stated |= {"reference_frame": reference_frame, "joint_map": joint_map, **options}
    stated = {**_stated.get(), **{name: value for name, value in stated.items() if value is not None}}
    for name, suffixes in _ONLY.items():
        if Path(path).suffix.lower() not in suffixes and name not in options:
            stated.pop(name, None)
    return Reading(Path(path), **stated).motion(native=native)


@contextmanager
def stating(options: Mapping[str, Any]) -> Iterator[None]:
    """Let options of `read_motion` count for every file that is read inside, where the call does not name them."""
    from contrapposto.checks import noting_once

    before = _stated.set(dict(options))
    try:
        with noting_once():
            yield
    finally:
        _stated.reset(before)


def write_motion(path: str | Path, motion: Motion, **options: Any) -> Path:
    """Write a clip: AMASS `.npz`, `.bvh`, skinned `.glb`, `.mp4` of the rendered figure, or SAGE's `.pkl`. All are atomic.

    Args:
        path: the file; the suffix decides about the format, in any case.
        motion: the clip.
        options: passed to the format's writer: `scale` (.bvh), `body` (.glb), the arguments of
            `contrapposto.render.render_motion_video` (.mp4).

    Raises:
        InputError: an unknown suffix, a clip that the format cannot hold, or a place that cannot be written to.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_dir():
        raise InputError(f"{path} is a folder.", expected="the name of a file")
    if suffix == ".npz":
        from contrapposto.io.amass import write_amass

        return write_amass(path, motion, **options)
    if suffix == ".bvh":
        from contrapposto.io.bvh import write_bvh

        return write_bvh(path, motion, **options)
    if suffix == ".glb":
        from contrapposto.io.glb import write_glb

        write_glb(path, motion, **options)
        return path
    if suffix == ".mp4":
        from contrapposto.render import render_motion_video

        return render_motion_video(path, {path.stem: motion}, **options)
    if suffix == ".pkl":
        from contrapposto.io.pose_pickle import write_pose_pickle

        return write_pose_pickle(path, motion, **options)
    raise unknown_format(path, WRITABLE, "written")


def unknown_format(path: Path, known: tuple[str, ...], verb: str) -> InputError:
    """An error about a suffix that is not among the known ones."""
    hint = _HINTS.get(path.suffix.lower(), "")
    return InputError(
        f"{path} cannot be {verb} as motion.",
        found=f"suffix {path.suffix!r}" if path.suffix else "no suffix",
        expected=", ".join(known),
        fix=hint,
    )
