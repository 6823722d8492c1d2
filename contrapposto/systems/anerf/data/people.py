"""Poses of a person before a camera, from the files that SMPL-style estimators write (npz, pickle, HDF5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.body import load_body
from contrapposto.checks import parsing
from contrapposto.errors import InputError, MissingError
from contrapposto.pickles import read_pickle
from contrapposto.systems.anerf.cameras import weak_perspective_camera
from contrapposto.systems.anerf.data.h5 import opened_h5

_WHOLE = ("poses", "pose", "smpl_poses", "thetas")
_MATRICES = ("pred_rot_mat", "pred_rotmat", "rotmat", "rotation_matrices")
_ROOTS = ("root", "pelvis", "root_joint")
_SHIFTS = ("transl", "trans", "pred_cam_t", "camera_translation")
_WEAK = ("pred_cam", "pred_camera")
_BOXES = ("bbox_params", "bboxes", "bbox")
_FOCALS = ("focal", "focals", "focal_length")
_INTRINSICS = ("K", "intrinsics", "camera_matrix")
_RESTS = ("rest_pose", "rest_joints", "j_rest")


@dataclass(frozen=True)
class Person:
    """F poses before a camera; axes of the camera: x right, y down, z forward.

    Args:
        rotations: (F, 24, 3) axis-angles, radians.
        root: (F, 3) root joints, metres.
        rest: (24, 3) rest joints, metres.
        focals: (F,) pixels; None where the file does not say.
        centre: (2,) principal point; None: the middle.
        frames: (F,) int64 frame of the video of every pose.
        counted: nobody stated `frames`: they are counted from the first on.
    """

    rotations: np.ndarray
    root: np.ndarray
    rest: np.ndarray
    focals: np.ndarray | None
    centre: np.ndarray | None
    frames: np.ndarray
    counted: bool = False


def read_person(path: str | Path, size: tuple[int, int], focal: float | None = None) -> Person:
    """The poses in a file; docs/anerf_data.md lists the entries that are understood.

    Args:
        path: an npz file.
        size: height and width of the video.
        focal: pixels, in place of what the file states.

    Raises:
        MissingError: no such file. InputError: it is no npz file; entries are missing, of another shape or not finite.
    """
    path = Path(path)
    with parsing(path, "poses before a camera (docs/anerf_data.md)"):
        entries = read_entries(path)
        rotations = rotations_of(path, entries)
        count = len(rotations)
        rest = rest_of(path, entries)
        weak, focals = _first(entries, _WEAK), _focals(path, entries, count, focal)
        root = _optional(path, entries, _ROOTS, (count, 3))
        shift = _optional(path, entries, _SHIFTS, (count, 3))
        if root is None and shift is None:
            if weak is None:
                raise InputError(
                    f"{path.name} does not say where the person is.",
                    found=f"entries {', '.join(entries)}",
                    expected="transl (F, 3), root (F, 3), or pred_cam and bbox_params (F, 3)",
                )
            own = weak_cameras_of(path, entries, count, size, focal)
            shift, focals = own[:, 1:], own[:, 0]
        root = rest[0] + shift if root is None and shift is not None else root
        assert root is not None
        rotations, root = _to_camera(path, entries, rotations, root)
        index = _first(entries, ("frame_ids", "frames"))
        frames = np.arange(count) if index is None else np.asarray(index, np.int64).reshape(-1)
        if len(frames) != count or len(set(frames.tolist())) != count or frames.min(initial=0) < 0:
            raise InputError(
                f"The frame_ids of {path.name} do not fit.", found=f"{len(frames)} for {count} poses"
            )
        if (root[:, 2] <= 0).any():
            bad = int((root[:, 2] <= 0).argmax())
            raise InputError(
                f"{path.name} places the person behind the camera.",
                found=f"pose {bad} at {root[bad].round(2).tolist()}",
                expected="camera axes x right, y down, z forward; or world_to_camera (4, 4) in the file",
            )
        return Person(rotations, root, rest, focals, _centre(entries), frames, index is None)


def read_entries(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file, of a pickle of a dictionary, or at the root of an HDF5 file; nothing is executed.

    Raises:
        MissingError: no such file. InputError: it cannot be read, or an array has values that are not finite.
    """
    if not path.is_file():
        raise MissingError(f"There is no file {path}.", fix="poses=FILE.npz")
    kind = path.suffix.lower()
    if kind in (".pkl", ".pickle"):
        result = _pickled(path)
    elif kind in (".h5", ".hdf5"):
        with opened_h5(path) as file, parsing(path, "arrays at the root of an HDF5 file"):
            result = {name: np.asarray(item[()]) for name, item in file.items() if hasattr(item, "dtype")}
    else:
        result = _zipped(path)
    for name, array in result.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{name} of {path.name} has values that are not finite.")
    return result


def _zipped(path: Path) -> dict[str, np.ndarray]:
    with parsing(path, "an npz file"), np.load(path, allow_pickle=False) as file:
        result = {}
        for name in file.files:
            try:
                result[name] = file[name]
            except ValueError:  # objects, which only pickle could read
                continue
        return {name: array for name, array in result.items() if isinstance(array, np.ndarray)}


def _pickled(path: Path) -> dict[str, np.ndarray]:
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise InputError(f"The pickle {path} holds no dictionary.", found=type(content).__name__)
    result = {}
    for name, value in content.items():
        try:
            result[str(name)] = np.asarray(value)
        except ValueError:  # lists of different lengths
            continue
    return {name: array for name, array in result.items() if array.dtype.kind in "biufSU"}


def _first(entries: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray | None:
    return next((entries[name] for name in names if name in entries), None)


def _optional(
    path: Path, entries: Mapping[str, np.ndarray], names: Sequence[str], shape: tuple[int, ...]
) -> np.ndarray | None:
    for name in names:
        if name in entries:
            array = np.asarray(entries[name], np.float64)
            if array.size != np.prod(shape):
                raise InputError(
                    f"{name} of {path.name} does not fit.", found=str(array.shape), expected=str(shape)
                )
            return array.reshape(shape)
    return None


def rotations_of(path: Path, entries: Mapping[str, np.ndarray]) -> np.ndarray:
    """(F, 24, 3) axis-angles; hands and face of larger layouts are left out."""
    matrices = _first(entries, _MATRICES)
    if matrices is not None and matrices.ndim >= 3 and matrices.size % 216 == 0 and matrices.size:
        return _vectors(matrices.reshape(-1, 24, 3, 3))
    whole = _first(entries, _WHOLE)
    if whole is None and "global_orient" in entries and "body_pose" in entries:
        parts = [_per_frame(entries[name]) for name in ("global_orient", "body_pose")]
        if len({len(part) for part in parts}) == 1:
            whole = np.concatenate(parts, axis=1)
    if whole is not None and len(whole) and whole.size % len(whole) == 0:
        flat = np.asarray(whole, np.float64).reshape(len(whole), -1)
        if flat.shape[1] >= 66 and flat.shape[1] % 3 == 0:
            # SMPL has 24 joints; SMPL-H and SMPL-X have fingers and face behind the 22 joints of the body
            joints = 24 if flat.shape[1] == 72 else 22
            vectors = np.zeros((len(flat), 24, 3))
            vectors[:, :joints] = flat[:, : 3 * joints].reshape(len(flat), joints, 3)
            return vectors
    raise InputError(
        f"{path.name} has no poses that are understood.",
        found=", ".join(f"{name} {array.shape}" for name, array in entries.items()) or "no entries",
        expected="poses (F, 72), global_orient (F, 3) and body_pose (F, 69), or pred_rot_mat (F, 24, 3, 3)",
    )


def _per_frame(array: np.ndarray) -> np.ndarray:
    """(F, 3 k) axis-angles of (F, ...) axis-angles or rotation matrices."""
    array = np.asarray(array, np.float64)
    if array.ndim >= 3 and array.shape[-2:] == (3, 3):
        return _vectors(array.reshape(len(array), -1, 3, 3)).reshape(len(array), -1)
    return array.reshape(len(array), -1)


def _vectors(matrices: np.ndarray) -> np.ndarray:
    return rot.matrix_to_axis_angle(torch.from_numpy(np.asarray(matrices, np.float64))).numpy()


def rest_of(path: Path, entries: Mapping[str, np.ndarray]) -> np.ndarray:
    """(24, 3) metres: the file's, else those of the shipped body."""
    inputs = _optional(path, entries, _RESTS, (24, 3))
    return load_body("smpl").rest_joints()[0].double().numpy() if inputs is None else inputs


def _focals(
    path: Path, entries: Mapping[str, np.ndarray], count: int, focal: float | None
) -> np.ndarray | None:
    matrix, inputs = _first(entries, _INTRINSICS), _first(entries, _FOCALS)
    if focal is None and inputs is None and matrix is not None and matrix.shape[-2:] == (3, 3):
        inputs = np.asarray(matrix, np.float64).reshape(-1, 3, 3)[:, 0, 0]
    if focal is None and inputs is None:
        return None
    values = np.ravel(np.asarray(inputs if focal is None else focal, np.float64))
    if len(values) not in (1, count) or not (values > 0).all():
        raise InputError(
            f"The focal length of {path.name} cannot be used.",
            found=f"{len(values)} values, the smallest {values.min(initial=np.inf):g}",
            expected=f"one or {count} values above zero, in pixels",
        )
    return np.broadcast_to(values, (count,)).copy()


def _centre(entries: Mapping[str, np.ndarray]) -> np.ndarray | None:
    matrix = _first(entries, _INTRINSICS)
    if matrix is None or matrix.shape[-2:] != (3, 3):
        return None
    return np.asarray(matrix, np.float64).reshape(-1, 3, 3)[0, :2, 2]


def weak_cameras_of(
    path: Path, entries: Mapping[str, np.ndarray], count: int, size: tuple[int, int], focal: float | None
) -> np.ndarray:
    """(F, 4) focal length and translation of weak-perspective crops."""
    camera = _optional(path, entries, _WEAK, (count, 3))
    box = _first(entries, _BOXES)
    if camera is None or box is None or np.shape(box) not in ((count, 3), (count, 4)):
        raise InputError(
            f"{path.name} has pred_cam without the boxes of its crops.",
            expected=f"bbox_params ({count}, 3): centre x, centre y and size in pixels",
        )
    if not (camera[:, 0] > 0).all():
        raise InputError(f"pred_cam of {path.name} has a scale that is not above zero.")
    return weak_perspective_camera(camera, np.asarray(box)[:, :3], size[1], size[0], focal=focal)


def _to_camera(
    path: Path, entries: Mapping[str, np.ndarray], rotations: np.ndarray, root: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Poses of a world, where the file has `world_to_camera` (4, 4) or (F, 4, 4), in the axes of the camera."""
    if "world_to_camera" not in entries:
        return rotations, root
    matrix = np.asarray(entries["world_to_camera"], np.float64).reshape(-1, 4, 4)
    if len(matrix) not in (1, len(root)):
        raise InputError(f"world_to_camera of {path.name} does not fit.", found=f"{len(matrix)} matrices")
    turn = torch.from_numpy(np.ascontiguousarray(np.broadcast_to(matrix[:, :3, :3], (len(root), 3, 3))))
    turned = rotations.copy()
    turned[:, 0] = rot.matrix_to_axis_angle(
        turn @ rot.axis_angle_to_matrix(torch.from_numpy(rotations[:, 0].copy()))
    ).numpy()
    return turned, (turn.numpy() @ root[..., None])[..., 0] + matrix[:, :3, 3]
