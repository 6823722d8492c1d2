"""What stays the same while a motion video is drawn: figures, cameras, colours, the ground."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from contrapposto.errors import ConfigError, InputError, nearest
from contrapposto.motion import Motion
from contrapposto.render.camera import Camera, check_size, enclose, follow
from contrapposto.render.drawables import AnimatedFigure, Figure, figure_height
from contrapposto.render.scene import COOL, PALETTE, Capsules, Ground, Mesh, Scene

if TYPE_CHECKING:
    from contrapposto.body import BodyModel

PANELS_A_ROW = 4
_SMALL = 300.0  # pixels for a metre below which a third of the shipped body's vertices looks the same
_CAMERAS = ("auto", "follow", "each", "fixed")
_TRUTH = ("truth", "target", "ground", "reference", "recorded", "original", "input")


@dataclass(frozen=True)
class Stage:
    """All that does not change while a video is drawn."""

    titles: list[str]
    clips: list[Motion]
    figures: list[AnimatedFigure]
    cameras: list[list[Camera]]  # for each panel, for each frame
    ground: Ground
    overlay: bool
    num_frames: int
    fps: float
    extras: Callable[[float], Sequence[Figure]] | None = None

    @property
    def panel_size(self) -> tuple[int, int]:
        """Width and height of one panel."""
        return self.cameras[0][0].width, self.cameras[0][0].height

    def ground_of(self, panel: int) -> Ground:
        """The ground of a panel: before a camera that stays in its place it does not change with the figure."""
        cameras, clip = self.cameras[panel], self.clips[panel]
        if cameras[0] is not cameras[-1]:
            return self.ground
        x, y, _ = clip.root_translation.mean(axis=0) + clip.skeleton.rest_positions[0]
        return replace(self.ground, centre=(float(x), float(y)))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of panels."""
        count = 1 if self.overlay else len(self.clips)
        rows = -(-count // PANELS_A_ROW)
        return rows, -(-count // rows)

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of all panels together."""
        rows, columns = self.grid
        return self.panel_size[0] * columns, self.panel_size[1] * rows


def make_stage(
    clips: Mapping[str, Motion],
    size: tuple[int, int],
    fps: float,
    body: BodyModel | None,
    camera: str | Camera,
    style: str,
) -> Stage:
    """Check everything that `render_motion_video` was given and prepare it; arguments and errors as there."""
    if not clips:
        raise InputError("There is no clip to draw.", found="an empty mapping", expected="title to Motion")
    if style not in ("panels", "overlay"):
        raise ConfigError(f"There is no video style {style!r}.", expected="panels or overlay")
    check_size(*size)
    if not 0 < fps <= 240:
        raise InputError(f"A video cannot have {fps} frames/s.", expected="above 0, up to 240")
    shown = [clip.resample(fps) for clip in clips.values()]
    num_frames = max(clip.num_frames for clip in shown)
    positions = [_held(clip.joint_positions(), num_frames) for clip in shown]
    chosen = _choose_camera(positions) if camera == "auto" else camera
    if style == "overlay" and chosen == "each":
        chosen = "follow"
    cameras = _cameras(chosen, shown, positions, fps, size)
    small = max(_sharpness(*pair) for pair in zip(cameras, positions)) < _SMALL
    colors = figure_colors(list(clips))
    figures = [AnimatedFigure(clip, color, body, small=small) for clip, color in zip(shown, colors)]
    ground = ground_for(positions[0], shown[0])
    return Stage(list(clips), shown, figures, cameras, ground, style == "overlay", num_frames, fps)


def _sharpness(cameras: list[Camera], positions: np.ndarray) -> float:
    """Pixels of the image for a metre at the joints (F, J, 3), where they are largest."""
    few = range(0, len(cameras), max(len(cameras) // 20, 1))
    nearest = min(float(cameras[frame].to_camera(positions[frame])[..., 2].min()) for frame in few)
    return max(cameras[0].fx, cameras[0].fy) / max(nearest, 1e-3)


def figure_colors(titles: Sequence[str]) -> list[tuple[float, float, float]]:
    """A colour for each title: blue for the truth (or the first when none states so), then the rest of the palette."""
    true = [any(word in title.lower() for word in _TRUTH) for title in titles]
    first = true.index(True) if any(true) else 0
    rest = iter(range(1, len(titles)))
    return [COOL if i == first else PALETTE[next(rest) % len(PALETTE)] for i in range(len(titles))]


def _cameras(
    camera: str | Camera, clips: list[Motion], positions: list[np.ndarray], fps: float, size: tuple[int, int]
) -> list[list[Camera]]:
    """For each clip a camera for each frame."""
    num_frames = len(positions[0])
    if isinstance(camera, Camera):
        return [[camera] * num_frames] * len(clips)
    if camera not in _CAMERAS:
        raise ConfigError(
            f"There is no camera {camera!r}.",
            expected=f"{', '.join(_CAMERAS)}, or a Camera",
            fix=f"try {nearest(camera, _CAMERAS)}",
        )
    padded = [padded_joints(place, clip).reshape(num_frames, -1, 3) for place, clip in zip(positions, clips)]
    if camera == "each":
        return [
            follow(points, fps, facing=mean_heading(clip), size=size, margin=_margin(size))
            for points, clip in zip(padded, clips)
        ]
    points, facing = np.concatenate(padded, axis=1), mean_heading(clips[0])
    if camera == "follow":
        return [follow(points, fps, facing=facing, size=size, margin=_margin(size))] * len(clips)
    azimuth, elevation = facing + np.radians(35), np.radians(14)
    direction = (-float(np.sin(azimuth)), float(np.cos(azimuth)), -float(np.tan(elevation)))
    return [[enclose(points, direction, size=size, margin=_margin(size))] * num_frames] * len(clips)


def _margin(size: tuple[int, int]) -> tuple[float, float]:
    """Room for titles above and captions below, as shares of the height: letters do not get smaller than 11 pixels."""
    return max(0.05, 22 / size[1]), max(0.085, 22 / size[1])


def _choose_camera(positions: list[np.ndarray]) -> str:
    """One camera for clips of the same event, one for each clip when they part by more than two metres."""
    roots = np.stack([place[:, 0, :2] for place in positions])
    return "follow" if np.linalg.norm(roots - roots[:1], axis=-1).max() < 2 else "each"


def scene_of(figures: Sequence[Figure], ground: Ground) -> Scene:
    """A scene of meshes and capsules in the order of ids: all meshes, then all capsules."""
    meshes = [figure for figure in figures if isinstance(figure, Mesh)]
    capsules = [figure for figure in figures if isinstance(figure, Capsules)]
    return Scene(meshes, capsules, ground)


def ground_for(positions: np.ndarray, clip: Motion) -> Ground:
    """At z = 0, the clips' own floor; a figure clearly elsewhere (no root translation) gets one below its feet."""
    lowest = float(np.percentile(positions[..., 2].min(axis=1), 5))
    return Ground() if abs(lowest) < 0.2 * figure_height(clip.skeleton) else Ground(height=lowest - 0.05)


def mean_heading(clip: Motion) -> float:
    """The direction a figure faces most of the time, or at first when it turns all round."""
    headings = clip.headings().astype(np.float64)
    mean = np.exp(1j * headings).mean()
    return float(np.angle(mean)) if abs(mean) > 0.3 else float(headings[0])


def padded_joints(positions: np.ndarray, clip: Motion) -> np.ndarray:
    """Joint positions (F, J, 3) and points around them that hold the flesh: (F * J * 6, 3), frame by frame."""
    reach = 0.075 * figure_height(clip.skeleton)
    return (positions[:, :, None] + reach * np.concatenate([np.eye(3), -np.eye(3)])).reshape(-1, 3)


def _held(values: np.ndarray, count: int) -> np.ndarray:
    return values[np.minimum(np.arange(count), len(values) - 1)]
