"""Read and write motion by the suffix of the file name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrapposto.errors import ConfigError, InputError

if TYPE_CHECKING:
    from contrapposto.motion import Motion

READABLE = (".npz", ".bvh", ".amc")
WRITABLE = (".npz", ".bvh", ".glb", ".mp4")

__all__ = ["READABLE", "WRITABLE", "read_motion", "write_motion"]


def read_motion(
    path: str | Path, *, native: bool = False, fps: float | None = None, **options: Any
) -> Motion:
    """Read a clip: AMASS `.npz`, `.bvh`, or `.amc` with its `.asf`.

    Args:
        path: the file; the suffix decides about the format, in any case.
        native: leave the clip on the file's own skeleton; otherwise it is mapped onto SMPL-H (52 joints).
        fps: the true frame rate where the file states none (`.amc`) or a wrong one; nothing is resampled.
        options: of the format's reader: `scale`, `up` and `root_offset` of BVH, `asf` of AMC.

    Raises:
        InputError: an unknown suffix, a file that cannot be used, or a skeleton that cannot be mapped.
        ConfigError: an option that this format does not have.
    """
    suffix = Path(path).suffix.lower()
    allowed = {".bvh": {"scale", "up", "root_offset"}, ".amc": {"asf"}}.get(suffix, set())
    unknown = set(options) - allowed
    if suffix in READABLE and unknown:
        raise ConfigError(
            f"{suffix} files are not read with {', '.join(sorted(unknown))}.", expected=_list(allowed)
        )
    motion = _read(path, suffix, options)
    if fps is not None:
        motion = replace(motion, fps=float(fps))
    if native:
        return motion
    from contrapposto.io.checks import naming
    from contrapposto.retarget import to_smpl

    with naming(path):
        return to_smpl(motion)


def write_motion(path: str | Path, motion: Motion, **options: Any) -> Path:
    """Write a clip: AMASS `.npz`, `.bvh`, skinned `.glb`, or `.mp4` of the rendered figure. All are atomic.

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
    raise _unknown(path, WRITABLE, "written")


def _read(path: str | Path, suffix: str, options: dict[str, Any]) -> Motion:
    if suffix == ".npz":
        from contrapposto.io.amass import read_amass

        return read_amass(path)
    if suffix == ".bvh":
        from contrapposto.io.bvh import read_bvh

        return read_bvh(path, **options)
    if suffix == ".amc":
        from contrapposto.io.asf_amc import read_amc

        return read_amc(path, **options)
    raise _unknown(Path(path), READABLE, "read")


def _unknown(path: Path, known: tuple[str, ...], verb: str) -> InputError:
    hint = "name the .amc file; its .asf is found beside it" if path.suffix.lower() == ".asf" else ""
    return InputError(
        f"{path} cannot be {verb} as motion.",
        found=f"suffix {path.suffix!r}" if path.suffix else "no suffix",
        expected=_list(known),
        fix=hint,
    )


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "no options"
