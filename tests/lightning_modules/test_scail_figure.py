"""The network of stylised figures through the entry points: draws its images, learns, evaluates to what was saved."""

import json
import math

import numpy as np
import pytest

from cli.report import read_curves
from contrapposto.systems.scail_pose.figure_images import prepare_figures
from contrapposto.systems.scail_pose.figure_views import FigureViews
from tests.lightning_modules.sage_tiny import entry_point, only_run

MODEL = "scail_figure"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures") / "scail_figures"
    prepare_figures(folder, figures=12, objects=4, backgrounds=4, size=96)
    return folder


def tiny(store, runs, *more):
    shared = (
        "data.batch_size=4",
        "data.steps_per_epoch=2",
        "data.eval_batches=1",
        "data.held_out=0.25",
        "data.num_workers=0",
        "trainer.max_epochs=2",
        "trainer.accelerator=cpu",
        "trainer.log_every_n_steps=1",
        "scheduler.warmup_steps=0",
        "logger=csv",
    )
    return [f"model={MODEL}", *shared, f"paths.stores={store.parent}", f"paths.runs={runs}", *more]


def test_it_trains_and_evaluates_to_what_was_saved(store, tmp_path):
    entry_point("train", tiny(store, tmp_path))
    run = only_run(tmp_path, MODEL)
    losses = [value for _, value in read_curves(run / "metrics.csv")["train/loss"]]
    assert len(losses) == 4 and all(math.isfinite(value) for value in losses)
    result = json.loads((run / "result.json").read_text())
    assert result["data"]["licence"] == "CC0 1.0"
    folder = entry_point("evaluate", tiny(store, tmp_path))
    metrics = json.loads((folder / "metrics.json").read_text())["test"]["metrics"]
    # Validation and test look at the same windows.
    assert metrics["test/error"] == pytest.approx(result["score"], rel=1e-3)


def test_points_lie_on_the_figures(store):
    """The images know nothing of the points: hips and neck, deep inside, lie where something is drawn."""
    colours = np.load(store / "figures.npy")
    points = np.load(store / "points.npy")
    inside = []
    for image, places in zip(colours, points):
        for x, y, _ in places[[1, 8, 11]]:
            if 0 <= x < 96 and 0 <= y < 96:
                inside.append(image[int(y), int(x), 3] > 127)
    assert len(inside) > 20 and np.mean(inside) > 0.9


def test_a_window_is_a_function_of_its_seed(store):
    views = FigureViews(store, (0.0, 0.75))
    first, again, other = (views.draw(np.random.default_rng([1, number])) for number in (2, 2, 3))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["image"], other["image"])
    assert first["image"].shape == (3, 128, 128) and first["points"].shape == (15, 3)
