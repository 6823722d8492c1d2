"""What predict.py does: run one task on one input; the tasks themselves are classes named in configs/task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cli.launch import groups
from contrapposto.errors import ConfigError, InputError
from contrapposto.motion import Motion
from contrapposto.outputs import Outputs, existing_paths, free_stem
from contrapposto.runs import best_run, load_config

FORMATS = ("npz", "bvh", "glb", "mp4")


def predict(config: DictConfig) -> None:
    """Run the configured task, or the chain of tasks that `pipeline=` names.

    No file that an earlier run of the same command did not write is replaced (`contrapposto.outputs`), unless
    `overwrite=true`.
    """
    from hydra.utils import instantiate

    if config.get("stages"):
        raise ConfigError("This pipeline trains.", fix="python train.py pipeline=...")
    if config.get("chain") is not None:
        from contrapposto.tasks.chains import run_chain

        if config.get("task") is not None:
            raise ConfigError("pipeline= names the tasks itself.", fix="leave task= out")
        for path in run_chain(config):
            print(path)
        return
    if config.get("task") is None:
        raise ConfigError("No task chosen.", expected=f"task= one of {', '.join(groups()['task'])}")
    task = instantiate(config.task, _convert_="all")
    if not config.input and getattr(task, "needs_input", True):
        raise ConfigError("No input given.", expected="input=FILE")
    with open_outputs(config):
        paths = task(config, Path(config.input or ""), Path(config.output))
    for path in paths:
        print(path)


def open_outputs(config: DictConfig, name: str = "", folder: Path | None = None) -> Outputs:
    """The output folder of a command, with its inputs and options; `name` and `folder` in place of the config's own."""
    options: Any = OmegaConf.to_container(config, resolve=True)
    task = options.get("task") or {}
    name = name or str(task.get("_target_", "task"))
    recorded = {
        key: value for key, value in options.items() if key not in ("paths", "chain", "needs", "overview")
    }
    inputs = existing_paths(options)
    return Outputs(folder or config.output, name, inputs, recorded, overwrite=bool(config.get("overwrite")))


def write_formats(motion: Motion, stem: Path, formats: Sequence[str]) -> list[Path]:
    """Write a motion as `<stem>.<format>` for every format.

    Raises:
        ConfigError: an unknown format.
    """
    from contrapposto.io import write_motion

    endings(formats)
    paths = [stem.with_name(f"{stem.name}.{name}") for name in formats]
    for path in paths:
        write_motion(path, motion)
    return paths


def endings(formats: Sequence[str]) -> tuple[str, ...]:
    """The suffixes of formats: `.npz` of npz.

    Raises:
        ConfigError: an unknown format.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ConfigError(f"Unknown format {unknown[0]!r}.", expected=", ".join(FORMATS))
    return tuple(f".{name}" for name in formats)


class Convert:
    """Read a motion file of any known format and write it in others, on the SMPL-H skeleton.

    Args:
        formats: of npz (AMASS layout), bvh, glb (skinned), mp4 (video).
        fps: resample to this frame rate; None keeps the file's.
    """

    def __init__(self, formats: Sequence[str] = FORMATS, fps: float | None = None) -> None:
        self.formats, self.fps = list(formats), fps

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Convert `source` into files in `output`."""
        motion = read_clip(source)
        stem = free_stem(output / source.stem, endings(self.formats), "smplh")
        motion = motion.resample(self.fps) if self.fps else motion
        return write_formats(motion, stem, self.formats)


class SageReconstruct:
    """Send a clip through the two SAGE VQ-VAEs and write what comes back.

    Args:
        formats: see `Convert`; the video shows the clip and its reconstruction side by side.
        data, experiment: the runs to use, as in train.py; `upper` and `lower` name checkpoints or runs directly.
    """

    def __init__(
        self,
        formats: Sequence[str] = FORMATS,
        data: str = "demo",
        experiment: str | None = None,
        upper: str | None = None,
        lower: str | None = None,
    ) -> None:
        self.formats, self.data, self.experiment = list(formats), data, experiment
        self.checkpoints = {"sage_upper_vqvae": upper, "sage_lower_vqvae": lower}

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Reconstruct `source` into files in `output`."""
        motion = read_clip(source).resample(60)
        result = motion
        for model, checkpoint in self.checkpoints.items():
            path = Path(checkpoint) if checkpoint else self._best(config, model)
            result = load_module(path).reconstruct(result)
        stem = free_stem(output / f"{source.stem}_reconstructed", endings(self.formats))
        paths = write_formats(result, stem, [name for name in self.formats if name != "mp4"])
        if "mp4" in self.formats:
            from contrapposto.render import render_motion_video

            paths.append(
                render_motion_video(stem.with_suffix(".mp4"), {"input": motion, "reconstruction": result})
            )
        return paths

    def _best(self, config: DictConfig, model: str) -> Path:
        return best_run(config.paths.runs, model, self.data, self.experiment).checkpoint


def load_module(checkpoint: Path) -> Any:
    """The LightningModule of a checkpoint, from the configuration in its run directory, in evaluation mode."""
    from hydra.utils import instantiate

    from cli.train import load_weights

    run = checkpoint if checkpoint.is_dir() else checkpoint.parent.parent
    module = instantiate(load_config(run).module, _convert_="all")
    load_weights(module, checkpoint)
    return module.eval()


def read_clip(path: Path) -> Motion:
    """Read a motion file; its metadata then says where the clip comes from.

    Raises:
        InputError: no such file, or not one of a known format.
    """
    from contrapposto.io import read_motion

    if not path.exists():
        raise InputError(f"There is no file {path}.")
    motion = read_motion(path)
    return replace(motion, metadata={**motion.metadata, "source": motion.metadata.get("source", path.name)})
