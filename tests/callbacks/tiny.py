"""A real but tiny training: a linear model with dropout on data that are a function of the step."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

SEED = 3


def batch_of(step: int, size: int = 4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(size, 5, generator=generator)
    return {"x": x, "y": x.sum(1, keepdim=True)}


class StepLoader(IterableDataset):
    """Batches as a function of the step; told by Lightning's loop state where a resumed epoch begins."""

    def __init__(self, batches: int) -> None:
        self.batches, self.start, self.epoch, self.position = batches, 0, 0, 0

    def __iter__(self):
        start, self.start = self.start, 0
        for index in range(start, self.batches):
            self.position = index + 1
            yield batch_of(self.epoch * self.batches + index)
        self.epoch, self.position = self.epoch + 1, 0

    def __len__(self) -> int:
        return self.batches


class Loader:
    """Stateful loader: Lightning saves its state with the fit loop."""

    def __init__(self, batches: int) -> None:
        self.dataset = StepLoader(batches)

    def __iter__(self):
        return iter(self.dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.dataset.epoch, "position": self.dataset.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        epoch, position = state["epoch"], state["position"]
        if position >= self.dataset.batches:
            epoch, position = epoch + 1, 0
        self.dataset.epoch, self.dataset.start, self.dataset.position = epoch, position, position


class Clips(torch.utils.data.Dataset):
    """Validation clips: number i has i + 1 frames' worth of a constant error."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": torch.full((5,), float(index)), "clip": f"clip_{index:02d}", "frames": 10 + index}


class Data(pl.LightningDataModule):
    def __init__(self, batches: int = 6, clips: int = 5) -> None:
        super().__init__()
        self.batches, self.clips = batches, clips

    def train_dataloader(self) -> Any:
        return Loader(self.batches)

    def val_dataloader(self) -> Any:
        return DataLoader(Clips(self.clips), batch_size=2)

    test_dataloader = val_dataloader


class Tiny(pl.LightningModule):
    """Records the losses that it sees."""

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        self.save_hyperparameters()
        torch.manual_seed(SEED)
        self.net = nn.Sequential(nn.Linear(5, 16), nn.Dropout(dropout), nn.ReLU(), nn.Linear(16, 1))
        self.losses: list[tuple[int, float]] = []

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        loss = (self.net(batch["x"]) - batch["y"]).square().mean()
        self.losses.append((self.trainer.fit_loop.total_batch_idx, float(loss.detach())))
        self.log("train/loss", loss)
        return {"loss": loss}

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        error = batch["x"][:, 0]
        self.log("val/loss", self.net(batch["x"]).square().mean(), batch_size=len(error))
        return {"error": error, "clips": batch["clip"], "num_frames": batch["frames"]}

    test_step = validation_step

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [8, 14], 0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def trainer(callbacks: list[pl.Callback], loggers: Any = False, **options: Any) -> pl.Trainer:
    from callbacks import AtomicCheckpointIO

    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 3,
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(isinstance(item, pl.callbacks.Checkpoint) for item in callbacks),
        "log_every_n_steps": 1,
        "plugins": [AtomicCheckpointIO()],
    }
    return pl.Trainer(callbacks=callbacks, logger=loggers, **{**defaults, **options})
