"""Logs of a run: `metrics.csv` always, Weights & Biases beside it, offline unless the user asked for more."""

from __future__ import annotations

import netrc
import os
import secrets
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_info, rank_zero_only, rank_zero_warn

from contrapposto.errors import MissingError
from contrapposto.files import atomic_path
from loggers.csv_log import CSVRunLogger

# wandb's public server under its present and its former name; `wandb login` writes either into the netrc file.
_PUBLIC_SERVERS = ["https://api.forge.coreweave.com", "https://api.wandb.ai"]


class RunWandbLogger(WandbLogger):
    """Lightning's wandb logger, whose configuration is that of the run and not added to by module or
    datamodule.

    Args:
        media_upload: whether images of people given as input may go to wandb; see `MediaCallback`.
        init: what Lightning's logger takes, among it what `wandb.init` takes.
    """

    def __init__(self, *, media_upload: bool = False, **init: Any) -> None:
        super().__init__(**init)
        self.media_upload = media_upload
        self._wandb_init.pop("anonymous", None)  # wandb warns of it

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values; wandb's own step is the training step, so that a resumed run goes on where it stopped."""
        if step is None:
            super().log_metrics(metrics)
        else:
            known = max(step, self.experiment.step)  # wandb drops what comes for an earlier one
            self.experiment.log({**metrics, "trainer/global_step": step}, step=known)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: hyper-parameters are parts of the run's configuration, which stands there already."""


def build_loggers(
    run_dir: str | Path,
    *,
    config: Mapping[str, Any] | None = None,
    wandb: bool = True,
    online: bool = False,
    project: str = "contrapposto",
    entity: str | None = None,
    name: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
    media_upload: bool = False,
    tensorboard: bool = False,
    mlflow: bool = False,
    tracking_uri: str | None = None,
) -> list[Logger]:
    """Make the loggers of a run.

    Args:
        run_dir: the run directory; the wandb files go to its `wandb` folder, where a resumed run finds its
            id.
        config: plain values that wandb shows; None takes the run directory's config.yaml.
        wandb: False leaves the CSV file only (as does WANDB_MODE=disabled).
        online: send to the wandb server; done only when the user is logged in and WANDB_MODE does not forbid
            it.
        project, entity, name, group, tags: where wandb files the run; the name comes from the run directory.
        media_upload: whether images of people given as input may leave the machine; see `MediaCallback`.
        tensorboard: write TensorBoard files into the run directory.
        mlflow: log to MLflow.
        tracking_uri: of MLflow; None is the folder `mlruns` beside the model's runs.

    Returns:
        The CSV logger and those that are wanted; wandb's only where it works. wandb never asks anything and, when
        offline, never touches the network; if it cannot start, training goes on with the CSV file and a
        warning.
    """
    loggers: list[Logger] = [CSVRunLogger(run_dir)]
    if wandb and os.environ.get("WANDB_MODE", "").lower() != "disabled":
        # wandb reports on its own use to its maker, offline runs included, unless told not to before its import.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        run_dir = Path(run_dir)
        logger = RunWandbLogger(
            media_upload=media_upload,
            save_dir=str(run_dir),
            id=_run_id(run_dir),
            mode="online" if online and may_go_online() else "offline",
            config=dict(config) if config is not None else _run_config(run_dir),
            settings=_settings(),
            project=project,
            entity=entity,
            name=name or _run_name(run_dir.absolute()),
            group=group,
            tags=list(tags),
        )
        if _started(logger, run_dir):
            loggers.append(logger)
    run_dir = Path(run_dir)
    if tensorboard:
        loggers.append(_tensorboard(run_dir))
    if mlflow:
        # MLflow 3 wants a database; files need no server and no further package.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        uri = tracking_uri or f"file:{run_dir.absolute().parent.parent / 'mlruns'}"
        loggers.append(_mlflow(project, name or _run_name(run_dir.absolute()), uri))
    return loggers


def _tensorboard(run_dir: Path) -> Logger:
    from pytorch_lightning.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(save_dir=run_dir, name="tensorboard", version="", default_hp_metric=False)
    except ModuleNotFoundError as error:
        raise MissingError(
            "logger=tensorboard needs the package tensorboard.", fix="pip install tensorboard"
        ) from error


def _mlflow(project: str, name: str, uri: str) -> Logger:
    from pytorch_lightning.loggers import MLFlowLogger

    try:
        return MLFlowLogger(experiment_name=project, run_name=name, tracking_uri=uri)
    except ModuleNotFoundError as error:
        raise MissingError(
            "logger=mlflow needs the package mlflow.", fix="pip install mlflow-skinny"
        ) from error


def may_go_online() -> bool:
    """Tell whether wandb may be used online without a prompt; say why not."""
    mode = os.environ.get("WANDB_MODE", "online").lower()
    if mode != "online":
        rank_zero_info(f"logger.online=true is overruled by WANDB_MODE={mode}: wandb stays offline.")
        return False
    if not _logged_in():
        rank_zero_warn("logger.online=true, but nobody is logged in: wandb stays offline (wandb login)")
        return False
    return True


def finish_loggers(loggers: Sequence[Logger]) -> None:
    """Close the wandb run, so that the next run of this process gets its own."""
    for logger in loggers:
        if isinstance(logger, WandbLogger) and logger._experiment is not None and _is_first():
            logger._experiment.finish()
            logger._experiment = None


def is_trial(trainer: pl.Trainer) -> bool:
    """Whether this is a `fast_dev_run`, which leaves no files."""
    return bool(getattr(trainer, "fast_dev_run", False))


def wandb_loggers(trainer: pl.Trainer) -> list[WandbLogger]:
    """The wandb loggers of a trainer, on the first process only; an empty list elsewhere."""
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]


def log_table(trainer: pl.Trainer, key: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Log a table to wandb, if there is one."""
    for logger in wandb_loggers(trainer):
        logger.log_table(key, columns=columns, data=rows, step=trainer.global_step)


def log_histogram(trainer: pl.Trainer, key: str, counts: np.ndarray) -> None:
    """Log counts per bin (the use of a codebook, for example) to wandb, if there is one: at most 512 bins."""
    import wandb

    counts = np.asarray(counts, np.float64).ravel()
    if len(counts) > 512:
        counts = np.add.reduceat(counts, np.linspace(0, len(counts), 512, endpoint=False).astype(int))
    for logger in wandb_loggers(trainer):
        histogram = wandb.Histogram(np_histogram=(counts, np.arange(len(counts) + 1)))
        logger.log_metrics({key: histogram}, step=trainer.global_step)  # type: ignore[dict-item]


def _run_name(run_dir: Path) -> str:
    """`<model>/<time>`, and `<model>/<time>/evaluation/<data>` for an evaluation."""
    depth = 4 if run_dir.parent.name == "evaluation" else 2
    return "/".join(run_dir.parts[-depth:])


def _settings() -> Any:
    """Quiet, and without what states more about the machine than the run needs: no code, packages, host, console."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_code=True,
        disable_job_creation=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        host="unnamed",
    )


def _started(logger: RunWandbLogger, run_dir: Path) -> bool:
    """Start wandb in the first process; False where that fails, which must not keep anybody from training."""
    if not _is_first():
        return True
    if os.environ.get("WANDB_DATA_DIR") in (None, _own_data_dir.get("path")):
        # What wandb stages for upload belongs to the run, not into the home directory.
        _own_data_dir["path"] = os.environ["WANDB_DATA_DIR"] = str(run_dir.absolute() / "wandb" / "data")
    try:
        _ = logger.experiment
    except Exception as error:  # anything that a third party's service may raise
        rank_zero_warn(f"wandb could not start, metrics go to metrics.csv only: {error}")
        return False
    return True


_own_data_dir: dict[str, str] = {}


def _run_config(run_dir: Path) -> dict[str, Any]:
    """The configuration that the run directory holds, as plain values."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    path = run_dir / "config.yaml"
    if not path.is_file():
        return {}
    config = OmegaConf.load(path)
    try:
        values = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:  # a reference that only another machine can resolve
        values = OmegaConf.to_container(config, resolve=False)
    return {str(key): value for key, value in values.items()} if isinstance(values, dict) else {}


def _is_first() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


def _run_id(run_dir: Path) -> str:
    """The wandb id of this run, the same after a resume."""
    path = run_dir / "wandb" / "run-id.txt"
    if _is_first() and not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:  # another process; only the first one talks to wandb
        return "none"


def _logged_in() -> bool:
    """Whether an API key is at hand: in the environment or in the netrc file that `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    urls = [os.environ.get("WANDB_BASE_URL")] if os.environ.get("WANDB_BASE_URL") else _PUBLIC_SERVERS
    hosts = [urlparse(url).netloc for url in urls if url]
    home = Path.home()
    names = [os.environ.get("NETRC"), home / ".netrc", home / "_netrc"]
    for path in [Path(name).expanduser() for name in names if name]:
        try:
            if path.is_file() and any(netrc.netrc(str(path)).authenticators(host) for host in hosts):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
