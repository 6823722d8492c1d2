"""MetricsCallback: one computation per epoch, right values, keys, files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric, MetricCollection, SumMetric
from torchmetrics.regression import MeanAbsoluteError

from callbacks import BestCheckpoint, MetricsCallback
from contrapposto.errors import ConfigError
from loggers import CSVRunLogger
from tests.callbacks.tiny import Data, Tiny, trainer


def mean_metric(**fields):
    return {"error": {"metric": MeanMetric(), "inputs": {"value": "error"}, **fields}}


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_values_keys_and_files(tmp_path):
    callback = MetricsCallback(tmp_path, mean_metric())
    fit = trainer(
        [callback, BestCheckpoint(tmp_path / "checkpoints", monitor="val/error")],
        [CSVRunLogger(tmp_path)],
        max_epochs=2,
        num_sanity_val_steps=2,
    )
    fit.fit(Tiny(), datamodule=Data(clips=5))
    assert float(fit.callback_metrics["val/error"]) == 2.0  # mean of 0..4, sanity batches not counted
    rows = [row for row in read_csv(tmp_path / "metrics.csv") if row["val/error"]]
    assert [float(row["val/error"]) for row in rows] == [2.0, 2.0]
    assert (tmp_path / "checkpoints/best.ckpt").exists()
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["monitor"] == "val/error" and content["mode"] == "min"
    assert content["best"]["epoch"] == 0 and content["last"]["epoch"] == 1
    assert content["last"]["step"] == 12 and content["last"]["metrics"]["val/error"] == 2.0
    assert "val/loss" in content["last"]["metrics"]  # what the module logs itself is there too
    clips = read_csv(tmp_path / "media/clips_val.csv")
    assert [row["clip"] for row in clips] == [f"clip_{index:02d}" for index in range(5)]
    assert [float(row["error"]) for row in clips] == [0, 1, 2, 3, 4]
    assert [int(row["frames"]) for row in clips] == [10, 11, 12, 13, 14]


def test_evaluation_adds_to_metrics_json(tmp_path):
    callback = MetricsCallback(tmp_path, mean_metric())
    fit = trainer([callback], max_epochs=1)
    fit.fit(Tiny(), datamodule=Data())
    trainer([MetricsCallback(tmp_path, mean_metric())]).test(Tiny(), datamodule=Data(clips=3), verbose=False)
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["test"]["metrics"]["test/error"] == 1.0
    assert content["last"]["metrics"]["val/error"] == 2.0
    assert len(read_csv(tmp_path / "media/clips_test.csv")) == 3
    trainer([MetricsCallback(tmp_path, mean_metric())]).validate(
        Tiny(), datamodule=Data(clips=2), verbose=False
    )
    assert json.loads((tmp_path / "metrics.json").read_text())["val"]["metrics"]["val/error"] == 0.5


class Ragged(Dataset):
    """Clips of different lengths: the prediction is off by the clip's number."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int):
        return index, torch.arange(2 * (index + 1), dtype=torch.float32)


class RaggedData(Data):
    def val_dataloader(self):
        return DataLoader(Ragged(), batch_size=2, collate_fn=list)

    test_dataloader = val_dataloader


class RaggedModel(Tiny):
    def validation_step(self, batch, batch_idx):
        return {
            "prediction": [clip + index for index, clip in batch],
            "target": [clip for _, clip in batch],
            "clips": [f"{index}" for index, _ in batch],
            "scale": 2.0,
        }

    test_step = validation_step


def test_clips_of_different_lengths(tmp_path):
    spec = {"metric": MeanAbsoluteError(), "inputs": {"preds": "prediction", "target": "target"}}
    fit = trainer([MetricsCallback(tmp_path, {"mae": spec})])
    fit.test(RaggedModel(), datamodule=RaggedData(), verbose=False)
    # Frame-weighted: lengths 2, 4, 6, 8 with errors 0, 1, 2, 3.
    assert float(fit.callback_metrics["test/mae"]) == pytest.approx((4 + 12 + 24) / 20)
    rows = read_csv(tmp_path / "media/clips_test.csv")
    assert [float(row["mae"]) for row in rows] == [0, 1, 2, 3]


def test_a_metric_may_have_no_value_per_clip_and_return_a_dictionary(tmp_path):
    class Both(MeanMetric):
        def compute(self):
            return {"mean": super().compute(), "weight": self.weight}

    metrics = {
        "a": {"metric": Both(), "inputs": {"value": "error"}},
        "b": {"metric": SumMetric(), "inputs": {"value": "error"}, "per_clip": False, "stages": ["test"]},
        "off": None,
    }
    callback = MetricsCallback(tmp_path, metrics)
    fit = trainer([callback], max_epochs=1)
    fit.fit(Tiny(), datamodule=Data(clips=3))
    assert "val/b" not in fit.callback_metrics
    fit = trainer([callback])
    fit.test(Tiny(), datamodule=Data(clips=3), verbose=False)
    values = {key: float(value) for key, value in fit.callback_metrics.items()}
    assert values["test/a_mean"] == 1 and values["test/a_weight"] == 3 and values["test/b"] == 3
    assert list(read_csv(tmp_path / "media/clips_test.csv")[0]) == ["clip", "frames", "a_mean", "a_weight"]


def test_best_survives_a_resume(tmp_path):
    callback = MetricsCallback(tmp_path, mean_metric())
    callback.best = {"epoch": 0, "step": 3, "metrics": {"val/error": 0.5}}
    state = callback.state_dict()
    other = MetricsCallback(tmp_path, mean_metric())
    other.load_state_dict(state)
    fit = trainer([other, BestCheckpoint(tmp_path / "checkpoints", monitor="val/error")], max_epochs=1)
    fit.fit(Tiny(), datamodule=Data())
    assert json.loads((tmp_path / "metrics.json").read_text())["best"]["step"] == 3


def test_an_output_that_does_not_exist_is_named(tmp_path):
    callback = MetricsCallback(tmp_path, {"x": {"metric": MeanMetric(), "inputs": {"value": "eror"}}})
    with pytest.raises(ConfigError, match="use error"):
        trainer([callback]).test(Tiny(), datamodule=Data(), verbose=False)


def test_a_stage_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ConfigError, match="valid"):
        MetricsCallback(tmp_path, mean_metric(stages=["valid"]))


def test_training_metrics(tmp_path):
    class Returns(Tiny):
        def training_step(self, batch, batch_idx):
            return {**super().training_step(batch, batch_idx), "step": torch.tensor(float(batch_idx))}

    callback = MetricsCallback(
        tmp_path, {"s": {"metric": MeanMetric(), "inputs": {"value": "step"}, "stages": ["train"]}}
    )
    fit = trainer([callback], max_epochs=2)
    fit.fit(Returns(), datamodule=Data(batches=6))
    assert float(fit.callback_metrics["train/s"]) == 2.5


def test_hydra_builds_it(tmp_path):
    config = {
        "_target_": "callbacks.MetricsCallback",
        "_convert_": "all",
        "run_dir": str(tmp_path),
        "metrics": {
            "error": {"metric": {"_target_": "torchmetrics.MeanMetric"}, "inputs": {"value": "error"}}
        },
    }
    callback = instantiate(config)
    assert isinstance(callback.specs["error"].metric, MeanMetric)
    assert isinstance(callback._stages["val"].collection, MetricCollection)
