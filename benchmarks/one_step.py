"""Some real training steps of a model at its full size, with a small batch: counted operations, time, kept memory.

The suite's own configuration, data module and Lightning module are used, under a Trainer of no callback but the meter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

TIMED, COUNTED = (1, 2), (3, 4)  # steps; two of each, because some losses are taken in every second step


@dataclass(frozen=True)
class Step:
    """What a training step costs, the mean of two.

    Args:
        weights: parameters and buffers, in numbers.
        trained: parameters that have a gradient.
        reduced: those whose gradients processes would add up.
        units: of the batch: windows, poses, rays, frames.
        flops: matrix products, convolutions and attention, forward and backward.
        frozen_flops: those of frozen networks among them, which a cache of their outputs saves.
        frozen_bytes: per unit, what a cache of the frozen networks' outputs takes; 0 without one.
        kept_bytes: tensors kept for the backward pass.
        operations: kernels that a GPU would start one by one, without those of frozen networks; views not counted.
        seconds: of this process's CPU.
        optimizer_bytes: its state.
        checkpoint_bytes: of a file with weights and optimiser.
    """

    weights: int
    trained: int
    reduced: int
    units: int
    flops: float
    frozen_flops: float
    frozen_bytes: float
    kept_bytes: float
    operations: float
    seconds: float
    optimizer_bytes: int
    checkpoint_bytes: int


def train_steps(
    overrides: Sequence[str],
    checkpoint: Path,
    units: Callable[[dict[str, Any]], int],
    frozen: str | None = None,
    cached: str | None = None,
) -> Step:
    """Train five steps, write a checkpoint, and tell what a step costs.

    Args:
        overrides: of train.py; the batch as small as one likes.
        checkpoint: where to write it: later stages start from it.
        units: of a batch.
        frozen: name of the module's method that runs frozen networks.
        cached: name of the one that gives what is cached of them.
    """

    from callbacks import AtomicCheckpointIO
    from cli.build import build_datamodule, build_module
    from cli.compose import compose_config

    config = compose_config("train", overrides)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    meter = Meter(units, frozen, cached)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=COUNTED[-1] + 1,
        max_epochs=config.trainer.max_epochs,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        gradient_clip_val=config.trainer.gradient_clip_val,
        callbacks=[meter],
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    module = build_module(config)
    trainer.fit(module, datamodule=build_datamodule(config))
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    trainer.save_checkpoint(checkpoint)
    return meter.result(module, trainer.optimizers, checkpoint)


class Meter(pl.Callback):
    """Times some steps and counts others.

    Args:
        units, frozen, cached: see `train_steps`.
    """

    def __init__(
        self,
        units: Callable[[dict[str, Any]], int],
        frozen: str | None = None,
        cached: str | None = None,
    ) -> None:
        self.units, self.frozen, self.cached = units, frozen, cached
        self.seconds: list[float] = []
        self.counts: list[Counts] = []
        self.frozen_flops, self.frozen_operations, self.counting = 0, 0, False
        self.num_units, self.frozen_bytes = 1, 0.0
        self._stack, self._start = ExitStack(), 0.0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Have the frozen networks counted by themselves, on their plain path: packed products escape the counter."""
        _use_plain_path(module)
        if self.frozen is None:
            return
        inner: Any = getattr(module, self.frozen)

        def counted(*args: Any) -> Any:
            counts = Counts()
            with _Operations(counts), FlopCounterMode(display=False) as counter:
                result = inner(*args)
            if self.counting:
                self.frozen_flops += counter.get_total_flops()
                self.frozen_operations += counts.operations
                self._last = args
            return result

        setattr(module, self.frozen, counted)

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin to time or to count."""
        self.num_units = self.units(batch)
        self.counting = trainer.global_step in COUNTED
        if self.counting:
            self.counts.append(self._stack.enter_context(counting(module)))
        self._start = time.process_time()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End it. The trainer has counted the step by now."""
        if trainer.global_step - 1 in TIMED:
            self.seconds.append(time.process_time() - self._start)
        self._stack.close()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Ask once what a cache would keep."""
        self.counting = False
        if self.cached is not None:
            (batch,) = self._last
            kept = getattr(module, self.cached)(batch)
            rows = len(next(iter(kept.values())))
            self.frozen_bytes = sum(value.nbytes for value in kept.values()) / rows

    def result(self, module: pl.LightningModule, optimizers: list[Any], checkpoint: Path) -> Step:
        """Means over the steps."""
        count = len(self.counts)
        tensors = [*module.parameters(), *module.buffers()]
        state = [
            v for o in optimizers for row in o.state.values() for v in row.values() if isinstance(v, Tensor)
        ]
        return Step(
            weights=sum(t.numel() for t in tensors),
            trained=sum(p.numel() for p in module.parameters() if p.grad is not None),
            reduced=sum(p.numel() for p in module.parameters() if p.requires_grad),
            units=self.num_units,
            flops=sum(c.flops for c in self.counts) / count,
            frozen_flops=self.frozen_flops / count,
            frozen_bytes=self.frozen_bytes,
            kept_bytes=sum(c.kept_bytes for c in self.counts) / count,
            operations=(sum(c.operations for c in self.counts) - self.frozen_operations) / count,
            seconds=sum(self.seconds) / len(self.seconds),
            optimizer_bytes=sum(value.nbytes for value in state),
            checkpoint_bytes=checkpoint.stat().st_size,
        )


@dataclass
class Counts:
    """What `counting` has counted."""

    flops: int = 0
    operations: int = 0
    kept_bytes: int = 0


@contextmanager
def counting(module: torch.nn.Module) -> Iterator[Counts]:
    """Count operations and what is kept for the backward pass; attention in its plain form, which the counter knows."""
    counts, kept = Counts(), _Kept(module)
    with (
        sdpa_kernel(SDPBackend.MATH),
        _Operations(counts),
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(kept.pack, kept.unpack),
    ):
        yield counts
    counts.flops, counts.kept_bytes = int(counter.get_total_flops()), kept.bytes


class _Kept:
    """Bytes of the tensors that autograd keeps, each memory once, weights left out."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.seen = {p.untyped_storage().data_ptr() for p in (*module.parameters(), *module.buffers())}
        self.bytes = 0

    def pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.seen:
            self.seen.add(storage.data_ptr())
            self.bytes += storage.nbytes()
        return tensor

    @staticmethod
    def unpack(tensor: Tensor) -> Tensor:
        return tensor


class _Operations(TorchDispatchMode):
    """Counts every call of the dispatcher that computes something."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts.operations += not func.is_view
        return func(*args, **(kwargs or {}))


def _use_plain_path(module: pl.LightningModule) -> None:
    """SAGE's refiner and student run frozen networks with packed weights: prepare those that can be counted."""
    from contrapposto.systems.sage.fast import prepare_tracker
    from contrapposto.systems.sage.tracker import SageTracker

    one: Any
    frozen = getattr(module, "frozen", None)
    teacher = frozen.get("teacher") if isinstance(frozen, dict) else None
    for one in (module, teacher):
        if isinstance(getattr(one, "tracker", None), SageTracker):
            one.frozen["fast"] = prepare_tracker(one.tracker, linears="plain")
