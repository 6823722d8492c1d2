"""Sharded reading: two gloo processes under Lightning's own loops read every window of the epochs once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from cli.build import build_datamodule
from cli.launch import compose_config
from datamodules.steps import Batch

MODELS = {
    "sage_upper_vqvae": ("data.repeats=3", "data.batch_size=6"),
    "posegpt_classifier": (
        "data.steps_per_epoch=8",
        "data.batch_size=6",
        "data.skeleton=smpl22",
        "data.eval_batch_size=2",
        "data.window=32",
    ),
    "scail_lifter": ("data.steps_per_epoch=8", "data.batch_size=6", "data.eval_frames=16"),
}
EPOCHS = 2


class Reader(pl.LightningModule):
    """Notes what it is given: of every sample its number, step, clip and start and the sum of its first array."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.rows, self.names = folder, [], []
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        samples = batch["sample_ids"]
        values = next(v for v in batch.values() if v.is_floating_point()).double().flatten(1).sum(1)
        places = [batch.get(name, torch.zeros_like(samples)) for name in ("clip_ids", "starts")]
        self.rows.append(torch.stack([samples, torch.full_like(samples, batch["step"]), *places, values], 1))
        return self.weight.sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        names = batch["names"] if "names" in batch else [batch["name"]]
        self.names += [] if self.trainer.sanity_checking else list(names)

    def on_fit_end(self) -> None:
        path = self.folder / f"{self.global_rank}.npz"
        np.savez(path, rows=torch.cat(self.rows), names=np.array(self.names))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def read(folder: Path, config, devices: int) -> list[tuple[np.ndarray, list[str]]]:
    """Rows and names of each process."""
    folder.mkdir()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp_fork" if devices > 1 else "auto",
        max_epochs=EPOCHS,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,  # as the entry points have it
    )
    trainer.fit(Reader(folder), datamodule=build_datamodule(config))
    files = [np.load(folder / f"{rank}.npz") for rank in range(devices)]
    return [(file["rows"], file["names"].tolist()) for file in files]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are forked")
@pytest.mark.parametrize("model", MODELS)
def test_two_processes_read_every_window_once(model: str, stores: Path, tmp_path: Path) -> None:
    shares = ("data.val_share=0.25", "data.test_share=0.2")
    config = compose_config(
        "train",
        [f"model={model}", "data=amass", "data.name=tiny", f"paths.stores={stores}", *shares, *MODELS[model]],
    )
    ((whole, names),) = read(tmp_path / "one", config, 1)
    parts = read(tmp_path / "two", config, 2)
    assert len(parts[0][0]) == len(parts[1][0]) > 0
    joined = np.concatenate([rows for rows, _ in parts])
    joined = joined[np.argsort(joined[:, 0])]
    assert joined[:, 0].tolist() == list(range(len(whole)))  # every sample of all epochs, none twice
    assert np.allclose(joined, whole[np.argsort(whole[:, 0])], atol=1e-4)
    assert len(names) >= 2 * EPOCHS
    assert sorted(name for _, part in parts for name in part) == sorted(names)
    if (
        model == "sage_upper_vqvae"
    ):  # every clip as often as data.repeats says, but for the rest of the last step
        visits = np.unique(whole[:, 2], return_counts=True)[1]
        assert set(visits) <= {EPOCHS * 3 - 1, EPOCHS * 3}
