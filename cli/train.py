"""What train.py does: run directory, preflight, fit, result."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from cli.auto import choose
from cli.build import (
    adopt_networks,
    build_datamodule,
    build_module,
    build_trainer,
    complete,
    quiet_lightning,
)
from cli.checks import check_values
from cli.compose import groups, register
from cli.plan import ensure, requirements
from cli.preflight import preflight
from cli.resume import resumed_config, run_to_resume
from cli.runs import (
    announce,
    announced_run,
    hold,
    new_run_directory,
    rank,
    save_config,
    unfinished_runs,
    write_result,
)
from cli.stopping import stoppable
from contrapposto.errors import ConfigError, ContrappostoError, InputError, MissingError
from contrapposto.runs import Result, load_config


def train(config: DictConfig) -> Result | None:
    """Train what a configuration describes: a model, or the stages of a pipeline.

    Args:
        config: of `configs/train.yaml`, see `cli.compose.compose_config`.

    Returns:
        The finished run; None of a trial run (`trainer.fast_dev_run`), and of processes other than the first.

    Raises:
        ContrappostoError: something is missing, or an option cannot be used.
    """
    register()
    if config.stages:
        from cli.pipeline import run_pipeline

        return run_pipeline(config)
    if not config.name and not config.resume:
        models = ", ".join(groups().get("model", []))
        raise ConfigError(
            "No model chosen.", expected=f"model= one of {models}", fix="python train.py --help"
        )
    if not config.get("trained", True):
        raise ConfigError(
            f"{config.name} has nothing to train.", fix=f"python evaluate.py model={config.name}"
        )
    if rank() > 0:
        run = announced_run(config.paths.runs)
        saved = load_config(run)
        return fit(saved, run, _resume_checkpoint(run) if saved.get("resumed") else None)
    config = config.copy()
    adopt_networks(config)
    if not config.resume or (not _names_run(config.resume) and not _unfinished(config)):
        steps = requirements(config)
        if not ensure(config, steps, f"train {config.name}"):
            return None
        if steps and not _unfinished(config):
            config.resume = None  # the plan was interrupted before this model began
    if config.resume:
        run = run_to_resume(config)
        with hold(run):
            saved = resumed_config(config, run)
            save_config(saved, run)
            with announce(config.paths.runs, run):
                return fit(saved, run, _resume_checkpoint(run))
    config = complete(config)
    chosen = choose(config)
    if chosen:
        print(chosen, flush=True)
    check_values(config)
    preflight(config)
    run = new_run_directory(config.paths.runs, config.name)
    with hold(run):
        with open_dict(config):
            config.paths.run, config.resumed = str(run), False
        save_config(config, run)
        with announce(config.paths.runs, run), _removed_if_nothing_began(config, run):
            return fit(load_config(run), run, None)


@contextmanager
def _removed_if_nothing_began(config: DictConfig, run: Path) -> Iterator[None]:
    """Leave no folder of a trial run, nor of one that ended with an error before anything was trained."""
    try:
        yield
    except ContrappostoError:
        if not any((run / part).exists() for part in ("checkpoints", "debug", "metrics.csv")):
            shutil.rmtree(run, ignore_errors=True)
        raise
    if config.trainer.fast_dev_run:
        shutil.rmtree(run, ignore_errors=True)


def _names_run(resume: Any) -> bool:
    """Whether `resume=` names a directory, in place of `true`."""
    return bool(resume) and str(resume).lower() != "true"


def _unfinished(config: DictConfig) -> list[Path]:
    return unfinished_runs(config.paths.runs, config.name, config.data.name, config.get("experiment_name"))


def fit(config: DictConfig, run: Path, resume_from: Path | None) -> Result | None:
    """Fit and record the result; everything is read from the (resolved) configuration."""
    import pytorch_lightning as pl
    import torch

    from lightning_modules.base import load_weights
    from loggers import finish_loggers

    quiet_lightning()
    preflight(config, start=resume_from is None)
    torch.set_float32_matmul_precision(config.matmul_precision)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    datamodule, module = build_datamodule(config), build_module(config)
    preflight(config, parameters=sum(p.numel() for p in module.parameters()), start=False)
    if config.init_from and resume_from is None:
        load_weights(module, config.init_from)
    trainer = build_trainer(config, run)
    first = trainer.is_global_zero
    if first:
        origin = f" (resumed from {resume_from.name})" if resume_from else ""
        print(f"{config.name} -> {run}{origin}", flush=True)
    with _explained(), stoppable(trainer, lambda: _command(config, run) if first else ""):
        trainer.fit(
            module, datamodule=datamodule, ckpt_path=resume_from, weights_only=True if resume_from else None
        )
    result = None
    if first and not trainer.fast_dev_run and not trainer.interrupted:
        result = _finish(config, run, trainer, datamodule)
    finish_loggers(trainer.loggers)
    return result


@contextmanager
def _explained() -> Iterator[None]:
    """Errors of torch and Lightning that a user can correct, as ours."""
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        yield
    except MisconfigurationException as error:
        raise ConfigError("Lightning cannot train like this.", found=str(error)) from error
    except ValueError as error:
        if "val_check_interval" not in str(error):
            raise
        raise ConfigError(
            "trainer.val_check_interval is longer than an epoch.",
            found=str(error).splitlines()[0],
            fix="a smaller one; or trainer.check_val_every_n_epoch=null, which counts over epochs",
        ) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            "A DataLoader worker was killed (often out of memory).",
            found=str(error).splitlines()[0],
            fix="lower data.num_workers and continue with resume=true",
        ) from error


def _command(config: DictConfig, run: Path) -> str:
    """The command that continues a run; empty where it has no checkpoint."""
    if not any((run / "checkpoints").glob("*.ckpt")):
        return ""
    return f"python train.py resume={shlex.quote(str(_short(run)))}"


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _resume_checkpoint(run: Path) -> Path:
    from callbacks import find_resume_checkpoint

    path = find_resume_checkpoint(run)
    if path is None:
        raise MissingError(f"{run} holds no checkpoint that can be read.", fix="start a new run")
    return Path(path)


def _finish(config: DictConfig, run: Path, trainer: Any, datamodule: Any) -> Result | None:
    from cli.report import plot_curves, print_places

    best = next((c for c in trainer.checkpoint_callbacks if getattr(c, "monitor", None)), None)
    score = best.best_model_score if best else None
    path = Path((best and best.best_model_path) or run / "checkpoints" / "last.ckpt")
    if not path.is_file():
        return None
    monitor, mode = (best.monitor, best.mode) if best else (None, "min")
    # Any LightningDataModule will do; only those of the suite know where their data come from.
    provenance: dict[str, Any] = getattr(datamodule, "provenance", dict)()
    data = {"name": config.data.name if config.data else None, **provenance}
    number = None if score is None else float(score)
    result = write_result(run, config, data, path, monitor, mode, number)
    plot_curves(run)
    print_places(run, path, monitor, number)
    return result
