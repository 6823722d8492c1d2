"""What the avatar tasks of predict.py read: a trained avatar with its scene, and the frames that it is drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.progress import Lines
from contrapposto.runs import ZOO, best_run, load_config
from contrapposto.systems.anerf.camera_layer import CameraLayer
from contrapposto.systems.anerf.data.poses import motion_poses, scene_frames
from contrapposto.systems.anerf.data.prepare import prepare_avatar
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.model import ANeRF
from contrapposto.systems.anerf.paths import MODES, PoseFrames, PosePath, before_camera
from contrapposto.systems.anerf.poses import PoseLayer
from contrapposto.systems.anerf.renderer import Renderer, View, calibrate
from contrapposto.tasks.base import load_module, read_clip

_OFFICIAL = (".tar",)


@dataclass(frozen=True, eq=False)
class Avatar:
    """A trained avatar.

    Args:
        network: in evaluation mode.
        scene: that it was trained on.
        poses: refined poses, one for each of the scene; None: the scene's own.
        split: images that it has learnt from.
        cameras: refined cameras, one for each of the scene; None: the scene's own.
    """

    network: ANeRF
    scene: AvatarScene
    poses: PoseLayer | None
    split: str
    cameras: CameraLayer | None = None

    def frames(self, *, refined: bool = True) -> PoseFrames:
        """Every image of the scene with its pose and camera."""
        found = scene_frames(self.scene)
        if self.cameras is not None:
            camera = torch.from_numpy(np.array(self.scene.camera_idxs))
            matrices, focals = (part.detach()[camera] for part in self.cameras.cameras())
            found = replace(found, cameras=matrices, focals=focals)
        if self.poses is None or not refined:
            return found
        pose = torch.from_numpy(np.array(self.scene.kp_idxs))
        root = self.poses.pelvis.detach() + self.poses.rest_pose[0, 0]
        return found.refined(self.poses.axis_angles()[pose], root[pose])

    def code(self, image: int) -> int | None:
        """The frame code of an image; that of one that was not learnt is the mean."""
        if not self.network.config.num_codes:
            return None
        codes = np.unique(self.scene.cam_idxs[self.scene.split(self.split)])
        place = int(np.searchsorted(codes, self.scene.cam_idxs[image]))
        return place if place < len(codes) and codes[place] == self.scene.cam_idxs[image] else -1

    def renderer(self, speed: str) -> Renderer:
        """Draws the avatar; pruning is calibrated on six images of the training."""
        if speed != "pruned":
            return Renderer(self.network, speed=speed)
        images = self.scene.split(self.split)
        chosen = images[np.linspace(0, len(images) - 1, 6).astype(int)].tolist()
        path = MODES["selected"](self.frames(), chosen)
        views = [view_of(path, number, self.scene.hw) for number in range(len(path))]
        return Renderer(
            self.network, speed=speed, capsules=calibrate(self.network, path.world_to_bone, views)
        )


def view_of(path: PosePath, number: int, size: tuple[int, int]) -> View:
    """The camera of one picture of a path, with pictures of the scene's height and width."""
    centre = None if path.centres is None else path.centres[number]
    return View(path.cameras[number], path.focals[number], *size, centre)


def load_avatar(config: Any, model: str, data: str, experiment: str | None) -> Avatar:
    """The avatar of `ckpt=` (a checkpoint, a run, or the authors' .tar), or of the best run of a model.

    Raises:
        MissingError, ConfigError: there is none, it is of another kind, or its scene is gone.
    """
    given = Path(config.ckpt) if config.ckpt else None
    if given is not None and not given.exists():
        raise MissingError(
            f"ckpt={given} does not exist.", expected="a checkpoint, a run directory, or a .tar"
        )
    if given is not None and given.suffix in _OFFICIAL:
        return _official(config, given)
    checkpoint = given or best_run(config.paths.runs, model, data, experiment).checkpoint
    run = checkpoint if checkpoint.is_dir() else checkpoint.parent.parent
    saved = load_config(run)
    module = load_module(checkpoint)
    if not isinstance(getattr(module, "network", None), ANeRF):
        raise ConfigError(
            f"{checkpoint} holds no avatar.", expected="a run of anerf, anerf_finetune or anerf_fast"
        )
    scene = AvatarScene.open(config.scene) if config.scene else own_scene(config, run, saved)
    print(f"avatar: {checkpoint}")
    return Avatar(module.network.eval(), scene, module.poses, str(saved.data.train_split), module.cameras)


def own_scene(config: Any, run: Path, saved: DictConfig) -> AvatarScene:
    """The scene that a run was trained on; that of a model that ships is made where it is missing."""
    if ZOO not in run.parents:
        return AvatarScene.open(saved.data.store)
    saved.paths = config.paths  # it was trained on another machine
    if not Path(saved.data.store).exists():
        print(f"The scene of the avatar that ships is made first, once: {saved.data.store}", flush=True)
        options: Any = OmegaConf.to_container(saved.data.options, resolve=True)
        prepare_avatar(saved.data.recipe, output=saved.data.store, progress=Lines(), **options)
    return AvatarScene.open(saved.data.store)


def _official(config: Any, path: Path) -> Avatar:
    from contrapposto.systems.anerf.official import load_official, load_official_poses

    if not config.scene:
        raise ConfigError("The authors' checkpoint holds no cameras.", fix="scene=STORE, made by prepare.py")
    scene = AvatarScene.open(config.scene)
    poses = load_official_poses(path)
    if poses is not None and len(poses) != scene.num_poses:
        print(f"note: its {len(poses)} poses are not the {scene.num_poses} of the scene, which are used")
        poses = None
    return Avatar(load_official(path), scene, poses, "train" if "train" in scene.splits else "all")


def choose_frames(avatar: Avatar, mode: str, given: Sequence[int] | None, most: int) -> list[int]:
    """Numbers of images: those that are given, else some that suit the mode.

    Raises:
        InputError: numbers that the scene does not have.
    """
    scene = avatar.scene
    if given is not None:
        wrong = [number for number in given if not 0 <= number < scene.num_images]
        if wrong:
            raise InputError(
                f"The scene has no image {wrong[0]}.", expected=f"numbers from 0 to {scene.num_images - 1}"
            )
        return [int(number) for number in given]
    if mode == "val":
        held = [name for name in scene.splits if name in ("novel_view", "novel_pose", "val")]
        images = np.concatenate([scene.split(name) for name in held or [avatar.split]])
    else:  # of one camera, as a video would have them
        images = scene.split(avatar.split)
        images = images[scene.camera_idxs[images] == scene.camera_idxs[images[0]]]
    count = {"bullet": 1, "poserot": 1, "bubble": 1, "correction": 2, "animate": 4}.get(mode, most)
    return images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)].tolist()


def make_path(
    avatar: Avatar, mode: str, chosen: Sequence[int], options: dict[str, Any], *, refined: bool
) -> PosePath:
    """Poses and cameras of a mode.

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
    try:
        return MODES[mode](frames, chosen, **options)
    except TypeError as error:
        raise ConfigError(f"mode={mode} cannot be used like this: {error}") from None


def motion_path(
    avatar: Avatar, file: Path, *, fps: float, camera: int, travel: bool, turn: float, turns: float
) -> PosePath:
    """A clip on the avatar, before the camera of an image, which goes round it `turns` times."""
    from contrapposto.systems.anerf.cameras import rotation_about

    frames = avatar.frames()
    start = frames.root[camera]
    arrays = motion_poses(
        read_clip(file).resample(fps), avatar.scene.rest_pose, at=start.tolist(), travel=travel, turn=turn
    )
    bones, joints = (torch.from_numpy(arrays[name]) for name in ("bones", "kp3d"))
    path = before_camera(frames, bones, joints[:, 0], camera)
    if not turns:
        return path
    angle = torch.arange(len(path), dtype=torch.float64) * (2 * np.pi * turns / len(path))
    about = _shift(start)
    cameras = about @ rotation_about("y", angle) @ torch.linalg.inv(about) @ path.cameras.double()
    return PosePath(**{**vars(path), "cameras": cameras.float()})


def _shift(place: Tensor) -> Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[[0, 2], 3] = place[[0, 2]].double()
    return matrix
