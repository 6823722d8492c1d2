"""predict.py task=posegpt_sample and task=posegpt_forecast: motion from actions, lengths and a past."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from contrapposto.errors import ConfigError
from contrapposto.motion import Motion
from contrapposto.outputs import free_stem
from contrapposto.runs import best_run
from contrapposto.systems.posegpt.cleanup import Cleanup
from contrapposto.tasks.base import FORMATS, endings, read_clip, write_formats

if TYPE_CHECKING:
    from contrapposto.systems.posegpt.constraints import Constraints
    from contrapposto.systems.posegpt.generator import Generated, MotionGenerator
    from contrapposto.systems.posegpt.token_sampling import Draw

_MOST_PANELS = 16
_MOST_SAMPLES = 1024


class PoseGPTSample:
    """Motion from actions; see configs/task/posegpt_sample.yaml for the options.

    Raises:
        ConfigError: an option that cannot be used.
    """

    needs_input = False

    def __init__(
        self,
        formats: Sequence[str] = FORMATS,
        data: str = "free",
        experiment: str | None = "posegpt_free",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = 0.95,
        greedy: bool = False,
        overlap: int = 16,
        fade: int = 10,
        smooth: float = 1.5,
        ground: bool = True,
        flight: float = 0.6,
        plant_feet: bool = True,
        size: int | None = None,
    ) -> None:
        endings(formats)
        self.formats, self.data, self.experiment = list(formats), data, experiment
        self.drawing: dict[str, Any] = {
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "greedy": greedy,
        }
        self.cleanup = Cleanup(smooth, ground, flight, plant_feet)
        self.overlap, self.fade, self.size = overlap, fade, size

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Generate into files in `output`."""
        draw, count = self._draw(config), _count(config.count)
        generator = self._generator(config)
        actions = None if config.action is None else _actions(config.action, generator)
        stem = self._free(output / _stem(actions, config.seed), count)
        result = generator.generate(
            actions, _frames(config.frames), count, past=None, draw=draw, cleanup=self.cleanup,
            constraints=_constraints(config),
        )  # fmt: skip
        return self._write(result, {}, stem, {})

    def _free(self, stem: Path, count: int) -> Path:
        """A stem whose files, of so many samples, replace nothing."""
        names = [_numbered("", number, count) for number in range(1, count + 1)]
        formats = [f".{name}" for name in self.formats if name != "mp4"]
        shared = [".mp4", "_tokens.png"] if "mp4" in self.formats else []
        return free_stem(stem, [*shared, *(name + ending for name in names for ending in formats)])

    def _draw(self, config: DictConfig) -> Draw:
        from contrapposto.systems.posegpt.token_sampling import Draw

        if type(config.seed) is not int:
            raise ConfigError(f"seed={config.seed} is not a whole number.")
        return Draw(seed=config.seed, **self.drawing)

    def _generator(self, config: DictConfig) -> MotionGenerator:
        from contrapposto.systems.posegpt.generator import MODEL, MotionGenerator

        path = config.ckpt or best_run(config.paths.runs, MODEL, self.data, self.experiment).checkpoint
        return MotionGenerator.from_pretrained(path, overlap=self.overlap, fade=self.fade)

    def _write(
        self, result: Generated, metadata: Mapping[str, str], stem: Path, beside: dict[str, Motion]
    ) -> list[Path]:
        """Every sample in its files, all of them in one video, their tokens in one image."""
        from contrapposto.render.token_timeline import render_token_timeline

        clips = [replace(clip, metadata={**metadata, **clip.metadata}) for clip in result.motions]
        paths = []
        for number, clip in enumerate(clips, 1):
            name = _numbered(stem.name, number, len(clips))
            formats = [name for name in self.formats if name != "mp4"]
            paths += write_formats(clip, stem.with_name(name), formats)
        if "mp4" in self.formats:
            shown = clips[: _MOST_PANELS - len(beside)]
            titles = {f"sample {number}": clip for number, clip in enumerate(shown, 1)}
            paths.append(self._video(stem.with_name(f"{stem.name}.mp4"), {**beside, **titles}))
            image = stem.with_name(f"{stem.name}_tokens.png")
            tokens = result.sampled.tokens[: len(shown)].cpu().numpy()
            first = result.sampled.num_past / clips[0].fps
            generated = clips[0].trim(first, clips[0].duration + 1)
            seconds = generated.num_frames / generated.fps
            paths.append(
                render_token_timeline(image, tokens, seconds, labels=generated.labels, titles=list(titles))
            )
        return paths

    def _video(self, path: Path, clips: dict[str, Motion]) -> Path:
        from contrapposto.render import render_motion_video

        size = self.size or (512 if len(clips) < 3 else 384 if len(clips) < 5 else 288)
        camera = "each" if len(clips) > 1 else "follow"
        return render_motion_video(path, clips, size=(size, size), camera=camera, progress=True)


class PoseGPTForecast(PoseGPTSample):
    """What may follow a clip; see configs/task/posegpt_forecast.yaml for the options."""

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Continue the clip `past` into files in `output`."""
        if not (config.past or config.input):
            raise ConfigError("No past given.", expected="past=FILE", fix="task=posegpt_sample needs none")
        draw, count, path = self._draw(config), _count(config.count), Path(config.past or config.input)
        whole = read_clip(path)
        past, truth = _split(whole, config.past_seconds)
        generator = self._generator(config)
        actions = None if config.action is None else _actions(config.action, generator)
        stem = self._free(output / f"{path.stem}_{_stem(actions, config.seed)}", count)
        result = generator.generate(
            actions, _frames(config.frames), count, past=past, draw=draw, cleanup=self.cleanup,
            constraints=_constraints(config),
        )  # fmt: skip
        beside = {}
        if truth:
            beside = {"truth": whole.trim(0, min(whole.duration, result.motions[0].duration))}
        return self._write(result, past.metadata, stem, beside)


def _numbered(name: str, number: int, count: int) -> str:
    """The name of one of so many samples."""
    return name if count == 1 else f"{name}_{number:0{len(str(count))}d}"


def _constraints(config: DictConfig) -> Constraints | None:
    """`path`, `keyframes` and `future` of the command line; None without any."""
    from omegaconf import OmegaConf

    from contrapposto.systems.posegpt.constraints import Constraints, Keyframe

    wanted: dict[str, Any] = {
        name: OmegaConf.to_container(config[name])
        for name in ("path", "keyframes")
        if config.get(name) is not None
    }
    keyframes = []
    for key in wanted.get("keyframes", []):
        if not isinstance(key, dict) or set(key) != {"frame", "joint", "place"}:
            raise ConfigError(
                f"keyframes: {key} cannot be used.",
                expected="{frame: 30, joint: right_wrist, place: [0.3,-0.4,1.5]}",
            )
        keyframes.append(Keyframe(key["frame"], key["joint"], tuple(key["place"])))
    future = read_clip(Path(config.future)) if config.get("future") else None
    return Constraints(wanted.get("path"), keyframes, future) or None


def _actions(value: Any, generator: MotionGenerator) -> list[str]:
    """Actions as typed; what a sentence was matched with is printed."""
    texts = generator.parse(value) if isinstance(value, str) else [str(action) for action in value]
    actions, matches = generator.matched(texts)
    for text, nearest in matches.items():
        print(f"{text!r} -> " + ", ".join(f"{match.action} ({match.similarity:.2f})" for match in nearest))
    return actions


def _frames(value: Any) -> int | list[int]:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(type(part) is int for part in value)
    ):
        return list(value)
    raise ConfigError(f"frames={value} cannot be used.", expected="a whole number, or a list of them")


def _count(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= _MOST_SAMPLES:
        raise ConfigError(f"count={value} cannot be used.", expected=f"1 to {_MOST_SAMPLES}")
    return value


def _split(clip: Motion, seconds: float | None) -> tuple[Motion, bool]:
    """The clip up to there, and whether there is something after it."""
    if seconds is None:
        return clip, False
    if not 0 < seconds <= clip.duration:
        raise ConfigError(
            f"past_seconds={seconds} cannot be used.",
            expected=f"above 0, up to {clip.duration:.2f}, the clip's end",
        )
    return clip.trim(0, seconds), seconds < clip.duration


def _stem(actions: Sequence[str] | None, seed: int) -> str:
    words = [re.sub(r"[^\w+-]+", "_", action).strip("_") for action in actions or ["motion"]]
    return f"{'-'.join(words)[:80]}_seed{seed}"
