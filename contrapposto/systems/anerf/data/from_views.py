"""The poses of a person in several videos of calibrated cameras at rest: joints are triangulated, the figure is fitted.

Unlike one camera, several know sizes: the figure gets the person's limbs in metres.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from contrapposto import rotations as rot
from contrapposto.checks import parsing
from contrapposto.errors import InputError, MissingError
from contrapposto.files import atomic_path
from contrapposto.skeleton import SMPL24
from contrapposto.systems.anerf.data.from_video import figure_scale, own_limbs, unsteadiness
from contrapposto.systems.anerf.data.poses import WORLD_AXES
from contrapposto.systems.anerf.kinematics import pose_bones
from contrapposto.video_file import VideoFile

if TYPE_CHECKING:
    from contrapposto.systems.scail_pose.people import ClipPoses

CAMERAS = "cameras.json"
_LIMB_SLOTS = range(2, 14)  # keypoints of OpenPose: right and left shoulders to wrists, then hips to ankles
_TOES = ((10, 18), (11, 21))  # joints of the feet, and keypoints
_WRISTS, _HANDS = [20, 21], [22, 23]
_ROUNDS, _RATE = 200, 0.02
_ROBUST = 0.03  # metres beyond which a joint counts linearly


@dataclass(frozen=True)
class ViewCamera:
    """A video and its camera: x_camera = rotation x_world + shift (metres; x right, y down, z forward), z is up.

    Args:
        name: of the file, without its ending.
        video: the file.
        matrix: (3, 3) in pixels of the video; lenses are taken to be free of distortion.
        rotation: (3, 3). shift: (3,).
    """

    name: str
    video: VideoFile
    matrix: np.ndarray
    rotation: np.ndarray
    shift: np.ndarray

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) to x / z and y / z before the camera."""
        result: np.ndarray = (pixels - self.matrix[:2, 2]) / self.matrix[[0, 1], [0, 1]]
        return result

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) to pixels (..., 2)."""
        local = points @ self.rotation.T + self.shift
        depth = np.maximum(local[..., 2:], 1e-3)
        result: np.ndarray = local[..., :2] / depth * self.matrix[[0, 1], [0, 1]] + self.matrix[:2, 2]
        return result


@dataclass(frozen=True)
class WorldPerson:
    """F poses of a person in the world, z up, metres: (F, 24, 3) axis-angles, (F, 3) roots, (24, 3) rest joints, frames."""

    rotations: np.ndarray
    root: np.ndarray
    rest: np.ndarray
    frames: np.ndarray


def read_cameras(folder: str | Path) -> list[ViewCamera]:
    """The cameras of a folder with `cameras.json` and a video NAME.* for each (docs/anerf_data.md).

    Raises:
        MissingError: a file is not there. InputError: the file cannot be read, or a matrix is no rotation.
    """
    folder = Path(folder)
    file = folder / CAMERAS
    if not file.is_file():
        raise MissingError(f"There is no {CAMERAS} in {folder}.", expected="K, R and t of every camera")
    result = []
    with parsing(file, "calibrated cameras (docs/anerf_data.md)"):
        entries = json.loads(file.read_text(encoding="utf-8"))["cameras"]
        arrays = {
            name: [np.asarray(entry[key], np.float64).reshape(shape) for key, shape in _ENTRIES.items()]
            for name, entry in sorted(entries.items())
        }
    for name, (matrix, rotation, shift) in arrays.items():
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
            raise InputError(f"R of camera {name} in {file} is no rotation.")
        videos = sorted(path for path in folder.glob(f"{name}.*") if path.suffix.lower() != ".json")
        if not videos:
            raise MissingError(f"There is no video of camera {name} in {folder}.", expected=f"{name}.mp4")
        result.append(ViewCamera(name, VideoFile.open(videos[0]), matrix, rotation, shift))
    if len(result) < 2:
        raise InputError(f"{file} has too few cameras.", found=f"{len(result)}", expected="two or more")
    return result


_ENTRIES: dict[str, tuple[int, ...]] = {"K": (3, 3), "R": (3, 3), "t": (3,)}


def seen_rays(camera: ViewCamera, clip: ClipPoses, number: int) -> np.ndarray:
    """(T, 24, 2) rays to the joints of a person before a camera, NaN where they are not known.

    Shoulders to wrists and hips to toes are the keypoints in the image, which are more exact than the joints in space of
    one camera; these give the trunk and the head. Hands are left out.
    """
    from contrapposto.systems.scail_pose.camera import SMPL_OF_SLOT
    from contrapposto.systems.scail_pose.clean import Track

    track = Track.of(clip.frames, number)
    matrix = clip.intrinsics
    pixels = track.joints[..., :2] / track.joints[..., 2:] * matrix[[0, 1], [0, 1]] + matrix[:2, 2]
    for joint, slot in [*((SMPL_OF_SLOT[slot], slot) for slot in _LIMB_SLOTS), *_TOES]:
        known = np.isfinite(track.points[:, slot]).all(-1)
        pixels[known, joint] = track.points[known, slot]
    pixels[:, _HANDS] = np.nan
    return camera.rays(pixels * [camera.video.width / clip.width, camera.video.height / clip.height])


def triangulated(cameras: Sequence[ViewCamera], rays: Sequence[np.ndarray]) -> np.ndarray:
    """World points (..., 3) nearest to the rays (..., 2) of two cameras or more; NaN where fewer see them."""
    shape = rays[0].shape[:-1]
    total, right, seen = np.zeros((*shape, 3, 3)), np.zeros((*shape, 3)), np.zeros(shape, int)
    for camera, own in zip(cameras, rays):
        known = np.isfinite(own).all(-1)
        forward = np.concatenate([np.where(known[..., None], own, 0.0), np.ones((*shape, 1))], axis=-1)
        forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True) @ camera.rotation
        beside = (np.eye(3) - forward[..., :, None] * forward[..., None, :]) * known[..., None, None]
        total += beside
        right += beside @ (-camera.rotation.T @ camera.shift)
        seen += known
    total[seen < 2] = np.eye(3)
    result: np.ndarray = np.linalg.solve(total, right[..., None])[..., 0]
    result[seen < 2] = np.nan
    return result


def fit_person_views(
    cameras: Sequence[ViewCamera],
    clips: Sequence[ClipPoses],
    numbers: Sequence[int | None],
    *,
    every: int = 1,
) -> WorldPerson:
    """The figure in the poses of a person that several cameras see, with the person's limbs.

    Args:
        cameras: calibrated.
        clips: what each sees (`from_video.watch`), frame by frame at the same times.
        numbers: of the person in each (`view_people.match_people`); None: not seen there.
        every: step of the videos' frames in the clips.

    Raises:
        InputError: too few frames show the person in two cameras.
    """
    from contrapposto.systems.scail_pose.body_fit import fit_figure

    count = min(len(clip.frames) for clip in clips)
    inputs = zip(cameras, clips, numbers)
    views = [(camera, seen_rays(camera, clip, n)[:count]) for camera, clip, n in inputs if n is not None]
    cameras, rays = [camera for camera, _ in views], [own for _, own in views]
    joints = triangulated(cameras, rays)
    frames = np.flatnonzero(np.isfinite(joints).all(-1).sum(1) >= 12)
    if len(frames) < 2:
        raise InputError("Two cameras see the person together in too few frames.", found=f"{len(frames)}")
    joints, rays = joints[frames], [own[frames] for own in rays]
    usual = SMPL24.rest_positions.astype(np.float64)
    scale = figure_scale(joints, usual)
    rest = own_limbs(usual, joints * scale) / scale
    # The figure's fit expects joints before a camera; the world, seen along y, is one.
    figure = fit_figure(joints @ _AS_CAMERA.T * 1000 * scale, clips[0].fps, world=_AS_CAMERA.T)
    start = figure.to_skeleton(SMPL24).rotations.astype(np.float64)
    start[:, [*_WRISTS, *_HANDS]] = 0  # hands, which nothing tells about, go on as the forearms do
    turns, root = _refined(start, joints, rest - rest[0], cameras, rays)
    return WorldPerson(turns, root, rest, frames * every)


_AS_CAMERA = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""World axes (z up) to a camera's that looks along y."""


def _refined(
    bones: np.ndarray,
    joints: np.ndarray,
    rest: np.ndarray,
    cameras: Sequence[ViewCamera],
    rays: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Axis-angles (T, 24, 3) and roots (T, 3) whose joints every camera sees where those of the person are."""
    start, skeleton = torch.from_numpy(bones).float(), torch.from_numpy(rest).float()
    posed = pose_bones(rot.axis_angle_to_matrix(start), skeleton, torch.zeros(len(start), 3)).joints
    place = (torch.from_numpy(joints).float() - posed).nanmean(1)
    turn, root = start.clone().requires_grad_(), place.clone().requires_grad_()
    views = []
    for camera, own in zip(cameras, rays):
        known = torch.from_numpy(np.isfinite(own).all(-1))
        matrices = (torch.from_numpy(x).float() for x in (camera.rotation, camera.shift))
        views.append((*matrices, torch.from_numpy(np.nan_to_num(own)).float(), known))
    optimizer = torch.optim.Adam([turn, root], lr=_RATE)
    for step in range(_ROUNDS):
        optimizer.param_groups[0]["lr"] = _RATE * 0.05 ** (step / _ROUNDS)
        result = pose_bones(rot.axis_angle_to_matrix(turn), skeleton, root).joints
        loss = 0.05 * (turn - start).square().mean()
        for rotation, shift, aim, known in views:
            local = result @ rotation.T + shift
            depth = local[..., 2:].clamp_min(0.1)
            beside = local[..., :2] - aim * depth  # metres
            image = F.huber_loss(beside, torch.zeros_like(beside), reduction="none", delta=_ROBUST).sum(-1)
            loss = loss + image[known].mean() / _ROBUST**2 / len(views)
        if len(turn) > 2:
            loss = loss + unsteadiness(turn, root)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return turn.detach().double().numpy(), root.detach().double().numpy()


def write_world_person(path: str | Path, person: WorldPerson) -> Path:
    """Poses for `data=anerf_views`."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            poses=person.rotations.reshape(len(person.rotations), 72),
            root=person.root,
            rest_pose=person.rest,
            frame_ids=person.frames,
        )
    return Path(path)


def read_world_person(path: str | Path) -> WorldPerson:
    """Poses in the world, z up, metres: poses (F, 72), root (F, 3), rest_pose (24, 3), frame_ids (F,).

    Raises:
        MissingError: no such file. InputError: entries are missing, of another shape or not finite.
    """
    from contrapposto.systems.anerf.data.people import read_entries, rest_of, rotations_of

    path = Path(path)
    entries = read_entries(path)
    with parsing(path, "poses in the world (docs/anerf_data.md)"):
        rotations = rotations_of(path, entries)
        root = np.asarray(entries["root"], np.float64).reshape(len(rotations), 3)
        frames = np.asarray(entries.get("frame_ids", np.arange(len(rotations))), np.int64).reshape(
            len(rotations)
        )
        return WorldPerson(rotations, root, rest_of(path, entries), frames)


def world_arrays(person: WorldPerson) -> tuple[np.ndarray, np.ndarray]:
    """Axis-angles (F, 24, 3) and roots (F, 3) in A-NeRF's axes (y down), metres."""
    bones = person.rotations.copy()
    turned = torch.from_numpy(WORLD_AXES) @ rot.axis_angle_to_matrix(torch.from_numpy(bones[:, 0].copy()))
    bones[:, 0] = rot.matrix_to_axis_angle(turned).numpy()
    return bones, person.root @ WORLD_AXES.T
