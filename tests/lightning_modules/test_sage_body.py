"""SAGE's whole-body stages and the baselines: learn, evaluate, resume, several processes, cached or not."""

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from cli.build import build_datamodule, build_module
from cli.launch import ROOT, compose_config
from cli.report import read_curves
from contrapposto.checkpoints import load_checkpoint
from contrapposto.errors import ConfigError
from contrapposto.systems.sage.finishing import Finishing
from tests.lightning_modules.sage_tiny import BODY_MODELS, OPTIONS, entry_point, only_run, tiny


def losses(run):
    return dict(read_curves(run / "metrics.csv")["train/loss"])


@pytest.fixture
def earlier(stages, tmp_path):
    """A function that makes a folder of runs with the stages before one."""

    def make(model):
        names = list(OPTIONS)
        for name in names[: names.index(model)]:
            shutil.copytree(stages / name, tmp_path / name)
        return tmp_path

    return make


@pytest.mark.parametrize("model", BODY_MODELS)
def test_what_was_saved_evaluates_to_the_same_metrics(model, stages, stores, capsys):
    run = only_run(stages, model)
    score = json.loads((run / "result.json").read_text())["score"]
    entry_point("evaluate", tiny(model, stores, stages, "stage=val"))
    entry = json.loads((run / "evaluation" / "tiny-val" / "metrics.json").read_text())["val"]
    assert entry["metrics"]["val/mpjpe"] == pytest.approx(score, rel=1e-5)
    assert entry["by_frame"]["val/mpjpe"] == pytest.approx(entry["metrics"]["val/mpjpe_by_frame"], rel=1e-5)
    printed = capsys.readouterr().out
    assert max(map(len, printed[: printed.index("results:")].splitlines())) <= 100
    for text in ("MPJRE", "MPJPE", "10^2 m/s^3", "truth", "mean over frames"):
        assert text in printed
    finishing = str(Finishing() if model == "tracker" else Finishing.none())
    assert f"finishing: {finishing}" in " ".join(printed.split())
    assert entry["settings"]["finishing"] == finishing
    assert ("foot skate" in printed) == (model != "sage_first")  # which has no legs


CHOICES = (
    "autoencoder=conv",
    "latents=continuous",
    "supervise=all_frames",
    "frame=heading",
    "prior=regression",
)


def test_all_six_stages_train_with_the_choices_of_ours(stores, tmp_path):
    for model in list(OPTIONS)[: list(OPTIONS).index("sage_refiner") + 1]:
        choices = [f"sage.{choice}" for choice in CHOICES]
        entry_point(
            "train", tiny(model, stores, tmp_path, "trainer.max_epochs=1", "data.repeats=2", *choices)
        )
        best = json.loads((only_run(tmp_path, model) / "metrics.json").read_text())["best"]["metrics"]
        assert math.isfinite(best["val/mpjpe"])
        assert best.get("val/codebook_use", 0) == 0  # there are no codes


def test_the_table_of_clips_has_every_metric_and_the_length(stages, stores):
    entry_point("evaluate", tiny("sage_refiner", stores, stages, "stage=test"))
    run = only_run(stages, "sage_refiner")
    with open(run / "evaluation" / "tiny-test" / "media" / "clips_test.csv") as file:
        rows = list(csv.DictReader(file))
    entry = json.loads((run / "evaluation" / "tiny-test" / "metrics.json").read_text())["test"]
    means = {name.removeprefix("test/"): value for name, value in entry["metrics"].items()}
    assert set(rows[0]) == {"clip", "frames"} | {n for n in means if not n.endswith("_by_frame")}
    assert all(int(row["frames"]) in (119, 179) for row in rows)
    for name in ("mpjpe", "mpjre", "jitter", "foot_skate"):
        mean = sum(float(row[name]) for row in rows) / len(rows)
        assert mean == pytest.approx(means[name], rel=1e-5)
    assert entry["frames"] == sum(int(row["frames"]) for row in rows)


def test_the_first_second_can_be_left_out(stages, stores):
    entry_point("evaluate", tiny("sage_decoder", stores, stages, "module.skip_seconds=1.0"))
    folder = only_run(stages, "sage_decoder") / "evaluation" / "tiny-test-skip_seconds=1.0"
    with open(folder / "media" / "clips_test.csv") as file:
        assert {int(row["frames"]) for row in csv.DictReader(file)} <= {59, 119}


POSES = ("sage_refiner", "sage_student")  # whose frozen outputs are poses


@pytest.mark.parametrize("model", ["sage_first", "sage_second", "sage_decoder", *POSES])
def test_cached_frozen_outputs_change_no_loss(model, earlier, stages, stores):
    runs = earlier(model)
    entry_point("train", tiny(model, stores, runs, "data.cache=false"))
    cached, computed = losses(only_run(stages, model)), losses(only_run(runs, model))
    assert len(cached) > 2
    # latents are cached in half precision, the refiner's poses in full
    assert cached == pytest.approx(computed, rel=1e-4 if model in POSES else 3e-3)
    assert cached != computed or model in POSES


class Losses(pl.Callback):
    """The loss of every step."""

    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append(float(outputs["loss"]))


# share of the first loss that is left after 80 steps on one batch
OVERFIT = {
    "sage_first": 0.5,
    "sage_second": 0.5,
    "sage_decoder": 0.3,
    "sage_refiner": 0.7,
    "sage_student": 0.5,
    "sparse_transformer": 0.3,
    "tracker": 0.6,
}


@pytest.mark.parametrize("model", BODY_MODELS)
def test_one_batch_is_learnt_by_heart(model, stages, stores):
    """The decoder: one epoch alone, one with the diffusions."""
    config = compose_config(
        "train",
        tiny(model, stores, stages, "optimizer.lr=5e-3", "data.sequence=30" if model in POSES else "seed=10"),
    )
    datamodule = build_datamodule(config)
    datamodule.trainer = pl.Trainer(logger=False, accelerator="cpu")
    datamodule.setup("fit")
    batch = next(iter(datamodule.train_dataloader()))
    losses = Losses()
    epochs = 2 if model == "sage_decoder" else 1
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[losses],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    # A bare list would be taken for a collection of loaders.
    loader = DataLoader([batch] * (80 // epochs), batch_size=None)
    trainer.fit(build_module(config), loader)
    assert min(losses.values[-10:]) < OVERFIT[model] * losses.values[0], losses.values[::8]


def test_the_baseline_without_weights_is_evaluated_as_it_is(stores, tmp_path, capsys):
    entry_point("evaluate", tiny("sage_ik", stores, tmp_path))
    (folder,) = (tmp_path / "sage_ik" / "untrained" / "evaluation").glob("tiny-test*")
    metrics = json.loads((folder / "metrics.json").read_text())["test"]["metrics"]
    assert metrics["test/hand"] < 0.5 and metrics["test/mpjpe"] < 40
    with pytest.raises(ConfigError, match="nothing to train"):
        entry_point("train", tiny("sage_ik", stores, tmp_path))


def command(model, stores, runs, *more):
    return [sys.executable, str(ROOT / "train.py"), *tiny(model, stores, runs, *more)]


@pytest.mark.slow
def test_a_killed_decoder_goes_on_as_if_nothing_had_been(earlier, stages, stores):
    """Killed while the decoder is trained alone; the switch to all three networks comes after the resume."""
    runs = earlier("sage_decoder")
    options = ("callbacks.resume.every_n_steps=2",)
    process = subprocess.Popen(
        command("sage_decoder", stores, runs, *options),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list((runs / "sage_decoder").glob("*/checkpoints/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    killed, whole = only_run(runs, "sage_decoder"), only_run(stages, "sage_decoder")
    assert not (killed / "result.json").exists()
    entry_point("train", tiny("sage_decoder", stores, runs, *options, "resume=true"))
    actual, expected = losses(killed), losses(whole)
    # To float tolerance: a resumed run reads its first batches from a cache that it may have to finish in other batches.
    assert actual == pytest.approx({step: expected[step] for step in actual}, rel=1e-5)
    assert len(expected) - len(actual) <= 1
    one, two = (load_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"] for run in (whole, killed))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)


def test_the_student_takes_what_the_refiners_training_has_cached(stages, stores):
    """Both read the frozen networks' poses of the same windows: there is one cache."""
    assert only_run(stages, "sage_student").is_dir()
    folders = [path.parent.name.rpartition("-")[0] for path in stores.rglob("frozen/*/windows.json")]
    assert folders.count("SageRefinerModule") >= 1
    assert "SageStudentModule" not in folders
