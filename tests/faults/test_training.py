"""Training in trouble, through the entry points: a diverging loss and a damaged checkpoint."""

import json
import zipfile

import pytest
import torch

from callbacks import NotFiniteError, load_checkpoint
from contrapposto.errors import InputError
from tests.lightning_modules.sage_tiny import entry_point, only_run, tiny

MODEL = "sage_upper_vqvae"


def test_a_loss_that_is_not_finite_ends_training_with_its_batch(stores, tmp_path):
    options = ("optimizer.lr=1e30", "callbacks.resume.every_n_steps=1")
    with pytest.raises(NotFiniteError, match="Training stopped at step"):
        entry_point("train", tiny(MODEL, stores, tmp_path, *options))
    run = only_run(tmp_path, MODEL)
    saved = torch.load(run / "debug" / "nan_batch_rank0.pt", weights_only=True)
    assert saved["batch"] and saved["reason"]
    assert json.loads((run / "provenance.json").read_text())["status"] == "failed"
    assert load_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == saved["step"]


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over_and_changes_nothing(stores, tmp_path):
    """One bit of the weights flipped: the one before is used, it is said, and training ends with the same numbers."""
    command = ("trainer.max_epochs=2", "callbacks.resume.every_n_steps=2")
    entry_point("train", tiny(MODEL, stores, tmp_path, *command))
    run = only_run(tmp_path, MODEL)
    whole = load_checkpoint(run / "checkpoints" / "last.ckpt")
    losses = (run / "metrics.csv").read_text().splitlines()[-1].split(",")[:3]
    (run / "result.json").unlink()
    flip_a_weight(run / "checkpoints" / "last.ckpt")
    with pytest.raises(InputError, match="damaged"):
        load_checkpoint(run / "checkpoints" / "last.ckpt")
    with pytest.warns(UserWarning, match=r"damaged.*going on from previous\.ckpt"):
        entry_point("train", tiny(MODEL, stores, tmp_path, *command, "resume=true"))
    again = load_checkpoint(run / "checkpoints" / "last.ckpt")
    assert again["global_step"] == whole["global_step"]
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, again["state_dict"][name]), name
    assert (run / "metrics.csv").read_text().splitlines()[-1].split(",")[:3] == losses
    assert (run / "result.json").is_file()


def flip_a_weight(path):
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
        place = largest.header_offset + 30 + len(largest.filename) + 64 + largest.file_size // 2
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
