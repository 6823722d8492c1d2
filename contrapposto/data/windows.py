"""Windows of clips: read by one gather per array, drawn as a pure function of (seed, step).

No window depends on a process, a worker or an earlier draw: a run that was killed continues in mid-epoch with
    the very
windows it would have drawn, and the global batch is the same for any number of processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from contrapposto.data.arrays import open_rows
from contrapposto.errors import ConfigError, InputError

Weighting = Literal["clip", "length"]
_DRAW, _PASS = 0, 1  # streams of random numbers that must not meet


class WindowReader:
    """Reads windows of the rows of several arrays that have the same clips.

    Args:
        arrays: name to .npy file or array, each (total rows, ...).
        lengths: (C,) rows of each clip, in the order in which they lie in the arrays.

    Raises:
        InputError: an array has not the number of rows that the lengths say.
    """

    def __init__(self, arrays: Mapping[str, Path | np.ndarray], lengths: Sequence[int] | np.ndarray) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        self.offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        self._paths = {name: item for name, item in arrays.items() if not isinstance(item, np.ndarray)}
        self._arrays: dict[str, np.ndarray] = {n: a for n, a in arrays.items() if isinstance(a, np.ndarray)}
        self._names = tuple(arrays)
        for name in self._names:
            if len(self._array(name)) != self.offsets[-1]:
                raise InputError(
                    f"The array {name} does not fit the clips.",
                    found=f"{len(self._array(name))} rows",
                    expected=f"{self.offsets[-1]} rows in {len(self.lengths)} clips",
                )

    def read(self, clips: np.ndarray, starts: np.ndarray, length: int) -> dict[str, np.ndarray]:
        """Windows of `length` rows.

        Args:
            clips: (B,) clip numbers.
            starts: (B,) first row of each window inside its clip.
            length: rows of a window.

        Returns:
            Each array as (B, length, ...), fresh memory.

        Raises:
            IndexError: a window reaches beyond its clip.
        """
        clips, starts = np.asarray(clips), np.asarray(starts)
        wrong = (starts < 0) | (starts + length > self.lengths[clips])
        if wrong.any():
            clip, start = int(clips[wrong][0]), int(starts[wrong][0])
            raise IndexError(
                f"rows {start} to {start + length} of clip {clip}, which has {self.lengths[clip]} rows"
            )
        rows = (self.offsets[clips] + starts)[:, None] + np.arange(length)
        # mode="clip" lets NumPy copy without a buffer; the bounds were checked above
        return {name: np.take(self._array(name), rows, axis=0, mode="clip") for name in self._names}

    def _array(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            # as a plain array: the subclass memmap costs time in every operation
            self._arrays[name] = np.asarray(open_rows(self._paths[name]))
        return self._arrays[name]

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: array for name, array in self._arrays.items() if name not in self._paths}
        return {**self.__dict__, "_arrays": kept}


@dataclass(frozen=True)
class Draw:
    """The windows of one step on one rank.

    Args:
        clips: (b,) clip numbers.
        starts: (b,) first rows.
        sample_ids: (b,) int64, unique over all steps and ranks: the key for the noise of a sample.
    """

    clips: np.ndarray
    starts: np.ndarray
    sample_ids: np.ndarray


@dataclass(frozen=True, eq=False)
class Places:
    """Where windows may begin in clips. Looking through all clips takes time, so that is done once for many draws.

    Args:
        clips: (E,) numbers of the clips that are long enough.
        starts: (E,) in how many rows a window may begin.
        cumulative: (E + 1,) running sum of these.
    """

    clips: np.ndarray
    starts: np.ndarray
    cumulative: np.ndarray

    @classmethod
    def of(
        cls, lengths: Sequence[int] | np.ndarray, length: int, *, include_last_start: bool = False
    ) -> Places:
        """Of clips with these lengths; see `draw_windows`.

        Raises:
            InputError: no clip is long enough.
        """
        rows = np.asarray(lengths, np.int64)
        eligible = np.flatnonzero(rows >= length)
        if not len(eligible):
            raise InputError(
                f"No clip is long enough for windows of {length} rows.",
                found=f"{len(rows)} clips, the longest has {max(rows, default=0)} rows",
                fix="use shorter windows or other clips",
            )
        starts = np.maximum(rows[eligible] - length + int(include_last_start), 1)
        return cls(eligible, starts, np.concatenate([[0], np.cumsum(starts)]))


def draw_windows(
    seed: int,
    step: int,
    lengths: Sequence[int] | np.ndarray | Places,
    batch_size: int,
    length: int,
    *,
    rank: int = 0,
    world_size: int = 1,
    include_last_start: bool = False,
    weighting: Weighting = "clip",
) -> Draw:
    """Draw the windows of one step; the ranks' draws, one after the other, are the global batch.

    Args:
        seed: of the run.
        step: number of the batch.
        lengths: (C,) rows of the clips; those shorter than `length` are never drawn. Or the `Places` in them.
        batch_size: of all ranks together.
        length: rows of a window.
        rank: this process.
        world_size: number of processes.
        include_last_start: whether a window may end at the clip's last row. SAGE never draws it: start uniform
            in [0, rows - length) (docs/specs/sage.md, section 4); a clip of exactly `length` rows is always
            drawn from row 0.
        weighting: `clip`: passes over the clips in random order, so that each is visited equally often
            whatever its length, start uniform (SAGE); `length`: every window equally likely.

    Raises:
        ConfigError: the batch cannot be divided among the processes.
        InputError: no clip is long enough.
    """
    if batch_size % world_size or batch_size < 1 or not 0 <= rank < world_size:
        raise ConfigError(
            f"A global batch of {batch_size} windows cannot be divided among {world_size} processes.",
            found=f"rank {rank}",
            expected="a multiple of the number of processes",
            fix=f"data.batch_size={max(batch_size // world_size, 1) * world_size}",
        )
    places = lengths
    if not isinstance(places, Places):
        places = Places.of(places, length, include_last_start=include_last_start)
    samples = np.arange(step * batch_size, (step + 1) * batch_size, dtype=np.int64)
    generator = keyed_generator(seed, _DRAW, step)
    if weighting == "clip":
        chosen = shuffled_passes(seed, samples, len(places.clips))
        starts = generator.integers(0, places.starts[chosen])
    else:
        window = generator.integers(0, places.cumulative[-1], batch_size)
        chosen = np.searchsorted(places.cumulative, window, side="right") - 1
        starts = window - places.cumulative[chosen]
    share = batch_size // world_size
    mine = slice(rank * share, (rank + 1) * share)
    return Draw(places.clips[chosen][mine], starts[mine], samples[mine])


def shuffled_passes(seed: int, samples: np.ndarray, count: int) -> np.ndarray:
    """The clip of each sample if all samples ever drawn are passes over the clips, each in random order."""
    number, place = np.divmod(samples, count)
    chosen = np.empty(len(samples), np.int64)
    for one in np.unique(number):
        mask = number == one
        chosen[mask] = _order(seed, int(one), count)[place[mask]]
    return chosen


@lru_cache(maxsize=4)
def _order(seed: int, number: int, count: int) -> np.ndarray:
    return keyed_generator(seed, _PASS, number).permutation(count)


def keyed_generator(seed: int, stream: int, number: int) -> np.random.Generator:
    """Random numbers of item `number` of a stream: counter-based, each (stream, number) has its own stretch."""
    key = np.array([seed % 2**64, 0], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, number, stream], np.uint64)))


class StepBatchDataset(IterableDataset):
    """Batches of windows by step, for `DataLoader(dataset, batch_size=None, num_workers=W)`.

    Worker w of W takes the steps start + w, start + w + W, ...; the loader hands them out in order, so the
    number of workers changes nothing. A batch is a dictionary of tensors: each array (b, length, ...),
    `clip_ids`, `starts` and `sample_ids` (b,) int64, and `step` () int64.

    Args:
        reader: the arrays.
        seed: of the run.
        batch_size: of all ranks together.
        length: rows of a window.
        steps: number of the step at which iteration ends (exclusive).
        start_step: first step.
        rank: this process.
        world_size: number of processes.
        include_last_start, weighting: see `draw_windows`.
        clips: numbers of the clips to draw from (a split); all if None.
    """

    def __init__(
        self,
        reader: WindowReader,
        *,
        seed: int,
        batch_size: int,
        length: int,
        steps: int,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
        include_last_start: bool = False,
        weighting: Weighting = "clip",
        clips: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.reader = reader
        self.clips = np.arange(len(reader.lengths)) if clips is None else np.asarray(clips, np.int64)
        self.seed, self.batch_size, self.length = seed, batch_size, length
        self.start_step, self.steps = start_step, steps
        self.rank, self.world_size = rank, world_size
        self.weighting = weighting
        self.places = Places.of(reader.lengths[self.clips], length, include_last_start=include_last_start)
        self.batch(start_step)  # refuses impossible settings here rather than in a worker

    def __len__(self) -> int:
        return max(self.steps - self.start_step, 0)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        first, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for step in range(self.start_step + first, self.steps, stride):
            yield self.batch(step)

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The batch of one step."""
        draw = draw_windows(
            self.seed,
            step,
            self.places,
            self.batch_size,
            self.length,
            rank=self.rank,
            world_size=self.world_size,
            weighting=self.weighting,
        )
        clips = self.clips[draw.clips]
        arrays = self.reader.read(clips, draw.starts, self.length)
        arrays.update(clip_ids=clips, starts=draw.starts, sample_ids=draw.sample_ids)
        batch: dict[str, Any] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        batch["step"] = step  # a plain number: reading one from a GPU would make the host wait
        return batch
