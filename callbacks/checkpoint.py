"""Checkpoints that are whole or absent, load without executing anything, and resume in mid-epoch."""

from __future__ import annotations

import io
import os
import pickle
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO
from lightning_fabric.utilities.types import _PATH
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.utilities.exceptions import SIGTERMException
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from contrapposto.checkpoints import damage, load_checkpoint
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from loggers.build import is_trial

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


class AtomicCheckpointIO(CheckpointIO):
    """Checkpoint files written under a temporary name, synced, then renamed; loaded with `weights_only=True`,
    always.

    Before writing, OmegaConf containers, NumPy scalars and paths become plain Python values. The first
    checkpoint of a process is read back from memory by the safe loader: what could not be resumed fails then,
    not weeks later.
    """

    def __init__(self) -> None:
        self._proven = False

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None
    ) -> None:
        """Write `checkpoint` to `path`.

        Raises:
            InputError: the folder cannot be written to, or the disk is full.
            TypeError: the checkpoint holds an object that the safe loader refuses.
        """
        buffer = io.BytesIO()
        torch.save(plain(checkpoint), buffer)
        if not self._proven:
            _prove(buffer, path)
            self._proven = True
        with atomic_path(Path(path)) as temporary, open(temporary, "wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())

    def load_checkpoint(
        self, path: _PATH, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; see `load_checkpoint`. `weights_only` is accepted and always taken as True."""
        return load_checkpoint(path, map_location=map_location or "cpu")

    def remove_checkpoint(self, path: _PATH) -> None:
        """Remove a checkpoint file if it is there."""
        Path(path).unlink(missing_ok=True)


class BestCheckpoint(pl.callbacks.ModelCheckpoint):
    """Keep `best.ckpt`: the checkpoint with the best value of one validation metric.

    Args:
        dirpath: folder of the checkpoints.
        monitor: key of the metric, for example `val/mpjpe_cm`.
        mode: `min` or `max`.
    """

    def __init__(self, dirpath: str | Path, monitor: str = "val/loss", mode: str = "min") -> None:
        super().__init__(
            dirpath=dirpath,
            filename=Path(BEST).stem,
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            auto_insert_metric_name=False,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Resolve the folder, without Lightning's warning that the folder of a resumed run is not empty."""
        keep, self.save_top_k = self.save_top_k, 0
        super().setup(trainer, pl_module, stage)
        self.save_top_k = keep

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best score, also where the run directory has been moved (Lightning forgets it)."""
        path = str(Path(str(self.dirpath)) / BEST)
        moved = dict(state_dict, dirpath=self.dirpath, best_model_path="", kth_best_model_path="")
        scores = list(state_dict["best_k_models"].values())
        moved["best_k_models"] = {path: scores[0]} if scores else {}
        if scores:
            moved["best_model_path"] = moved["kth_best_model_path"] = path
        super().load_state_dict(moved)


class ResumeCheckpoint(Checkpoint):
    """Keep `last.ckpt` to resume from, and `previous.ckpt`, the one before, in case that one is damaged.

    Saved every `every_n_steps` steps and every `every_minutes`, at the end of training, and when the process
    is asked to end (SIGTERM, as SLURM sends before it takes a node away, or Ctrl-C). Where a validation is due right
    after a batch, the save waits for the next batch or the epoch's end: a resume in between would lose the validation.

    Args:
        dirpath: folder of the checkpoints.
        every_n_steps: optimiser steps between two saves, at most.
        every_minutes: minutes between two saves, at most.
    """

    def __init__(self, dirpath: str | Path, every_n_steps: int = 500, every_minutes: float = 2.0) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be positive, got {every_n_steps}")
        self.dirpath = Path(dirpath)
        self.every_n_steps = every_n_steps
        self.every_minutes = every_minutes
        self._saved_step = 0
        self._saved_time = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After a resume, drop the log rows of steps that will be run again."""
        self._saved_step, self._saved_time = trainer.global_step, time.monotonic()
        if trainer.global_step > 0:
            for logger in trainer.loggers:
                if hasattr(logger, "drop_rows_from"):
                    logger.drop_rows_from(trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when enough steps have passed."""
        if self._due(trainer) and not trainer.is_last_batch and _between_steps(trainer):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save what was due in the epoch's last batch, or the last state of all."""
        if self._due(trainer):
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the final state."""
        if trainer.global_step > self._saved_step:
            self._save(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Save on SIGTERM, which Lightning raises between two steps; other exceptions come in the middle."""
        if isinstance(exception, SIGTERMException) and trainer.global_step > self._saved_step:
            self._save(trainer)

    def _due(self, trainer: pl.Trainer) -> bool:
        steps = trainer.global_step - self._saved_step
        if steps >= self.every_n_steps:
            return True
        late = steps > 0 and time.monotonic() - self._saved_time >= 60 * self.every_minutes
        if trainer.world_size > 1:  # clocks differ, and all processes save together
            return steps % 20 == 0 and bool(trainer.strategy.broadcast(late))
        return late

    def _save(self, trainer: pl.Trainer) -> None:
        if is_trial(trainer) or trainer.sanity_checking:
            return
        last = self.dirpath / LAST
        if trainer.is_global_zero and last.exists():
            # A second name, not a rename: a kill before the save must not leave a folder without last.ckpt.
            _link(last, self.dirpath / PREVIOUS)
        trainer.save_checkpoint(last)
        self._saved_step, self._saved_time = trainer.global_step, time.monotonic()


def find_resume_checkpoint(run_directory: str | Path) -> Path | None:
    """Return the newest undamaged checkpoint of a run to resume from, or None where none was written yet.

    A damaged `last.ckpt` is ignored in favour of `previous.ckpt`, with a warning that states so.

    Raises:
        InputError: there are checkpoints and all of them are damaged.
    """
    folder = Path(run_directory) / "checkpoints"
    problems: list[str] = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.exists():
            continue
        problem = damage(path)
        if problem is None:
            for line in problems:
                rank_zero_warn(f"{line}; going on from {path.name}, the one before.")
            return path
        problems.append(f"{path} is damaged ({problem})")
    if problems:
        raise InputError(
            f"No checkpoint of {run_directory} can be resumed from.",
            found="; ".join(problems),
            fix=f"start anew, or fine-tune: init_from={folder / BEST}",
        )
    return None


def plain(value: Any) -> Any:
    """Turn configuration containers, mappings, NumPy scalars and paths into plain Python values, recursively.

    Tensors stay as they are (the same objects, so that shared storage stays shared); so does what is unknown.
    """
    from omegaconf import DictConfig, ListConfig, OmegaConf

    if isinstance(value, DictConfig | ListConfig):
        return OmegaConf.to_container(value, resolve=True)
    if isinstance(value, Counter):  # schedulers use it, and the safe loader knows it
        return value
    if isinstance(value, Mapping):
        # The class of OrderedDict is kept: torch hangs the versions of a state dict on it.
        items = {plain(key): plain(item) for key, item in value.items()}
        return _same_kind(value, items)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if type(value) in (list, tuple, set):
        return type(value)(plain(item) for item in value)
    if isinstance(value, tuple):  # a named tuple
        return tuple(plain(item) for item in value)
    return value


def _same_kind(original: Mapping[Any, Any], items: dict[Any, Any]) -> Mapping[Any, Any]:
    if not isinstance(original, OrderedDict):
        return items
    ordered = OrderedDict(items)
    if hasattr(original, "_metadata"):
        ordered._metadata = original._metadata  # type: ignore[attr-defined]
    return ordered


def _prove(buffer: io.BytesIO, path: _PATH) -> None:
    buffer.seek(0)
    try:
        torch.load(buffer, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = [line for line in str(error).split("\n") if "GLOBAL" in line or "Unsupported" in line]
        raise TypeError(
            f"The checkpoint {path} could not be loaded again safely: save tensors and plain values only"
            f" ({' '.join(reason) or error})"
        ) from error


def _between_steps(trainer: pl.Trainer) -> bool:
    """Tell whether a resume from here goes on as if nothing had happened."""
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    # Within an accumulation of gradients it would not: gradients are not saved.
    return not loop._should_accumulate() and fetcher is not None and not loop._should_check_val_fx(fetcher)


def _link(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        return  # killed between this and the save; renaming a file onto itself would leave both names
    with atomic_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # file systems without hard links
            temporary.write_bytes(source.read_bytes())
