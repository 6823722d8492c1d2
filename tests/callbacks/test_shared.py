"""MPJPE and FID for any model."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.linalg import sqrtm
from torch.utils.data import DataLoader

from callbacks import FID, MPJPE

JOINTS = torch.randn(12, 7, 5, 3, generator=torch.Generator().manual_seed(0))


class Shifted(pl.LightningModule):
    """Predicts every joint 3 cm to the side, the figure a metre away."""

    def test_step(self, batch, batch_idx):
        shift = torch.zeros(5, 3)
        shift[1:, 0] = 0.03
        return {
            "pred_joints": [clip + shift + 1 for clip in batch],
            "true_joints": [clip + 1 for clip in batch],
        }


def measure(*callbacks):
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return trainer.test(Shifted(), DataLoader(JOINTS, batch_size=5), verbose=False)[0]


def test_both_equal_their_definitions():
    actual = measure(MPJPE(), FID())
    assert actual["test/shared_mpjpe"] == pytest.approx(3 * 4 / 5, rel=1e-4)  # the first joint is right
    truth = (JOINTS[..., 1:, :] - JOINTS[..., :1, :]).reshape(-1, 12).double().numpy()
    pred = truth.copy()
    pred[:, ::3] += 0.03
    means = np.square(pred.mean(0) - truth.mean(0)).sum()
    a, b = np.cov(pred.T), np.cov(truth.T)
    expected = means + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert actual["test/shared_fid"] == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_features_are_a_choice():
    actual = measure(FID(name="heights", features=lambda joints: joints[..., 2].flatten(0, -2)))
    assert actual["test/heights"] == pytest.approx(0, abs=1e-4)  # nothing moves up


def test_a_missing_output_is_named():
    with pytest.raises(Exception, match="asks for the output vertices"):
        measure(MPJPE(predicted="vertices"))
