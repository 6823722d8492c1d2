"""Metrics of any model: torchmetrics objects fed by named outputs, as the configuration states."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torchmetrics import Metric, MetricCollection

from callbacks.clips import ClipTable
from callbacks.hooks import EvaluationCallback
from callbacks.outputs import calls, local_copy, of_clip, output_of, scalars, vectors
from contrapposto.errors import ConfigError
from contrapposto.files import write_json
from loggers.build import is_trial, log_histogram

STAGES = ("train", "val", "test")


@dataclass(frozen=True)
class MetricSpec:
    """One metric and where its inputs come from.

    Args:
        metric: a torchmetrics object; each stage works on a copy.
        inputs: keyword of `metric.update` -> name of an output of the step.
        stages: of `train`, `val`, `test`.
        per_clip: whether a value for a single clip makes sense (not for a Fréchet distance or a perplexity).
    """

    metric: Metric
    inputs: Mapping[str, str]
    stages: Sequence[str] = ("val", "test")
    per_clip: bool = True


@dataclass
class _Stage:
    collection: MetricCollection
    clips: ClipTable = field(default_factory=ClipTable)

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.collection]


class MetricsCallback(EvaluationCallback):
    """Own the metrics of all stages; knows nothing of the model but the names of its outputs.

    `validation_step`, `test_step` (and `training_step`, for metrics with the stage `train`) return a
    dictionary of named outputs for a batch of whole clips:

    * a tensor with the clips first, or a list with one tensor per clip where lengths differ;
    * anything else (numbers, 0-d tensors) goes to the metric as it is;
    * `clips`: names of the clips of the batch, needed for the table of single clips; `num_frames`: their
      lengths.

    At the end of an epoch each metric is computed once over all processes and logged as `<stage>/<name>` (a
    metric that returns a dictionary gives `<stage>/<name>_<key>`), which `ModelCheckpoint` and early stopping
    can monitor. Files: `metrics.json` with the best and the last validation and every evaluation, and
    `media/clips_<stage>.csv`, one row per clip. Values that are not single numbers (histograms) go to wandb
    only.

    Args:
        run_dir: the run directory.
        metrics: name -> `MetricSpec` or a mapping with its fields; None switches a metric off.
        per_clip: whether to make the table of single clips.
    """

    def __init__(
        self, run_dir: str | Path, metrics: Mapping[str, Any] | None = None, *, per_clip: bool = True
    ) -> None:
        self.run_dir = Path(run_dir)
        self.specs = {
            name: _spec(name, value) for name, value in (metrics or {}).items() if value is not None
        }
        self.per_clip = per_clip
        self.best: dict[str, Any] | None = None
        self._stages = {stage: self._stage(stage) for stage in STAGES}

    def state_dict(self) -> dict[str, Any]:
        """The best validation so far."""
        return {"best": self.best} if self.best else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best validation so far."""
        self.best = state_dict["best"]

    # Lightning's hooks: the three stages do the same.

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from zero."""
        self._start("train", pl_module)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from zero (which also forgets the batches of the sanity check)."""
        self._start("val", pl_module)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from zero."""
        self._start("test", pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add a training batch."""
        self._update("train", outputs)

    def take(self, stage: str, outputs: Any, batch: Any) -> None:
        """Add an evaluated batch."""
        self._update(stage, outputs)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute and log."""
        self._log("train", trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute and log."""
        self._log("val", trainer, pl_module)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute and log."""
        self._log("test", trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write `metrics.json` and the clips of validation."""
        if trainer.sanity_checking:
            return
        if trainer.state.fn == "fit":
            entry = _entry(trainer, "val")
            better = self._is_best(trainer, entry)
            self.best = entry if better else self.best
            self._write(trainer, {**_monitored(trainer), "best": self.best, "last": entry})
            self._stages["val"].clips.write(trainer, self.run_dir, "val", table=better)
        else:
            self._finish_evaluation(trainer, "val")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write `metrics.json` and the clips of the test."""
        self._finish_evaluation(trainer, "test")

    # What they share.

    def _stage(self, stage: str) -> _Stage:
        chosen = {name: spec.metric.clone() for name, spec in self.specs.items() if stage in spec.stages}
        return _Stage(MetricCollection(chosen, compute_groups=False))  # type: ignore[arg-type]

    def _start(self, name: str, pl_module: pl.LightningModule) -> None:
        stage = self._stages[name]
        stage.collection.to(pl_module.device)
        stage.collection.reset()
        stage.clips.clear()

    def _update(self, name: str, outputs: Any) -> None:
        stage = self._stages[name]
        if not stage.names:
            return
        values = {metric: self._inputs(metric, outputs) for metric in stage.names}
        for metric, inputs in values.items():
            for arguments in calls(inputs):
                stage.collection[metric].update(**arguments)
        if self.per_clip and name != "train" and "clips" in outputs:
            self._update_clips(stage, outputs, values)

    def _inputs(self, metric: str, outputs: Any) -> dict[str, Any]:
        return {key: output_of(outputs, name, metric) for key, name in self.specs[metric].inputs.items()}

    def _update_clips(
        self, stage: _Stage, outputs: Mapping[str, Any], values: Mapping[str, dict[str, Any]]
    ) -> None:
        names = list(outputs["clips"])
        lengths = outputs.get("num_frames")
        for index, clip in enumerate(names):
            row: dict[str, float] = {}
            for metric, inputs in values.items():
                if self.specs[metric].per_clip:
                    single = local_copy(stage.collection[metric])
                    single.update(**{key: of_clip(value, index, len(names)) for key, value in inputs.items()})
                    row.update(scalars(metric, single.compute()))
            stage.clips.add(str(clip), int(lengths[index]) if lengths is not None else None, row)

    def _log(self, name: str, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        stage = self._stages[name]
        if not stage.names:
            return
        stage.clips.gather(trainer)
        results = {metric: stage.collection[metric].compute() for metric in stage.names}
        if trainer.sanity_checking:
            return
        for metric, result in results.items():
            for key, value in scalars(metric, result).items():
                pl_module.log(
                    f"{name}/{key}", value, on_step=False, on_epoch=True, batch_size=1, sync_dist=False
                )
            for key, values in vectors(metric, result).items():
                log_histogram(trainer, f"{name}/{key}", values.numpy())

    def _is_best(self, trainer: pl.Trainer, entry: dict[str, Any]) -> bool:
        monitored = _monitored(trainer)
        value = entry["metrics"].get(monitored.get("monitor"))
        if value is None:
            return self.best is None
        if self.best is None or self.best["metrics"].get(monitored["monitor"]) is None:
            return True
        best = self.best["metrics"][monitored["monitor"]]
        return value > best if monitored["mode"] == "max" else value < best

    def _finish_evaluation(self, trainer: pl.Trainer, name: str) -> None:
        self._write(trainer, {name: {"checkpoint": _text(trainer.ckpt_path), **_entry(trainer, name)}})
        self._stages[name].clips.write(trainer, self.run_dir, name, table=True)

    def _write(self, trainer: pl.Trainer, content: dict[str, Any]) -> None:
        if trainer.is_global_zero and not is_trial(trainer):
            path = self.run_dir / "metrics.json"
            write_json(path, {**_read_json(path), **content})


def _spec(name: str, value: Any) -> MetricSpec:
    spec = value if isinstance(value, MetricSpec) else MetricSpec(**value)
    unknown = set(spec.stages) - set(STAGES)
    if unknown:
        raise ConfigError(
            f"The metric {name} names a stage that does not exist.",
            found=", ".join(sorted(unknown)),
            expected=", ".join(STAGES),
        )
    return spec


def _monitored(trainer: pl.Trainer) -> dict[str, str]:
    for callback in trainer.checkpoint_callbacks:
        monitor = getattr(callback, "monitor", None)
        if monitor:
            return {"monitor": monitor, "mode": getattr(callback, "mode", "min")}
    return {}


def _entry(trainer: pl.Trainer, stage: str) -> dict[str, Any]:
    values = {
        key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith(f"{stage}/")
    }
    finite = {key: value if math.isfinite(value) else None for key, value in sorted(values.items())}
    return {"epoch": trainer.current_epoch, "step": trainer.global_step, "metrics": finite}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or cut short by something else: it is written anew
        return {}
