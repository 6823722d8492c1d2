"""Per-frame features of a store, computed once, kept as memory-mapped arrays.

A cache lies in `<store>/features/<name>-v<version>-<key>/`: one .npy file per array and `features.json`. The
key hashes everything that decides the numbers: the store's content, the resampling and the options; a cache
is found or made, never mistaken for another.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock

from contrapposto.data.arrays import NpyWriter, open_rows
from contrapposto.data.launchers import start_worker
from contrapposto.data.recipes.base import Progress
from contrapposto.data.store import FIGURE, MotionStore
from contrapposto.data.windows import WindowReader
from contrapposto.errors import InputError
from contrapposto.files import disk_error
from contrapposto.motion import Motion

Resample = Literal["slerp", "stride", "none"]
FeatureFunction = Callable[[Motion], Mapping[str, np.ndarray]]
MIN_FRAMES = 5


def stride_resample(motion: Motion) -> Motion:
    """Take every k-th frame and call the result 60 frames/s, as SAGE does (docs/specs/sage.md, section 4).

    k is 2 at 120 frames/s, 1 at 60, else rate / 60 rounded, at least 1: 100 frames/s become 50 and count as
    60.
    """
    stride = max(round(motion.fps / 60), 1)
    return replace(
        motion,
        rotations=motion.rotations[::stride],
        root_translation=motion.root_translation[::stride],
        fps=60.0,
    )


@dataclass(frozen=True)
class FeatureCache:
    """Arrays of features and how their rows belong to the clips of the store.

    Args:
        path: the folder.
        names: names of the arrays.
        lengths: (clips of the store,) rows of each clip, 0 where a clip has no features.
        skipped: clips without features, with the reason.
    """

    path: Path
    names: tuple[str, ...]
    lengths: np.ndarray
    skipped: Mapping[str, str]

    @classmethod
    def build(
        cls,
        store: MotionStore,
        name: str,
        version: int,
        function: FeatureFunction,
        *,
        fps: float = 60.0,
        resample: Resample = "slerp",
        options: Mapping[str, Any] | None = None,
        root: Path | None = None,
        workers: int = 0,
        progress: Progress | None = None,
    ) -> FeatureCache:
        """Open the cache, or compute it. Several processes may ask at once: one computes, the others wait.

        Args:
            store: the clips.
            name: of the features.
            version: raised whenever `function` gives other numbers.
            function: one clip to named arrays of N rows each; N may be less than the frames (velocities).
                Clips for which it raises `InputError`, and those of fewer than 5 frames, get no rows.
            fps: frame rate to which clips are resampled first.
            resample: `slerp`: by time; `stride`: `stride_resample`, for 60 frames/s only; `none`: as they
                are.
            options: further plain JSON values that change the numbers.
            root: where caches are kept; `features` inside the store if None.
            workers: processes; 0 computes here. `function` must then be importable by name.
            progress: called with ("features", done, total).

        Raises:
            InputError: nothing could be computed, the arrays of clips do not fit together, or it cannot be
                written.
        """
        metadata = {
            "name": name,
            "version": version,
            "store": store.content_hash,
            "figure": FIGURE,
            "fps": fps,
            "resample": resample,
            "options": dict(options or {}),
        }
        key = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()[:16]
        folder = (root or store.path / "features") / f"{name}-v{version}-{key}"
        if not (folder / "features.json").is_file():
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(folder.with_name(f".{folder.name}.lock")):
                    if not (folder / "features.json").is_file():
                        clips = _computed(store, function, fps, resample, workers)
                        _write(folder, metadata, store, clips, progress)
            except OSError as error:
                raise disk_error(folder, error) from error
        return cls.open(folder)

    @classmethod
    def open(cls, path: str | Path) -> FeatureCache:
        """Open a finished cache.

        Raises:
            InputError: it is damaged.
        """
        path = Path(path)
        try:
            value = json.loads((path / "features.json").read_text(encoding="utf-8"))
            cache = cls(path, tuple(value["arrays"]), np.array(value["lengths"], np.int64), value["skipped"])
            rows = {len(cache.array(name)) for name in cache.names}
            if (
                cache.lengths.ndim != 1
                or rows != {int(cache.lengths.sum())}
                or cache.lengths.min(initial=0) < 0
            ):
                raise ValueError(f"arrays of {sorted(rows)} rows for {cache.lengths.sum()}")
            return cache
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise InputError(
                f"The feature cache {path} is damaged.",
                found=repr(error),
                fix="delete the folder; it is made again",
            ) from error

    def array(self, name: str) -> np.ndarray:
        """(total rows, ...), memory-mapped and read-only."""
        return open_rows(self.path / f"{name}.npy")

    def clip(self, index: int) -> dict[str, np.ndarray]:
        """All features of one clip, copied: each (rows, ...)."""
        start = int(self.lengths[:index].sum())
        return {name: np.array(self.array(name)[start : start + self.lengths[index]]) for name in self.names}

    def reader(self, *names: str) -> WindowReader:
        """A `WindowReader` over these arrays, or over all."""
        return WindowReader({name: self.path / f"{name}.npy" for name in names or self.names}, self.lengths)


def _computed(
    store: MotionStore, function: FeatureFunction, fps: float, resample: Resample, workers: int
) -> Iterator[dict[str, np.ndarray] | str]:
    jobs = (store, function, fps, resample)
    if workers <= 1:
        yield from (_compute(*jobs, index) for index in range(len(store)))
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker) as pool:
        columns = [[job] * len(store) for job in jobs]
        yield from pool.map(_compute, *columns, range(len(store)), chunksize=8)


def _compute(
    store: MotionStore, function: FeatureFunction, fps: float, resample: Resample, index: int
) -> dict[str, np.ndarray] | str:
    """The features of one clip, or why it has none."""
    motion = store[index]
    if resample == "stride":
        motion = stride_resample(motion)
    elif resample == "slerp":
        motion = motion.resample(fps)
    if motion.num_frames < MIN_FRAMES:
        return f"{motion.num_frames} frames at {motion.fps:g} frames/s, at least {MIN_FRAMES} are needed"
    try:
        return {name: np.asarray(array) for name, array in function(motion).items()}
    except InputError as error:
        return error.what


def _write(
    folder: Path,
    metadata: dict[str, Any],
    store: MotionStore,
    clips: Iterator[dict[str, np.ndarray] | str],
    progress: Progress | None,
) -> None:
    temporary = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed: we hold the lock
    temporary.mkdir()
    try:
        lengths: list[int] = []
        skipped: dict[str, str] = {}
        writers: dict[str, NpyWriter] = {}
        with ExitStack() as stack:
            for number, features in enumerate(clips):
                if isinstance(features, str):
                    skipped[store.clips[number].name] = features
                    lengths.append(0)
                else:
                    lengths.append(_append(features, writers, temporary, stack, store.clips[number].name))
                if progress:
                    progress("features", number + 1, len(store))
            if not writers:
                raise InputError(
                    f"No clip of {store.path} has features {metadata['name']}.",
                    found="; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:3]),
                )
            arrays = {name: writer.close() for name, writer in writers.items()}
        value = {**metadata, "arrays": arrays, "skipped": skipped, "lengths": lengths}
        (temporary / "features.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _append(
    features: Mapping[str, np.ndarray],
    writers: dict[str, NpyWriter],
    folder: Path,
    stack: ExitStack,
    clip: str,
) -> int:
    rows = {len(array) for array in features.values()}
    if not writers:
        for name, array in features.items():
            writers[name] = stack.enter_context(
                NpyWriter(folder / f"{name}.npy", array.dtype, array.shape[1:])
            )
    if len(rows) != 1 or set(features) != set(writers):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in features.items())
        raise InputError(
            f"The features of {clip} do not fit together.", found=shapes, expected=", ".join(writers)
        )
    for name, array in features.items():
        if not np.isfinite(array).all():
            raise InputError(f"The features of {clip} are not finite.", found=name)
        writers[name].append(array)
    return rows.pop()
