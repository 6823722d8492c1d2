"""The log that is always there: metrics.csv."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from contrapposto.errors import InputError
from contrapposto.files import atomic_path, disk_error


class CSVRunLogger(Logger):
    """`metrics.csv` directly in the run directory: one row per logged step, columns that may grow.

    (Lightning's `CSVLogger` keeps rows in memory between saves and cannot take back those of a resumed run.)
    Rows are appended and flushed as they come, so that a killed process loses none. A new column rewrites the
    file (atomically). `drop_rows_from` lets a resumed run take up the file where its checkpoint stands.

    Args:
        run_dir: the run directory.
    """

    def __init__(self, run_dir: str | Path) -> None:
        super().__init__()
        self.path = Path(run_dir) / "metrics.csv"
        self._columns: list[str] | None = None

    @property
    def name(self) -> str:
        """Name of this log."""
        return "csv"

    @property
    def version(self) -> str:
        """There is one per run."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run directory."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the configuration stands in config.yaml already."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row with the column `step` first.

        Raises:
            InputError: the disk is full, or the folder cannot be written to.
        """
        row = {"step": step, **{key: _number(value) for key, value in metrics.items()}}
        columns = self._read_columns()
        new = [key for key in row if key not in columns]
        try:
            if new:
                self._rewrite([*columns, *new], self._read_rows())
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._read_columns()).writerow(row)
        except OSError as error:
            raise disk_error(self.path, error) from error

    @rank_zero_only
    def drop_rows_from(self, step: int) -> None:
        """Remove the rows of `step` and later: a resumed run is about to write them again."""
        columns, rows = self._read_columns(), self._read_rows()
        kept = [row for row in rows if _is_before(row, step)]
        if columns and len(kept) < len(rows):
            self._rewrite(columns, kept)

    def _read_columns(self) -> list[str]:
        if self._columns is None:
            self._columns = []
            if self.path.exists():
                with open(self.path, newline="", encoding="utf-8") as file:
                    self._columns = next(csv.reader(file), [])
        return self._columns

    def _read_rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with open(self.path, newline="", encoding="utf-8") as file:
            # A process killed in the middle of a write leaves a row that is too short: DictReader fills it
            # with None.
            return [row for row in csv.DictReader(file) if None not in row.values() and None not in row]

    def _rewrite(self, columns: list[str], rows: Sequence[Mapping[str, Any]]) -> None:
        with (
            atomic_path(self.path) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        self._columns = columns


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _is_before(row: Mapping[str, str], step: int) -> bool:
    try:
        return int(row["step"]) < step
    except (KeyError, ValueError):
        raise InputError(
            "metrics.csv has a row without a step.", found=str(dict(row)), fix="correct or remove the file"
        ) from None
