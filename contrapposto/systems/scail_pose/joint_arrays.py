"""Positions of joints as text-to-motion programs write them (`.npy`), as motions of the figure.

Three layouts, y up, metres, joints in SMPL's order: positions (T, 22 or 24, 3); the 263 features a frame of HumanML3D
(Guo et al. 2022, section 4, not normalised); an object with `motion` (N, 22, 3, T) and `lengths`, as MDM writes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.checks import check_file, naming, note, parsing
from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.pickles import read_object_npy
from contrapposto.systems.scail_pose.body_fit import fit_figure

RATE = 20.0
"""Frames per second of HumanML3D, and of what is trained on it."""

_FEATURES = 263
_TO_WORLD = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # y up to z up
_EXPECTED = "(T, 22, 3) or (T, 24, 3) positions in metres, y up; (T, 263) features; or what MDM writes"
_LONGEST = 10.0  # metres from the pelvis to a joint that nobody has
_FARTHEST = 1e5  # metres from the origin


def joint_motions(path: str | Path, fps: float | None = None) -> dict[int, Motion]:
    """The motions of a file by their number, from 0.

    Args:
        path: the file.
        fps: frames per second; `RATE` where absent, which is reported.

    Raises:
        InputError: none of the layouts, or values that are no positions of a person.
    """
    path = check_file(path, "positions of joints (.npy)")
    with naming(path):
        if fps is None:
            note(
                f"positions of joints state no frame rate: HumanML3D's {RATE:g} frames/s are taken; fps= states another"
            )
        clips = [_checked(clip) for clip in _clips(path)]
        note(
            "joints hold no rotations: the figure is fitted to them, and the turn of hands and head is a guess"
        )
        return {
            number: fit_figure(
                1000 * clip,
                fps or RATE,
                world=_TO_WORLD,
                metadata={"source": path.name, "person": str(number)},
            )
            for number, clip in enumerate(clips)
        }


def positions_of_features(features: np.ndarray) -> np.ndarray:
    """Positions (T, 22, 3) of HumanML3D's features (T, 263).

    A frame states how far the body turns about y (half the angle) and moves, in its own axes, until the next frame; the
    height of its pelvis; and the other joints relative to the pelvis' place on the floor, again in its own axes.
    """
    features = features.astype(np.float64)
    half = np.concatenate([[0.0], np.cumsum(features[:-1, 0])])
    facing = Rotation.from_rotvec(-2 * half[:, None] * [0.0, 1.0, 0.0])
    steps = np.zeros((len(features), 3))
    steps[1:, [0, 2]] = features[:-1, 1:3]
    root = np.cumsum(facing.apply(steps), axis=0)
    own = features[:, 4:67].reshape(len(features), 21, 3)
    others = np.einsum("tij,tkj->tki", facing.as_matrix(), own) + root[:, None] * [1.0, 0.0, 1.0]
    root[:, 1] = features[:, 3]
    return np.concatenate([root[:, None], others], axis=1)


def _clips(path: Path) -> list[np.ndarray]:
    with parsing(path, _EXPECTED), path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
        if not dtype.hasobject and int(np.prod(shape, dtype=object)) * dtype.itemsize > path.stat().st_size:
            raise InputError("The file claims more than it holds.", found=f"shape {shape}")
    if dtype.hasobject:
        return _results(read_object_npy(path))
    with parsing(path, _EXPECTED):
        values = np.load(path, allow_pickle=False)
    if values.ndim == 2 and values.shape[1] == _FEATURES:
        _finite(values)
        return [positions_of_features(values)]
    return [values]


def _results(content: Any) -> list[np.ndarray]:
    motion = np.asarray(content.get("motion")) if isinstance(content, dict) else np.zeros(0)
    if motion.ndim != 4 or motion.shape[1:3] not in ((22, 3), (24, 3)):
        raise InputError("The object holds no motion.", found=str(motion.shape), expected=_EXPECTED)
    lengths = np.asarray(content.get("lengths", [motion.shape[3]] * len(motion))).ravel()
    if lengths.shape != (len(motion),) or lengths.dtype.kind not in "iu" or (lengths < 1).any():
        raise InputError("The lengths do not fit.", found=str(lengths.shape), expected=f"({len(motion)},)")
    return [clip.transpose(2, 0, 1)[:length] for clip, length in zip(motion, lengths.tolist())]


def _finite(values: np.ndarray) -> None:
    if values.dtype.kind not in "fiu" or not len(values) or not np.isfinite(values.astype(np.float64)).all():
        raise InputError("The array has values that are no finite numbers.", found=f"type {values.dtype}")


def _checked(clip: np.ndarray) -> np.ndarray:
    """(T, 24, 3) positions, NaN for hands that are not there."""
    if clip.ndim != 3 or clip.shape[1:] not in ((22, 3), (24, 3)):
        raise InputError("The array holds no positions of joints.", found=str(clip.shape), expected=_EXPECTED)
    _finite(clip)
    clip = clip.astype(np.float64)
    reach = float(np.median(np.linalg.norm(clip - clip[:, :1], axis=-1).max(axis=1)))
    if not 0.3 < reach < _LONGEST:
        raise InputError(
            "The positions are not those of a person in metres.",
            found=f"joints up to {reach:.3g} from the pelvis (median)",
            expected="metres; of features, those that are not normalised",
        )
    _within_reach(clip)
    if float(np.median(clip[:, 15, 1] - clip[:, [7, 8], 1].mean(axis=1))) < 0:
        raise InputError(
            "Heads are below feet along y: y is not up, or joints have another order.", expected=_EXPECTED
        )
    hands = np.full((len(clip), 24 - clip.shape[1], 3), np.nan)
    return np.concatenate([clip, hands], axis=1)


def _within_reach(clip: np.ndarray) -> None:
    """Refuse single frames whose joints are where nobody can be."""
    away = np.linalg.norm(clip - clip[:, :1], axis=-1).max(axis=1)
    wrong = (away > _LONGEST) | (np.abs(clip[:, 0]).max(axis=1) > _FARTHEST)
    if wrong.any():
        frame = int(wrong.argmax())
        raise InputError(
            f"The joints of frame {frame} are not those of a person.",
            found=f"{away[frame]:.3g} m from the pelvis, which is at {np.abs(clip[frame, 0]).max():.3g} m",
            expected=f"at most {_LONGEST:g} m, and {_FARTHEST:g} m",
            fix="correct or leave out such frames",
        )
