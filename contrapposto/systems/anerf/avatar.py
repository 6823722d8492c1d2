"""A trained avatar, ready to be drawn: loaded by name or path, without Lightning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapposto.body import load_body
from contrapposto.devices import Device, find_device
from contrapposto.errors import ConfigError, MissingError
from contrapposto.pretrained import Pretrained, load_pretrained
from contrapposto.runs import load_config
from contrapposto.systems.anerf.camera_layer import CameraLayer
from contrapposto.systems.anerf.data.poses import scene_frames, unit_scale, world_bones
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.model import ANeRF, ANeRFConfig
from contrapposto.systems.anerf.official import load_official, load_official_poses, pose_layer_of
from contrapposto.systems.anerf.paths import MODES, PoseFrames
from contrapposto.systems.anerf.poses import PoseLayer
from contrapposto.systems.anerf.renderer import Renderer, calibrate
from contrapposto.systems.anerf.splats import SplatAvatar, SplatRenderer

METHODS = {"splat": ("anerf_splat",), "anerf": ("anerf", "anerf_finetune", "anerf_fast")}
"""Models by the method that draws them."""
DEFAULT_SIZE = (256, 256)
_LOWERED = 1.1  # radians by which the arms of the standing figure hang down


@dataclass(frozen=True, eq=False)
class Avatar:
    """A trained avatar.

    Args:
        network: in evaluation mode.
        figure: (24, 3) rest joints of the person, root at the origin, world units.
        metres_per_unit: length of a world unit.
        scene: that it was trained on; None where it is not at hand.
        poses: refined poses, one for each of the scene; None: the scene's own.
        split: images that it has learnt from.
        cameras: refined cameras, one for each of the scene; None: the scene's own.
        origin: where it was read from.
        data: source and licence of what it was trained on.
    """

    network: ANeRF | SplatAvatar
    figure: np.ndarray
    metres_per_unit: float
    scene: AvatarScene | None = None
    poses: PoseLayer | None = None
    split: str = "train"
    cameras: CameraLayer | None = None
    origin: Path | None = None
    data: Mapping[str, Any] | None = None

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = "anerf_splat",
        *,
        scene: str | Path | None = None,
        experiment: str | None = None,
        stores: str | Path = "stores",
        device: Device = None,
    ) -> Avatar:
        """Load an avatar.

        Args:
            name_or_path: a shipped model (`anerf_splat`, `anerf`), a published folder, a run directory, a checkpoint, or
                the authors' .tar, which needs a scene.
            scene: store of prepare.py; None: the one that it was trained on, where that is still there.
            experiment: chooses among shipped models of one name.
            stores: folder of stores, where the scene of a published model is looked for.
            device: where the network runs, see `contrapposto.devices.find_device`; poses and cameras stay on the CPU.

        Raises:
            MissingError: no such model or scene. ConfigError: a model of another kind. InputError: a damaged file.
        """
        if str(name_or_path).endswith(".tar"):
            return cls._official(Path(name_or_path), scene, device)
        models = [model for names in METHODS.values() for model in names]
        trained = load_pretrained(name_or_path, models, experiment=experiment)
        saved = load_config(trained.origin)
        opened = _scene_of(trained.origin, saved, scene, stores)
        network = network_of(trained)
        layer = trained.weights("subject.poses.") or trained.weights("poses.")
        cameras = trained.weights("cameras.")
        refined = None
        if cameras:
            refined = CameraLayer(cameras["camera_to_world"], cameras["focals"])
            refined.load_state_dict(cameras)
        figure = _figure_of(network, layer, opened)
        metres = None if opened is None else opened.metres_per_unit
        return cls(
            network.to(find_device(device)),
            figure,
            metres or unit_scale(figure) / unit_scale(_own_rest()),
            opened,
            pose_layer_of(layer) if layer else None,
            str(saved.data.train_split),
            refined,
            trained.origin,
            trained.data,
        )

    @classmethod
    def _official(cls, path: Path, folder: str | Path | None, device: Device) -> Avatar:
        if not path.exists():
            raise MissingError(f"There is no file {path}.")
        if folder is None:
            raise ConfigError(
                "The authors' checkpoint holds no cameras.", fix="scene=STORE, made by prepare.py"
            )
        scene = AvatarScene.open(folder)
        poses = load_official_poses(path)
        if poses is not None and len(poses) != scene.num_poses:
            print(f"note: its {len(poses)} poses are not the {scene.num_poses} of the scene, which are used")
            poses = None
        split = "train" if "train" in scene.splits else "all"
        rest, metres = np.array(scene.rest_pose), scene.metres_per_unit or 1.0
        network = load_official(path).to(find_device(device))
        return cls(network, rest, metres, scene, poses, split, origin=path)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the scene's images, or those of the default."""
        return DEFAULT_SIZE if self.scene is None else self.scene.hw

    def frames(self, *, refined: bool = True) -> PoseFrames:
        """Every image of the scene with its pose and camera; without a scene, the standing figure."""
        if self.scene is None:
            return self.standing()
        result = scene_frames(self.scene)
        if self.cameras is not None:
            camera = torch.from_numpy(np.array(self.scene.camera_idxs))
            matrices, focals = (part.detach()[camera] for part in self.cameras.cameras())
            result = replace(result, cameras=matrices, focals=focals)
        if self.poses is None or not refined:
            return result
        pose = torch.from_numpy(np.array(self.scene.kp_idxs))
        root = self.poses.pelvis.detach() + self.poses.rest_pose[0, 0]
        return result.refined(self.poses.axis_angles()[pose], root[pose])

    def standing(self) -> PoseFrames:
        """One frame: the figure stands with its arms down, its face to the camera."""
        rotations = np.zeros((1, 24, 3))
        rotations[0, 0, 0] = np.pi / 2
        rotations[0, 16, 2], rotations[0, 17, 2] = -_LOWERED, _LOWERED
        height, width = DEFAULT_SIZE
        camera = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
        camera[2, 3] = -8.0
        return PoseFrames(
            torch.from_numpy(world_bones(rotations)).float(),
            torch.zeros(1, 3),
            torch.from_numpy(np.asarray(self.figure, np.float32)),
            camera[None],
            torch.tensor([[1.6 * width, 1.6 * width]]),
            torch.tensor([[width / 2 - 0.5, height / 2 - 0.5]]),
        )

    def code(self, image: int) -> int | None:
        """The frame code of an image; that of one that was not learnt is the mean."""
        if isinstance(self.network, SplatAvatar) or not self.network.config.num_codes:
            return None
        if self.scene is None:
            return -1
        codes = np.unique(self.scene.cam_idxs[self.scene.split(self.split)])
        place = int(np.searchsorted(codes, self.scene.cam_idxs[image]))
        return place if place < len(codes) and codes[place] == self.scene.cam_idxs[image] else -1

    def renderer(self, speed: str = "exact", *, depth: bool = False) -> Renderer | SplatRenderer:
        """Draws the avatar.

        Args:
            speed: of A-NeRF, see `Renderer`; pruning is calibrated on six frames.
            depth: whether images of a splat avatar have a depth.
        """
        if isinstance(self.network, SplatAvatar):
            return SplatRenderer(self.network, threads=torch.get_num_threads(), depth=depth)
        if speed != "pruned":
            return Renderer(self.network, speed=speed)
        images = np.arange(1) if self.scene is None else self.scene.split(self.split)
        chosen = images[np.linspace(0, len(images) - 1, 6).astype(int)].tolist()
        path = MODES["selected"](self.frames(), chosen)
        views = [path.view(number, self.size) for number in range(len(path))]
        return Renderer(
            self.network, speed=speed, capsules=calibrate(self.network, path.world_to_bone, views)
        )


def network_of(trained: Pretrained) -> ANeRF | SplatAvatar:
    """The network of a trained model, in evaluation mode.

    Raises:
        InputError: the weights do not fit.
    """
    if trained.model in METHODS["splat"]:
        return SplatAvatar.of_state(trained.weights("subject.avatar.")).eval()
    codes = trained.state.get("network.fine.framecodes.codes.weight")
    options = trained.options.get("network") or {}
    network = ANeRF(ANeRFConfig(**options, num_codes=0 if codes is None else len(codes)))
    trained.load_into(network, "network.")
    return network.eval()


def _scene_of(origin: Path, saved: Any, scene: str | Path | None, stores: str | Path) -> AvatarScene | None:
    """The scene that is named, else the one of the training where it exists."""
    if scene is not None:
        return AvatarScene.open(scene)
    if not (origin / "provenance.json").exists():  # published, perhaps on another machine
        saved.paths.stores = str(stores)
    try:
        return AvatarScene.open(saved.data.store)
    except MissingError:
        return None


def _figure_of(
    network: ANeRF | SplatAvatar, poses: Mapping[str, Tensor], scene: AvatarScene | None
) -> np.ndarray:
    if scene is not None:
        return np.array(scene.rest_pose)
    if isinstance(network, SplatAvatar):
        return network.figure.numpy()
    if "rest_pose" in poses:
        return poses["rest_pose"].reshape(-1, 24, 3)[0].numpy()
    return _own_rest() * unit_scale(_own_rest())


def _own_rest() -> np.ndarray:
    """(24, 3) rest joints of the shipped body, metres, root at the origin."""
    rest = load_body("smpl").rest_joints()[0].double().numpy()
    return rest - rest[0]
