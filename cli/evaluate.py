"""What evaluate.py does: find the checkpoint, test it, say what came out and where it lies."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from cli.preflight import preflight
from cli.runs import RUN_VARIABLE, forget_earlier_stages, register_best_resolver, save_config
from cli.tables import by_frame, format_tables, generation_table, read_clips
from cli.train import build_trainer, load_weights, quiet_lightning
from contrapposto.errors import ConfigError, MissingError
from contrapposto.files import atomic_path, write_json
from contrapposto.report.evaluation import write_report
from contrapposto.runs import best_run, load_config

_NO_OPTIONS = ("data.store", "data.name", "data.cache", "data.batch_size", "data.num_workers", "data.repeats")


def evaluate(config: DictConfig) -> None:
    """Evaluate a checkpoint on the validation or test part of a store."""
    register_best_resolver()
    import pytorch_lightning as pl
    from hydra.utils import instantiate

    from loggers import finish_loggers

    quiet_lightning()
    checkpoint, wanted = _checkpoint(config), bool(config.get("report"))
    options = _options(config, checkpoint)
    config = _self_described(config, checkpoint)
    preflight(config)
    output = _output_directory(config, checkpoint, options)
    with open_dict(config):
        config.paths.run = str(output)
        if not checkpoint:
            forget_earlier_stages(config)
        for name in ("best", "resume"):
            config.callbacks.pop(name, None)
    save_config(config, output)
    config = load_config(output)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    datamodule = instantiate(config.datamodule, _convert_="all")
    module = instantiate(config.module, _convert_="all")
    if config.official:
        _load_official(module, Path(config.official), output)
    elif checkpoint:
        load_weights(module, checkpoint)
    trainer = build_trainer(config, output)
    run = trainer.validate if config.stage == "val" else trainer.test
    metrics = run(module, datamodule=datamodule, verbose=False)
    if trainer.is_global_zero:
        _report(config, output, checkpoint, options, metrics[0] if metrics else {})
        if wanted and not trainer.fast_dev_run:
            print(f"  {write_report(output).relative_to(output)}  (one page with everything)")
    finish_loggers(trainer.loggers)


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
    """The configuration that the checkpoint was trained with, under what the command line says."""
    run = _run_of(checkpoint) if checkpoint else None
    if run is None:
        if not config.name:
            raise ConfigError(f"{checkpoint} has no config.yaml beside it.", fix="add model=NAME")
        return config
    saved = load_config(run)
    given = [a.partition("=")[0] for a in sys.argv[1:] if "=" in a and not a.startswith("-")]
    with open_dict(saved):
        for key in ("ckpt", "official", "stage", "paths", "logger"):
            saved[key] = config[key]
        if "data" in given:
            for key in ("name", "recipe", "store", "options"):
                saved.data[key] = config.data[key]
        for key in given:
            if "." in key and not key.startswith(("+", "~")):
                OmegaConf.update(saved, key, OmegaConf.select(config, key), force_add=True)
        saved.trainer.fast_dev_run = config.trainer.fast_dev_run
    return saved


def _options(config: DictConfig, checkpoint: Path | None) -> list[str]:
    """What the command line sets otherwise than the training did: such results lie in folders of their own."""
    given = [a for a in sys.argv[1:] if a.startswith(("module.", "data.")) and "=" in a]
    keys = [a.partition("=")[0] for a in given]
    run = _run_of(checkpoint) if checkpoint else None
    saved = load_config(run) if run else OmegaConf.create()
    differing = [key for key in keys if OmegaConf.select(saved, key) != OmegaConf.select(config, key)]
    return [f"{key}={OmegaConf.select(config, key)}" for key in differing if key not in _NO_OPTIONS]


def _output_directory(config: DictConfig, checkpoint: Path | None, options: list[str]) -> Path:
    """`<run>/evaluation/<data>-<stage>[-option=value...]`, or under runs/ for what was not trained here."""
    given = os.environ.get(RUN_VARIABLE)
    if given:
        return Path(given)
    place = "official" if config.official else "external" if config.get("trained", True) else "untrained"
    run = (_run_of(checkpoint) if checkpoint else None) or Path(config.paths.runs) / config.name / place
    marks = "".join(f"-{option.partition('.')[2]}" for option in options)
    name = f"{config.data.name}-{config.stage}{re.sub(r'[^A-Za-z0-9_=.+-]', '_', marks)}"[:120]
    path = (run / "evaluation" / name).absolute()
    path.mkdir(parents=True, exist_ok=True)
    os.environ[RUN_VARIABLE] = str(path)
    return path


def _load_official(module: Any, path: Path, output: Path) -> None:
    """Load the authors' weights; what became of every key goes to official.json."""
    reports = module.load_official(path)
    print(f"the authors' weights in {path}:")
    for name, report in reports.items():
        print(f"  {name:<12}{str(report).replace(chr(10), chr(10) + ' ' * 14)}")
    write_json(output / "official.json", {name: asdict(report) for name, report in reports.items()})


def _report(
    config: DictConfig, output: Path, checkpoint: Path | None, options: list[str], metrics: dict[str, Any]
) -> None:
    prefix = f"{config.stage}/"
    values = {name: float(value) for name, value in metrics.items()}
    table = output / "media" / f"clips_{config.stage}.csv"
    clips = read_clips(table)
    weighted = by_frame(clips)
    path = output / "metrics.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    entry = content.setdefault(config.stage, {"metrics": values})
    entry["checkpoint"] = str(config.official or checkpoint)
    entry["weights"] = "official" if config.official else "checkpoint" if checkpoint else None
    entry["options"] = options
    entry["clips"] = len(clips)
    entry["frames"] = sum(int(row["frames"] or 0) for row in clips)
    entry["by_frame"] = {f"{prefix}{name}": value for name, value in weighted.items()}
    write_json(path, content)
    count = f": {len(clips):,} clips, {entry['frames']:,} frames" if clips else ""
    print(f"\n{config.name} on {config.data.name} ({config.stage}){count}\n")
    print(format_tables({n.removeprefix(prefix): v for n, v in values.items()}, weighted))
    _print_generation(output)
    print(f"\nresults: {output}")
    for path in sorted(p for pattern in ("*.json", "*.csv", "*.md", "media/*") for p in output.glob(pattern)):
        said = "  (every metric and the length of every clip)" if path == table else ""
        print(f"  {path.relative_to(output)}{said}")


def _print_generation(output: Path) -> None:
    """The table of a generator's samples, where there is one; also as a file for documents."""
    path = output / "generation.json"
    if not path.is_file():
        return
    content = json.loads(path.read_text(encoding="utf-8"))
    said = f"{content['samples']:,} samples from each source, {content['repeats']} repeats"
    print(f"\ngenerated motion, mean ± half of the 95 % interval ({said}):\n")
    print(generation_table(content))
    with atomic_path(output / "generation.md") as temporary:
        temporary.write_text(generation_table(content, as_markdown=True) + "\n", encoding="utf-8")
