"""Images of several cameras that share poses, and takes told by the paths of images.

See docs/specs/anerf.md, sections 6 and 8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.errors import InputError


def view_map(takes: Sequence[Any] | np.ndarray, views: int) -> tuple[np.ndarray, np.ndarray]:
    """Which pose each image shows, of images in the order of takes, in each take of cameras, in each of time.

    Args:
        takes: (N,) take of every image.
        views: cameras; each has as many images of a take as the others.

    Returns:
        (N,) pose of every image, and (U,) the first image of every pose.

    Raises:
        InputError: a take's images cannot be divided among the cameras.
    """
    names = np.asarray(takes)
    pose_of_image = np.empty(len(names), np.int64)
    done = 0
    starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]]) if len(names) else np.zeros(0, np.int64)
    for start, end in zip(starts, [*starts[1:], len(names)]):
        count, rest = divmod(int(end - start), views)
        if rest:
            raise InputError(
                f"The images of take {names[start]} cannot be divided among {views} cameras.",
                found=f"{end - start} images",
                expected="as many of each camera",
            )
        pose_of_image[start:end] = done + np.tile(np.arange(count), views)
        done += count
    return pose_of_image, np.unique(pose_of_image, return_index=True)[1]


def share_poses(
    values: np.ndarray, pose_of_image: np.ndarray, *, average: bool = False, rotations: bool = False
) -> np.ndarray:
    """Joints of the images of a pose made equal, but for the root, which stays each image's own.

    Args:
        values: (N, 24, 3) axis-angles or joints.
        pose_of_image: (N,) see `view_map`.
        average: take the mean over the images of a pose; else the values of its first image.
        rotations: `values` are axis-angles, whose mean is taken as of rotations (the nearest rotation to the mean of
            the matrices). The original takes the mean of the vectors, which is wrong near half a turn.

    Returns:
        (N, 24, 3).
    """
    seeds = np.unique(pose_of_image, return_index=True)[1]
    if not average:
        shared = values[seeds]
    else:
        source = values
        if rotations:
            source = rot.axis_angle_to_matrix(torch.from_numpy(values.astype(np.float64))).numpy()
        shared = np.stack([source[pose_of_image == pose].mean(0) for pose in range(len(seeds))])
        if rotations:
            left, _, right = np.linalg.svd(shared)
            left[..., -1] *= np.linalg.det(left @ right)[..., None]
            shared = rot.matrix_to_axis_angle(torch.from_numpy(left @ right)).numpy()
    result = shared[pose_of_image].astype(values.dtype)
    result[:, 0] = values[:, 0]
    return result


def takes_of_paths(paths: Sequence[str], *, gaps: bool = True) -> np.ndarray:
    """(N,) number of the take of each image, told by its path.

    A take ends where the folder changes and, with `gaps`, where the number in the file's name grows by more than one.
    """
    takes, take = [], 0
    before: tuple[str, int | None] | None = None
    for path in paths:
        place = PurePosixPath(path)
        digits = re.findall(r"\d+", place.stem)
        number = int(digits[-1]) if digits else None
        here = (str(place.parent), number)
        if before is not None:
            jump = gaps and number is not None and before[1] is not None and abs(number - before[1]) > 1
            take += int(here[0] != before[0] or jump)
        takes.append(take)
        before = here
    return np.array(takes, np.int64)


def render_choice(count: int, skip: int, most: int) -> np.ndarray:
    """Numbers of the images that are drawn for validation: every `skip`-th, at most `most`.

    See docs/specs/anerf.md, section 8.3.
    """
    return np.arange(0, count, skip)[:most]
