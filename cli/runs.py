"""Run directories: where a run's artefacts lie, and how later stages find earlier ones.

`runs/<model>/<time>/` holds config.yaml, checkpoints/, metrics.csv, metrics.json, media/, provenance.json, and, once the
run has ended well, result.json: the best checkpoint with its score, its hash, and the data it was trained on.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from contrapposto.errors import ConfigError, ContrappostoError, MissingError
from contrapposto.files import atomic_path, sha256, write_json
from contrapposto.runs import Result, best_run, load_config, read_result

RUN_VARIABLE = "CONTRAPPOSTO_RUN"  # the run directory, handed to the other processes of the same run


def new_run_directory(runs: str | Path, model: str) -> Path:
    """Make an empty `runs/<model>/<time>`; two runs in the same second get different ones.

    Jobs of several nodes share a directory named after the job instead.
    """
    job = os.environ.get("SLURM_JOB_ID") or os.environ.get("TORCHELASTIC_RUN_ID")
    base = Path(runs) / model
    if job and job != "none":
        path = base / f"job-{job}"
        path.mkdir(parents=True, exist_ok=True)
        return path.absolute()
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
        path = base / f"{stamp}{suffix}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path.absolute()
    raise ConfigError(f"No free name for a run directory in {base}.")


def save_config(config: DictConfig, run: Path) -> None:
    """Write the configuration into the run directory, atomically.

    References between options stay references, so that an evaluation can put its own paths in; the checkpoints of
    earlier stages (`${best:...}`) are fixed now.
    """
    fixed = config.copy()
    _fix_checkpoints(fixed)
    with atomic_path(run / "config.yaml") as temporary:
        temporary.write_text(OmegaConf.to_yaml(fixed), encoding="utf-8")


def _fix_checkpoints(node: Any) -> None:
    """Replace references to checkpoints of earlier stages by the paths they have now."""
    items: list[Any] = list(node.keys()) if isinstance(node, DictConfig) else list(range(len(node)))
    raw: Any = OmegaConf.to_container(node, resolve=False)
    for key in items:
        if isinstance(raw[key], str) and "${best:" in raw[key]:
            node[key] = node[key]
        elif isinstance(raw[key], dict | list):
            _fix_checkpoints(node[key])


def forget_earlier_stages(config: DictConfig) -> None:
    """Set references to checkpoints of earlier stages to null, where the weights come from elsewhere."""
    raw: Any = OmegaConf.to_container(config.module, resolve=False)
    for key, value in raw.items():
        if isinstance(value, str) and "${best:" in value:
            config.module[key] = None


def wait_for_config(run: Path, seconds: float = 120.0) -> DictConfig:
    """For the processes that do not write it: wait until the first one has."""
    deadline = time.monotonic() + seconds
    while not (run / "config.yaml").is_file():
        if time.monotonic() > deadline:
            raise MissingError(
                f"{run / 'config.yaml'} did not appear within {seconds:.0f} s.",
                fix="all processes of a run must see the same paths.runs (a shared file system)",
            )
        time.sleep(0.2)
    return load_config(run)


def write_result(
    run: Path,
    config: DictConfig,
    data: dict[str, Any],
    checkpoint: Path,
    monitor: str | None,
    mode: str,
    score: float | None,
) -> Result:
    """Record that the run ended well."""
    value = {
        "model": config.name,
        "experiment": config.get("experiment_name"),
        "data": data,
        "checkpoint": str(checkpoint.relative_to(run)),
        "checkpoint_sha256": sha256(checkpoint),
        "monitor": monitor,
        "mode": mode,
        "score": score,
    }
    write_json(run / "result.json", value)
    return read_result(run)


def unfinished_run(runs: str | Path, model: str, data: str | None, experiment: str | None) -> Path | None:
    """The newest run of a model on the same data and experiment that has a checkpoint but no result.

    One that another process is still training is passed over.
    """
    for folder in sorted((Path(runs) / model).glob("*/"), reverse=True):
        if (folder / "result.json").exists() or not any((folder / "checkpoints").glob("*.ckpt")):
            continue
        try:
            config = load_config(folder)
        except ContrappostoError:  # another one may be whole
            continue
        same = (OmegaConf.select(config, "data.name"), config.get("experiment_name")) == (data, experiment)
        if same and not _in_use(folder):
            return folder.absolute()
    return None


def hold(run: Path) -> None:
    """Keep other processes from training into the same run directory for as long as this one lives.

    Raises:
        ConfigError: another process does already.
    """
    lock = FileLock(run / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(
            f"{run} is being trained by another process.", fix="wait for it, or start a run of its own"
        ) from None
    _HELD.append(lock)


_HELD: list[FileLock] = []


def _in_use(run: Path) -> bool:
    try:
        with FileLock(run / ".lock", timeout=0):
            return False
    except Timeout:
        return True


def register_best_resolver() -> None:
    """`${best:sage_upper_vqvae}`: the path of that model's best checkpoint, by the rule of `best_run`.

    `${best_or_null:...}` is null where there is none, and stays a reference in a run's config.yaml: an evaluation then
    finds what has been trained since.
    """

    def resolve(model: str, *, _root_: DictConfig) -> str:
        name = _root_.get("experiment_name")
        result = best_run(_root_.paths.runs, model, _root_.data.name, name, shipped=False)
        return str(result.checkpoint)

    def resolve_or_null(model: str, *, _root_: DictConfig) -> str | None:
        try:
            return resolve(model, _root_=_root_)
        except MissingError:
            return None

    OmegaConf.register_new_resolver("best", resolve, replace=True)
    OmegaConf.register_new_resolver("best_or_null", resolve_or_null, replace=True)
