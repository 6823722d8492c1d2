"""Drawables of the viewer beside bodies: meshes, devices, videos with keypoints, cameras of an avatar's scene.

A drawable is created without a page; `add` puts it into the scene, `draw` shows it at a time; z up, metres.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from contrapposto import rotations as rot

if TYPE_CHECKING:
    from contrapposto.io.devices import DeviceTrack
    from contrapposto.systems.anerf.data.scene import AvatarScene

_DEVICES = ("head", "left hand", "right hand")
_SEEN, _LOST = (230, 120, 60), (150, 150, 150)
_PEOPLE_SIZE = (0.4, 4.0)  # metres; meshes outside are shown as tall as a person
_PERSON = 1.7
_SCREEN = 1.3  # height of a video, metres
_MOST_CAMERAS, _THUMBNAIL = 60, 96
_Y_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
_Y_DOWN = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


class Drawable(Protocol):
    """An object that the page shows beside bodies.

    Attributes:
        name: shown in the panel.
        width: in metres, when drawables stand side by side.
    """

    name: str
    width: float

    @property
    def duration(self) -> float:
        """Seconds until its end; 0 if it does not move."""

    def add(self, scene: Any, path: str) -> None:
        """Add it to the scene below a path."""

    def draw(self, seconds: float) -> None:
        """Show it at a time; after its end it stays on the last frame."""

    def describe(self, seconds: float) -> str:
        """Its text in the panel, as Markdown."""


class MeshDrawable:
    """A mesh, static or moving.

    Args:
        name: of the file.
        frames: (T, V, 3) vertices, y up, in any unit.
        faces: (F, 3).
        fps: frames per second.
        color: of its surface.
    """

    def __init__(
        self,
        name: str,
        frames: np.ndarray,
        faces: np.ndarray,
        fps: float = 30.0,
        color: tuple[int, int, int] = (190, 176, 158),
    ) -> None:
        self.name, self.faces, self.fps, self.color = name, np.asarray(faces, np.uint32), fps, color
        upright = np.asarray(frames, np.float32) @ _Y_UP.T.astype(np.float32)
        first = upright[0]
        tall = float(np.ptp(first[:, 2])) or 1.0
        self.scale = 1.0 if _PEOPLE_SIZE[0] <= tall <= _PEOPLE_SIZE[1] else _PERSON / tall
        middle = (first.min(0) + first.max(0)) / 2
        self.vertices = (upright - [middle[0], middle[1], upright[..., 2].min()]) * np.float32(self.scale)
        self.width = max(1.5, 0.3 + float(np.ptp(self.vertices[..., 0])))
        self._shown = -1

    @property
    def duration(self) -> float:
        """Seconds until it stops."""
        return (len(self.vertices) - 1) / self.fps

    def add(self, scene: Any, path: str) -> None:
        """Put the mesh into the scene."""
        self.handle = scene.add_mesh_simple(
            f"{path}/mesh", self.vertices[0].astype(np.float32), self.faces, color=self.color, side="double"
        )
        self._shown = 0

    def draw(self, seconds: float) -> None:
        """Send the vertices of the frame at a time."""
        frame = int(np.clip(round(seconds * self.fps), 0, len(self.vertices) - 1))
        if frame != self._shown:
            self.handle.vertices = self.vertices[frame].astype(np.float32)
            self._shown = frame

    def describe(self, seconds: float) -> str:
        """Counts and scale."""
        counts = f"{self.vertices.shape[1]:,} vertices, {len(self.faces):,} faces"
        moving = f"  \n{len(self.vertices)} frames, {self.fps:g} frames/s" if len(self.vertices) > 1 else ""
        scaled = "" if self.scale == 1 else f"  \nshown {self.scale:.3g} times its size"
        return f"**{self.name}**  \n{counts}{moving}{scaled}"


class DevicesDrawable:
    """A headset and two controllers, with their paths.

    Args:
        name: of the file.
        track: z up.
    """

    width = 1.5

    def __init__(self, name: str, track: DeviceTrack) -> None:
        self.name, self.track = name, track
        self.times = track.times - track.times[0]
        self.seen = track.tracked
        self.turns = rot.matrix_to_quaternion(torch.nan_to_num(track.rotations)).numpy()
        places = track.positions.numpy().copy()
        known = np.isfinite(places).all(-1) & self.seen
        middle = places[known[:, 0], 0, :2].mean(0) if known[:, 0].any() else np.zeros(2)
        places[..., :2] -= middle
        self.places = np.where(known[..., None], places, np.nan)

    @property
    def duration(self) -> float:
        """Seconds of the recording."""
        return float(self.times[-1])

    def add(self, scene: Any, path: str) -> None:
        """Put balls, axes and trails into the scene."""
        self._devices = []
        for number, name in enumerate(_DEVICES):
            axes = scene.add_frame(f"{path}/{name.replace(' ', '_')}", axes_length=0.16, axes_radius=0.006)
            ball = scene.add_icosphere(f"{path}/{name.replace(' ', '_')}/ball", radius=0.035, color=_SEEN)
            self._devices.append((axes, ball))
            step = max(1, len(self.places) // 1500)
            way = self.places[::step, number]
            pairs = np.stack([way[:-1], way[1:]], axis=1).astype(np.float32)
            pairs = pairs[np.isfinite(pairs).all(axis=(1, 2))]
            if len(pairs):
                color = ((112, 158, 204), (128, 178, 132), (178, 146, 196))[number]
                scene.add_line_segments(f"{path}/way_{number}", pairs, color, thickness=0.006)

    def draw(self, seconds: float) -> None:
        """Move the devices; an untracked one stays where it was, in grey."""
        frame = self._frame(seconds)
        for number, (axes, ball) in enumerate(self._devices):
            place = self.places[frame, number]
            seen = bool(np.isfinite(place).all())
            if seen:
                axes.position, axes.wxyz = place, self.turns[frame, number]
            color = _SEEN if seen else _LOST
            if tuple(ball.color) != color:
                ball.color = color

    def describe(self, seconds: float) -> str:
        """Length, and untracked devices."""
        rate = (len(self.times) - 1) / self.duration if self.duration else 0.0
        frame = self._frame(seconds)
        lost = [n for n, place in zip(_DEVICES, self.places[frame]) if not np.isfinite(place).all()]
        untracked = f"  \nnot tracked: {', '.join(lost)}" if lost else ""
        return f"**{self.name}**  \n{len(self.times)} frames, {rate:.0f} frames/s, {self.duration:.1f} s{untracked}"

    def _frame(self, seconds: float) -> int:
        return int(
            np.clip(np.searchsorted(self.times, seconds + 1e-9, side="right") - 1, 0, len(self.times) - 1)
        )


class ScreenDrawable:
    """A video, or images made one by one, on an upright screen.

    Args:
        name: of the file.
        size: height and width of the images.
        times: (T,) seconds of the images.
        frame_image: what is shown, (H, W, 3) uint8 of a frame's number.
        note: said in the panel.
    """

    def __init__(
        self,
        name: str,
        size: tuple[int, int],
        times: Sequence[float],
        frame_image: Callable[[int], np.ndarray],
        note: str = "",
    ) -> None:
        self.name, self.size, self.times, self.frame_image, self.note = (
            name,
            size,
            np.asarray(times),
            frame_image,
            note,
        )
        self.shape = (_SCREEN, _SCREEN * size[1] / size[0])
        self.width = self.shape[1] + 0.3
        self._shown = -1

    @property
    def duration(self) -> float:
        """Seconds of the last image."""
        return float(self.times[-1])

    def add(self, scene: Any, path: str) -> None:
        """Put the screen into the scene."""
        self.handle = scene.add_image(
            f"{path}/screen",
            self.frame_image(0),
            render_width=self.shape[1],
            render_height=self.shape[0],
            format="jpeg",
            jpeg_quality=85,
            wxyz=(np.sqrt(0.5), -np.sqrt(0.5), 0.0, 0.0),
            position=(0.0, 0.0, 0.15 + self.shape[0] / 2),
            cast_shadow=False,
            receive_shadow=False,
        )
        self._shown = 0

    def draw(self, seconds: float) -> None:
        """Send the image of a time."""
        frame = int(
            np.clip(np.searchsorted(self.times, seconds + 1e-6, side="right") - 1, 0, len(self.times) - 1)
        )
        if frame != self._shown:
            self.handle.image = self.frame_image(frame)
            self._shown = frame

    def describe(self, seconds: float) -> str:
        """Length and size."""
        note = f"  \n{self.note}" if self.note else ""
        return f"**{self.name}**  \n{len(self.times)} frames, {self.duration:.1f} s{note}"


class CamerasDrawable:
    """Cameras of an avatar's scene with their images, and the poses of the person before them.

    Args:
        name: of the store.
        scene: the store.
    """

    fps = 15.0

    def __init__(self, name: str, scene: AvatarScene) -> None:
        self.name, self.scene = name, scene
        metres = scene.metres_per_unit or 1.0
        joints = np.asarray(scene.kp3d, np.float64) @ _Y_DOWN.T * metres
        root = joints[:, 0].mean(0)
        self.shift = np.array([root[0], root[1], joints[..., 2].min()])
        self.joints = (joints - self.shift).astype(np.float32)
        first = np.unique(scene.camera_idxs, return_index=True)[1]
        self.images = first[np.linspace(0, len(first) - 1, min(len(first), _MOST_CAMERAS)).astype(int)]
        self.total = len(first)
        poses = np.asarray(scene.c2ws, np.float64)[scene.camera_idxs[self.images]]
        self.places = poses[:, :3, 3] @ _Y_DOWN.T * metres - self.shift
        # A NeRF camera looks along -z with y up; a frustum along +z with y down.
        self.turns = _Y_DOWN @ poses[:, :3, :3] @ np.diag([1.0, -1.0, -1.0])
        self.width = 2 * float(np.abs(self.places[:, 0]).max()) + 1.0

    @property
    def duration(self) -> float:
        """Seconds of all poses one after the other."""
        return (len(self.joints) - 1) / self.fps

    def add(self, scene: Any, path: str) -> None:
        """Put frusta with images, and a stick figure, into the scene."""
        import cv2

        height, width = self.scene.hw
        small = (_THUMBNAIL, max(1, round(_THUMBNAIL * height / width)))
        quaternions = rot.matrix_to_quaternion(torch.from_numpy(self.turns)).numpy()
        for number, image in enumerate(self.images):
            camera = self.scene.camera_idxs[image]
            pixels = np.asarray(self.scene.imgs[image]).reshape(height, width, 3)
            scene.add_camera_frustum(
                f"{path}/camera_{number}",
                fov=2 * float(np.arctan(height / 2 / self.scene.focals[camera, 1])),
                aspect=width / height,
                scale=0.25,
                color=(70, 90, 120),
                image=cv2.resize(pixels, small, interpolation=cv2.INTER_AREA),
                format="jpeg",
                wxyz=quaternions[number],
                position=self.places[number],
                cast_shadow=False,
            )
        self.lines = scene.add_line_segments(f"{path}/figure", self._bones(0), (226, 138, 96), thickness=0.03)

    def draw(self, seconds: float) -> None:
        """Send the pose of a time."""
        self.lines.points = self._bones(int(np.clip(round(seconds * self.fps), 0, len(self.joints) - 1)))

    def describe(self, seconds: float) -> str:
        """Counts and splits."""
        splits = ", ".join(f"{name} {len(self.scene.split(name))}" for name in self.scene.splits)
        return (
            f"**{self.name}**  \n{self.scene.num_images} images of {len(self.joints)} poses, {self.total} cameras "
            f"({len(self.images)} shown)  \n{splits}"
        )

    def _bones(self, pose: int) -> np.ndarray:
        from contrapposto.skeleton import SMPL24

        places = self.joints[pose]
        return np.stack([places[1:], places[list(SMPL24.parents[1:])]], axis=1)
