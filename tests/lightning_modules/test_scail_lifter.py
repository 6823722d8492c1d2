"""The lifter through the entry points: learns, evaluates to what was saved, resumes, one process or two."""

import json
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from cli.report import read_curves
from contrapposto.checkpoints import load_checkpoint
from contrapposto.errors import InputError
from contrapposto.options import build
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.estimators.lifted import LifterBody
from contrapposto.systems.scail_pose.lifter import Lifter
from contrapposto.tasks.predict import compose, predict
from datamodules.scail_pose.lifter import LifterDataModule
from lightning_modules.scail_pose.lifter import ScailLifterModule
from tests.lightning_modules.lifter_tiny import MODEL, tiny
from tests.lightning_modules.sage_tiny import entry_point, only_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs(stores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lifter")
    entry_point("train", tiny(MODEL, stores, folder))
    return folder


def losses(runs):
    return dict(read_curves(only_run(runs, MODEL) / "metrics.csv")["train/loss"])


def data(stores, **options):
    sizes = {"batch_size": 4, "window": 8, "steps_per_epoch": 3, "val_share": 0.3, "test_share": 0.3}
    module = LifterDataModule(stores / "tiny", **sizes, **options)
    module.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    module.setup("fit")
    return module


def test_a_batch_is_a_function_of_the_step(stores):
    module = data(stores)
    epoch, again = list(module.train_dataloader()), list(module.train_dataloader())
    assert [int(batch["step"]) for batch in epoch] == [0, 1, 2]
    for one, two in zip(epoch, again):
        assert all(torch.equal(torch.as_tensor(one[name]), torch.as_tensor(two[name])) for name in one)
    assert epoch[0]["rays"].shape == (4, 8, 28, 2) and epoch[0]["joints"].shape == (4, 8, 24, 3)
    assert not torch.equal(epoch[0]["rays"], epoch[1]["rays"])


def test_stretches_of_evaluation_stay_the_same(stores):
    one, two = (list(data(stores, eval_views=3).val_dataloader()) for _ in range(2))
    assert len(one) % 3 == 0 and len({batch["name"] for batch in one}) == len(one)
    for first, second in zip(one, two):
        assert torch.equal(first["rays"], second["rays"]) and first["rays"].shape[0] == 1
    assert not torch.equal(one[0]["joints"], one[1]["joints"])


def test_what_was_saved_evaluates_to_the_same_metrics(runs, stores, capsys):
    run = only_run(runs, MODEL)
    score = json.loads((run / "result.json").read_text())["score"]
    entry_point(
        "evaluate",
        [a for a in tiny(MODEL, stores, runs, "stage=val") if not a.startswith(("module.", "trainer."))],
    )
    (path,) = run.glob("evaluation/*/metrics.json")
    entry = json.loads(path.read_text())["val"]["metrics"]
    assert entry["val/mpjpe"] == pytest.approx(score, rel=1e-5)
    names = {name.removeprefix("val/") for name in entry}
    assert names >= {"mpjpe", "pa_mpjpe", "pck", "mpjve", "root", "jitter", "true_jitter"}


def test_a_checkpoint_is_a_lifter(runs):
    path = only_run(runs, MODEL) / "checkpoints" / "best.ckpt"
    network, module = (
        Lifter.from_pretrained(path),
        ScailLifterModule.load_from_checkpoint(path, weights_only=True),
    )
    rays, scores = torch.rand(2, 8, 28, 2), torch.rand(2, 8, 28)
    with torch.no_grad():
        torch.testing.assert_close(network(rays, scores), module.eval()(rays, scores))


def test_one_batch_is_learnt_by_heart(stores, tmp_path):
    options = ["trainer.max_epochs=150", "trainer.check_val_every_n_epoch=150", "trainer.overfit_batches=1"]
    entry_point(
        "train", tiny(MODEL, stores, tmp_path, "module.network.layers=2", "module.network.width=64", *options)
    )
    joints = dict(read_curves(only_run(tmp_path, MODEL) / "metrics.csv")["train/joints"])
    values = [joints[step] for step in sorted(joints)]
    assert min(values[-5:]) < 0.25 * values[0]


def test_a_resumed_run_equals_an_uninterrupted_one(runs, stores, tmp_path):
    more = ("callbacks.resume.every_n_steps=3", "trainer.max_epochs=1")
    entry_point("train", tiny(MODEL, stores, tmp_path, *more))
    run = only_run(tmp_path, MODEL)
    # As if it had been killed in mid-epoch: the checkpoint before the last one is of step 3.
    (run / "checkpoints" / "previous.ckpt").replace(run / "checkpoints" / "last.ckpt")
    (run / "result.json").unlink()
    entry_point("train", tiny(MODEL, stores, tmp_path, f"resume={run}"))
    assert losses(tmp_path) == pytest.approx(losses(runs), rel=1e-5)
    one, two = (
        load_checkpoint(only_run(r, MODEL) / "checkpoints" / "last.ckpt")["state_dict"]
        for r in (runs, tmp_path)
    )
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.slow
def test_the_command_exports_a_run(runs, tmp_path, capsys):
    shared = ["task=scail_lifter_export", f"output={tmp_path}", f"paths.runs={runs}", "overwrite=true"]
    for source in (MODEL, only_run(runs, MODEL)):
        more = [f"input={source}", "task.data=tiny", "task.experiment=null"]
        predict(compose([*shared, *more]))
    assert "differ from the suite's by at most" in capsys.readouterr().out
    body = LifterBody.from_pretrained(tmp_path / "scail_lifter.onnx")
    assert body.window == 8
    with pytest.raises(InputError, match="nowhere"):
        predict(compose([*shared, "input=nowhere"]))


def test_it_can_be_chosen_for_videos(runs):
    """As docs/scail_lifter.md says."""
    path = only_run(runs, MODEL) / "checkpoints" / "best.ckpt"
    config = compose(["task=scail_pose", f"task.module.estimator.lifter={path}"])
    task = build(OmegaConf.to_container(config.task))
    estimator = make_estimator(**task.module["estimator"])
    assert estimator.body.window == 8
