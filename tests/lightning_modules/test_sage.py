"""SAGE's auto-encoders through the entry points: learn, evaluate, resume, several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cli.report import read_curves
from contrapposto.checkpoints import load_checkpoint
from tests.lightning_modules.sage_tiny import entry_point as in_process

ROOT = Path(__file__).parents[2]
SMALL = [
    "data=amass",
    "data.name=tiny",
    "data.batch_size=16",
    "data.val_share=0.2",
    "data.test_share=0.2",
    "data.repeats=10",
    "module.network.num_layers=[1,1]",
    "module.network.hidden=32",
    "module.network.heads=2",
    "module.network.num_books=4",
    "module.network.num_codes=64",
    "module.network.code_dim=32",
    "logger=csv",
    "callbacks.media=null",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
]


def arguments(*options, stores, runs):
    return [*SMALL, f"paths.stores={stores}", f"paths.runs={runs}", *options]


def started(*options, stores, runs, **more):
    """train.py in a process of its own."""
    command = [sys.executable, str(ROOT / "train.py"), *arguments(*options, stores=stores, runs=runs)]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **more)


def entry_point(name, *options, stores, runs):
    return in_process(name, arguments(*options, stores=stores, runs=runs))


def only_run(runs, model="sage_upper_vqvae"):
    (run,) = sorted((runs / model).glob("*/"))
    return run


def losses(run):
    return dict(read_curves(run / "metrics.csv")["train/loss"])


@pytest.mark.slow
def test_train_evaluate_and_resume_to_the_same_losses(stores, tmp_path, capsys):
    """One process: a whole run; a run killed in mid-epoch and resumed; evaluation of what was saved."""
    options = ["model=sage_upper_vqvae", "trainer.max_epochs=3", "callbacks.resume.every_n_steps=2"]
    entry_point("train", *options, stores=stores, runs=tmp_path / "whole")
    whole = only_run(tmp_path / "whole")
    result = json.loads((whole / "result.json").read_text())
    assert result["data"]["licence"] and (whole / "checkpoints").is_dir()

    process = started(*options, stores=stores, runs=tmp_path / "killed", start_new_session=True)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("*/*/checkpoints/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    killed = only_run(tmp_path / "killed")
    assert not (killed / "result.json").exists()
    entry_point("train", *options[:1], "resume=true", stores=stores, runs=tmp_path / "killed")
    actual, expected = losses(killed), losses(whole)
    assert actual == {step: expected[step] for step in actual}
    # A row is written after the checkpoint of its step: the kill may have come between the two.
    assert len(expected) - len(actual) <= 1 and max(actual) == max(expected)
    one, two = (load_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"] for run in (whole, killed))
    assert all(torch.equal(one[name], two[name]) for name in one)

    entry_point("evaluate", "model=sage_upper_vqvae", "stage=val", stores=stores, runs=tmp_path / "whole")
    assert "MPJPE" in capsys.readouterr().out
    values = json.loads(next(whole.glob("evaluation/*/metrics.json")).read_text())
    assert values["val"]["metrics"]["val/mpjpe"] == pytest.approx(result["score"], rel=1e-5)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(stores, tmp_path):
    """By Lightning's own launcher; `test_ranks.py` has all systems, started as torchrun starts them."""
    options = [
        "model=sage_lower_vqvae",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=3",
        "module.network.dropout=0",
    ]
    entry_point("train", *options, stores=stores, runs=tmp_path / "one")
    more = ("trainer=ddp_cpu", "trainer.log_every_n_steps=1")
    assert started(*options, *more, stores=stores, runs=tmp_path / "two").wait() == 0
    one, two = (only_run(tmp_path / name, "sage_lower_vqvae") for name in ("one", "two"))
    weights = [load_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"] for run in (one, two)]
    for name, value in weights[0].items():
        # A token between two codes may fall to either side: the use of codes is compared to a few tokens in 160.
        atol = 1e-3 if name.endswith("embed_prob") else 2e-5
        torch.testing.assert_close(
            weights[1][name], value, rtol=1e-3, atol=atol, msg=lambda t, n=name: f"{n}: {t}"
        )
    first, second = losses(one), losses(two)
    assert second == pytest.approx(first, rel=1e-4)
    metrics = [json.loads((run / "metrics.json").read_text())["last"]["metrics"] for run in (one, two)]
    # the perplexity counts codes, and a token between two codes may fall to either side
    assert metrics[1] == pytest.approx(metrics[0], rel=1e-2)


@pytest.mark.slow
def test_fast_dev_run(stores, tmp_path):
    entry_point("train", "model=sage_upper_vqvae", "trainer.fast_dev_run=true", stores=stores, runs=tmp_path)
