"""What train.py does: run directory, preflight, fit, result."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from cli.launch import groups
from cli.preflight import preflight
from cli.runs import (
    RUN_VARIABLE,
    hold,
    new_run_directory,
    register_best_resolver,
    save_config,
    unfinished_run,
    wait_for_config,
    write_result,
)
from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.runs import load_config


def train(config: DictConfig) -> None:
    """Train the configured model, or run the configured pipeline."""
    register_best_resolver()
    if config.stages:
        from cli.pipeline import run_pipeline

        run_pipeline(config, _task_overrides())
        return
    if config.get("chain"):
        raise ConfigError("This pipeline is for predict.py.", fix="python predict.py pipeline=...")
    if not config.name and not config.resume:
        models = ", ".join(groups().get("model", []))
        raise ConfigError(
            "No model chosen.", expected=f"model= one of {models}", fix="python train.py --help"
        )
    if not config.get("trained", True):
        raise ConfigError(
            f"{config.name} has nothing to train.", fix=f"python evaluate.py model={config.name}"
        )
    run, config, resumed = _open_run(config)
    fit(config, run, resume_from=_resume_checkpoint(run) if resumed else None)


def fit(config: DictConfig, run: Path, resume_from: Path | None) -> None:
    """Fit and record the result; everything is read from the (resolved) configuration."""
    import pytorch_lightning as pl
    import torch
    from hydra.utils import instantiate

    from loggers import finish_loggers

    quiet_lightning()
    preflight(config)
    torch.set_float32_matmul_precision(config.matmul_precision)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    datamodule = instantiate(config.datamodule, _convert_="all")
    module = instantiate(config.module, _convert_="all")
    preflight(config, parameters=sum(p.numel() for p in module.parameters()))
    if config.init_from and resume_from is None:
        load_weights(module, Path(config.init_from))
    trainer = build_trainer(config, run)
    first = trainer.is_global_zero
    if first:
        print(
            f"{config.name} -> {run}" + (f" (resumed from {resume_from.name})" if resume_from else ""),
            flush=True,
        )
    with _killed_readers():
        trainer.fit(
            module, datamodule=datamodule, ckpt_path=resume_from, weights_only=True if resume_from else None
        )
    if first and not trainer.fast_dev_run and not trainer.interrupted:
        _finish(config, run, trainer, datamodule)
    finish_loggers(trainer.loggers)


@contextmanager
def _killed_readers() -> Iterator[None]:
    """Say what to do where a process that reads batches was killed, which torch tells in the middle of anything."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            "A process that reads batches was killed.",
            found=str(error).splitlines()[0],
            fix="often memory ran out: fewer data.num_workers; then go on with resume=true",
        ) from error


def build_trainer(config: DictConfig, run: Path) -> Any:
    """The Lightning Trainer of a configuration, with the suite's callbacks, loggers and checkpoint format."""
    import pytorch_lightning as pl
    from hydra.utils import instantiate

    from callbacks import AtomicCheckpointIO

    arguments: Any = OmegaConf.to_container(config.trainer, resolve=True)
    quiet = arguments.get("fast_dev_run")
    callbacks = [
        instantiate(node, _convert_="all")
        for node in (config.callbacks or {}).values()
        if node and "_target_" in node
    ]
    loggers = [] if quiet or not config.get("logger") else instantiate(config.logger, _convert_="all")
    return pl.Trainer(
        **arguments,
        callbacks=callbacks,
        logger=loggers or False,
        default_root_dir=str(run),
        plugins=[AtomicCheckpointIO()],
        enable_progress_bar=False,
        use_distributed_sampler=False,  # batches are a function of the step, see datamodules
    )


def quiet_lightning() -> None:
    """Leave out Lightning's tips, its report of devices and what it says of other libraries; errors stay."""
    import logging
    import warnings

    for text in (
        ".*LeafSpec.*",
        ".*smaller than the logging interval.*",
        ".*does not have many workers.*",
        ".*module.s. in eval mode.*",
    ):
        warnings.filterwarnings("ignore", text)

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def load_weights(module: Any, path: Path) -> None:
    """Load the weights, and nothing else, of a checkpoint (file or run directory) into a module."""
    from contrapposto.checkpoints import load_checkpoint
    from contrapposto.runs import read_result

    if path.is_dir():
        if not (path / "result.json").is_file():
            raise MissingError(
                f"{path} holds no finished run.", expected="a run directory with result.json, or a file"
            )
        path = read_result(path).checkpoint
    module.load_state_dict(load_checkpoint(path)["state_dict"])


def _open_run(config: DictConfig) -> tuple[Path, DictConfig, bool]:
    """The run directory, the resolved configuration, and whether the run goes on from a checkpoint."""
    given = os.environ.get(RUN_VARIABLE)
    rank = int(os.environ.get("SLURM_PROCID", os.environ.get("RANK", os.environ.get("LOCAL_RANK", 0))))
    if rank > 0:
        run = Path(given) if given else new_run_directory(config.paths.runs, config.name)
        saved = wait_for_config(run)
        return run, saved, bool(saved.get("resumed"))
    if config.resume:
        run = _run_to_resume(config)
        hold(run)
        saved = load_config(run)
        with open_dict(saved):
            for override in _task_overrides():
                key, _, _ = override.partition("=")
                if "." in key and not key.startswith(("+", "~")):
                    OmegaConf.update(saved, key, OmegaConf.select(config, key))
            saved.resumed = True
        save_config(saved, run)
        resumed = True
    else:
        run = new_run_directory(config.paths.runs, config.name)
        hold(run)
        saved = config.copy()
        with open_dict(saved):
            saved.paths.run = str(run)
            saved.resumed = False
        save_config(saved, run)
        saved = load_config(run)
        resumed = False
    os.environ[RUN_VARIABLE] = str(run)
    return run, saved, resumed


def _run_to_resume(config: DictConfig) -> Path:
    if config.resume is not True and str(config.resume).lower() != "true":
        run = Path(config.resume).absolute()
        load_config(run)
        return run
    data, experiment = config.data.name, config.get("experiment_name")
    found = unfinished_run(config.paths.runs, config.name, data, experiment)
    if found is None:
        raise MissingError(
            f"There is no unfinished run of {config.name} with data={data} experiment={experiment} in "
            f"{config.paths.runs} to resume.",
            expected="one that no other process is training",
            fix=f"start one: python train.py model={config.name}; or name a run: resume=runs/...",
        )
    return found


def _resume_checkpoint(run: Path) -> Path:
    from callbacks import find_resume_checkpoint

    path = find_resume_checkpoint(run)
    if path is None:
        raise MissingError(f"{run} holds no checkpoint that can be read.", fix="start a new run")
    return Path(path)


def _finish(config: DictConfig, run: Path, trainer: Any, datamodule: Any) -> None:
    from cli.report import plot_curves, print_places

    best = next((c for c in trainer.checkpoint_callbacks if getattr(c, "monitor", None)), None)
    score = best.best_model_score if best else None
    path = Path((best and best.best_model_path) or run / "checkpoints" / "last.ckpt")
    if not path.is_file():
        return
    monitor, mode = (best.monitor, best.mode) if best else (None, "min")
    data = {"name": config.data.name, **datamodule.provenance()}
    number = None if score is None else float(score)
    write_result(run, config, data, path, monitor, mode, number)
    plot_curves(run)
    print_places(run, path, monitor, number)


def _task_overrides() -> list[str]:
    return [a for a in sys.argv[1:] if "=" in a and not a.startswith(("-", "hydra."))]
