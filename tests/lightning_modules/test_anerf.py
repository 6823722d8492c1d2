"""A-NeRF through the entry points at a tiny size: learn, evaluate, resume, refine poses, learn on with fixed ones."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.report import read_curves
from contrapposto.checkpoints import load_checkpoint
from contrapposto.systems.anerf.model import ANeRF, ANeRFConfig
from lightning_modules.anerf import ANeRFModule
from lightning_modules.anerf.optim import GatheringAdam
from tests.lightning_modules.anerf_tiny import tiny, write_sticks
from tests.lightning_modules.sage_tiny import entry_point, only_run

ROOT = Path(__file__).parents[2]
POSES = "module.poses={every:5,learning_rate:2e-3,weight:0.1,temporal_weight:0.01}"
NETWORK_FAST = "module.network.volume_size=6"


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    write_sticks(folder)
    write_sticks(folder, name="noisy", noise=0.15)
    return folder


@pytest.fixture(scope="module")
def trained(stores, tmp_path_factory):
    """A run with everything switched on."""
    folder = tmp_path_factory.mktemp("anerf")
    more = (POSES, "module.cameras={start:4}", "module.codes=true", "module.opacity_weight=0.1")
    entry_point("train", tiny("anerf", stores, folder, *more))
    return folder


def metrics(folder, pattern="metrics.json"):
    (file,) = folder.glob(pattern)
    return json.loads(file.read_text())


def test_a_checkpoint_gives_the_metrics_of_its_training(trained, stores):
    run = only_run(trained, "anerf")
    result = json.loads((run / "result.json").read_text())
    entry_point("evaluate", [*tiny("anerf", stores, trained), "stage=val"])
    actual = metrics(run, "evaluation/*/metrics.json")["val"]["metrics"]
    assert actual["val/psnr_mean"] == pytest.approx(result["score"], rel=1e-4)
    assert {
        f"val/{m}{r}_{s}" for m in ("psnr", "ssim") for r in ("", "_fg") for s in ("novel_view", "novel_pose")
    } < set(actual)
    assert result["data"]["licence"] == "CC0-1.0"


def test_one_batch_is_learnt_by_heart(stores, tmp_path):
    more = ("trainer.overfit_batches=1", "trainer.max_epochs=150", "trainer.check_val_every_n_epoch=150")
    entry_point("train", tiny("anerf", stores, tmp_path, *more))
    curve = read_curves(only_run(tmp_path, "anerf") / "metrics.csv")["train/loss"]
    assert curve[-1][1] < 0.2 * curve[0][1]


def test_held_out_views_get_better(stores, tmp_path):
    more = ("data.steps_per_epoch=60", "trainer.max_epochs=1", "data.rays.rays_per_step=256")
    entry_point("train", tiny("anerf", stores, tmp_path, *more))
    actual = metrics(only_run(tmp_path, "anerf"))["last"]["metrics"]
    white = 1.0 - torch.from_numpy(np.stack([write_image(stores, image) for image in (12, 13)]))
    assert actual["val/psnr_fg_novel_view"] > -10 * np.log10(float(white.square().mean())) + 2


def write_image(stores, image):
    """Pixels of the person."""
    from contrapposto.systems.anerf.data import AvatarScene

    scene = AvatarScene.open(stores / "sticks")
    return scene.image(image)[scene.mask(image)][:100].astype(np.float32) / 255


def test_a_run_that_goes_on_in_mid_epoch_gives_the_same_weights(stores, tmp_path):
    """Poses included, whose gradients are half gathered when the run stops."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    entry_point("train", tiny("anerf", stores, whole, POSES))
    stop = ("callbacks.resume.every_n_steps=4", "trainer.max_steps=12")
    entry_point("train", tiny("anerf", stores, cut, POSES, *stop))
    run = only_run(cut, "anerf")
    (run / "result.json").unlink(missing_ok=True)
    again = ["model=anerf", "resume=true", f"paths.runs={cut}", "data.name=sticks", "trainer.max_steps=-1"]
    entry_point("train", again)
    one, two = (
        load_checkpoint(path / "checkpoints" / "last.ckpt")["state_dict"]
        for path in (only_run(whole, "anerf"), run)
    )
    assert "poses.bones" in one
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_finetuning_starts_from_the_avatar_and_leaves_the_poses(trained, stores):
    options = (POSES.replace("every:5", "every:5,stop:0"), "module.codes=true", "trainer.max_epochs=1")
    entry_point("train", tiny("anerf_finetune", stores, trained, *options))
    first, second = (only_run(trained, model) / "checkpoints" for model in ("anerf", "anerf_finetune"))
    before = load_checkpoint(json_checkpoint(first))["state_dict"]
    after = load_checkpoint(second / "last.ckpt")["state_dict"]
    assert torch.equal(before["poses.bones"], after["poses.bones"])
    assert torch.equal(before["network.distance_encoding.tau"], after["network.distance_encoding.tau"])
    assert not torch.equal(
        before["network.fine.alpha_linear.weight"], after["network.fine.alpha_linear.weight"]
    )
    assert int(after["network.fine.framecodes.codes.weight"].shape[0]) == 3


def json_checkpoint(folder):
    result = json.loads((folder.parent / "result.json").read_text())
    return folder.parent / result["checkpoint"]


def test_every_image_has_a_row_with_all_scores(trained, stores, tmp_path):
    """LPIPS by a network file too; the errors of the poses against plain arithmetic."""
    layers = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    state = {f"features.{n}.weight": torch.randn(a, b, k, k) * 0.05 for n, (a, b, k) in layers.items()}
    state |= {f"features.{n}.bias": torch.zeros(a) for n, (a, _, _) in layers.items()}
    torch.save(state, tmp_path / "alexnet.pth")
    inputs = f"data.lpips={tmp_path / 'alexnet.pth'}"
    run = only_run(trained, "anerf")
    entry_point("evaluate", [*tiny("anerf", stores, trained, "data.name=noisy"), inputs, f"ckpt={run}"])
    (table,) = run.glob("evaluation/noisy-test*/media/clips_test.csv")
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        split = row["clip"].partition("/")[0]
        assert float(row[f"lpips_{split}"]) > 0 and float(row[f"psnr_{split}"]) > 0
    learnt = [row for row in rows if row["pose_error_before_mm"] != "nan"]
    assert learnt
    from contrapposto.systems.anerf.data import AvatarScene

    scene = AvatarScene.open(stores / "noisy")
    for row in learnt:
        pose = scene.pose_index(int(row["clip"].partition("/")[2]))
        inputs, truth = (array[pose] - array[pose][:1] for array in (scene.kp3d, scene.gt_kp3d))
        error = 600 * np.linalg.norm(inputs - truth, axis=-1)  # mm: 0.6 m in a unit
        assert float(row["pose_error_before_mm"]) == pytest.approx(error.mean(), rel=1e-3)
        assert float(row["pose_pck_before"]) == pytest.approx(100 * (error <= 150).mean(), rel=1e-3)
        area = 100 * np.mean([(error <= radius).mean() for radius in np.linspace(0, 150, 31)])
        assert float(row["pose_auc_before"]) == pytest.approx(area, rel=1e-3)


def test_the_authors_file_is_evaluated(stores, tmp_path):
    torch.manual_seed(0)
    model = ANeRF(ANeRFConfig(view_frequencies=0, width=32))
    parts = {"network_fn": model.coarse, "network_fine": model.fine}
    content = {f"{name}_state_dict": dict(part.state_dict()) for name, part in parts.items()}
    torch.save({"global_step": 1, **content}, tmp_path / "000001.tar")
    entry_point("evaluate", [*tiny("anerf", stores, tmp_path), f"official={tmp_path / '000001.tar'}"])
    (file,) = tmp_path.glob("anerf/official/evaluation/*/metrics.json")
    actual = json.loads(file.read_text())["test"]
    assert actual["clips"] == 4 and actual["weights"] == "official"
    # Random networks show next to nothing: the white background against the pictures, in their box.
    assert 0 < actual["metrics"]["test/psnr_novel_view"] < 40


@pytest.mark.parametrize("model", ["anerf", "anerf_fast"])
def test_a_trial_run_leaves_no_result(stores, tmp_path, model):
    more = ("trainer.fast_dev_run=true", *([NETWORK_FAST] if model == "anerf_fast" else []))
    entry_point("train", tiny(model, stores, tmp_path, *more))
    assert not list(tmp_path.glob("*/*/result.json"))


def test_a_checkpoint_is_complete(trained):
    path = only_run(trained, "anerf") / "checkpoints" / "last.ckpt"
    module = ANeRFModule.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    assert module.poses is not None and len(module.poses) == 4
    assert module.network.config.num_codes == 3
    assert module.cameras is not None and module.cameras.turn.abs().amax(1).tolist()[3] == 0  # held out
    assert 0 < float(module.cameras.turn[:3].abs().max()) < 0.05


def test_gradients_gather_as_a_sum():
    """Against one Adam per group that is given the sum by hand."""
    torch.manual_seed(0)
    fast, slow = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    own = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))]
    optimizer = GatheringAdam([{"params": [fast]}, {"params": [slow], "lr": 0.1, "every": 3}], lr=0.01)
    references = [torch.optim.Adam([own[0]], lr=0.01), torch.optim.Adam([own[1]], lr=0.1)]
    total = torch.zeros(3)
    for step in range(7):
        gradient = torch.randn(3)
        optimizer.zero_grad()
        ((fast + slow) * gradient).sum().backward()
        optimizer.step()
        own[0].grad, total = gradient.clone(), total + gradient
        references[0].step()
        if step % 3 == 2:
            own[1].grad, total = total, torch.zeros(3)
            references[1].step()
        assert torch.equal(fast.data, own[0].data)
        torch.testing.assert_close(slow.data, own[1].data)
