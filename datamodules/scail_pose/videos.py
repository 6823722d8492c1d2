"""Videos to be made into pose videos: a file, a folder of files, or folders as the original has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from contrapposto.errors import InputError
from contrapposto.io.video import SUFFIXES
from contrapposto.systems.scail_pose.framing import target_size
from contrapposto.systems.scail_pose.process import VideoJob
from datamodules.steps import Shard

DRIVING = "driving.mp4"
REFERENCES = ("ref_image.jpg", "ref_image.png", "ref.jpg")


class VideoDataModule(pl.LightningDataModule):
    """Jobs for `trainer.predict`, each to one process.

    A batch is a `VideoJob` and the name of its folder in the output: empty for a single clip.

    Args:
        video: a video; or a folder with `driving.mp4` and perhaps a reference (`ref_image.jpg`, `ref_image.png`,
            `ref.jpg`); or a folder of such folders, or of videos; or several of these.
        reference: image of the character for all; None: the one in the folder of each, if any.
        resolution: short and long side of the pose videos in pixels.
        fps: of the pose videos; None keeps every frame and plays them at 16 per second as the original does.
        fit, reference_fit, upright, start, seconds: see `VideoJob`.

    Raises:
        InputError: nothing there, or an option that cannot be used.
    """

    def __init__(
        self,
        video: str | Path | Sequence[str | Path],
        reference: str | Path | None = None,
        resolution: Sequence[int] = (512, 896),
        fps: float | None = 16.0,
        fit: str = "cover",
        reference_fit: str = "cover",
        upright: str = "video",
        start: float = 0.0,
        seconds: float | None = None,
    ) -> None:
        super().__init__()
        target_size(1, 2, resolution)
        if reference is not None and not Path(reference).is_file():
            raise InputError(f"There is no file {reference}.")
        if fps is not None and not 1 <= fps <= 120:
            raise InputError("Frame rate of the pose video", found=f"{fps}", expected="1 to 120")
        options: dict[str, Any] = {"resolution": tuple(resolution), "fps": fps, "fit": fit}
        options |= {"reference_fit": reference_fit, "upright": upright, "start": start, "seconds": seconds}
        given = [video] if isinstance(video, (str, Path)) else list(video)
        found = [job for path in given for job in _jobs(Path(path), reference, options)]
        names = [job.name for job in found]
        self.jobs = [
            (job, "" if len(found) == 1 else _distinct(name, number, names))
            for number, (job, name) in enumerate(zip(found, names))
        ]

    def predict_dataloader(self) -> DataLoader:
        """The jobs of this process."""
        trainer = self.trainer
        rank, count = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        return DataLoader(Shard(_Jobs(self.jobs), rank, count), batch_size=None, collate_fn=_as_it_is)


class _Jobs(Dataset):
    def __init__(self, jobs: list[tuple[VideoJob, str]]) -> None:
        self.jobs = jobs

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, index: int) -> tuple[VideoJob, str]:
        return self.jobs[index]


def _as_it_is(batch: Any) -> Any:
    return batch


def _jobs(path: Path, reference: str | Path | None, options: dict[str, Any]) -> list[VideoJob]:
    if not path.exists():
        raise InputError(f"There is no file or folder {path}.")
    if path.is_file():
        return [VideoJob(path.stem, path, None if reference is None else Path(reference), **options)]
    if (path / DRIVING).is_file():
        own = next((path / name for name in REFERENCES if (path / name).is_file()), None)
        chosen = own if reference is None else Path(reference)
        return [VideoJob(path.resolve().name, path / DRIVING, chosen, **options)]
    inside = [
        entry for entry in sorted(path.iterdir()) if entry.suffix.lower() in SUFFIXES and entry.is_file()
    ]
    inside += [entry for entry in sorted(path.iterdir()) if (entry / DRIVING).is_file()]
    if not inside:
        raise InputError(
            f"There are no videos in {path}.",
            expected=f"{DRIVING} and a reference, folders with these, or files ending in {' '.join(SUFFIXES)}",
        )
    return [job for entry in inside for job in _jobs(entry, reference, options)]


def _distinct(name: str, number: int, names: list[str]) -> str:
    return name if names.count(name) == 1 else f"{name}_{number}"
