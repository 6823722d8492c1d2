"""Run directories: where a run's artefacts lie, and how later stages find earlier ones.

`runs/<model>/<time>/` holds config.yaml, checkpoints/, metrics.csv, metrics.json, media/, provenance.json, and, once the
run has ended well, result.json: the best checkpoint with its score, its hash, and the data it was trained on.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from contrapposto.errors import ConfigError, ContrappostoError, MissingError
from contrapposto.files import atomic_path, sha256, write_json
from contrapposto.runs import Result, best_run, load_config, read_result

RUN_VARIABLE = "CONTRAPPOSTO_RUN"  # the run directory, handed to the other processes of the same run


def new_run_directory(runs: str | Path, model: str) -> Path:
    """Make an empty `runs/<model>/<time>`; two runs in the same second get different ones."""
    base = Path(runs) / model
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
        path = base / f"{stamp}{suffix}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path.absolute()
    raise ConfigError(f"No free name for a run directory in {base}.")


def rank() -> int:
    """Number of this process among those of the run, as SLURM, torchrun or Lightning say it."""
    return int(next((os.environ[n] for n in ("SLURM_PROCID", "RANK", "LOCAL_RANK") if n in os.environ), 0))


@contextmanager
def announce(runs: str | Path, run: Path) -> Iterator[None]:
    """Tell the other processes of this run, for as long as it lasts, which directory is theirs.

    Those that Lightning starts read an environment variable. Those that SLURM or torchrun has started with this one
    read a file in `runs`, named after the launch.
    """
    before, pointer = os.environ.get(RUN_VARIABLE), _pointer(runs)
    os.environ[RUN_VARIABLE] = str(run)
    if pointer is not None:
        write_json(pointer, {"run": str(run)})
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(RUN_VARIABLE, None)
        else:
            os.environ[RUN_VARIABLE] = before
        if pointer is not None:
            pointer.unlink(missing_ok=True)


def announced_run(runs: str | Path, seconds: float = 120.0) -> Path:
    """For a process of a rank above 0: the directory that `announce` names.

    Raises:
        MissingError: none was announced in time.
    """
    announced, pointer = os.environ.get(RUN_VARIABLE), _pointer(runs)
    if announced:
        return Path(announced)
    deadline = time.monotonic() + seconds
    while pointer is None or not pointer.is_file():
        if pointer is None or time.monotonic() > deadline:
            raise MissingError(
                f"The run directory was not announced within {seconds:.0f} s in {runs}.",
                fix="all processes of a run must see the same paths.runs (a shared file system)",
            )
        time.sleep(0.2)
    return Path(json.loads(pointer.read_text(encoding="utf-8"))["run"])


def _pointer(runs: str | Path) -> Path | None:
    """The file of this launch: srun and torchrun give every launch another step, or another port."""
    names = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT", "TORCHELASTIC_RUN_ID", "MASTER_PORT")
    world = int(os.environ.get("SLURM_NTASKS", os.environ.get("WORLD_SIZE", 1)))
    if world < 2 or not ("SLURM_JOB_ID" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ):
        return None
    key = hashlib.sha256("|".join(os.environ.get(n, "") for n in names).encode()).hexdigest()[:12]
    return Path(runs).absolute() / f".launch-{key}.json"


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


def unfinished_runs(runs: str | Path, model: str, data: str | None, experiment: str | None) -> list[Path]:
    """Runs of a model on the same data and experiment that have a checkpoint but no result, the newest first.

    Those that another process is training are left out.
    """
    folders = []
    for folder in sorted((Path(runs) / model).glob("*/"), reverse=True):
        if (folder / "result.json").exists() or not any((folder / "checkpoints").glob("*.ckpt")):
            continue
        try:
            config = load_config(folder)
        except ContrappostoError:  # another one may be whole
            continue
        same = (OmegaConf.select(config, "data.name"), config.get("experiment_name")) == (data, experiment)
        if same and not _in_use(folder):
            folders.append(folder.absolute())
    return folders


@contextmanager
def hold(run: Path) -> Iterator[None]:
    """Keep other processes from training into the same run directory.

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
    try:
        yield
    finally:
        lock.release()


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
