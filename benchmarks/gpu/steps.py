"""Phase 3: three training steps of every model: loss against the CPU, peak memory, host waits."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from benchmarks.gpu.plan import Plan, described
from contrapposto.errors import ConfigError

COUNT = 3
LEFT = 5.0
"""Seconds before the end of the phase after which no further model begins."""


@dataclass
class Steps:
    """What some training steps did.

    Args:
        losses: of every step.
        seconds: of every step, the device waited for at its end.
        waits: of the host in the last step, by their message; unknown on the simulated device.
        peak_bytes: most memory of the device.
    """

    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    waits: dict[str, int] = field(default_factory=dict)
    peak_bytes: int = 0


class Meter(pl.Callback):
    """Fills `Steps`.

    Args:
        count: steps in all; in the last one the waits are counted, so it is not timed.
    """

    def __init__(self, count: int) -> None:
        self.result, self.count = Steps(), count
        self._caught: Any = None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock."""
        self._cuda = pl_module.device.type == "cuda"
        if trainer.global_step == self.count - 1 and self._cuda and hasattr(torch._C, "_cuda_setDevice"):
            self._caught = warnings.catch_warnings(record=True)
            self._messages = self._caught.__enter__()
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
        self._start = time.monotonic()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop it."""
        if self._caught is not None:
            torch.cuda.set_sync_debug_mode("default")
            self._caught.__exit__(None, None, None)
            waits = Counter(
                f"{Path(one.filename).name}:{one.lineno}"
                for one in self._messages
                if "synchronizing" in str(one.message)
            )
            self.result.waits, self._caught = dict(waits), None
        elif self._cuda:
            torch.cuda.synchronize()
        self.result.seconds.append(time.monotonic() - self._start)
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self.result.losses.append(float(loss.detach()) if isinstance(loss, Tensor) else float("nan"))


def train_steps(
    overrides: Sequence[str],
    device: str,
    *,
    count: int = COUNT,
    precision: str = "32-true",
    checkpoint: Path | None = None,
    compiled: bool = False,
) -> Steps:
    """Train some steps of a model by its own configuration.

    Args:
        overrides: of train.py.
        device: `cpu` or a CUDA device.
        count: of steps.
        precision: of the Trainer.
        checkpoint: written at the end, for later stages.
        compiled: `torch.compile` the module's networks.
    """
    from callbacks import AtomicCheckpointIO, CompileNetworks
    from cli.build import build_datamodule, build_module, quiet_lightning
    from cli.compose import compose_config

    quiet_lightning()
    config = compose_config("train", list(overrides))
    pl.seed_everything(config.seed, workers=True, verbose=False)
    meter, where = Meter(count), torch.device(device)
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trainer = pl.Trainer(
        accelerator="gpu" if where.type == "cuda" else "cpu",
        devices=[where.index or 0] if where.type == "cuda" else 1,
        precision=precision,  # type: ignore[arg-type]
        max_steps=count,
        max_epochs=config.trainer.max_epochs,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        gradient_clip_val=config.trainer.gradient_clip_val,
        callbacks=[meter, CompileNetworks()] if compiled else [meter],
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    module = build_module(config)
    if compiled and not module.compiled:  # else the figure would be that of the plain networks
        raise ConfigError(f"{type(module).__name__} has no network to compile.")
    trainer.fit(module, datamodule=build_datamodule(config))
    if where.type == "cuda":
        meter.result.peak_bytes = torch.cuda.max_memory_allocated()
    if checkpoint is not None:
        trainer.save_checkpoint(checkpoint)
    return meter.result


def steps(plan: Plan, results: dict[str, Any]) -> dict[str, Any]:
    """Three steps of every model on the device, and the first of them on the CPU, as far as time allows."""
    entry: dict[str, Any] = {"models": {}}
    commands = plan.commands()
    stores = plan.store_folder()
    for model, overrides in commands.items():
        if plan.left() < LEFT:
            entry["left out"] = [name for name in commands if name not in entry["models"]]
            break
        row: dict[str, Any] = {}
        entry["models"][model] = row
        try:  # later stages of a published size look for this checkpoint beside the stores
            checkpoint = None if plan.rehearse else stores / f"{model.split(',')[0]}.ckpt"
            there = train_steps(overrides, plan.device, checkpoint=checkpoint)
            row |= {
                "losses": there.losses,
                "seconds": [round(value, 4) for value in there.seconds],
                "peak_mib": round(there.peak_bytes / 2**20),
                "waits": there.waits,
            }
            if plan.left() > LEFT:
                here = train_steps(overrides, "cpu", count=1)
                row["cpu_loss"] = here.losses[0]
                row["difference"] = abs(there.losses[0] - here.losses[0]) / max(abs(here.losses[0]), 1e-12)
        except Exception as error:  # the next model is worth having
            row["error"] = described(error)
    return entry
