"""What evaluate.py does: find the checkpoint, test it, print the results and where they are."""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from cli.build import build_datamodule, build_module, build_trainer, complete, quiet_lightning
from cli.checks import check_values
from cli.compose import register
from cli.plan import ensure_model
from cli.preflight import preflight
from cli.resume import apply_group, typed_keys
from cli.runs import announce, announced_run, forget_earlier_stages, rank, save_config
from cli.tables import by_frame, format_tables, generation_table, read_clips
from contrapposto.errors import ConfigError, MissingError
from contrapposto.files import atomic_path, write_json
from contrapposto.publish import INDEX
from contrapposto.report.columns import describe_settings
from contrapposto.report.evaluation import write_report
from contrapposto.runs import best_run, load_config

# Options that need no folder of their own: they do not change what is measured, or the folder is named after them.
_NO_OPTIONS = ("data.store", "data.name", "data.cache", "data.batch_size", "data.num_workers", "data.repeats")


def evaluate(config: DictConfig) -> Path:
    """Evaluate a checkpoint on the validation or test part of a store.

    Args:
        config: of `configs/evaluate.yaml`, see `cli.compose.compose_config`.

    Returns:
        The folder with the results.

    Raises:
        ContrappostoError: something is missing, or an option cannot be used.
    """
    register()
    quiet_lightning()
    if rank() > 0:
        output = announced_run(config.paths.runs)
        saved = load_config(output)
        checkpoint = Path(saved.ckpt) if saved.ckpt else None
        _measure(saved, checkpoint, output)
        return output
    if config.get("runs"):
        from cli.comparison import compare_runs

        return compare_runs(config)
    if not config.ckpt and not config.official and config.name and not ensure_model(config):
        return Path(config.paths.runs)
    checkpoint = _checkpoint(config)
    options = _options(config, checkpoint)
    wanted = bool(config.get("report"))
    config = complete(_self_described(config, checkpoint))
    if not checkpoint:
        with open_dict(config):
            forget_earlier_stages(config)
    check_values(config)
    preflight(config, start=False)
    output = _output_directory(config, checkpoint, options)
    with open_dict(config):
        config.paths.run = str(output)
        config.ckpt = str(checkpoint) if checkpoint else None
        for name in ("best", "resume"):
            (config.callbacks or {}).pop(name, None)
    _remove_results(output, config.stage)
    save_config(config, output)
    with announce(config.paths.runs, output):
        measured = _measure(load_config(output), checkpoint, output)
    _report(config, output, checkpoint, options, measured)
    if wanted and not measured.trial:
        print(f"  {write_report(output).relative_to(output)}  (one page with everything)")
    return output


@dataclass(frozen=True)
class _Measured:
    """What an evaluation gave.

    Args:
        metrics: by name, with the stage in front.
        settings: what was done to the model's outputs, see `StageModule.output_settings`.
        trial: whether this was a trial run.
    """

    metrics: dict[str, Any]
    settings: dict[str, Any]
    trial: bool


def _measure(config: DictConfig, checkpoint: Path | None, output: Path) -> _Measured:
    """Run the evaluation."""
    import pytorch_lightning as pl

    from lightning_modules.base import load_weights
    from loggers import finish_loggers

    pl.seed_everything(config.seed, workers=True, verbose=False)
    datamodule, module = build_datamodule(config), build_module(config)
    if config.official:
        _load_official(module, Path(config.official), output)
    elif checkpoint:
        load_weights(module, checkpoint)
    trainer = build_trainer(config, output)
    run = trainer.validate if config.stage == "val" else trainer.test
    metrics = run(module, datamodule=datamodule, verbose=False)
    finish_loggers(trainer.loggers)
    # Any LightningModule will do; only those of the suite state how their outputs are treated.
    settings: dict[str, Any] = {**_settings(config), **getattr(module, "output_settings", dict)()}
    return _Measured(metrics[0] if metrics else {}, settings, bool(getattr(trainer, "fast_dev_run", False)))


def _remove_results(output: Path, stage: str) -> None:
    """Results of an earlier evaluation of the same kind: what is not measured now must not look as if it was."""
    for name in ("generation.json", "generation.md", f"media/clips_{stage}.csv"):
        (output / name).unlink(missing_ok=True)
    path = output / "metrics.json"
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
        content.pop(stage, None)
        write_json(path, content)


def _checkpoint(config: DictConfig) -> Path | None:
    """The checkpoint to evaluate: `ckpt=`, or the best run of `model=`; None for `official=` and untrained models."""
    if config.official:
        if not config.name:
            raise ConfigError("official= needs the model it belongs to.", fix="add model=NAME")
        return None
    if config.ckpt:
        path = Path(config.ckpt)
        if not path.exists():
            raise MissingError(
                f"ckpt={path} does not exist.", expected="a checkpoint file or a run directory"
            )
        return path
    if not config.name:
        raise ConfigError("Nothing to evaluate.", expected="model=NAME (its best run), or ckpt=PATH")
    if not config.get("trained", True):
        return None
    return best_run(
        config.paths.runs, config.name, config.data.name, config.get("experiment_name")
    ).checkpoint


def _run_of(checkpoint: Path) -> Path | None:
    folders = (checkpoint, checkpoint.parent, checkpoint.parent.parent)
    return next((folder for folder in folders if (folder / "config.yaml").is_file()), None)


def _self_described(config: DictConfig, checkpoint: Path | None) -> DictConfig:
    """The configuration that the checkpoint was trained with, under what the command line states."""
    run = _run_of(checkpoint) if checkpoint else None
    if run is None:
        if not config.name:
            raise ConfigError(f"{checkpoint} has no config.yaml beside it.", fix="add model=NAME")
        return config
    saved = load_config(run)
    typed = typed_keys(config)
    for key, name in (("model", "name"), ("experiment", "experiment_name")):
        if key in typed and config.get(name) != saved.get(name):
            raise ConfigError(
                f"{checkpoint} is a run of {key}={saved.get(name)}, not of {key}={config.get(name)}.",
                fix=f"leave {key}= out: a run knows its own",
            )
    with open_dict(saved):
        for key in ("ckpt", "official", "stage", "paths", "logger", "overrides"):
            saved[key] = config.get(key)
        if "data" in typed:
            for key in ("name", "recipe", "store", "options"):
                saved.data[key] = config.data[key]
        # A run of many GPUs can be evaluated on a laptop.
        for key in ("accelerator", "devices", "strategy", "num_nodes", "precision"):
            saved.trainer[key] = config.trainer[key]
        for key in typed:
            if key in ("trainer", "callbacks"):
                apply_group(config, saved, key)
            elif "." in key:
                OmegaConf.update(saved, key, OmegaConf.select(config, key), force_add=True)
        saved.trainer.fast_dev_run = config.trainer.fast_dev_run
    return saved


def _options(config: DictConfig, checkpoint: Path | None) -> list[str]:
    """What the command line sets otherwise than the training did: such results lie in folders of their own."""
    keys = [key for key in typed_keys(config) if key.startswith(("module.", "data."))]
    run = _run_of(checkpoint) if checkpoint else None
    saved = load_config(run) if run else OmegaConf.create()
    differing = [key for key in keys if OmegaConf.select(saved, key) != OmegaConf.select(config, key)]
    return [f"{key}={OmegaConf.select(config, key)}" for key in differing if key not in _NO_OPTIONS]


def _output_directory(config: DictConfig, checkpoint: Path | None, options: list[str]) -> Path:
    """`<run>/evaluation/<data>-<stage>[-option=value...]`, or under runs/ for what was not trained here."""
    place = "official" if config.official else "external" if config.get("trained", True) else "untrained"
    run = _run_of(checkpoint) if checkpoint else None
    if run is not None and (run / INDEX).is_file():  # what was published stays as it is
        run = Path(config.paths.runs) / config.name / f"shipped-{run.name}"
    run = run or Path(config.paths.runs) / config.name / place
    marks = "".join(f"-{option.partition('.')[2]}" for option in options)
    name = f"{config.data.name}-{config.stage}{re.sub(r'[^A-Za-z0-9_=.+-]', '_', marks)}"[:120]
    path = (run / "evaluation" / name).absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


def _load_official(module: Any, path: Path, output: Path) -> None:
    """Load the authors' weights; what became of every key goes to official.json."""
    reports = module.load_official(path)
    print(f"the authors' weights in {path}:")
    for name, report in reports.items():
        print(f"  {name:<12}{str(report).replace(chr(10), chr(10) + ' ' * 14)}")
    write_json(output / "official.json", {name: asdict(report) for name, report in reports.items()})


def _report(
    config: DictConfig, output: Path, checkpoint: Path | None, options: list[str], measured: _Measured
) -> None:
    prefix = f"{config.stage}/"
    values = {name: float(value) for name, value in measured.metrics.items()}
    table = output / "media" / f"clips_{config.stage}.csv"
    clips = read_clips(table)
    weighted = by_frame(clips)
    path = output / "metrics.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    entry = content.setdefault(config.stage, {"metrics": values})
    entry["checkpoint"] = str(config.official or checkpoint)
    entry["weights"] = "official" if config.official else "checkpoint" if checkpoint else None
    entry["options"] = options
    entry["settings"] = settings = measured.settings
    entry["clips"] = len(clips)
    entry["frames"] = sum(int(row["frames"] or 0) for row in clips)
    entry["by_frame"] = {f"{prefix}{name}": value for name, value in weighted.items()}
    write_json(path, content)
    count = f": {len(clips):,} clips, {entry['frames']:,} frames" if clips else ""
    print(f"\n{config.name} on {config.data.name} ({config.stage}){count}\n")
    if settings:
        text = describe_settings(settings)
        print(textwrap.fill(text, 98, initial_indent="  ", subsequent_indent="  ") + "\n")
    print(format_tables({n.removeprefix(prefix): v for n, v in values.items()}, weighted))
    _print_generation(output)
    print(f"\nresults: {output}")
    for path in sorted(p for pattern in ("*.json", "*.csv", "*.md", "media/*") for p in output.glob(pattern)):
        note = "  (every metric and the length of every clip)" if path == table else ""
        print(f"  {path.relative_to(output)}{note}")


def _settings(config: DictConfig) -> dict[str, Any]:
    """How a model is sampled, and what is left out."""
    names = ("steps", "skip_seconds", "speed", "temperature")
    module: Any = OmegaConf.to_container(config.module, resolve=True)
    return {name: module[name] for name in names if module.get(name) is not None}


def _print_generation(output: Path) -> None:
    """The table of a generator's samples, where there is one; also as a file for documents."""
    path = output / "generation.json"
    if not path.is_file():
        return
    content = json.loads(path.read_text(encoding="utf-8"))
    note = f"{content['samples']:,} samples from each source, {content['repeats']} repeats"
    settings = describe_settings(content.get("settings", {}))
    print(f"\ngenerated motion, mean ± half of the 95 % interval ({note}):\n")
    print(generation_table(content) + (f"\n\n  {settings}" if settings else ""))
    text = generation_table(content, as_markdown=True) + (f"\n\n{settings}" if settings else "")
    with atomic_path(output / "generation.md") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
