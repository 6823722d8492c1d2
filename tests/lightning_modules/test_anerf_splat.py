"""Splat avatars at a tiny size: learn, evaluate, resume, refine poses, load without Lightning."""

import json
import re
from pathlib import Path

import pytest
import torch

from contrapposto.checkpoints import load_checkpoint
from contrapposto.systems.anerf.avatar import Avatar
from contrapposto.systems.anerf.splats.training import RowAdam
from lightning_modules.anerf import SplatModule
from tests.lightning_modules.anerf_tiny import tiny, tiny_splats, write_sticks
from tests.lightning_modules.sage_tiny import entry_point, only_run

POSES = "module.poses={learning_rate:0.01}"


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    write_sticks(folder)
    write_sticks(folder, name="noisy", noise=0.15)
    return folder


@pytest.fixture(scope="module")
def trained(stores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("splats")
    entry_point("train", tiny_splats(stores, folder, "data.steps_per_epoch=100"))
    return folder


def metrics(folder, pattern="metrics.json"):
    (file,) = folder.glob(pattern)
    return json.loads(file.read_text())


def test_held_out_views_get_better(trained):
    actual = metrics(only_run(trained, "anerf_splat"))["last"]["metrics"]
    assert actual["val/psnr_novel_view"] > 15  # white everywhere: 11 dB
    assert actual["val/halo_mean"] < 30


def test_a_checkpoint_gives_the_metrics_of_its_training(trained, stores):
    run = only_run(trained, "anerf_splat")
    result = json.loads((run / "result.json").read_text())
    entry_point("evaluate", [*tiny_splats(stores, trained), "stage=val"])
    actual = metrics(run, "evaluation/*/metrics.json")["val"]["metrics"]
    assert actual["val/psnr_mean"] == pytest.approx(result["score"], rel=1e-4)


def test_a_run_directory_loads_without_lightning(trained):
    run = only_run(trained, "anerf_splat")
    avatar = Avatar.from_pretrained(run)
    state = load_checkpoint(run / json.loads((run / "result.json").read_text())["checkpoint"])["state_dict"]
    assert torch.equal(avatar.network.colour, state["subject.avatar.colour"])
    assert avatar.scene is not None and avatar.metres_per_unit == pytest.approx(0.6)


SPLITS = {  # what the scene of a recipe has: anerf_views without a held-out camera, an h5 file without splits
    "anerf_h5": (),
    "anerf_spin": ("train",),
    "anerf_video": ("train", "novel_pose"),
    "anerf_views": ("train", "novel_view"),
}
_CONFIGS = "".join(file.read_text() for file in sorted(Path("configs/data").glob("anerf_*.yaml")))
RECIPES = sorted(set(re.findall(r"^ *recipe: (\w+)$", _CONFIGS, re.MULTILINE)))


@pytest.mark.parametrize(
    ("model", "data"), [("anerf_splat", data) for data in RECIPES] + [("anerf", data) for data in SPLITS]
)
def test_scenes_of_every_recipe_train_validate_and_evaluate(tmp_path, model, data):
    splits = SPLITS.get(data, ("train", "novel_view", "novel_pose"))
    write_sticks(tmp_path / "stores", splits=splits)
    command = tiny_splats if model == "anerf_splat" else lambda *a: tiny("anerf", *a)
    few = ("data.steps_per_epoch=2", "trainer.max_epochs=1")
    options = (tmp_path / "stores", tmp_path / "runs", f"data={data}", *few)
    entry_point("train", command(*options))
    entry_point("evaluate", command(*options))
    run = only_run(tmp_path / "runs", model)
    scores = metrics(run)["last"]["metrics"]
    held = [f"val/psnr_{split}" for split in splits if split != "train"] or ["val/psnr_mean"]
    assert all(scores[name] > 0 for name in held)
    actual = metrics(run, "evaluation/*/metrics.json")["test"]["metrics"]
    assert actual["test/psnr_mean"] > 0 and json.loads((run / "result.json").read_text())["score"] > 0


def test_poses_are_refined_each_on_its_own(stores, tmp_path):
    entry_point("train", tiny_splats(stores, tmp_path, POSES, "data.name=noisy", "data.steps_per_epoch=120"))
    run = only_run(tmp_path, "anerf_splat")
    module = SplatModule.load_from_checkpoint(
        run / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True
    )
    assert module.subject is not None and module.subject.poses is not None
    moved = (module.subject.poses.bones - module.subject.anchors).abs().amax((1, 2))
    assert (moved[:3] > 1e-3).all() and float(moved[3].detach()) < 1e-6  # the fourth pose is held out
    actual = metrics(run)["last"]["metrics"]
    assert actual["val/pose_error_mm"] != actual["val/pose_error_before_mm"]


def test_a_run_that_goes_on_in_mid_epoch_gives_the_same_weights(stores, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    fixed = (POSES, "module.steps=60")
    entry_point("train", tiny_splats(stores, whole, *fixed))
    stop = ("callbacks.resume.every_n_steps=10", "trainer.max_steps=40")
    entry_point("train", tiny_splats(stores, cut, *fixed, *stop))
    run = only_run(cut, "anerf_splat")
    (run / "result.json").unlink(missing_ok=True)
    entry_point(
        "train",
        ["model=anerf_splat", "resume=true", f"paths.runs={cut}", "data.name=sticks", "trainer.max_steps=-1"],
    )
    one, two = (
        load_checkpoint(path / "checkpoints" / "last.ckpt")["state_dict"]
        for path in (only_run(whole, "anerf_splat"), run)
    )
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_rows_have_moments_of_their_own():
    """Each row against an Adam that saw only its own gradients."""
    torch.manual_seed(0)
    table = torch.nn.Parameter(torch.ones(3, 2))
    own = [torch.nn.Parameter(torch.ones(2)) for _ in range(3)]
    options = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-12}
    optimizer = RowAdam([{"params": [table], "rows": True, **options}])
    references = [torch.optim.Adam([row], **options) for row in own]
    plain = torch.nn.Parameter(torch.ones(3, 2))
    same = torch.nn.Parameter(torch.ones(3, 2))
    first, second = RowAdam([{"params": [plain], **options}]), torch.optim.Adam([same], **options)
    for row in [0, 1, 0, 0, 2, 1]:
        gradient = torch.randn(2)
        table.grad = torch.zeros(3, 2)
        table.grad[row] = own[row].grad = gradient
        optimizer.step()
        references[row].step()
        plain.grad = same.grad = torch.randn(3, 2)
        first.step(), second.step()
    torch.testing.assert_close(table.data, torch.stack([row.data for row in own]))
    torch.testing.assert_close(plain.data, same.data)
