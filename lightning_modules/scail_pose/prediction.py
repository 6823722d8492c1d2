"""`trainer.predict` over clips: one clip per batch, so that many spread over processes and devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from contrapposto.systems.scail_pose.extractor import PoseExtractor
from contrapposto.systems.scail_pose.jobs import VideoJob


class ScailPoseModule(pl.LightningModule):
    """Makes the pose video of each clip; nothing is trained.

    Args:
        extractor: makes the files.
        output: folder for them; a clip's own folder in it where the job names one.
    """

    def __init__(self, extractor: PoseExtractor, output: str | Path) -> None:
        super().__init__()
        self.extractor, self.output = extractor, Path(output)

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """A job stays as it is: it holds names of files."""
        return batch

    def predict_step(self, batch: tuple[VideoJob, str], batch_idx: int) -> dict[str, Any]:
        """Process a clip: a job, and the name of its folder in `output`, empty where it has none.

        Returns:
            See `PoseExtractor.try_job`.
        """
        job, inside = batch
        return self.extractor.try_job(job, self.output / inside)
