"""predict.py task=anerf_render: images and videos of a trained avatar (docs/specs/anerf.md, section 10)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from contrapposto.errors import ConfigError, nearest
from contrapposto.files import atomic_path
from contrapposto.outputs import free_stem
from contrapposto.progress import say
from contrapposto.systems.anerf.avatar import Avatar
from contrapposto.systems.anerf.catalogue import catalogue_entry
from contrapposto.systems.anerf.paths import MODES, PosePath
from contrapposto.systems.anerf.renderer import SPEEDS
from contrapposto.systems.anerf.splats import SplatAvatar
from contrapposto.systems.anerf.view import Rendered
from contrapposto.tasks.anerf_inputs import (
    choose_frames,
    clip_path,
    load_avatar,
    make_path,
    motion_path,
    needed_scene,
)
from contrapposto.tasks.anerf_scores import Judge

FORMATS = ("mp4", "png", "alpha", "depth", "html")
_COLOURS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0), "grey": (0.5, 0.5, 0.5)}


class AnerfRender:
    """Draw an avatar; see configs/anerf_render.yaml for the options.

    Raises:
        ConfigError: an option that cannot be used.
    """

    needs_input = False

    def __init__(
        self,
        formats: Sequence[str] = ("mp4",),
        method: str = "splat",
        model: str = "auto",
        data: str = "anerf_scene",
        experiment: str | None = "auto",
        speed: str = "exact",
        height: int | None = 512,
        background: str | Sequence[float] = "white",
        fps: float | None = None,
        frames: Sequence[int] | None = None,
        entry: str | None = None,
        most: int = 8,
        refined: bool = True,
        options: Mapping[str, Any] | None = None,
        travel: bool = False,
        turn: float = 0.0,
        turns: float | None = None,
        scores: bool = True,
        lpips: str | None = None,
        framing: str = "person",
    ) -> None:
        unknown = [name for name in formats if name not in FORMATS]
        if unknown or speed not in SPEEDS:
            raise ConfigError(
                "An option of the rendering cannot be used.",
                found=f"formats={list(formats)}, speed={speed}",
                expected=f"formats of {', '.join(FORMATS)}; speed of {', '.join(SPEEDS)}",
            )
        if isinstance(background, str) and background not in (*_COLOURS, "scene"):
            raise ConfigError(
                f"There is no background {background!r}.",
                expected=nearest(background, (*_COLOURS, "scene")),
                fix="or three numbers from 0 to 1",
            )
        self.formats, self.run, self.speed, self.height = (
            list(formats),
            (method, model, data, experiment),
            speed,
            height,
        )
        self.background, self.fps, self.chosen, self.most = background, fps, frames, most
        self.refined, self.options, self.scores, self.lpips = refined, dict(options or {}), scores, lpips
        if framing not in ("person", "published"):
            raise ConfigError(f"There is no framing {framing!r}.", expected="person or published")
        self.entry, self.published = entry, framing == "published" or entry is not None
        self.travel, self.turn, self.turns = travel, turn, turns

    @torch.no_grad()
    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Draw what `mode=` and `motion=` say into files in `output`."""
        mode = config.mode
        if mode not in MODES:
            raise ConfigError(f"There is no mode {mode!r}.", expected=nearest(str(mode), list(MODES)))
        frames, options = self.chosen, self.options
        if self.entry is not None:
            result = catalogue_entry(self.entry, mode)
            frames, options = frames or result.frames, {**result.options, **options}
        judge = Judge(self.lpips) if mode == "val" and self.scores else None
        stem = self._stem(output / (clip_path(config.motion).stem if config.motion else str(mode)), mode)
        avatar = load_avatar(config, *self.run)
        chosen = choose_frames(avatar, mode, frames, self.most)
        if mode == "bullet" and self.entry is None and not config.motion:
            options = {"count": 28, **options}  # two seconds; the original's are ten images
        path, fps = self._path(config, avatar, mode, chosen, options)
        renderer = avatar.renderer(self.speed, depth="depth" in self.formats)
        height, width = avatar.size
        factor = 1.0 if self.height is None or mode == "val" else self.height / height
        if "html" in self.formats:
            page = self._page(avatar, path, fps, stem.with_name(f"{stem.name}.html"))
            if self.formats == ["html"]:
                return [page]
        writers = _Writers(stem, self.formats, fps, (round(height * factor), round(width * factor)))
        metres = avatar.metres_per_unit
        started, unseen = time.monotonic(), 0
        with writers:
            for number in range(len(path)):
                image = int(path.frames[number])
                view = path.view(number, (height, width)).scaled(factor)
                code = -1 if mode == "val" else avatar.code(image)
                frame = renderer(path.world_to_bone[number], view, code_index=code)
                shown = frame.over(self._background(avatar, image, frame, mode))
                writers.write(shown, frame.opacity, frame.depth * metres)
                unseen += int(frame.opacity.max() < 0.5)
                if judge is not None:
                    judge.add(needed_scene(avatar), image, shown, frame)
                say(number + 1, len(path), started)
        if unseen:
            hint = (
                "; task.travel=false keeps a motion in its place, task.turn=90 turns it"
                if self.travel
                else ""
            )
            print(f"note: {unseen} of {len(path)} images do not show the figure{hint}")
        paths = writers.paths
        return paths if judge is None or not judge.rows else [*paths, judge.write(stem / "scores.csv")]

    def _stem(self, stem: Path, mode: str) -> Path:
        """A name whose video, page and folder of images replace nothing."""
        endings = [f".{name}" for name in self.formats if name in ("mp4", "html")]
        images = set(self.formats) - {"mp4", "html"}
        return free_stem(stem, [*endings, ""] if images or (mode == "val" and self.scores) else endings)

    def _page(self, avatar: Avatar, path: PosePath, fps: float, file: Path) -> Path:
        """The avatar in the browser, in the poses of a path."""
        from contrapposto.systems.anerf.splats.web import write_page

        if not isinstance(avatar.network, SplatAvatar):
            raise ConfigError("Only splat avatars are drawn in the browser.", fix="task.method=splat")
        return write_page(file, avatar.network, path.world_to_bone, fps, avatar.metres_per_unit)

    def _path(
        self, config: DictConfig, avatar: Avatar, mode: str, chosen: Sequence[int], options: dict[str, Any]
    ) -> tuple[PosePath, float]:
        if not config.motion:
            shown = make_path(avatar, mode, chosen, options, refined=self.refined, published=self.published)
            return shown, self.fps or 14.0
        if mode not in ("retarget", "bullet"):
            raise ConfigError(f"mode={mode} is not for a motion.", expected="retarget or bullet")
        fps = self.fps or 30.0
        turns = float(mode == "bullet") if self.turns is None else self.turns
        walk: dict[str, Any] = {"travel": self.travel, "turn": self.turn, "turns": turns}
        return motion_path(avatar, clip_path(config.motion), fps=fps, camera=chosen[0], **walk), fps

    def _background(self, avatar: Avatar, image: int, rendered: Rendered, mode: str) -> Tensor:
        if self.background == "scene" or mode == "val":
            result = torch.from_numpy(np.array(needed_scene(avatar).background(image))).float() / 255
            size = rendered.opacity.shape
            if result.shape[:2] == size:
                return result
            resized = torch.nn.functional.interpolate(result.movedim(-1, 0)[None], size=size, mode="bilinear")
            return resized[0].movedim(0, -1)
        colour = _COLOURS[self.background] if isinstance(self.background, str) else self.background
        return torch.tensor(colour, dtype=torch.float32)


class _Writers:
    """One video and folders of images, as the formats say."""

    def __init__(self, stem: Path, formats: Sequence[str], fps: float, size: tuple[int, int]) -> None:
        from contrapposto.render import VideoWriter

        self.stem, self.formats, self.number = stem, formats, 0
        self.stack = contextlib.ExitStack()
        self.video = VideoWriter(self._file("mp4"), fps, size[::-1]) if "mp4" in formats else None
        self.paths = [self._file("mp4")] if "mp4" in formats else []
        self.paths += [stem / name for name in formats if name not in ("mp4", "html")]
        self.paths += [self._file("html")] if "html" in formats else []

    def _file(self, ending: str) -> Path:
        return self.stem.with_name(f"{self.stem.name}.{ending}")

    def __enter__(self) -> _Writers:
        if self.video is not None:
            self.stack.enter_context(self.video)
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def write(self, shown: Tensor, opacity: Tensor, depth: Tensor) -> None:
        """Add a frame: (H, W, 3), (H, W), (H, W) in metres, infinite where nothing is."""
        from contrapposto.render import write_png

        frame = _bytes(shown)
        if self.video is not None:
            self.video.write(frame)
        name = f"{self.number:05d}"
        if "png" in self.formats:
            write_png(self.stem / "png" / f"{name}.png", frame)
        if "alpha" in self.formats:
            rgba = np.concatenate([frame, _bytes(opacity[..., None])], axis=-1)
            write_png(self.stem / "alpha" / f"{name}.png", rgba)
        if "depth" in self.formats:
            with atomic_path(self.stem / "depth" / f"{name}.npy") as temporary, open(temporary, "wb") as file:
                np.save(file, depth.numpy().astype(np.float32), allow_pickle=False)
        self.number += 1


def _bytes(values: Tensor) -> np.ndarray:
    return (values.clamp(0, 1) * 255).round().byte().numpy()
