"""The shared evaluation of generators: real against real, shuffled in time, repeats, intervals, files."""

import json

import pytest
import pytorch_lightning as pl
import torch
from scipy import stats
from torch.utils.data import DataLoader, Dataset

from callbacks.generation import GenerationCallback

CLASSES, FRAMES, SIZE = 3, 24, 64


class Waves(Dataset):
    """Sequences (T, 2) that swing with the frequency of their class."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        labels = torch.arange(SIZE) % CLASSES
        phase = 0.4 * torch.randn(SIZE, 1, generator=generator)
        time = torch.arange(FRAMES) / FRAMES
        angle = 6.28 * (labels[:, None] + 1) * time + phase
        waves = torch.stack([angle.sin(), angle.cos()], -1)
        return {
            "x": waves + 0.1 * torch.randn(waves.shape, generator=generator),
            "labels": torch.eye(CLASSES)[labels],
        }


class Model(pl.LightningModule):
    def test_step(self, batch, batch_idx):
        return {}

    def configure_optimizers(self):
        return None


class WaveSources:
    """Features: strength of the three frequencies, which the order of the frames decides."""

    generator = "noisy copy"
    classes = ("slow", "middle", "fast")
    num_features = CLASSES
    settings = {"post_processing": "none", "top_k": None}  # noqa: RUF012

    def __init__(self, module, datamodule):
        self.asked = []

    def judge(self, sample):
        spectrum = torch.fft.rfft(sample, dim=1).abs()[:, 1 : CLASSES + 1].mean(-1) / FRAMES
        return spectrum, spectrum

    def labels(self, batch):
        return batch["labels"]

    def fixed(self, batch):
        x = batch["x"]
        return {"real": x, "shuffled in time": x[:, torch.randperm(FRAMES)]}

    def samples(self, batch, repeat):
        noise = torch.randn(batch["x"].shape, generator=torch.Generator().manual_seed(repeat))
        return {self.generator: batch["x"] + 0.3 * noise}

    def forecasts(self, batch, repeat):
        true = batch["x"][:4, :, None, :].repeat(1, 1, 2, 2)[..., :3]
        shift = torch.tensor([1.0, 3.0, 5.0])[:, None, None, None]
        return {self.generator: true[:, None] + shift * torch.tensor([1.0, 0, 0])}, true


@pytest.fixture
def result(tmp_path):
    torch.manual_seed(0)
    callback = GenerationCallback(tmp_path, WaveSources, repeats=3)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[callback],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
    )
    metrics = trainer.test(Model(), DataLoader(Waves(), batch_size=None), verbose=False)[0]
    return metrics, json.loads((tmp_path / "generation.json").read_text())


def test_real_is_the_bound_and_the_order_of_frames_is_seen(result):
    metrics, content = result
    sources = content["sources"]
    fid = {name: row["fid"]["mean"] for name, row in sources.items()}
    assert abs(fid["real"]) < 1e-6
    assert fid["shuffled in time"] > 20 * fid["noisy copy"] > 0
    assert sources["real"]["accuracy"]["mean"] == 1 and sources["shuffled in time"]["accuracy"]["mean"] < 0.7
    assert metrics["test/fid"] == pytest.approx(fid["noisy copy"])
    assert content["settings"] == {"post_processing": "none"}
    assert content["samples"] == 4 * SIZE and content["classes"]["slow"]["samples"] == 3 * 88


def test_repeats_give_an_interval_and_chance_free_sources_none(result):
    _, content = result
    assert content["sources"]["real"]["fid"]["interval"] is None
    found = content["sources"]["noisy copy"]["diversity"]
    assert found["interval"] > 0


def test_forecasts_are_judged_by_the_best_and_by_their_spread(result):
    row = result[1]["sources"]["noisy copy"]
    # Two joints, both moved by 1, 3 or 5 m: the best is sqrt(2) away.
    assert row["ade"]["mean"] == pytest.approx(2**0.5, rel=1e-5)
    assert row["fde"]["mean"] == pytest.approx(2**0.5, rel=1e-5)
    # The pairs are 2, 2 and 4 m apart, in 24 frames of two joints.
    assert row["apd"]["mean"] == pytest.approx((2 + 2 + 4) / 3 * (24 * 2) ** 0.5, rel=1e-5)


def test_the_interval_is_students():
    from callbacks.generation import _summary

    values = [1.0, 2.0, 4.0, 4.5]
    low, high = stats.t.interval(0.95, 3, loc=2.875, scale=stats.sem(values))
    assert _summary(values)["interval"] == pytest.approx((high - low) / 2)
    assert _summary([2.0]) == {"mean": 2.0, "interval": None}
