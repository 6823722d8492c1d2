"""FiniteGuard: stops in time, keeps the batch, leaves healthy runs alone."""

from __future__ import annotations

import pytest
import torch

from callbacks import FiniteGuard, NotFiniteError, ResumeCheckpoint, load_checkpoint
from tests.callbacks.tiny import Data, Tiny, batch_of, trainer


class Breaks(Tiny):
    """Loss or gradient becomes NaN in batch 4."""

    def __init__(self, how: str) -> None:
        super().__init__(dropout=0.0)
        self.how = how

    def training_step(self, batch, batch_idx):
        output = super().training_step(batch, batch_idx)
        if self.trainer.fit_loop.total_batch_idx == 4:
            if self.how == "loss":
                output["loss"] = output["loss"] * float("inf")
            elif self.how == "constant":  # the gradients are finite
                output["loss"] = output["loss"] + float("nan")
            else:  # sqrt has an infinite slope at 0: the loss is finite, 0 * inf in the backward pass is not
                output["loss"] = output["loss"] + (self.net[0].weight * 0).square().sqrt().sum()
        return output


@pytest.mark.parametrize("how", ["loss", "constant", "gradient"])
def test_stops_before_the_weights_are_spoilt(tmp_path, how):
    model = Breaks(how)
    callbacks = [FiniteGuard(tmp_path), ResumeCheckpoint(tmp_path / "checkpoints", 1)]
    with pytest.raises(NotFiniteError, match="step 4"):
        trainer(callbacks).fit(model, datamodule=Data())
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert load_checkpoint(tmp_path / "checkpoints/last.ckpt")["global_step"] == 4
    saved = torch.load(tmp_path / "debug/nan_batch_rank0.pt", weights_only=True)
    assert torch.equal(saved["batch"]["x"], batch_of(4)["x"])
    assert saved["step"] == 4 and saved["reason"]


def test_healthy_run_is_left_alone(tmp_path):
    trainer([FiniteGuard(tmp_path)], max_epochs=1).fit(Tiny(), datamodule=Data())
    assert not (tmp_path / "debug").exists()


def test_huge_but_finite_gradients_pass(tmp_path):
    class Huge(Tiny):
        def training_step(self, batch, batch_idx):
            return {"loss": super().training_step(batch, batch_idx)["loss"] * 1e25}

    trainer([FiniteGuard(tmp_path)], max_epochs=1).fit(Huge(), datamodule=Data(batches=1))
