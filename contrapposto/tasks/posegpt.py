"""predict.py task=posegpt_sample and task=posegpt_forecast: motion from actions, lengths and a past."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.motion import Motion
from contrapposto.runs import best_run, read_result
from contrapposto.tasks.base import FORMATS, read_clip, write_formats

if TYPE_CHECKING:
    from contrapposto.systems.posegpt.generator import Generated, MotionGenerator
    from contrapposto.systems.posegpt.token_sampling import Draw

_MODEL = "posegpt_gpt"
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
        data: str = "demo",
        experiment: str | None = "posegpt_demo",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        greedy: bool = False,
        overlap: int = 16,
        fade: int = 10,
        size: int | None = None,
    ) -> None:
        unknown = [name for name in formats if name not in FORMATS]
        if unknown:
            raise ConfigError(f"Unknown format {unknown[0]!r}.", expected=", ".join(FORMATS))
        self.formats, self.data, self.experiment = list(formats), data, experiment
        self.drawing: dict[str, Any] = {
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "greedy": greedy,
        }
        self.overlap, self.fade, self.size = overlap, fade, size

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Generate into files in `output`."""
        draw, count = self._draw(config), _count(config.count)
        generator, facts = self._generator(config)
        actions = None if config.action is None else _actions(config.action, generator)
        result = generator.generate(actions, _frames(config.frames), count, past=None, draw=draw)
        return self._write(result, facts, output / _stem(actions, config.seed), {})

    def _draw(self, config: DictConfig) -> Draw:
        from contrapposto.systems.posegpt.token_sampling import Draw

        if type(config.seed) is not int:
            raise ConfigError(f"seed={config.seed} is not a whole number.")
        return Draw(seed=config.seed, **self.drawing)

    def _generator(self, config: DictConfig) -> tuple[MotionGenerator, dict[str, str]]:
        path = Path(config.ckpt) if config.ckpt else self._best(config)
        return load_generator(path, overlap=self.overlap, fade=self.fade)

    def _best(self, config: DictConfig) -> Path:
        return best_run(config.paths.runs, _MODEL, self.data, self.experiment).checkpoint

    def _write(
        self, result: Generated, facts: dict[str, str], stem: Path, beside: dict[str, Motion]
    ) -> list[Path]:
        """Every sample in its files, all of them in one video, their tokens in one picture."""
        from contrapposto.render.token_timeline import render_token_timeline

        clips = [replace(clip, metadata={**clip.metadata, **facts}) for clip in result.motions]
        paths = []
        for number, clip in enumerate(clips, 1):
            name = stem.name if len(clips) == 1 else f"{stem.name}_{number:0{len(str(len(clips)))}d}"
            formats = [name for name in self.formats if name != "mp4"]
            paths += write_formats(clip, stem.with_name(name), formats)
        if "mp4" in self.formats:
            shown = clips[: _MOST_PANELS - len(beside)]
            titles = {f"sample {number}": clip for number, clip in enumerate(shown, 1)}
            paths.append(self._video(stem.with_name(f"{stem.name}.mp4"), {**beside, **titles}))
            picture = stem.with_name(f"{stem.name}_tokens.png")
            tokens = result.sampled.tokens[: len(shown)].cpu().numpy()
            first = result.sampled.num_past / clips[0].fps
            generated = clips[0].trim(first, clips[0].duration + 1)
            seconds = generated.num_frames / generated.fps
            paths.append(
                render_token_timeline(picture, tokens, seconds, labels=generated.labels, titles=list(titles))
            )
        print(f"smallest margin of a choice: {float(result.sampled.margin.min()):.1e}")
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
        generator, facts = self._generator(config)
        actions = None if config.action is None else _actions(config.action, generator)
        result = generator.generate(actions, _frames(config.frames), count, past=past, draw=draw)
        beside = {}
        if truth:
            beside = {"truth": whole.trim(0, min(whole.duration, result.motions[0].duration))}
        stem = output / f"{path.stem}_{_stem(actions, config.seed)}"
        return self._write(result, {**past.metadata, **facts}, stem, beside)


def load_generator(
    path: Path, *, overlap: int = 16, fade: int = 10
) -> tuple[MotionGenerator, dict[str, str]]:
    """The generator of a checkpoint or run directory, and source and licence of the data that it was trained on.

    Args:
        path: of a run of posegpt_gpt.
        overlap, fade: of `PoseGPTSampler`.

    Raises:
        MissingError: no such checkpoint.
        InputError: the checkpoint of another model.
    """
    from contrapposto.checkpoints import load_checkpoint
    from contrapposto.systems.posegpt.generator import MotionGenerator
    from contrapposto.systems.posegpt.sampler import PoseGPTSampler
    from lightning_modules.posegpt import PoseGPTModule

    if path.is_dir():
        path = read_result(path).checkpoint if (path / "result.json").is_file() else path / "result.json"
    if not path.is_file():
        raise MissingError(f"There is no checkpoint {path}.", expected="a file, or a finished run directory")
    content = load_checkpoint(path)
    options = content.get("hyper_parameters", {})
    if "vqvae_network" not in options:
        raise InputError(f"{path} is no checkpoint of {_MODEL}.", fix=f"python train.py model={_MODEL}")
    module: Any = PoseGPTModule(**options)
    module.load_state_dict(content["state_dict"])
    sampler = PoseGPTSampler(
        module.network,
        window=module.window,
        per_frame=module.per_frame,
        canonical=module.canonical,
        overlap=overlap,
        fade=fade,
    )
    data = content.get("provenance", {}).get("data") or {}
    facts = {
        f"model_{name}": str(data[name]) for name in ("source", "licence", "attribution") if data.get(name)
    }
    return MotionGenerator(sampler, module.vocabulary, module.skeleton), facts


def _actions(given: Any, generator: MotionGenerator) -> list[str]:
    return generator.parse(given) if isinstance(given, str) else [str(action) for action in given]


def _frames(given: Any) -> int | list[int]:
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    if (
        isinstance(given, Sequence)
        and not isinstance(given, str)
        and all(type(part) is int for part in given)
    ):
        return list(given)
    raise ConfigError(f"frames={given} cannot be used.", expected="a whole number, or a list of them")


def _count(given: Any) -> int:
    if type(given) is not int or not 1 <= given <= _MOST_SAMPLES:
        raise ConfigError(f"count={given} cannot be used.", expected=f"1 to {_MOST_SAMPLES}")
    return given


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
