"""The table of single clips: one row per clip, one column per metric."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from contrapposto.files import atomic_path
from contrapposto.nn.distributed import gather_objects
from loggers.build import is_trial, log_table


class ClipTable:
    """Rows of (clip, frames, metrics) collected during an evaluation, over all processes."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def clear(self) -> None:
        """Forget all rows."""
        self.rows = []

    def add(self, clip: str, frames: int | None, values: dict[str, float]) -> None:
        """Add the metrics of one clip."""
        self.rows.append({"clip": clip, "frames": frames, **values})

    def gather(self, trainer: pl.Trainer) -> None:
        """Collect the rows of all processes, sorted by name; a clip that two of them saw is listed once.

        (A distributed sampler repeats clips so that every process gets as many.)
        """
        rows = [row for part in gather_objects(self.rows) for row in part]
        unique = {(row["clip"], row["frames"]): row for row in rows}
        self.rows = [unique[key] for key in sorted(unique, key=str)]

    def write(self, trainer: pl.Trainer, run_dir: Path, stage: str, *, table: bool) -> None:
        """Write `media/clips_<stage>.csv` on the first process; with `table`, also to wandb."""
        if not self.rows or not trainer.is_global_zero or is_trial(trainer):
            return
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        with (
            atomic_path(run_dir / "media" / f"clips_{stage}.csv") as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        if table:
            rows = [[row.get(key) for key in columns] for row in self.rows]
            log_table(trainer, f"{stage}/clips", columns, rows)
