"""What you type, and how long it takes: whole commands in processes of their own.

Processor seconds of a command and its children, the wall's seconds until its first result is on disk, and the largest
memory of one of its processes. Times of the wall hold for an idle machine only.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Row

ROOT = Path(__file__).resolve().parents[1]
CLIP = "contrapposto/assets/motion/cmu_01_01.npz"  # 22.9 s
COMMANDS = {
    "predict.py --help": ["predict.py", "--help"],
    "convert, 23 s of motion, npz, bvh, glb": ["task=convert", f"input={CLIP}", "task.formats=[npz,bvh,glb]"],
    "convert, the same and mp4": ["task=convert", f"input={CLIP}", "task.formats=[npz,bvh,glb,mp4]"],
    "sage_track, 23 s, npz, bvh, glb": ["task=sage_track", f"input={CLIP}", "task.formats=[npz,bvh,glb]"],
    "sage_track, the same and mp4": ["task=sage_track", f"input={CLIP}", "task.formats=[npz,bvh,glb,mp4]"],
    "posegpt_sample, 8 clips of 2 s": [
        "task=posegpt_sample",
        "action=squat",
        "frames=60",
        "count=8",
        "task.formats=[npz,bvh,glb]",
    ],
    "posegpt_sample, the same and mp4": [
        "task=posegpt_sample",
        "action=squat",
        "frames=60",
        "count=8",
        "task.formats=[npz,bvh,glb,mp4]",
    ],
}


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Args:
        cpu: seconds of processors, children's too.
        wall: seconds from start to end.
        first: seconds until a result was on disk; None where there is none.
        memory: MiB that its largest process held.
    """

    cpu: float
    wall: float
    first: float | None
    memory: float


def measure(words: list[str], output: Path) -> Cost:
    """Run a command of the checkout.

    Raises:
        RuntimeError: it failed.
    """
    arguments = words if words[0].endswith(".py") else ["predict.py", *words, f"output={output}"]
    start, first = time.monotonic(), None
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    nothing = os.open(os.devnull, os.O_WRONLY)
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, str(ROOT / arguments[0]), *arguments[1:]],
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, nothing, number) for number in (1, 2)],
    )
    os.close(nothing)
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if first is None and any(file.is_file() for file in output.rglob("[!.]*")):
            first = time.monotonic() - start
        if ended:
            break
        time.sleep(0.02)
    if status:
        raise RuntimeError(f"{' '.join(arguments)} ended with status {os.waitstatus_to_exitcode(status)}")
    wall = time.monotonic() - start
    return Cost(usage.ru_utime + usage.ru_stime, wall, first, usage.ru_maxrss / 1024)


def panel(camera: str, frames: int = 30, repetitions: int = 5) -> float:
    """Milliseconds of one thread for a panel of 512x512 of a video, without skinning and encoder; the least of some."""
    from contrapposto.io import read_motion
    from contrapposto.render import make_renderer
    from contrapposto.render.motion_video import GROUP, _draw, _figures, batched
    from contrapposto.render.staging import make_stage

    motion = read_motion(ROOT / CLIP)
    stage = make_stage({"": motion}, (512, 512), 30, None, camera, "panels")
    groups = list(batched(itertools.islice(_figures(stage), frames), GROUP))
    renderer = make_renderer("warp", None, threads=1)
    taken = []
    for _ in range(repetitions + 1):
        start = time.thread_time()
        for group in groups:
            _draw(stage, renderer, group)
        taken.append((time.thread_time() - start) * 1000 / frames)
    return min(taken[1:])


def run(threads: int) -> list[Row]:
    """Rows of a video's panels and of every command; torch has one thread."""
    rows = [
        Row("panel of 512x512, the camera moves", panel("follow"), "ms"),
        Row("panel of 512x512, the camera stays", panel("fixed"), "ms"),
    ]
    os.chdir(ROOT)
    for name, words in COMMANDS.items():
        with tempfile.TemporaryDirectory() as folder:
            measure(words, Path(folder, "once"))  # files are read and kernels compiled once
            cost = measure(words, Path(folder, "again"))
        rows.append(Row(name, cost.cpu, "CPU s"))
        if cost.first is not None:
            rows.append(Row("  first result on disk", cost.first, "s"))
        rows.append(Row("  whole command", cost.wall, "s"))
        rows.append(Row("  memory", cost.memory, "MiB"))
    return rows
