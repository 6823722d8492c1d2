"""provenance.json: complete, honest about the outcome, and in the checkpoint."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path

import pytest

from callbacks import ProvenanceCallback, ResumeCheckpoint, load_checkpoint
from tests.callbacks.tiny import Data, Tiny, trainer

LICENCE = {"licence": "CC0-1.0", "content_hash": "abc", "source": "test"}


class Licensed(Data):
    def provenance(self):
        return LICENCE


def record(folder: Path) -> dict:
    return json.loads((folder / "provenance.json").read_text())


def test_a_run_from_start_to_end(tmp_path):
    states = []

    class Looks(Tiny):
        def on_train_start(self):
            states.append(record(tmp_path)["status"])

    callbacks = [ProvenanceCallback(tmp_path, seed=10), ResumeCheckpoint(tmp_path / "checkpoints", 100)]
    trainer(callbacks, max_epochs=1).fit(Looks(), datamodule=Licensed())
    result = record(tmp_path)
    assert states == ["running"] and result["status"] == "finished"
    assert result["data"] == LICENCE and result["seed"] == 10 and result["steps"] == 6
    assert result["start"] <= result["end"] and result["seconds"] >= 0
    assert {"python", "torch", "pytorch-lightning", "contrapposto"} <= result["versions"].keys()
    head = subprocess.run(
        ["git", "-C", Path(__file__).parent, "rev-parse", "HEAD"], capture_output=True, text=True
    )
    if head.returncode == 0:
        assert result["git"]["commit"] == head.stdout.strip()
    assert platform.node() not in json.dumps(result["device"])
    saved = load_checkpoint(tmp_path / "checkpoints/last.ckpt")["provenance"]
    assert saved["data"] == LICENCE and saved["seed"] == 10


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("boom"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_how_a_run_ended(tmp_path, error, status):
    class Ends(Tiny):
        def training_step(self, batch, batch_idx):
            raise error

    with pytest.raises((RuntimeError, SystemExit)):
        trainer([ProvenanceCallback(tmp_path)]).fit(Ends(), datamodule=Data())
    result = record(tmp_path)
    assert result["status"] == status and result["data"] is None
    if status == "failed":
        assert result["error"] == "RuntimeError: boom"


def test_a_resumed_run_keeps_its_history(tmp_path):
    for _ in range(3):
        trainer([ProvenanceCallback(tmp_path)], max_epochs=1).fit(Tiny(), datamodule=Data())
    result = record(tmp_path)
    assert len(result["earlier"]) == 2 and all("earlier" not in part for part in result["earlier"])


def test_a_trial_leaves_no_file(tmp_path):
    trainer([ProvenanceCallback(tmp_path)], fast_dev_run=True).fit(Tiny(), datamodule=Data())
    assert list(tmp_path.iterdir()) == []
