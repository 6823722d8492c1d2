"""MPJPE and FID for any model whose steps return the outputs that they read.

Add them to any training or evaluation: `+callbacks.fid._target_=callbacks.FID`, `+callbacks.mpjpe._target_=callbacks.MPJPE`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import Metric

from callbacks.hooks import EvaluationCallback
from callbacks.outputs import calls, output_of
from callbacks.processes import on_all_processes
from contrapposto.metrics import MPJPE as MPJPEMetric
from contrapposto.metrics import FrechetDistance


class OneMetric(EvaluationCallback):
    """Computes one metric over every validation and test and logs it as `<stage>/<name>`.

    Args:
        name: that it is logged as.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.metric: Metric | None = None

    def make(self, inputs: Mapping[str, Any]) -> Metric:
        """The metric for outputs like these, made with the first batch."""
        raise NotImplementedError

    def inputs(self, outputs: Any) -> dict[str, Any]:
        """Keyword arguments of the metric's `update` from the outputs of a step."""
        raise NotImplementedError

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from zero."""
        self.metric = None

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from zero."""
        self.metric = None

    def take(self, stage: str, outputs: Any, batch: Any) -> None:
        """Add a batch; clips of different lengths one by one."""
        for inputs in calls(self.inputs(outputs)):
            if self.metric is None:
                device = next(
                    (v.device for v in inputs.values() if isinstance(v, Tensor)), torch.device("cpu")
                )
                self.metric = self.make(inputs).to(device)
            self.metric.update(**inputs)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute over all processes and log."""
        self._log("val", trainer, pl_module)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute over all processes and log."""
        self._log("test", trainer, pl_module)

    def _log(self, stage: str, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        own = {} if self.metric is None else {self.name: self.metric}
        for metric in on_all_processes(own, pl_module.device).values():
            value = float(metric.compute())
            pl_module.log(f"{stage}/{self.name}", value, on_epoch=True, batch_size=1, sync_dist=False)


class MPJPE(OneMetric):
    """Mean distance of joints, in cm for metres.

    Args:
        name: that it is logged as.
        predicted, truth: outputs with joints (B, T, J, 3), or lists of (T, J, 3).
        lengths: output with the valid frames (B,) of each clip; None: all.
        joints: that count, see `contrapposto.metrics.MPJPE`; None: all.
    """

    def __init__(
        self,
        name: str = "shared_mpjpe",
        predicted: str = "pred_joints",
        truth: str = "true_joints",
        lengths: str | None = None,
        joints: Any = None,
    ) -> None:
        super().__init__(name)
        self.names = {"pred_joints": predicted, "true_joints": truth}
        if lengths is not None:
            self.names["lengths"] = lengths
        self.joints = joints

    def make(self, inputs: Mapping[str, Any]) -> Metric:
        """See the class."""
        return MPJPEMetric() if self.joints is None else MPJPEMetric(joints=self.joints)

    def inputs(self, outputs: Any) -> dict[str, Any]:
        """See the class."""
        return {key: output_of(outputs, name, self.name) for key, name in self.names.items()}


class FID(OneMetric):
    """Fréchet distance between features of predicted and of true samples.

    Args:
        name: that it is logged as.
        predicted, truth: outputs with the samples.
        features: from samples to features (N, D); None: `root_relative`, for joints. A trained network's features say
            more: give one by `_target_` (`_partial_: true` for a function).
    """

    def __init__(
        self,
        name: str = "shared_fid",
        predicted: str = "pred_joints",
        truth: str = "true_joints",
        features: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(name)
        self.names = {"pred_features": predicted, "true_features": truth}
        self.features = features or root_relative

    def make(self, inputs: Mapping[str, Any]) -> Metric:
        """See the class."""
        return FrechetDistance(inputs["pred_features"].shape[-1])

    @torch.no_grad()
    def inputs(self, outputs: Any) -> dict[str, Any]:
        """See the class."""
        features: dict[str, Any] = {}
        for key, name in self.names.items():
            value = output_of(outputs, name, self.name)
            parts = value if isinstance(value, list | tuple) else [value]
            features[key] = torch.cat([self.features(part) for part in parts])
        return features


def root_relative(joints: Tensor) -> Tensor:
    """(..., J, 3) joints to (N, 3 J - 3) places from the first joint: the distribution of single poses."""
    return (joints[..., 1:, :] - joints[..., :1, :]).flatten(-2).flatten(0, -2)
