"""Images: the skinned figure, 512 x 512, with ground and shadow, as in the videos."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.measure import Row


def run(threads: int) -> list[Row]:
    """Frames per second of a video of a walking figure: skinning, rendering and encoding together."""
    from contrapposto.render import render_motion_video
    from contrapposto.synthetic import generate

    motion = generate("walk", seconds=4.0, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "walk.mp4"
        render_motion_video(
            path, {"walk": motion.frames(0, 20)}, size=(512, 512), fps=30
        )  # compiles the kernels
        rates = []
        for _ in range(3):
            start = time.perf_counter()
            render_motion_video(path, {"walk": motion}, size=(512, 512), fps=30)
            rates.append(motion.resample(30).num_frames / (time.perf_counter() - start))
    return [Row("video of the skinned figure, 512x512", sorted(rates)[1], "frames/s", threads)]
