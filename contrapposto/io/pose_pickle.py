"""Pickles of poses: SAGE's layout (`poses` (F, 66) axis-angle, `trans` (F, 3), 60 frames/s), read and written.

Other pickled dictionaries of arrays (AIST++) are read by the names of `contrapposto.io.pose_arrays`. Nothing in a
pickle is ever executed.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np

from contrapposto.checks import check_file, naming, note, shorten
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.io.amass import motion_of_archive
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22

FPS = 60.0
"""SAGE's frame rate, which its files do not state."""

_WAY = (
    "with the program that wrote it (WHAM and PHALP have a dictionary for each person): "
    "np.savez(name, poses=..., trans=..., fps=30), poses (F, 72) axis-angles"
)


def read_pose_pickle(path: str | Path, *, fps: float | None = None) -> Motion:
    """Read a pickled dictionary of pose arrays into a clip on the skeleton of its layout.

    Args:
        path: the file.
        fps: the frame rate; None: as the file states, and 60 for files of SAGE, which state none.

    Raises:
        InputError: not such a pickle, one that names code, or arrays that cannot be used.
    """
    from contrapposto.pickles import read_pickle

    file = check_file(path, "pickle of poses")
    try:
        content = read_pickle(file)
    except InputError as error:
        raise InputError(error.what, found=error.found, fix=error.fix or _WAY) from None
    arrays: dict[str, np.ndarray] = {}
    if isinstance(content, dict):
        arrays = {str(key): np.asarray(value) for key, value in content.items() if _is_plain(value)}
    if not arrays:
        raise InputError(
            f"{path} is not a pickle of poses.",
            found=shorten(
                f"a {type(content).__name__} {list(content) if isinstance(content, dict) else ''}", 80
            ),
            expected="a dictionary with poses and trans",
            fix=_WAY,
        )
    if fps is None and set(arrays) == {"poses", "trans"}:
        note(f"the file states no frame rate: {FPS:g} as SAGE has it; fps= states another")
        fps = FPS
    with naming(path):
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, **_named(arrays))
        with zipfile.ZipFile(packed) as archive:
            return motion_of_archive(archive, fps)


def write_pose_pickle(path: str | Path, motion: Motion) -> Path:
    """Write a clip in SAGE's layout, at its 60 frames/s, atomically; hands, labels and shape are not part of it.

    Raises:
        InputError: the clip is not on a skeleton of the SMPL family, or the file cannot be written.
    """
    path = Path(path)
    motion = motion.to_skeleton(SMPL22)
    motion = motion if motion.fps == FPS else motion.resample(FPS)
    content = {
        "poses": motion.rotations.reshape(motion.num_frames, -1).astype(np.float32),
        "trans": motion.root_translation.astype(np.float32),
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(pickle.dumps(content, protocol=4))
    return path


def _is_plain(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biufU"
    return isinstance(value, int | float | str | np.number)


def _named(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    odd = [name for name in arrays if not name.isidentifier()]
    if odd:
        raise InputError("A name of an array cannot be used.", found=shorten(repr(odd[0]), 60))
    return arrays
