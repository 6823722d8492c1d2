"""The shipped body in clothes, posed by a motion store, before known cameras: a scene whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.body import BodyModel, load_body, named_shapes
from contrapposto.body.clothing import LooseClothes, clothe
from contrapposto.data.store import MotionStore
from contrapposto.errors import ConfigError, InputError, nearest
from contrapposto.render import Camera, Lights, Mesh, Scene, render
from contrapposto.skeleton import SMPL24
from contrapposto.systems.anerf.data.poses import WORLD_AXES, pose_arrays, unit_scale, world_bones
from contrapposto.systems.anerf.data.prepare import Plan, Progress
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.data.writing import (
    Frame,
    SceneMetadata,
    camera_splits,
    counted,
    temporal_validity,
    write_scene,
)
from contrapposto.systems.npr.data.smpl_poses import motion_store

_REACH = 0.22  # metres from the outermost joint to the skin, at most
_FIELD = 34.0  # degrees
_LIGHTS = Lights(direction=(-0.3, -0.5, 0.9), key=0.35, sky=0.62, bounce=0.45, follows_camera=False)
CLIPS = ("*",)
NOVEL_CLIPS = ("made/kick/*", "made/march/*")


def plan(
    raw: Path | None,
    *,
    motion: str = "stores/demo",
    clips: Sequence[str] = CLIPS,
    novel_clips: Sequence[str] = NOVEL_CLIPS,
    poses: int = 80,
    novel_poses: int = 8,
    fps: float | None = None,
    size: int = 256,
    cameras: int = 9,
    novel_cameras: Sequence[int] = (2, 5, 8),
    shape: str | None = None,
    clothes: str = "tight",
    background: Sequence[float] = (1.0, 1.0, 1.0),
    noise: float = 0.0,
    noise_shift: float = 0.0,
    seed: int = 0,
) -> Plan:
    """See the module. Images are ordered camera by camera, each with all poses.

    The splits: `train` (poses to learn from the cameras that are not held out), `novel_view` (the same poses from the
    cameras that are), `novel_pose` (poses of `novel_clips` from all cameras).

    Args:
        raw: a motion store; `motion` where absent.
        motion: the motion store whose poses are taken; the demo store is made where it is missing.
        clips, novel_clips: patterns of the names of clips to learn from, or to hold out; what fits both is held out.
        poses, novel_poses: how many; every clip gives its share.
        fps: consecutive poses at this rate from the middle of each clip, as of a video; None: spread over the clip.
        size: height and width of the images in pixels.
        cameras: around the figure at equal angles, looking down by 5 and 20 degrees in turn.
        novel_cameras: numbers of those that are held out.
        shape: name of a shape of the shipped body.
        clothes: `tight`, painted on the skin; or `loose`, see `LooseClothes`.
        background: colour in [0, 1].
        noise: degrees (standard deviation about each axis) by which every joint of the poses to be learnt is turned;
            `gt_bones` and `gt_kp3d` keep the truth.
        noise_shift: metres (standard deviation along each axis) by which their roots are moved.
        seed: of the noise.
    """
    _check_numbers(size, poses, novel_poses, cameras, noise, noise_shift)
    held = _held_out(novel_cameras, cameras)
    shapes = named_shapes()
    if shape is not None and shape not in shapes:
        raise ConfigError(f"The body has no shape {shape!r}.", fix=f"try {nearest(shape, shapes)}")
    if clothes not in ("tight", "loose"):
        raise ConfigError(f"There are no clothes {clothes!r}.", expected="tight or loose")
    store = motion_store(Path(motion) if raw is None else raw, raw is None)
    chosen = _choose(store, clips, poses, novel_clips) + _choose(store, novel_clips, novel_poses)
    count = len(chosen)
    views = [number for number in range(cameras) if number not in held]
    options: dict[str, Any] = {"clips": list(clips), "novel_clips": list(novel_clips)}
    options |= {"poses": poses, "novel_poses": novel_poses, "fps": fps, "size": size, "cameras": cameras}
    options |= {"novel_cameras": held, "shape": shape, "background": list(background)}
    options |= {"noise": noise, "noise_shift": noise_shift, "seed": seed}
    origin = SceneMetadata(
        recipe="anerf_scene",
        source=f"{store.manifest['source']}; on the shipped body (CC0-1.0), drawn by contrapposto.render",
        licence=str(store.manifest["licence"]),
        attribution=str(store.manifest["attribution"]),
        options=options,
        splits=camera_splits(views, held, poses, count),
        input_hash=store.content_hash,
    )
    if clothes != "tight":
        options["clothes"] = clothes
    betas = None if shape is None else shapes[shape]

    def make(output: Path, origin: SceneMetadata, progress: Progress | None) -> AvatarScene:
        figure = _Figure(store, chosen, fps, betas, loose=clothes == "loose")
        scale = unit_scale(figure.rest - figure.rest[0])
        around = _cameras(figure.joints, cameras, size)
        arrays = figure.arrays(scale, np.arange(count) < poses, noise, noise_shift, seed)
        arrays |= {
            "kp_idxs": np.tile(np.arange(count), cameras),
            "camera_idxs": np.repeat(np.arange(cameras), count),
            "cam_idxs": np.repeat(np.arange(cameras), count),
            "c2ws": np.stack([nerf_camera(camera, scale) for camera in around]),
            "focals": np.array([camera.fx for camera in around]),
            # A-NeRF's pixels are points at whole numbers, the renderer's have their centres half a pixel further
            "centers": np.array([(camera.cx - 0.5, camera.cy - 0.5) for camera in around]),
            "bkgds": np.tile(np.round(np.array(background) * 255).astype(np.uint8), (1, size * size, 1)),
        }
        metadata = replace(origin, pose_scale=scale, metres_per_unit=1 / scale)
        images = counted(figure.frames(around, background), count * cameras, progress)
        return write_scene(output, images, arrays, (size, size), metadata)

    return Plan(origin, make)


def _check_numbers(
    size: int, poses: int, novel_poses: int, cameras: int, noise: float, noise_shift: float
) -> None:
    if size < 16 or poses < 1 or novel_poses < 0 or cameras < 1 or noise < 0 or noise_shift < 0:
        raise ConfigError(
            "A scene cannot be made of these numbers.",
            found=f"size {size}, poses {poses}, novel_poses {novel_poses}, cameras {cameras}, noise {noise}",
            expected="size of 16 or more, a pose and a camera at least, noise of 0 or more",
        )


def _held_out(novel_cameras: Sequence[int], cameras: int) -> list[int]:
    held = [int(number) for number in novel_cameras]
    if any(not 0 <= number < cameras for number in held) or len(set(held)) >= cameras:
        raise ConfigError(
            "These cameras cannot be held out.",
            found=str(held),
            expected=f"some of 0 to {cameras - 1}, not all",
        )
    return held


def nerf_camera(camera: Camera, scale: float) -> np.ndarray:
    """(4, 4) NeRF camera to A-NeRF's world, of a camera of the suite; `scale` units are one metre."""
    matrix = np.eye(4)
    matrix[:3, :3] = WORLD_AXES @ camera.rotation.T * [1, -1, -1]
    matrix[:3, 3] = scale * WORLD_AXES @ camera.position
    return matrix


_Choice = tuple[int, int, int]


class _Figure:
    """Poses (P, ...) of the clothed body, each above the origin; z up, metres."""

    def __init__(
        self,
        store: MotionStore,
        chosen: Sequence[_Choice],
        fps: float | None,
        betas: np.ndarray | None,
        *,
        loose: bool = False,
    ) -> None:
        self.body: BodyModel = load_body("smpl")
        self.betas = None if betas is None else torch.from_numpy(np.asarray(betas, np.float32))
        result = [_pose(store, choice, fps) for choice in chosen]
        self.rotations = np.stack([rotations for rotations, _ in result])
        self.takes = [choice[0] if fps else number for number, choice in enumerate(chosen)]
        self.rest = self.body.rest_joints(self.betas)[0].double().numpy()
        # The clip's root above the ground, in the proportion of the legs: other shapes stand on it too.
        own = -self.rest[7, 1] + self.rest[0, 1]
        usual = -float(SMPL24.rest_positions[7, 1] - SMPL24.rest_positions[0, 1])
        heights = np.array([height for _, height in result]) * own / usual
        self.shift = np.zeros((len(result), 3))
        self.shift[:, 2] = heights
        self.shift -= self.rest[0]
        self.joints = self.body.joints(*self._posed(slice(None)), self.betas).numpy()
        self.colours = clothe(self.body)
        self.clothes = LooseClothes(self.body) if loose else None

    def _posed(self, which: slice) -> tuple[torch.Tensor, torch.Tensor]:
        matrices = rot.axis_angle_to_matrix(torch.from_numpy(self.rotations[which].astype(np.float32)))
        return matrices, torch.from_numpy(self.shift[which].astype(np.float32))

    def arrays(
        self, scale: float, noisy: np.ndarray, degrees: float, shift: float, seed: int
    ) -> dict[str, np.ndarray]:
        """Arrays of the poses, those marked (P,) bool with noise."""
        rest = (self.rest - self.rest[0]) * scale
        bones = world_bones(self.rotations)
        root = scale * self.joints[:, 0] @ WORLD_AXES.T
        truth = pose_arrays(bones, rest, root)
        generator = np.random.default_rng(seed)
        turns = np.radians(degrees) * generator.standard_normal(bones.shape) * noisy[:, None, None]
        moves = shift * scale * generator.standard_normal(root.shape) * noisy[:, None]
        turned = rot.axis_angle_to_matrix(torch.from_numpy(bones)) @ rot.axis_angle_to_matrix(
            torch.from_numpy(turns)
        )
        if degrees:
            bones = rot.matrix_to_axis_angle(turned).numpy()
        return {
            **pose_arrays(bones, rest, root + moves),
            "rest_pose": rest,
            "gt_kp3d": truth["kp3d"],
            "gt_bones": truth["bones"],
            "temp_val": temporal_validity(self.takes),
        }

    def frames(self, cameras: Sequence[Camera], background: Sequence[float]) -> Iterator[Frame]:
        """Images, camera by camera, each of all poses."""
        for camera in cameras:
            for pose in range(len(self.joints)):
                with torch.no_grad():
                    posed = self.body(*self._posed(slice(pose, pose + 1)), self.betas)
                vertices = posed.vertices[0].numpy()
                if self.clothes is not None:
                    vertices = self.clothes(vertices, self.rotations[pose])
                mesh = Mesh(vertices, self.body.faces.numpy(), self.colours)
                scene = Scene([mesh], ground=None, background=background, lights=_LIGHTS)
                image = render(scene, camera)
                yield Frame(image.color, image.mask)


def _choose(
    store: MotionStore, patterns: Sequence[str], count: int, without: Sequence[str] = ()
) -> list[_Choice]:
    """`count` poses as (clip, number, of how many), shared among the clips of the patterns and not of `without`."""
    clips = [i for p in patterns for i, clip in enumerate(store.clips) if fnmatch(clip.name, p)]
    clips = [i for i in dict.fromkeys(clips) if not any(fnmatch(store.clips[i].name, p) for p in without)]
    if count and not clips:
        raise InputError(
            f"No clip of {store.path} is called so.",
            found=", ".join(patterns),
            expected=f"names such as {', '.join(clip.name for clip in store.clips[:4])}",
            fix="data.options.clips=[PATTERN] data.options.novel_clips=[PATTERN]",
        )
    if 0 < count < len(clips):  # some of all kinds, not the first ones
        clips = [clips[number] for number in np.linspace(0, len(clips) - 1, count).astype(int)]
    shares = [part for part in np.array_split(np.arange(count), max(len(clips), 1)) if len(part)]
    return [(clip, step, len(part)) for clip, part in zip(clips, shares) for step in range(len(part))]


def _pose(store: MotionStore, choice: _Choice, fps: float | None) -> tuple[np.ndarray, float]:
    """Rotations (24, 3), and the height of the root above the ground in metres, of a pose that `_choose` names."""
    clip, number, count = choice
    motion, last = store[clip], store.clips[clip].frames - 1
    if fps is None:
        frame = round((number + 1) / (count + 1) * last)
    else:
        frame = round(last / 2 + (number - (count - 1) / 2) * motion.fps / fps)
    at = motion.frames(min(max(frame, 0), last), min(max(frame, 0), last) + 1)
    height = float(at.joint_positions()[0, 0, 2])
    return at.to_skeleton(SMPL24).rotations[0].astype(np.float64), height


def _cameras(joints: np.ndarray, count: int, size: int) -> list[Camera]:
    """Cameras around all joints (P, J, 3), all at the same distance: the smallest that shows every pose whole."""
    target = np.array([0, 0, (joints[..., 2].min() + joints[..., 2].max()) / 2])

    def look(direction: np.ndarray, distance: float) -> Camera:
        place = (target + distance * direction).tolist()
        return Camera.look_at(place, target.tolist(), fov_degrees=_FIELD, size=(size, size))

    slope = np.tan(np.radians(_FIELD) / 2)
    directions, distance = [], 0.0
    for number in range(count):
        around, down = 2 * np.pi * number / count, np.radians(20 if number % 2 else 5)
        back = np.array([np.sin(around) * np.cos(down), -np.cos(around) * np.cos(down), np.sin(down)])
        directions.append(back)
        local = look(back, 1.0).to_camera(joints)
        side = np.abs(local[..., :2]).max(-1) + _REACH
        distance = max(distance, float((side / slope - (local[..., 2] - 1)).max()))
    return [look(back, distance) for back in directions]
