"""Outputs of frozen networks for windows of clips: computed once, kept as memory-mapped arrays.

A cache lies in `<folder>/<name>-<key>/`: one .npy file per output, one row per window, and `windows.json`. The key
hashes
everything that decides the numbers. Windows of a clip start every `stride` rows. While it is made, rows are written in
blocks, and a finished block is marked: a process that is killed goes on with the block it was at, and several
processes share the blocks.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapposto.data.arrays import open_rows
from contrapposto.data.windows import WindowReader
from contrapposto.errors import InputError
from contrapposto.files import disk_error, write_json

WindowFunction = Callable[[dict[str, Tensor]], Mapping[str, Tensor]]
BLOCK = 1024


class WindowCache:
    """Rows of outputs by (clip, start).

    Args:
        path: of a finished cache.

    Raises:
        InputError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            metadata = json.loads((path / "windows.json").read_text(encoding="utf-8"))
            self.stride: int = metadata["stride"]
            self.arrays = {name: open_rows(path / f"{name}.npy") for name in metadata["arrays"]}
            counts = np.array(metadata["counts"], np.int64)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"The cache {path} is damaged.", found=repr(error), fix="delete the folder; it is made again"
            ) from error
        self.path, self.offsets = path, np.concatenate([[0], np.cumsum(counts)])

    @classmethod
    def build(
        cls,
        folder: Path,
        name: str,
        metadata: Mapping[str, Any],
        reader: WindowReader,
        clips: np.ndarray,
        window: int,
        function: WindowFunction,
        *,
        max_bytes: float = math.inf,
        max_windows: int | None = None,
        batch_size: int = 256,
        rank: int = 0,
        world_size: int = 1,
        barrier: Callable[[], None] = lambda: None,
        progress: Callable[[int, int], None] | None = None,
    ) -> WindowCache:
        """Open the cache, or compute it; processes that share the work call it together.

        Args:
            folder: where caches are kept.
            name, metadata: of the networks; plain values that decide the numbers.
            reader: the inputs.
            clips: numbers of the clips; those shorter than a window get no rows.
            window: rows of a window.
            function: a batch of windows ({array: (B, window, ...)} and `frames` (B,), the number of the last row) to
                named outputs (B, ...).
            max_bytes, max_windows: on the disk; the stride is the smallest with which the outputs fit.
            batch_size: windows per call.
            rank, world_size, barrier: of the processes.
            progress: called with (windows done, all windows).

        Raises:
            InputError: the disk is full or cannot be written.
        """
        limits = {"max_bytes": str(max_bytes), "max_windows": max_windows}
        chosen = {**metadata, **limits, "window": window, "clips": np.asarray(clips).tolist()}
        key = hashlib.sha256(json.dumps([name, chosen], sort_keys=True).encode()).hexdigest()[:16]
        path = folder / f"{name}-{key}"
        if not (path / "windows.json").is_file():
            maker = _Maker(path, reader, np.asarray(clips), window, function, batch_size)
            maker.plan(max_bytes, max_windows)
            try:
                if rank == 0:
                    maker.allocate()
                barrier()
                maker.fill(rank, world_size, progress)
                barrier()
                if rank == 0:
                    maker.finish()
                barrier()
            except OSError as error:
                raise disk_error(path, error) from error
        return cls(path)

    def rows(self, clips: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Row of each window; starts between two multiples of the stride count as the lower one."""
        return self.offsets[clips] + starts // self.stride

    def read(self, clips: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs of the windows at (clips, starts), each (B,): name to (B, ...)."""
        rows = self.rows(clips, starts)
        return {name: np.asarray(array)[rows] for name, array in self.arrays.items()}


class _Maker:
    def __init__(
        self,
        path: Path,
        reader: WindowReader,
        clips: np.ndarray,
        window: int,
        function: WindowFunction,
        batch_size: int,
    ) -> None:
        self.path, self.partial = path, path.with_name(f"{path.name}.partial")
        self.reader, self.window, self.function, self.batch_size = reader, window, function, batch_size
        lengths = np.zeros_like(reader.lengths)
        lengths[clips] = reader.lengths[clips]
        self.possible = np.maximum(lengths - window + 1, 0)

    def plan(self, max_bytes: float, max_windows: int | None) -> None:
        """Look at one output, and choose the stride."""
        first = int(np.flatnonzero(self.possible)[0])
        self.shapes = {
            name: value[0] for name, value in self._compute(np.array([first]), np.array([0])).items()
        }
        row_bytes = sum(value.nbytes for value in self.shapes.values())
        everything = int(self.possible.sum())
        most = min(max_bytes / row_bytes, max_windows or math.inf)
        self.stride = max(1, math.ceil(everything / most))
        self.counts = -(-self.possible // self.stride)
        self.offsets = np.concatenate([[0], np.cumsum(self.counts)])
        self.total = int(self.offsets[-1])

    def _compute(self, clips: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
        batch = {n: torch.from_numpy(a) for n, a in self.reader.read(clips, starts, self.window).items()}
        batch["frames"] = torch.from_numpy(starts + self.window - 1)
        return {name: value.numpy() for name, value in self.function(batch).items()}

    def allocate(self) -> None:
        """Make the files, with nothing in them; those of an interrupted run are kept."""
        self.partial.mkdir(parents=True, exist_ok=True)
        if (self.partial / "done").is_file():
            return
        for name, value in self.shapes.items():
            header = {
                "descr": np.lib.format.dtype_to_descr(value.dtype),
                "fortran_order": False,
                "shape": (self.total, *value.shape),
            }
            with open(self.partial / f"{name}.npy", "wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                file.truncate(file.tell() + self.total * value.nbytes)
        (self.partial / "done.new").write_bytes(bytes(-(-self.total // BLOCK)))
        (self.partial / "done.new").rename(self.partial / "done")

    def fill(self, rank: int, world_size: int, progress: Callable[[int, int], None] | None) -> None:
        """Compute this process's blocks that are not done yet."""
        done = (self.partial / "done").read_bytes()
        for block in range(rank, len(done), world_size):
            if not done[block]:
                self._fill_block(block)
            if progress:
                progress(min((block + 1) * BLOCK, self.total), self.total)

    def _fill_block(self, block: int) -> None:
        rows = np.arange(block * BLOCK, min((block + 1) * BLOCK, self.total))
        clips = np.searchsorted(self.offsets, rows, side="right") - 1
        starts = (rows - self.offsets[clips]) * self.stride
        for first in range(0, len(rows), self.batch_size):
            part = slice(first, first + self.batch_size)
            # Plain writes: on a full disk they raise an error, a memory map would end the process.
            for name, values in self._compute(clips[part], starts[part]).items():
                size = self.shapes[name].nbytes
                with open(self.partial / f"{name}.npy", "r+b") as file:
                    file.seek(-(self.total - int(rows[first])) * size, 2)
                    file.write(np.ascontiguousarray(values).data)
        with open(self.partial / "done", "r+b") as file:
            file.seek(block)
            file.write(b"\1")

    def finish(self) -> None:
        """Say what is in it and give it its name."""
        metadata = {"stride": self.stride, "arrays": list(self.shapes), "counts": self.counts.tolist()}
        write_json(self.partial / "windows.json", metadata)
        self.partial.rename(self.path)
