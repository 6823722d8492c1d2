"""One quiet line of progress: throughput, time left, loss, best metric."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, TextIO

import pytorch_lightning as pl
from torch import Tensor

from contrapposto.progress import duration


class ProgressLine(pl.Callback):
    """Report training on the first process, and log the throughput as `time/*`.

    On a terminal the line is rewritten in place; elsewhere (files, batch systems) a new line is printed every
    `seconds`, so that a log stays readable. Each validation prints the monitored metric on a line of its own.
    `time/outside_step_share` is the share of time between the steps: waiting for data, logging, checkpoints.

    Args:
        seconds: time between two lines where the output is not a terminal.
        stream: where to write; None takes the standard error at the time of writing.
    """

    def __init__(self, seconds: float = 15.0, stream: TextIO | None = None) -> None:
        self.seconds = seconds
        self._stream = stream
        # Per batch: when it ended, its samples, seconds waited for it.
        self._marks: deque[tuple[float, int, float]] = deque(maxlen=50)
        self._start = self._printed = self._batch_end = self._waited = self._paused = 0.0
        self._first_step, self._total = 0, math.inf
        self._open_line = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clocks."""
        now = time.monotonic()
        self._start = self._batch_end = now
        self._printed = now - self.seconds + min(self.seconds, 2.0)  # the first line comes soon
        self._first_step, self._total = trainer.global_step, trainer.estimated_stepping_batches
        self._marks.clear()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note how long the batch has been waited for."""
        self._waited = time.monotonic() - self._batch_end

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the throughput and, when it is time, print the line."""
        now = time.monotonic()
        self._batch_end = now
        self._marks.append((now, batch_size(batch) * trainer.world_size, self._waited))
        rates = self._rates()
        if rates:
            pl_module.log_dict({f"time/{key}": value for key, value in rates.items()}, batch_size=1)
        if trainer.is_global_zero and now - self._printed >= (0.5 if self._on_terminal() else self.seconds):
            self._printed = now
            self._show(self._line(trainer, outputs, rates))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The clock of the throughput stops."""
        self._paused = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The clock goes on; print the monitored metric."""
        self._batch_end = time.monotonic()
        pause = self._batch_end - self._paused
        self._marks = deque(
            ((t + pause, samples, waited) for t, samples, waited in self._marks), self._marks.maxlen
        )
        name = _monitor(trainer)
        if trainer.sanity_checking or not trainer.is_global_zero or trainer.state.fn != "fit" or not name:
            return
        if name in trainer.callback_metrics:
            value = float(trainer.callback_metrics[name])
            self._show(f"step {trainer.global_step}  {name} {value:.4g}{_best(trainer, value)}", keep=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the last line."""
        if trainer.is_global_zero:
            steps = trainer.global_step - self._first_step
            self._show(f"trained {steps} steps in {duration(time.monotonic() - self._start)}", keep=True)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the line, so that the message does not run into it."""
        if self._open_line:
            self._show("", keep=True)

    def _rates(self) -> dict[str, float]:
        if len(self._marks) < 2:
            return {}
        elapsed = max(self._marks[-1][0] - self._marks[0][0], 1e-9)
        later = list(self._marks)[1:]
        return {
            "steps_per_s": len(later) / elapsed,
            "samples_per_s": sum(samples for _, samples, _ in later) / elapsed,
            "outside_step_share": sum(waited for _, _, waited in later) / elapsed,
        }

    def _line(self, trainer: pl.Trainer, outputs: Any, rates: dict[str, float]) -> str:
        step, parts = trainer.global_step, []
        if math.isfinite(self._total):
            share = step / max(self._total, 1)
            parts.append(f"step {step}/{int(self._total)} ({share:.0%})")
        else:
            parts.append(f"step {step}")
        parts.append(f"epoch {trainer.current_epoch + 1}")
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor):
            parts.append(f"loss {float(loss):.4g}")
        score = getattr(trainer.checkpoint_callback, "best_model_score", None)
        if score is not None:
            parts.append(f"best {_monitor(trainer)} {float(score):.4g}")
        if rates:
            parts.append(f"{rates['steps_per_s']:.3g} steps/s")
            parts.append(f"{rates['samples_per_s']:.4g} samples/s")
        left = self._time_left(trainer)
        if left is not None:
            parts.append(f"{duration(left)} left")
        return "  ".join(parts)

    def _time_left(self, trainer: pl.Trainer) -> float | None:
        """Seconds, from the average speed of this session with its validations, or from the time limit."""
        done = trainer.global_step - self._first_step
        limits = []
        if math.isfinite(self._total) and done > 0:
            limits.append((self._total - trainer.global_step) * (time.monotonic() - self._start) / done)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, pl.callbacks.Timer) and callback.time_remaining() is not None:
                limits.append(float(callback.time_remaining() or 0.0))
        return max(min(limits), 0.0) if limits else None

    def _on_terminal(self) -> bool:
        return (self._stream or sys.stderr).isatty()

    def _show(self, line: str, *, keep: bool = False) -> None:
        stream = self._stream or sys.stderr
        if not self._on_terminal():
            text = f"{line}\n" if line else ""
        else:
            width = shutil.get_terminal_size().columns - 1
            text = f"\r{line[:width]}\x1b[K" + ("\n" if keep else "")
        stream.write(text)
        stream.flush()
        self._open_line = self._on_terminal() and not keep


def batch_size(batch: Any) -> int:
    """Number of samples: the length of the first tensor that has one."""
    if isinstance(batch, Tensor):
        return len(batch) if batch.ndim else 0
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, list | tuple) else ()
    return next((size for size in map(batch_size, parts) if size), 0)


def _monitor(trainer: pl.Trainer) -> str | None:
    return getattr(trainer.checkpoint_callback, "monitor", None)


def _best(trainer: pl.Trainer, value: float) -> str:
    """The best score so far; the checkpoint callback runs after this one, so this value may beat it."""
    callback = trainer.checkpoint_callback
    score = getattr(callback, "best_model_score", None)
    if score is None:
        return "  (best so far)"
    better = value < float(score) if getattr(callback, "mode", "min") == "min" else value > float(score)
    return "  (best so far)" if better else f"  (best {float(score):.4g})"
