"""A hundred times AMASS, reckoned from what is measured here: the table of the plan in docs/growth.md."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cost_tables import duration, number, size, table
from benchmarks.full_runs import AMASS_CLIPS, AMASS_FPS, AMASS_HOURS
from benchmarks.measure import seconds
from contrapposto.data.store import MotionStore

if TYPE_CHECKING:
    from benchmarks.growth import Series

TIMES, NODES, CORES = 100, 8, 64  # cores of each node; eight GPUs in each
CLIPS, FRAMES = TIMES * AMASS_CLIPS, TIMES * AMASS_HOURS * 3600 * AMASS_FPS
DISK = 5e9  # bytes per second, assumed
STORE_FRAME = 4 * (156 + 3)  # of our stores
RAW_FRAME = 8 * (156 + 3)  # AMASS's files: poses and translation as float64
CLIP_FRAMES = 240  # of the clips of the series "Preparation"


def plan_table(series: dict[str, Series], store: Path) -> str:
    """Markdown. `series` by what is done; `store` has many clips, of which the manifest is measured."""
    clips = len(MotionStore.open(store))
    record = (store / "manifest.json").stat().st_size / clips
    preparing = last_each(series["clips of 240 frames to a store"]) / CLIP_FRAMES
    opening = last_each(series["opening a store"])
    drawn = series["drawing 20 batches of 512 windows"]
    share = series["reading its share of 64 batches of 512"]
    hashing, moved = hash_rate(), 3 * FRAMES * (RAW_FRAME + STORE_FRAME)
    lines = [
        ("frames, clips", "", f"{FRAMES:,}, {CLIPS:,}"),
        ("files of AMASS", f"{RAW_FRAME} B a frame", size(FRAMES * RAW_FRAME)),
        ("store: arrays", f"{STORE_FRAME} B a frame", size(FRAMES * STORE_FRAME)),
        ("store: manifest", f"{record:.0f} B a clip", size(CLIPS * record)),
        ("hashing the files", f"{hashing / 1e6:.0f} MB/s of one core", core_hours(FRAMES * RAW_FRAME / hashing)),
        ("preparing, hashing included", f"{1e6 * preparing:.0f} µs a frame", core_hours(FRAMES * preparing)),
        (f"the same on {NODES} nodes of {CORES} cores", "", duration(FRAMES * preparing / NODES / CORES)),
        ("traffic of the disks", f"{DISK / 1e9:.0f} GB/s, assumed", f"{size(moved)}, {duration(moved / DISK)}"),
        ("opening the store, in every process", f"{1e6 * opening:.0f} µs a clip", duration(CLIPS * opening)),
        ("memory for its clips, in every process", f"{memory(store) / clips:,.0f} B a clip",
         size(CLIPS * memory(store) / clips)),
        (f"drawing 512 windows of {drawn.sizes[-1]:,} clips", f"{1e3 * drawn.seconds[-1] / 20:.2f} ms", "the same"),
        ("reading, one process of one", f"{number(64 * 512 / share.seconds[0])} windows/s", "the same"),
        (f"reading, one process of {share.sizes[-1]}", f"{number(64 / share.seconds[-1])} batches/s", "the same"),
    ]  # fmt: skip
    return table(("", "measured, one core", f"{TIMES} times AMASS"), lines)


def last_each(series: Series) -> float:
    """Seconds of one piece at the largest size: what does not grow is left out."""
    return (series.seconds[-1] - series.seconds[0]) / (series.sizes[-1] - series.sizes[0])


def hash_rate() -> float:
    """Bytes per second of SHA-256."""
    block = bytes(2**24)
    return len(block) / seconds(lambda: hashlib.sha256(block).digest(), repeats=3)


def memory(store: Path) -> int:
    """Bytes of Python that an open store takes."""
    tracemalloc.start()
    kept = MotionStore.open(store)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return taken


def core_hours(work: float) -> str:
    return f"{number(work / 3600)} core hours"
