"""NPR's models through the entry points at a tiny size: learn, evaluate, resume; data of one and several identities."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.report import read_curves
from contrapposto.checkpoints import load_checkpoint
from contrapposto.errors import ConfigError
from contrapposto.mesh.template import Template
from lightning_modules.npr import NPRFeatureDiffusionModule, NPRModule, NPRRefinerModule
from tests.lightning_modules.npr_tiny import OPTIONS, tiny, write_bent
from tests.lightning_modules.sage_tiny import entry_point, only_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bent_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    write_bent(folder)
    return folder


@pytest.fixture(scope="module")
def stages(bent_store, tmp_path_factory):
    """A folder of runs with one finished run of every model."""
    runs = tmp_path_factory.mktemp("npr")
    for model in OPTIONS:
        entry_point("train", tiny(model, bent_store, runs))
    return runs


@pytest.mark.parametrize("model", OPTIONS)
def test_a_checkpoint_gives_the_metrics_of_its_training(model, stages, bent_store):
    run = only_run(stages, model)
    result = json.loads((run / "result.json").read_text())
    entry_point("evaluate", [*tiny(model, bent_store, stages), "stage=val"])
    (file,) = run.glob("evaluation/*/metrics.json")
    actual = json.loads(file.read_text())["val"]["metrics"]
    assert actual[result["monitor"]] == pytest.approx(result["score"], rel=1e-4)
    assert result["data"]["licence"] == "CC0-1.0"


def test_every_group_of_targets_is_reported_beside_the_copy(stages, bent_store):
    entry_point("evaluate", tiny("npr", bent_store, stages))
    run = only_run(stages, "npr")
    (file,) = run.glob("evaluation/*-test*/metrics.json")
    actual = json.loads(file.read_text())["test"]["metrics"]
    for group in ("unseen_poses", "unseen_shapes", "other_connectivity"):
        for name in ("pmd", "distance", "pmd_unaligned", "jacobian", "copy_pmd", "copy_jacobian"):
            assert np.isfinite(actual[f"test/{name}_{group}"]), (name, group)
        assert actual[f"test/pmd_{group}"] <= actual[f"test/pmd_unaligned_{group}"] + 1e-6


def test_npr_learns_to_reconstruct_poses(bent_store, tmp_path):
    """Better than leaving the template as it is, after a minute's worth of tiny steps."""
    more = ("trainer.max_epochs=1", "data.steps_per_epoch=60", "optimizer.lr=3e-3")
    entry_point("train", tiny("npr", bent_store, tmp_path, *more, "module.jacobian_weight=0.1"))
    metrics = json.loads((only_run(tmp_path, "npr") / "metrics.json").read_text())["last"]["metrics"]
    assert metrics["val/pmd_unseen_poses"] < 0.5 * metrics["val/copy_pmd_unseen_poses"]


def test_one_batch_is_learnt_by_heart(bent_store, tmp_path):
    more = ("trainer.overfit_batches=1", "trainer.max_epochs=40", "trainer.check_val_every_n_epoch=40")
    entry_point("train", tiny("npr", bent_store, tmp_path, *more, "optimizer.lr=3e-3", "data.batch_size=1"))
    curve = read_curves(only_run(tmp_path, "npr") / "metrics.csv")["train/loss"]
    assert curve[-1][1] < 0.1 * curve[0][1]


def test_a_run_that_goes_on_in_mid_epoch_gives_the_same_weights(bent_store, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    entry_point("train", tiny("npr", bent_store, whole))
    stop = ("callbacks.resume.every_n_steps=4", "trainer.max_steps=8")
    entry_point("train", tiny("npr", bent_store, cut, *stop))
    run = only_run(cut, "npr")
    (run / "result.json").unlink(missing_ok=True)
    entry_point(
        "train", ["model=npr", "resume=true", f"paths.runs={cut}", "data.name=bent", "trainer.max_steps=-1"]
    )
    one, two = (
        load_checkpoint(path / "checkpoints" / "last.ckpt")["state_dict"]
        for path in (only_run(whole, "npr"), run)
    )
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-6, atol=1e-7, msg=name)


def test_checkpoints_are_complete(stages):
    """Templates, target and earlier stages travel; poses are drawn from one file."""
    path = only_run(stages, "npr_feature_diffusion") / "checkpoints" / "last.ckpt"
    module = NPRFeatureDiffusionModule.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    code = module.generate(3, seed=1, steps=5)
    alone = module.generate(1, seed=1, first=2, steps=5)
    torch.testing.assert_close(code.features[2:], alone.features, rtol=1e-4, atol=1e-4)
    template = Template(module.templates["ball"], normalize=module.normalize)
    assert template.solve(module.network.decode(template.solver, code)).shape == (3, 162, 3)
    refiner = NPRRefinerModule.load_from_checkpoint(
        only_run(stages, "npr_refiner") / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True
    )
    assert refiner.target is not None and len(refiner.target.vertices) == 162
    source = NPRModule.load_from_checkpoint(
        only_run(stages, "npr") / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True
    )
    for name, value in source.network.state_dict().items():
        assert torch.equal(value, module.network.state_dict()[name]), name


def test_refinement_lowers_its_losses(stages):
    actual = json.loads((only_run(stages, "npr_refiner") / "metrics.json").read_text())["last"]["metrics"]
    before = actual["val/laplacian_before"] + actual["val/edge_before"]
    assert actual["val/laplacian_after"] + actual["val/edge_after"] < before
    assert actual["val/pmd_before"] > 0


def test_several_identities(bent_store, tmp_path):
    options = ("data.identities=[ball,egg]", "data.cross=true", "trainer.max_epochs=1", "data.batch_size=1")
    entry_point("train", tiny("njf", bent_store, tmp_path, *options))
    checkpoint = load_checkpoint(only_run(tmp_path, "njf") / "checkpoints" / "last.ckpt")
    assert set(checkpoint["templates"]) == {"ball", "egg"}


def test_what_does_not_fit_is_refused(bent_store, stages, tmp_path):
    with pytest.raises(Exception, match="auto-encoder of Jacobians"):
        vertices = only_run(stages, "npr_vertices") / "checkpoints" / "last.ckpt"
        entry_point("train", tiny("npr_refiner", bent_store, tmp_path, f"module.autoencoder={vertices}"))
    with pytest.raises(Exception, match="train npr_refiner needs train npr first"):
        entry_point("train", tiny("npr_refiner", bent_store, tmp_path, "requires=fail"))
    with pytest.raises(ConfigError, match="scaled in another way"):
        path = only_run(stages, "npr") / "checkpoints" / "last.ckpt"
        more = (f"module.autoencoder={path}", "data.normalize=none")
        entry_point("train", tiny("npr_keypoint_diffusion", bent_store, tmp_path, *more))


@pytest.mark.parametrize("model", ["npr", "njf"])
def test_a_trial_run_leaves_no_result(bent_store, tmp_path, model):
    entry_point("train", tiny(model, bent_store, tmp_path, "trainer.fast_dev_run=true"))
    assert not list(tmp_path.glob("*/*/result.json"))
