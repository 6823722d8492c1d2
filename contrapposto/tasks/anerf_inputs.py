"""What the avatar tasks read: a trained avatar, and the poses and cameras that it is drawn with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.runs import best_run
from contrapposto.shipped import FOLDER
from contrapposto.systems.anerf.avatar import METHODS, Avatar
from contrapposto.systems.anerf.data.poses import motion_poses
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.framing import centre_of, framed, framing_camera, viewing_angles
from contrapposto.systems.anerf.paths import MODES, PosePath, before_camera
from contrapposto.tasks.base import read_clip

FRAMED = ("bullet", "interpolate", "animate", "bubble", "poserot")
"""Modes that move the camera or the person away from an image of the scene."""
_EXPERIMENTS = {"splat": None, "anerf": "anerf_demo"}


def load_avatar(config: Any, method: str, model: str, data: str, experiment: str | None) -> Avatar:
    """The avatar of `ckpt=` (a name, a checkpoint, a run, or the authors' .tar), or of the best run of a model.

    Args:
        config: of the task; `scene=` names the scene in place of the one of the training.
        method: splat or anerf; with `model` and `experiment` auto it states which model is used.
        model, data, experiment: of the run, as in train.py.

    Raises:
        MissingError, ConfigError: there is none, or it is of another kind.
    """
    if method not in METHODS:
        raise ConfigError(f"There is no method {method!r}.", expected=", ".join(METHODS))
    if config.ckpt:
        avatar = Avatar.from_pretrained(str(config.ckpt), scene=config.scene, stores=config.paths.stores)
    else:
        model = METHODS[method][0] if model == "auto" else model
        experiment = _EXPERIMENTS[method] if experiment == "auto" else experiment
        best = best_run(config.paths.runs, model, data, experiment)
        avatar = Avatar.from_pretrained(best.checkpoint, scene=config.scene, stores=config.paths.stores)
    print(f"avatar: {avatar.origin}")
    return avatar


def clip_path(name: str) -> Path:
    """The file of a motion: a path, or the name of a shipped clip (`cmu_01_01`)."""
    shipped = FOLDER / f"{name}.npz"
    return shipped if not Path(name).exists() and shipped.is_file() else Path(name)


def needed_scene(avatar: Avatar) -> AvatarScene:
    """The scene of an avatar.

    Raises:
        MissingError: it is not at hand.
    """
    if avatar.scene is None:
        raise MissingError(
            "This needs the scene that the avatar was trained on.",
            fix="scene=STORE; the shipped one is made by: python prepare.py data=anerf_scene",
        )
    return avatar.scene


def choose_frames(avatar: Avatar, mode: str, numbers: Sequence[int] | None, most: int) -> list[int]:
    """Numbers of images: those that are given, else some that suit the mode.

    Raises:
        InputError: numbers that the scene does not have.
    """
    if mode == "val":
        needed_scene(avatar)
    scene = avatar.scene
    if scene is None:
        return [0]
    if numbers is not None:
        wrong = [number for number in numbers if not 0 <= number < scene.num_images]
        if wrong:
            raise InputError(
                f"The scene has no image {wrong[0]}.", expected=f"numbers from 0 to {scene.num_images - 1}"
            )
        return [int(number) for number in numbers]
    if mode == "val":
        held = [name for name in scene.splits if name in ("novel_view", "novel_pose", "val")]
        images = np.concatenate([scene.split(name) for name in held or [avatar.split]])
    else:  # of one camera, as a video would have them
        images = scene.split(avatar.split)
        images = images[scene.camera_idxs[images] == scene.camera_idxs[images[0]]]
    count = {"bullet": 1, "poserot": 1, "bubble": 1, "correction": 2, "animate": 4}.get(mode, most)
    return images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)].tolist()


def make_path(
    avatar: Avatar,
    mode: str,
    chosen: Sequence[int],
    options: dict[str, Any],
    *,
    refined: bool,
    published: bool = False,
) -> PosePath:
    """Poses and cameras of a mode.

    Args:
        avatar, mode: what is drawn, and how.
        chosen: numbers of frames.
        options: of the mode.
        refined: poses as refined in training.
        published: cameras as the original moves them, about the world's origin; else every mode of `FRAMED` shows the
            person whole.

    Raises:
        ConfigError: an option that the mode does not have.
    """
    frames = avatar.frames(refined=refined)
    if mode == "correction":
        if avatar.poses is None:
            raise ConfigError(
                "The poses of this avatar were not refined.", expected="a run with module.poses"
            )
        options = {"refined": frames, **options}
        frames = avatar.frames(refined=False)
    numbers: Sequence[int] = chosen
    if not published and (mode in FRAMED or options.get("centre_root")):
        part = frames.at(torch.as_tensor(chosen, dtype=torch.int64))
        joints = MODES["selected"](part, range(len(chosen))).joints
        frames = framed(part, joints, avatar.size, aligned=mode == "bubble", tumbling=mode == "poserot")
        numbers = range(len(chosen))
        still = {} if mode == "poserot" else {"centre_camera": False, "centre_root": False}
        options = {**options, **still}
        if mode == "retarget":
            options.pop("centre_camera")
    try:
        path = MODES[mode](frames, numbers, **options)
    except TypeError as error:
        raise ConfigError(f"mode={mode} cannot be used like this: {error}") from None
    if numbers is not chosen:
        place = torch.as_tensor(chosen, dtype=torch.int64)
        path = PosePath(**{**vars(path), "frames": place[path.frames]})
    return path


def motion_path(
    avatar: Avatar, file: Path, *, fps: float, camera: int, travel: bool, turn: float, turns: float
) -> PosePath:
    """A clip on the avatar, before a camera that shows all of it and goes round it `turns` times."""
    frames = avatar.frames()
    arrays = motion_poses(
        read_clip(file).resample(fps), avatar.figure, at=(0.0, 0.0, 0.0), travel=travel, turn=turn
    )
    bones, joints = (torch.from_numpy(arrays[name]) for name in ("bones", "kp3d"))
    path = before_camera(frames, bones, joints[:, 0], camera)
    yaw, pitch = viewing_angles(frames.cameras[camera], frames.root[camera])
    focal = frames.focals[camera].float().reshape(-1).expand(2)
    first = framing_camera(joints, focal, avatar.size, yaw=yaw, pitch=pitch)
    angle = torch.arange(len(path), dtype=torch.float64) * (2 * math.pi * turns / len(path))
    cameras = _around(first, centre_of(joints), angle)
    parts = {"cameras": cameras, "focals": focal.expand(len(path), 2), "centres": None}
    return PosePath(**{**vars(path), **parts})


def _around(camera: Tensor, centre: Tensor, angle: Tensor) -> Tensor:
    """(F, 4, 4) a camera (4, 4) turned by angles (F,) about the vertical through a point (3,)."""
    from contrapposto.systems.anerf.cameras import rotation_about

    about = torch.eye(4, dtype=torch.float64)
    about[[0, 2], 3] = centre[[0, 2]]
    return (about @ rotation_about("y", angle) @ torch.linalg.inv(about) @ camera.double()).float()
