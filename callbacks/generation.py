"""Evaluation of any generator: its samples beside real ones, bounds and baselines, by a trained network's features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from torchmetrics import MeanMetric, Metric

from callbacks.hooks import EvaluationCallback
from callbacks.processes import on_all_processes
from contrapposto.files import write_json
from contrapposto.metrics import (
    ADE,
    APD,
    FDE,
    ActionAccuracy,
    ActionMovementKept,
    Diversity,
    FrechetDistance,
    MeanAveragePrecision,
    Multimodality,
)
from contrapposto.metrics.movement import LARGE
from contrapposto.nn.distributed import all_sum, gather_objects
from loggers.build import is_trial, log_table


class Sources(Protocol):
    """What a system offers to be judged; `Sample` is whatever its `judge` takes.

    Attributes:
        generator: name of the source that is the model.
        classes: names of the A classes.
        num_features: of the judge; None where there is no judge.
        settings: how samples are drawn and treated, for reports.
    """

    generator: str
    classes: Sequence[str]
    settings: Mapping[str, Any]

    @property
    def num_features(self) -> int | None:
        """See the class."""

    def judge(self, sample: Any) -> tuple[Tensor, Tensor]:
        """Logits (B, A) and features (B, C) of a sample."""

    def labels(self, batch: Any) -> Tensor:
        """(B, A) of 0 and 1: the classes that were asked for."""

    def fixed(self, batch: Any) -> Mapping[str, Any]:
        """Samples by source, of those without chance; `real` is one of them."""

    def samples(self, batch: Any, repeat: int) -> Mapping[str, Any]:
        """Samples by source, of those that differ from repeat to repeat."""

    def figures(self, sample: Any) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Figures (B,) of a sample by name, NaN where there is none, and its movements, see `metrics.movement`."""

    @property
    def unsigned(self) -> Tensor:
        """(A,) bool: classes whose turns and side steps may go either way."""

    def forecasts(self, batch: Any, repeat: int) -> tuple[Mapping[str, Tensor], Tensor] | None:
        """Forecasts (B, S, T, J, 3) by source and the truth (B, T, J, 3); None where there are none."""


class GenerationCallback(EvaluationCallback):
    """Judge a generator in evaluations; trainings and trial runs are left alone.

    For every batch of real samples each source gives as many, with the same classes. Over the whole set: Fréchet
    distance of the judge's features to those of the real samples (`fid`); share of samples in which the judge
    recognises a class that was asked for (`accuracy`; `class_accuracy`: mean over classes); mean average precision;
    diversity; multimodality; means of the sources' own figures (slide, floating, ...), and how much of the movement of
    each class is kept (`turn_kept`, ..., see `ActionMovementKept`); of forecasts ADE, FDE (the best of them) and APD. All
    of it is repeated, with the mean's 95 % confidence interval (Student).

    `generation.json` holds every value; those of the model are also logged as `<stage>/fid` and so on.

    Args:
        run_dir: the run directory.
        sources: called with the module and the data module.
        repeats: how often.
    """

    def __init__(
        self, run_dir: str | Path, sources: Callable[[pl.LightningModule, Any], Sources], *, repeats: int = 5
    ) -> None:
        if repeats < 1:
            raise ValueError(f"repeats: expected 1 or more, got {repeats}")
        self.run_dir, self.make_sources, self.repeats = Path(run_dir), sources, repeats
        self._sources: Sources | None = None
        self._metrics: dict[tuple[str, int], dict[str, Metric]] = {}
        self._count = 0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin, unless this is a validation during training."""
        self._begin(trainer, pl_module)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin."""
        self._begin(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute and log."""
        self._finish("val", trainer, pl_module)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute and log."""
        self._finish("test", trainer, pl_module)

    def _begin(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._sources, self._metrics, self._count = None, {}, 0
        if trainer.state.fn == "fit" or is_trial(trainer):
            return
        self._sources = self.make_sources(pl_module, trainer.datamodule)  # type: ignore[attr-defined]
        if self._sources.num_features is None:
            rank_zero_warn("There is no trained classifier: generated motion is not judged by one.")

    def take(self, stage: str, outputs: Any, batch: Any) -> None:
        """Generate for a batch."""
        sources = self._sources
        if sources is None:
            return
        if sources.num_features is not None:
            labels, fixed = sources.labels(batch), sources.fixed(batch)
            real, moved = sources.judge(fixed["real"])[1], sources.figures(fixed["real"])[1]
            self._count += len(labels)
            for name, sample in fixed.items():
                self._judged(name, 0, sources.judge(sample), real, labels)
                self._seen(name, 0, sources.figures(sample), moved, labels)
            for repeat in range(self.repeats):
                for name, sample in sources.samples(batch, repeat).items():
                    self._judged(name, repeat, sources.judge(sample), real, labels)
                    self._seen(name, repeat, sources.figures(sample), moved, labels)
        for repeat in range(self.repeats):
            self._forecast(sources.forecasts(batch, repeat), repeat)

    def _judged(
        self, name: str, repeat: int, judged: tuple[Tensor, Tensor], real: Tensor, labels: Tensor
    ) -> None:
        logits, features = judged
        metrics = self._of(name, repeat, "fid", self._judging, features.device)
        metrics["fid"].update(features, real)
        for key in ("accuracy", "class_accuracy", "mean_average_precision"):
            metrics[key].update(logits, labels)
        metrics["diversity"].update(features)
        metrics["multimodality"].update(features, labels)

    def _seen(
        self,
        name: str,
        repeat: int,
        seen: tuple[Mapping[str, Tensor], Mapping[str, Tensor]],
        moved: Mapping[str, Tensor],
        labels: Tensor,
    ) -> None:
        figures, movements = seen

        def make() -> dict[str, Metric]:
            assert self._sources is not None
            kept = {f"{kind}_kept": ActionMovementKept(kind, self._sources.unsigned) for kind in LARGE}  # type: ignore[arg-type]
            return {**{key: MeanMetric(nan_strategy="ignore") for key in figures}, **kept}

        metrics = self._of(name, repeat, "turn_kept", make, labels.device)
        for key, values in figures.items():
            metrics[key].update(values)
        for kind in LARGE:
            metrics[f"{kind}_kept"].update(movements, moved, labels)

    def _judging(self) -> dict[str, Metric]:
        assert self._sources is not None and self._sources.num_features is not None
        kinds = len(self._sources.classes)
        return {
            "fid": FrechetDistance(self._sources.num_features),
            "accuracy": ActionAccuracy(kinds),
            "class_accuracy": ActionAccuracy(kinds, "class"),
            "mean_average_precision": MeanAveragePrecision(),
            "diversity": Diversity(),
            "multimodality": Multimodality(),
        }

    def _forecast(self, forecasts: tuple[Mapping[str, Tensor], Tensor] | None, repeat: int) -> None:
        for name, joints in (forecasts[0] if forecasts else {}).items():
            metrics = self._of(name, repeat, "ade", lambda: {"ade": ADE(), "fde": FDE()}, joints.device)
            metrics["ade"].update(joints, forecasts[1])  # type: ignore[index]
            metrics["fde"].update(joints, forecasts[1])  # type: ignore[index]
            if joints.shape[1] > 1:
                self._of(name, repeat, "apd", lambda: {"apd": APD()}, joints.device)["apd"].update(joints)

    def _of(
        self, name: str, repeat: int, first: str, make: Callable[[], dict[str, Metric]], device: torch.device
    ) -> dict[str, Metric]:
        metrics = self._metrics.setdefault((name, repeat), {})
        if first not in metrics:
            metrics.update({key: metric.to(device) for key, metric in make().items()})
        return metrics

    def _finish(self, stage: str, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._sources is None:
            return
        self._complete(pl_module.device)
        if not self._metrics:
            return
        rows = self._rows()
        classes = self._by_class(self._sources.generator)
        content = {
            "samples": sum(gather_objects(self._count)),
            "repeats": self.repeats,
            "settings": {name: value for name, value in self._sources.settings.items() if value is not None},
            "sources": rows,
            "classes": classes,
        }
        for key, value in rows.get(self._sources.generator, {}).items():
            pl_module.log(
                f"{stage}/{key}", float(value["mean"] or 0), on_epoch=True, batch_size=1, sync_dist=False
            )
        if trainer.is_global_zero:
            write_json(self.run_dir / "generation.json", content)
            columns = list(dict.fromkeys(key for row in rows.values() for key in row))
            table = [[name, *(row.get(key, {}).get("mean") for key in columns)] for name, row in rows.items()]
            log_table(trainer, f"{stage}/generation", ["source", *columns], table)
        self._sources, self._metrics = None, {}

    def _complete(self, device: torch.device) -> None:
        """Take part in the metrics of other processes, also in those that no batch of this one had to do with."""
        own = {(*pair, key): metric for pair, group in self._metrics.items() for key, metric in group.items()}
        self._metrics = {}
        for (name, repeat, key), metric in on_all_processes(own, device).items():
            self._metrics.setdefault((name, repeat), {})[key] = metric

    def _rows(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """Source to metric to mean and half width of its confidence interval."""
        values: dict[str, dict[str, list[float]]] = {}
        for (name, _), metrics in self._metrics.items():
            for key, metric in metrics.items():
                value = float(metric.compute())
                if math.isfinite(value):
                    values.setdefault(name, {}).setdefault(key, []).append(value)
        return {
            name: {key: _summary(numbers) for key, numbers in by_key.items()}
            for name, by_key in values.items()
        }

    def _by_class(self, name: str) -> dict[str, dict[str, float]]:
        """Class to share of recognised samples of a source and their number, over all repeats."""
        accuracies = [
            m["class_accuracy"] for (source, _), m in self._metrics.items() if source == name and "fid" in m
        ]
        if not accuracies or self._sources is None:
            return {}
        hits, counts = (
            all_sum(torch.stack([getattr(m, part) for m in accuracies]).sum(0)).tolist()
            for part in ("hits", "counts")
        )
        return {
            label: {"accuracy": hit / count, "samples": count}
            for label, hit, count in zip(self._sources.classes, hits, counts)
            if count
        }


def _summary(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, and half width of its 95 % confidence interval; None for a single value."""
    numbers = torch.tensor(values, dtype=torch.float64)
    if len(values) < 2:
        return {"mean": float(numbers[0]), "interval": None}
    from scipy.stats import t

    error = float(numbers.std()) / math.sqrt(len(values))
    return {"mean": float(numbers.mean()), "interval": float(t.ppf(0.975, len(values) - 1)) * error}
