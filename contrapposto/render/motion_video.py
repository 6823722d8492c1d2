"""Videos and contact sheets of motion clips: skinned figures on a ground with half-metre squares."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contrapposto.errors import ConfigError, InputError, nearest
from contrapposto.motion import Motion
from contrapposto.render.backends import make_renderer
from contrapposto.render.camera import Camera, check_size, enclose, follow
from contrapposto.render.figures import AnimatedFigure, Figure, figure_height
from contrapposto.render.scene import COOL, PALETTE, Capsules, Ground, Mesh, Scene
from contrapposto.render.text import draw_text
from contrapposto.render.video import VideoWriter, console_progress, write_png

if TYPE_CHECKING:
    from contrapposto.body import BodyModel

PANELS_A_ROW = 4
_CAMERAS = ("auto", "follow", "each", "fixed")
_CHUNK = 16
_MARGIN = (0.05, 0.085)  # room for titles above and captions below
_TRUTH = ("truth", "target", "ground", "reference", "recorded", "original", "input")


def render_motion_video(
    path: str | Path,
    clips: Mapping[str, Motion],
    *,
    size: tuple[int, int] = (512, 512),
    fps: float = 30,
    body: BodyModel | None = None,
    camera: str | Camera = "auto",
    backend: str = "warp",
    progress: Callable[[int, int], None] | bool | None = None,
    style: str = "panels",
    device: str | None = None,
    quality: float = 8,
) -> Path:
    """Write clips as an mp4, each in a panel of its own, clips of the same event seen by the same camera.

    The video lasts as long as the longest clip; shorter ones hold their last frame. Labels are captions while they
    last. A clip whose title says truth, target, reference, ... is blue, others take the colours after it.

    Args:
        path: ends in .mp4.
        clips: title to clip, in the order of the panels; four panels make a row.
        size: width and height of one panel in pixels.
        fps: frames per second of the video; clips are resampled in time.
        body: skinned body for clips of the SMPL family; None takes the shipped one. Other skeletons are drawn as bones.
        camera: `follow` (one for all panels, moves with the figures, neither turns nor zooms), `each` (follows every
            clip by itself), `auto` (`each` when clips part by more than two metres, else `follow`), `fixed` (sees all of
            all clips), or a camera of one's own.
        backend: see `contrapposto.render.render`.
        progress: called with (frames done, frames in all), or True for a progress bar on the console.
        style: `panels`, or `overlay`: one panel with all clips, the first one translucent.
        device: see `contrapposto.render.render`.
        quality: 0 to 10, see `VideoWriter`.

    Returns:
        The path.

    Raises:
        InputError: no clips, or a path, size or rate that cannot be used.
        ConfigError: an unknown back-end, camera or style.
    """
    stage = _make_stage(clips, size, fps, body, camera, style)
    width, height = stage.picture_size
    report, bar = _reporting(progress, stage.num_frames, Path(path).name)
    with bar as shown, VideoWriter(path, fps, (width, height), quality, shown or report) as writer:
        for picture in _in_order(stage, backend, device):
            writer.write(picture)
    return Path(path)


def render_motion_sheet(
    path: str | Path,
    motion: Motion,
    count: int = 8,
    *,
    height: int = 420,
    body: BodyModel | None = None,
    color: Sequence[float] = COOL,
    backend: str = "warp",
    device: str | None = None,
) -> Path:
    """Write `count` poses of a clip, evenly spaced in time, side by side in one PNG with their times.

    Figures keep the direction they face and their height above the ground; their way along the ground is taken out.

    Args:
        path: ends in .png.
        motion: the clip.
        count: number of poses, 1 to 32.
        height: of the picture in pixels; its width follows.
        body, backend, device: as in `render_motion_video`.
        color: (3,) sRGB of the figures; early poses are lighter.

    Raises:
        InputError: a count, size or path that cannot be used.
    """
    if not 1 <= count <= 32:
        raise InputError(f"A sheet of {count} poses cannot be drawn.", expected="1 to 32")
    times = np.linspace(0, motion.duration, count)
    poses = motion.at_times(times, motion.fps)
    facing = _mean_heading(motion) + np.radians(35)
    right = np.array([np.cos(facing), np.sin(facing), 0.0])
    away = np.array([-np.sin(facing), np.cos(facing), -0.2])
    joints = poses.joint_positions()
    centre = joints.mean(1) * [1, 1, 0]
    local = (joints - centre[:, None]) @ right
    step = max(float((local.max(1) - local.min(1)).max()) + 0.3, 0.35 * figure_height(motion.skeleton))
    places = (np.arange(count) - (count - 1) / 2)[:, None] * step * right - centre
    points = _padded(joints + places[:, None], motion)
    extent = points @ right
    span = float(np.ptp(points[:, 2]))
    width = int(np.clip(height * (np.ptp(extent) + 0.2) / (1.25 * span), 64, 8192))
    view = enclose(
        points, away.tolist(), fov_degrees=12 if width < 3 * height else 24, size=(width, height), margin=0.05
    )
    figures = AnimatedFigure(poses, color, body).frames(0, count)
    tints = [_tint(color, 0.45 * (1 - i / max(count - 1, 1))) for i in range(count)]
    scene = _scene(
        [_placed(f, place, tint) for f, place, tint in zip(figures, places, tints)], _ground(joints, motion)
    )
    picture = make_renderer(backend, device).render(scene, view).color.copy()
    letters = max(11, round(height * 0.034))
    for time, place in zip(times, places + centre):
        column = view.project(place)[0][0]
        draw_text(picture, f"{time:.2f} s", (round(column), height - 4), size=letters, anchor="centre bottom")
    return write_png(path, picture)


@dataclass(frozen=True)
class _Stage:
    """All that does not change while a video is drawn."""

    titles: list[str]
    clips: list[Motion]
    figures: list[AnimatedFigure]
    cameras: list[list[Camera]]  # for each panel, for each frame
    ground: Ground
    overlay: bool
    num_frames: int
    fps: float

    @property
    def panel_size(self) -> tuple[int, int]:
        return self.cameras[0][0].width, self.cameras[0][0].height

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of panels."""
        count = 1 if self.overlay else len(self.clips)
        rows = -(-count // PANELS_A_ROW)
        return rows, -(-count // rows)

    @property
    def picture_size(self) -> tuple[int, int]:
        rows, columns = self.grid
        return self.panel_size[0] * columns, self.panel_size[1] * rows


def _make_stage(
    clips: Mapping[str, Motion],
    size: tuple[int, int],
    fps: float,
    body: BodyModel | None,
    camera: str | Camera,
    style: str,
) -> _Stage:
    if not clips:
        raise InputError("There is no clip to draw.", found="an empty mapping", expected="title to Motion")
    if style not in ("panels", "overlay"):
        raise ConfigError(f"There is no video style {style!r}.", expected="panels or overlay")
    check_size(*size)
    if not 0 < fps <= 240:
        raise InputError(f"A video cannot have {fps} frames/s.", expected="above 0, up to 240")
    shown = [clip.resample(fps) for clip in clips.values()]
    num_frames = max(clip.num_frames for clip in shown)
    figures = [AnimatedFigure(clip, color, body) for clip, color in zip(shown, figure_colors(list(clips)))]
    positions = [_held(clip.joint_positions(), num_frames) for clip in shown]
    chosen = _choose_camera(positions) if camera == "auto" else camera
    if style == "overlay" and chosen == "each":
        chosen = "follow"
    cameras = _cameras(chosen, shown, positions, fps, size)
    ground = _ground(positions[0], shown[0])
    return _Stage(list(clips), shown, figures, cameras, ground, style == "overlay", num_frames, fps)


def figure_colors(titles: Sequence[str]) -> list[tuple[float, float, float]]:
    """A colour for each title: blue for the truth (or the first when none says so), then the rest of the palette."""
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
    padded = [_padded(place, clip).reshape(num_frames, -1, 3) for place, clip in zip(positions, clips)]
    if camera == "each":
        return [
            follow(points, fps, facing=_mean_heading(clip), size=size, margin=_MARGIN)
            for points, clip in zip(padded, clips)
        ]
    points, facing = np.concatenate(padded, axis=1), _mean_heading(clips[0])
    if camera == "follow":
        return [follow(points, fps, facing=facing, size=size, margin=_MARGIN)] * len(clips)
    azimuth, elevation = facing + np.radians(35), np.radians(14)
    direction = (-float(np.sin(azimuth)), float(np.cos(azimuth)), -float(np.tan(elevation)))
    return [[enclose(points, direction, size=size, margin=_MARGIN)] * num_frames] * len(clips)


def _choose_camera(positions: list[np.ndarray]) -> str:
    """One camera for clips of the same event, one for each clip when they part by more than two metres."""
    roots = np.stack([place[:, 0, :2] for place in positions])
    return "follow" if np.linalg.norm(roots - roots[:1], axis=-1).max() < 2 else "each"


def _draw(stage: _Stage, renderer: Any, frame: int, figures: list[Figure]) -> np.ndarray:
    """One frame of the video (H, W, 3)."""
    if stage.overlay:
        panels = [_overlay(stage, renderer, stage.cameras[0][frame], figures)]
    else:
        panels = [
            renderer.render(_scene([figure], stage.ground), cameras[frame]).color.copy()
            for figure, cameras in zip(figures, stage.cameras)
        ]
    width, height = stage.panel_size
    letters = max(11, round(min(width, height) * 0.034))
    gap = letters // 2
    time = frame / stage.fps
    for index, panel in enumerate(panels):
        shown = range(len(stage.clips)) if stage.overlay else [index]
        top = gap
        for number in shown:
            title, color = stage.titles[number], stage.figures[number].color
            draw_text(panel, title, (gap, top), size=letters, dot=color if title else None)
            top += round(1.9 * letters)
        draw_text(
            panel, _caption(stage.clips[index], time), (gap, height - gap), size=letters, anchor="left bottom"
        )
        if index:
            panel[:, :2] = 255
    draw_text(
        panels[-1],
        f"{time:.2f} s",
        (width - gap, height - gap),
        size=round(letters * 0.85),
        anchor="right bottom",
    )
    return _tiled(panels, stage.grid)


def _overlay(stage: _Stage, renderer: Any, camera: Camera, figures: list[Figure]) -> np.ndarray:
    """All figures in one panel, the first one translucent: a mean of the pictures with it and without it.

    Where it is less than some centimetres in front of another figure, that one is shown: surfaces that nearly coincide
    would be mottled otherwise.
    """
    full = renderer.render(_scene(figures, stage.ground), camera)
    if len(figures) == 1:
        return np.array(full.color)
    rest = renderer.render(_scene(figures[1:], stage.ground), camera)
    with np.errstate(invalid="ignore"):
        gap = np.where(full.mask, rest.depth - full.depth, np.inf)
    weight = 0.5 * np.clip((gap - 0.02) / 0.08, 0, 1)[..., None].astype(np.float32)
    return np.round(weight * full.color + (1 - weight) * rest.color).astype(np.uint8)


def _in_order(stage: _Stage, backend: str, device: str | None) -> Iterator[np.ndarray]:
    """Draw frames in several threads, a renderer of one thread each, and yield them in order."""
    from contrapposto.render.raycast import Raycaster, usable_cores

    first = make_renderer(backend, device, threads=1)
    on_cpu = isinstance(first, Raycaster) and first.device.is_cpu
    workers = min(usable_cores(), 8, stage.num_frames) if on_cpu else 1
    spare = deque([first])  # taken by the first thread that asks
    local = threading.local()

    def draw(frame: int, figures: list[Figure]) -> np.ndarray:
        if not hasattr(local, "renderer"):
            try:
                local.renderer = spare.pop()
            except IndexError:
                local.renderer = make_renderer(backend, device, threads=1)
        return _draw(stage, local.renderer, frame, figures)

    waiting: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for frame, figures in _figures(stage):
                waiting.append(pool.submit(draw, frame, figures))
                if len(waiting) > 2 * workers + 2:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # on an exception, or when nobody wants further frames
            for future in waiting:
                future.cancel()


def _figures(stage: _Stage) -> Iterator[tuple[int, list[Figure]]]:
    """Frame numbers with what to draw, skinned a chunk at a time."""
    for start in range(0, stage.num_frames, _CHUNK):
        stop = min(start + _CHUNK, stage.num_frames)
        columns = []
        for figure in stage.figures:
            last = figure.motion.num_frames - 1
            low, high = min(start, last), min(stop - 1, last)
            drawn = figure.frames(low, high + 1)
            columns.append([drawn[min(frame, last) - low] for frame in range(start, stop)])
        for offset, figures in enumerate(zip(*columns)):
            yield start + offset, list(figures)


def _scene(figures: Sequence[Figure], ground: Ground) -> Scene:
    meshes = [figure for figure in figures if isinstance(figure, Mesh)]
    capsules = [figure for figure in figures if isinstance(figure, Capsules)]
    return Scene(meshes, capsules, ground)


def _placed(figure: Figure, shift: np.ndarray, color: Sequence[float]) -> Figure:
    if isinstance(figure, Mesh):
        return replace(figure, vertices=figure.vertices + shift.astype(np.float32), color=color)
    step = shift.astype(np.float32)
    return replace(figure, starts=figure.starts + step, ends=figure.ends + step, colors=color)


def _ground(positions: np.ndarray, clip: Motion) -> Ground:
    """At z = 0, the clips' own floor; a figure clearly elsewhere (no root translation) gets one below its feet."""
    lowest = float(np.percentile(positions[..., 2].min(axis=1), 5))
    return Ground() if abs(lowest) < 0.2 * figure_height(clip.skeleton) else Ground(height=lowest - 0.05)


def _mean_heading(clip: Motion) -> float:
    """The direction a figure faces most of the time, or at first when it turns all round."""
    headings = clip.headings().astype(np.float64)
    mean = np.exp(1j * headings).mean()
    return float(np.angle(mean)) if abs(mean) > 0.3 else float(headings[0])


def _padded(positions: np.ndarray, clip: Motion) -> np.ndarray:
    """Joint positions (F, J, 3) and points around them that hold the flesh: (F * J * 6, 3), frame by frame."""
    reach = 0.075 * figure_height(clip.skeleton)
    return (positions[:, :, None] + reach * np.concatenate([np.eye(3), -np.eye(3)])).reshape(-1, 3)


def _held(values: np.ndarray, count: int) -> np.ndarray:
    return values[np.minimum(np.arange(count), len(values) - 1)]


def _caption(clip: Motion, time: float) -> str:
    return ", ".join(label.text for label in clip.labels if label.start <= time < label.end)


def _tint(color: Sequence[float], amount: float) -> tuple[float, ...]:
    return tuple(float(c + (1 - c) * amount) for c in color)


def _tiled(panels: list[np.ndarray], grid: tuple[int, int]) -> np.ndarray:
    rows, columns = grid
    blank = np.full_like(panels[0], 247)
    panels = panels + [blank] * (rows * columns - len(panels))
    return np.concatenate(
        [np.concatenate(panels[r * columns : (r + 1) * columns], axis=1) for r in range(rows)]
    )


def _reporting(
    progress: Callable[[int, int], None] | bool | None, total: int, title: str
) -> tuple[Callable[[int], None] | None, Any]:
    """The callback of the writer, and a context that may bring one of its own."""
    if progress is True:
        return None, console_progress(total, title)
    if callable(progress):
        return (lambda done: progress(done, total)), nullcontext()
    return None, nullcontext()
