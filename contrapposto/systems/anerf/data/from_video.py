"""The poses of a person in a video, before its camera: SCAIL-Pose sees people, the shipped figure is fitted to one.

A single camera does not know sizes: the person is taken to be as large as the figure, which changes no pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.skeleton import SMPL24
from contrapposto.systems.anerf.data.masks import fitting
from contrapposto.systems.anerf.data.people import Person
from contrapposto.systems.anerf.kinematics import PARENTS, pose_bones
from contrapposto.video_file import VideoFile

if TYPE_CHECKING:
    from contrapposto.systems.scail_pose.clean import Track
    from contrapposto.systems.scail_pose.interface import PoseEstimator
    from contrapposto.systems.scail_pose.people import ClipPoses

_LONGEST = 896  # pixels of the longer side of what the estimator sees
_LIMBS = ((1, 4), (4, 7), (2, 5), (5, 8), (16, 18), (18, 20), (17, 19), (19, 21))
_MIRRORED = {(2, 5): (1, 4), (5, 8): (4, 7), (17, 19): (16, 18), (19, 21): (18, 20)}
_BOUNDS = (0.85, 1.18)  # of a limb's length against the figure's
_ROUNDS, _RATE = 200, 0.02
_ROBUST = 0.03  # metres on the image plane beyond which a joint counts linearly


def watch(
    video: VideoFile,
    estimator: PoseEstimator,
    *,
    every: int = 1,
    progress: Callable[[int], None] | None = None,
) -> ClipPoses:
    """The people in every so many-th frame of a video, left and right as they move least, smoothed over time.

    Raises:
        InputError: nobody is seen.
    """
    from contrapposto.systems.scail_pose.clean import Clean
    from contrapposto.systems.scail_pose.extract import extract
    from contrapposto.systems.scail_pose.sides import steady_sides

    def taken() -> Iterator[tuple[float, np.ndarray]]:
        for number, frame in enumerate(video.frames()):
            if number % every == 0:
                yield frame

    size = fitting((video.height, video.width), _LONGEST)
    seen = extract(taken(), estimator, *size, video.fps / every, progress=progress)
    clip = Clean()(steady_sides(seen)[0])
    if not clip.ids:
        raise InputError(
            f"Nobody is seen in {video.path.name}.", expected="a video that shows a person whole"
        )
    return clip


def choose_person(clip: ClipPoses, person: str | int) -> int:
    """The number of a person: `longest` in view, `largest` in the image, or a number.

    Raises:
        InputError: there is no such person.
    """
    from contrapposto.systems.scail_pose.clean import Track

    tracks = {number: Track.of(clip.frames, number) for number in clip.ids}
    if person == "longest":
        return max(tracks, key=lambda number: int(tracks[number].seen.sum()))
    if person == "largest":
        return max(tracks, key=lambda number: _area(tracks[number]))
    if person not in tracks:
        raise InputError(
            f"There is no person {person}.",
            expected=f"longest, largest, or one of {', '.join(map(str, tracks))}",
        )
    return int(person)


def fit_person(clip: ClipPoses, number: int, video: VideoFile, *, every: int = 1) -> Person:
    """The figure in the poses of a person, with one length for every limb, as it is seen in the images.

    Directions of the bones and a first pose come from the estimator's joints; then all frames together are moved until
    the joints lie where they are in the images, smoothly over time.

    Args:
        clip: see `watch`.
        number: of the person.
        video: the video.
        every: step of its frames in the clip.

    Raises:
        InputError: the person's shoulders are never seen, or the person is seen in one frame only.
    """
    from contrapposto.systems.scail_pose.body_fit import camera_to_world, fit_figure
    from contrapposto.systems.scail_pose.clean import Track

    track = Track.of(clip.frames, number)
    frames = np.flatnonzero(track.seen)
    if len(frames) < 2:
        raise InputError(f"Person {number} is seen in one frame only.", found=f"{len(frames)} frames")
    first, last = int(frames[0]), int(frames[-1]) + 1
    joints = track.joints[first:last]
    world = camera_to_world([joints])
    motion = fit_figure(joints, clip.fps, world=world).to_skeleton(SMPL24)
    bones = motion.rotations.astype(np.float64)
    turned = torch.from_numpy(world.T) @ rot.axis_angle_to_matrix(torch.from_numpy(bones[:, 0]))
    bones[:, 0] = rot.matrix_to_axis_angle(turned).numpy()
    rest = SMPL24.rest_positions.astype(np.float64)
    metres = joints / 1000
    metres = metres * figure_scale(metres, rest)
    rest = own_limbs(rest, metres)
    seen = track.seen[first:last]
    bones, root = _refined(bones, metres, rest - rest[0])
    focal = float(clip.intrinsics[0, 0]) * video.width / clip.width
    middle = clip.intrinsics[:2, 2] * video.width / clip.width
    return Person(
        bones[seen],
        root[seen],
        rest,
        np.full(int(seen.sum()), focal),
        middle,
        np.flatnonzero(track.seen) * every,
    )


def write_person(path: str | Path, person: Person) -> Path:
    """Poses as a file for `data=anerf_video` (docs/anerf_data.md)."""
    assert person.focals is not None and person.centre is not None
    focal = float(person.focals[0])
    intrinsics = np.array([[focal, 0, person.centre[0]], [0, focal, person.centre[1]], [0, 0, 1.0]])
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            poses=person.rotations.reshape(len(person.rotations), 72),
            root=person.root,
            rest_pose=person.rest,
            K=intrinsics,
            frame_ids=person.frames,
        )
    return Path(path)


def _area(track: Track) -> float:
    boxes = track.boxes[track.seen]
    return float(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum())


def _lengths(joints: np.ndarray, limbs: Sequence[tuple[int, int]]) -> np.ndarray:
    return np.linalg.norm(
        joints[..., [b for _, b in limbs], :] - joints[..., [a for a, _ in limbs], :], axis=-1
    )


def _known_median(values: np.ndarray) -> np.ndarray:
    """Of each column (T, N), NaN where none is known."""
    known = np.isfinite(values).any(0)
    result = np.full(values.shape[1], np.nan)
    result[known] = np.nanmedian(values[:, known], axis=0)
    return result


def figure_scale(joints: np.ndarray, rest: np.ndarray) -> float:
    """The figure's size over the person's, by limbs and trunk; joints (T, 24, 3) may be unknown."""
    parts = (*_LIMBS, (1, 16), (2, 17))
    own = _known_median(_lengths(joints, parts))
    known = np.isfinite(own)
    if not known.any():
        raise InputError("No limb of the person is seen whole.", fix="take a video that shows the whole body")
    return float(_lengths(rest, parts)[known].sum() / own[known].sum())


def own_limbs(rest: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """The figure's rest joints (24, 3) with the person's limbs, left as right."""
    seen = dict(zip(_LIMBS, _known_median(_lengths(joints, _LIMBS))))
    usual = dict(zip(_LIMBS, _lengths(rest, _LIMBS)))
    offsets = rest - rest[[max(parent, 0) for parent in PARENTS]]
    offsets[0] = rest[0]
    for limb, first in [*((limb, limb) for limb in _MIRRORED.values()), *_MIRRORED.items()]:
        pair = [seen[part] / usual[part] for part in _LIMBS if _MIRRORED.get(part, part) == first]
        ratio = float(np.nanmean(pair)) if np.isfinite(pair).any() else 1.0
        offsets[limb[1]] *= float(np.clip(ratio, *_BOUNDS))
    own = offsets.copy()
    for joint in range(1, 24):
        own[joint] = own[PARENTS[joint]] + offsets[joint]
    return own


def _refined(bones: np.ndarray, joints: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axis-angles (T, 24, 3) and roots (T, 3) whose joints are seen where those of the person (T, 24, 3) are.

    Both are before the camera, in metres; unknown joints are NaN.
    """
    known = torch.from_numpy(np.isfinite(joints).all(-1))
    wanted = torch.from_numpy(np.nan_to_num(joints, nan=1.0)).float()
    start = torch.from_numpy(bones).float()
    skeleton = torch.from_numpy(rest).float()
    posed = pose_bones(rot.axis_angle_to_matrix(start), skeleton, torch.zeros(len(start), 3)).joints
    away = torch.where(known[..., None], wanted - posed, torch.nan)
    place = _bridged(away.nanmean(1))
    turn, root = start.clone().requires_grad_(), place.clone().requires_grad_()
    optimizer = torch.optim.Adam([turn, root], lr=_RATE)
    distance = wanted[..., 2:].clamp_min(0.1)
    for step in range(_ROUNDS):
        optimizer.param_groups[0]["lr"] = _RATE * 0.05 ** (step / _ROUNDS)
        result = pose_bones(rot.axis_angle_to_matrix(turn), skeleton, root).joints
        # Metres beside the line of sight, and along it, where the estimator is much less sure.
        beside = result[..., :2] / result[..., 2:].clamp_min(0.1) * distance - wanted[..., :2]
        along = result[..., 2] - wanted[..., 2]
        image = F.huber_loss(beside, torch.zeros_like(beside), reduction="none", delta=_ROBUST).sum(-1)
        loss = (image[known].mean() + 0.03 * along[known].square().mean()) / _ROBUST**2
        loss = loss + 0.05 * (turn - start).square().mean()
        if len(turn) > 2:
            loss = loss + unsteadiness(turn, root)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return turn.detach().double().numpy(), root.detach().double().numpy()


def unsteadiness(turn: Tensor, root: Tensor) -> Tensor:
    """Weighted squared second differences of axis-angles (T, 24, 3) and roots (T, 3) over three frames or more."""
    bend = turn[2:] - 2 * turn[1:-1] + turn[:-2]
    shake = root[2:] - 2 * root[1:-1] + root[:-2]
    return 2 * bend.square().mean() + 50 * shake.square().mean()


def _bridged(places: Tensor) -> Tensor:
    """(T, 3) with unknown rows taken from the nearest known one."""
    known = torch.isfinite(places).all(-1).nonzero().squeeze(1)
    if not len(known):
        raise InputError("The person's joints are never known.")
    nearest = (torch.arange(len(places))[:, None] - known).abs().argmin(1)
    return places[known[nearest]]


def step_of(video: VideoFile, most: int) -> int:
    """Step that leaves at most `most` frames of a video, and at least eight in a second."""
    count = max(int(video.seconds * video.fps), 1)
    return max(1, min(math.ceil(count / most), round(video.fps / 8)))
