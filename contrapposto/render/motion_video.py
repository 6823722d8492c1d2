"""Videos of motion clips: skinned figures on a ground with half-metre squares."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from contrapposto.motion import Motion
from contrapposto.progress import bar
from contrapposto.render.backends import make_renderer
from contrapposto.render.camera import Camera
from contrapposto.render.drawables import Figure
from contrapposto.render.staging import Stage, make_stage, scene_of
from contrapposto.render.text import draw_text
from contrapposto.render.video import VideoWriter
from contrapposto.threads import drawing_threads, while_drawing

if TYPE_CHECKING:
    from contrapposto.body import BodyModel

_CHUNK = 15  # frames skinned at once
GROUP = 5
"""Successive frames that one thread draws."""

Item = TypeVar("Item")


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
    extras: Callable[[float], Sequence[Figure]] | None = None,
) -> Path:
    """Write clips as an mp4, each in a panel of its own, clips of the same event seen by the same camera.

    The video lasts as long as the longest clip; shorter ones hold their last frame. Labels are captions while they
    last. A clip whose title states truth, target, reference, ... is blue, others take the colours after it.

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
        extras: further things to draw in every panel, by the time in seconds.

    Returns:
        The path.

    Raises:
        InputError: no clips, or a path, size or rate that cannot be used.
        ConfigError: an unknown back-end, camera or style.
    """
    stage = replace(make_stage(clips, size, fps, body, camera, style), extras=extras)
    width, height = stage.image_size
    report, bar = _reporting(progress, stage.num_frames, Path(path).name)
    credit = "; ".join(dict.fromkeys(line for clip in stage.clips for line in clip.credits))
    with ExitStack() as stack:
        stack.enter_context(while_drawing())
        shown = stack.enter_context(bar) or report
        writer = stack.enter_context(VideoWriter(path, fps, (width, height), quality, shown, credit))
        for image in _in_order(stage, backend, device):
            writer.write(image)
    return Path(path)


def _draw(stage: Stage, renderer: Any, group: list[tuple[int, list[Figure]]]) -> list[np.ndarray]:
    """A few successive frames of the video, each (H, W, 3); the light on figures is renewed little by little."""
    images: list[list[np.ndarray]] = [[] for _ in group]
    for panel in range(1 if stage.overlay else len(stage.figures)):
        ground = stage.ground_of(panel)
        for number, (frame, figures) in enumerate(group):
            more = stage.extras(frame / stage.fps) if stage.extras is not None else ()
            camera = stage.cameras[panel][frame]
            if stage.overlay:
                image = _overlay(stage, renderer, camera, [*figures, *more])
            else:
                scene = scene_of([figures[panel], *more], ground)
                image = renderer.render(scene, camera, keep_light=number > 0).color
            images[number].append(image)
    return [_composed(stage, frame, panels) for (frame, _), panels in zip(group, images)]


def _composed(stage: Stage, frame: int, panels: list[np.ndarray]) -> np.ndarray:
    """One frame of the video: panels with their texts."""
    width, height = stage.panel_size
    _, columns = stage.grid
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
        panel[: 2 if index >= columns else 0] = panel[:, : 2 if index % columns else 0] = 255
    draw_text(
        panels[-1],
        f"{time:.2f} s",
        (width - gap, height - gap),
        size=round(letters * 0.85),
        anchor="right bottom",
    )
    return _tiled(panels, stage.grid)


def _overlay(stage: Stage, renderer: Any, camera: Camera, figures: list[Figure]) -> np.ndarray:
    """All figures in one panel, the first one translucent: a mean of the images with it and without it.

    Where it is less than some centimetres in front of another figure, that one is shown: surfaces that nearly coincide
    would be mottled otherwise.
    """
    full = renderer.render(scene_of(figures, stage.ground), camera)
    if len(figures) == 1:
        return np.array(full.color)
    rest = renderer.render(scene_of(figures[1:], stage.ground), camera)
    with np.errstate(invalid="ignore"):
        gap = np.where(full.mask, rest.depth - full.depth, np.inf)
    weight = 0.5 * np.clip((gap - 0.02) / 0.08, 0, 1)[..., None].astype(np.float32)
    return np.round(weight * full.color + (1 - weight) * rest.color).astype(np.uint8)


def _in_order(stage: Stage, backend: str, device: str | None) -> Iterator[np.ndarray]:
    """Draw frames in several threads, a renderer of one thread each, and yield them in order."""
    from contrapposto.render.raycast import Raycaster

    first = make_renderer(backend, device, threads=1)
    on_cpu = isinstance(first, Raycaster) and first.device.is_cpu
    workers = min(drawing_threads(), stage.num_frames) if on_cpu else 1
    spare = deque([first])  # taken by the first thread that asks
    local = threading.local()

    def draw(group: list[tuple[int, list[Figure]]]) -> list[np.ndarray]:
        if not hasattr(local, "renderer"):
            try:
                local.renderer = spare.pop()
            except IndexError:
                local.renderer = make_renderer(backend, device, threads=1)
        return _draw(stage, local.renderer, group)

    waiting: deque[Future[list[np.ndarray]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for group in batched(_figures(stage), GROUP):
                waiting.append(pool.submit(draw, group))
                if len(waiting) > workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:  # on an exception, or when nobody wants further frames
            for future in waiting:
                future.cancel()


def batched(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    """Lists of `count` items, the last one shorter."""
    source = iter(items)
    while group := list(itertools.islice(source, count)):
        yield group


def _figures(stage: Stage) -> Iterator[tuple[int, list[Figure]]]:
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


def _caption(clip: Motion, time: float) -> str:
    return ", ".join(label.text for label in clip.labels if label.start <= time < label.end)


def _tiled(panels: list[np.ndarray], grid: tuple[int, int]) -> np.ndarray:
    rows, columns = grid
    if len(panels) == rows * columns == 1:
        return panels[0]
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
        return None, bar(total, title)
    if callable(progress):
        return (lambda done: progress(done, total)), nullcontext()
    return None, nullcontext()
