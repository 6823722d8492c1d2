"""What evaluate.py does: find the checkpoint, test it, say what came out and where it lies."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from contrapposto.errors import ConfigError, MissingError
from contrapposto.files import write_json
from doors.preflight import preflight
from doors.report import print_metrics
from doors.runs import RUN_VARIABLE, best_run, load_config, register_best_resolver, save_config
from doors.training import build_trainer, load_weights, quiet_lightning


def evaluate(config: DictConfig) -> None:
    """Evaluate a checkpoint on the validation or test part of a store."""
    register_best_resolver()
    import pytorch_lightning as pl
    from hydra.utils import instantiate

    from callbacks import finish_loggers

    quiet_lightning()
    checkpoint = _checkpoint(config)
    config = _self_described(config, checkpoint)
    preflight(config)
    output = _output_directory(config, checkpoint)
    with open_dict(config):
        config.paths.run = str(output)
        for name in ("best", "resume"):
            config.callbacks.pop(name, None)
    save_config(config, output)
    config = load_config(output)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    datamodule = instantiate(config.datamodule, _convert_="all")
    module = instantiate(config.module, _convert_="all")
    if config.official:
        print(module.load_official(Path(config.official)))
    elif checkpoint:
        load_weights(module, checkpoint)
    trainer = build_trainer(config, output)
    run = trainer.validate if config.stage == "val" else trainer.test
    metrics = run(module, datamodule=datamodule, verbose=False)
    if trainer.is_global_zero:
        _report(config, output, checkpoint or Path(config.official), metrics[0] if metrics else {})
    finish_loggers(trainer.loggers)


def _checkpoint(config: DictConfig) -> Path | None:
    """The checkpoint to evaluate: `ckpt=`, or the best run of `model=`; None with `official=`."""
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


def _output_directory(config: DictConfig, checkpoint: Path | None) -> Path:
    """`<run>/evaluation/<data>-<stage>`, or under runs/ for checkpoints from elsewhere."""
    given = os.environ.get(RUN_VARIABLE)
    if given:
        return Path(given)
    run = (_run_of(checkpoint) if checkpoint else None) or Path(config.paths.runs) / config.name / "external"
    path = (run / "evaluation" / f"{config.data.name}-{config.stage}").absolute()
    path.mkdir(parents=True, exist_ok=True)
    os.environ[RUN_VARIABLE] = str(path)
    return path


def _report(config: DictConfig, output: Path, checkpoint: Path, metrics: dict[str, Any]) -> None:
    values = {name: float(value) for name, value in metrics.items()}
    path = output / "metrics.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    content.setdefault(config.stage, {"metrics": values})["checkpoint"] = str(checkpoint)
    write_json(path, content)
    print_metrics(f"{config.name} on {config.data.name} ({config.stage})", values)
    print(f"\nresults: {output}")
    for path in sorted(p for pattern in ("*.json", "*.csv", "media/*") for p in output.glob(pattern)):
        print(f"  {path.relative_to(output)}")
