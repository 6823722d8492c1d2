"""`python -m benchmarks.growth`: cost against size, for each system, for the data and for the number of processes.

One thread, CPU seconds, random weights: the speed does not depend on them. Draws docs/images/growth_systems.png and
writes the table of docs/growth.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.cost_tables import number, table
from benchmarks.measure import seconds
from benchmarks.page import write_between
from benchmarks.scale_plan import plan_table

Work = Callable[[], Any]
STORES = (1_000, 3_000, 10_000, 30_000)  # clips


@dataclass(frozen=True)
class Series:
    """Cost by size.

    Args:
        panel: of the image; series with the same one are drawn together.
        what: is done.
        size: what grows.
        sizes: how large it is.
        seconds: measured, one for each size.
    """

    panel: str
    what: str
    size: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def slope(self) -> float:
        """Exponent of the size, by the larger half of the points: 1 is proportional, 0 does not grow."""
        first = len(self.sizes) // 2 - (len(self.sizes) < 4)
        x, y = np.log(self.sizes[first:]), np.log(self.seconds[first:])
        return float(np.polyfit(x, y, 1)[0])


def measured(panel: str, what: str, size: str, sizes: Sequence[int], work: Callable[[int], Work]) -> Series:
    """Time `work(size)()` for every size; what `work` itself does is not counted."""
    times = [_steady(work(count)) for count in sizes]
    series = Series(panel, what, size, tuple(sizes), tuple(times))
    print(f"{panel:<12}{what:<44}slope {series.slope:5.2f}  {[float(f'{t:.2g}') for t in times]}", flush=True)
    return series


def _steady(work: Work) -> float:
    """The median of some calls, of one where it is long."""
    once = seconds(work, repeats=1, minimum=0)
    return once if once > 1 else seconds(work, repeats=5, minimum=0.5)


def all_series(folder: Path) -> Iterator[Series]:
    """Everything that is measured."""
    with torch.no_grad():
        yield from sage()
        yield from posegpt()
        yield npr()
        yield from anerf()
        yield scail_pose()
    yield from data(folder)
    yield processes()


def sage() -> Iterator[Series]:
    """A clip of more and more frames, by the whole tracker and by the student."""
    from contrapposto.systems.sage.fast import prepare_tracker
    from contrapposto.systems.sage.student import StudentTracker
    from contrapposto.systems.sage.tracker import SageTracker

    tracker, student = prepare_tracker(SageTracker().eval()), StudentTracker().eval()
    clip = 0.3 * torch.randn(4096, 3, 18)
    yield measured(
        "SAGE", "tracking a clip", "frames", (8, 16, 32, 64), lambda n: lambda: tracker.track(clip[:n])
    )
    sizes = (64, 256, 1024, 4096)
    yield measured(
        "SAGE", "the same by the student", "frames", sizes, lambda n: lambda: student.track(clip[:n])
    )


def posegpt() -> Iterator[Series]:
    """Longer motions, and more actions to choose from."""
    from benchmarks.posegpt import TOKENS, rollout
    from contrapposto.systems.posegpt.gpt import PoseGPT
    from contrapposto.systems.posegpt.prepared import PreparedGPT

    model = PoseGPT(num_actions=60).eval()
    prepared = PreparedGPT(model.gpt)
    frames = (32, 64, 128, 256, 512, 1022)
    yield measured(
        "PoseGPT", "sampling a motion", "frames", frames, lambda n: rollout(model, n // 2, prepared, batch=1)
    )

    def vocabulary(actions: int) -> Work:
        one = PoseGPT(num_actions=actions).eval()
        return rollout(one, TOKENS, PreparedGPT(one.gpt), batch=1, actions=actions)

    sizes = (10, 100, 1_000, 10_000, 100_000)
    yield measured(
        "PoseGPT, actions", f"sampling {2 * TOKENS} frames", "actions of the vocabulary", sizes, vocabulary
    )


def npr() -> Series:
    """A transfer to a mesh of more and more faces, by the benchmark of NPR."""
    from benchmarks.npr import scaling
    from contrapposto.systems.npr import NPR

    rows = list(scaling(NPR().eval().requires_grad_(False), 1))
    faces = tuple(int(row.name.split()[-2].replace(",", "")) for row in rows)
    series = Series("NPR", "transfer of a pose", "faces", faces, tuple(row.value for row in rows))
    print(f"{series.panel:<12}{series.what:<44}slope {series.slope:5.2f}", flush=True)
    return series


def anerf() -> Iterator[Series]:
    """Images of more and more rays, exactly and with samples near the bones alone."""
    from benchmarks.anerf import standing_figure
    from contrapposto.systems.anerf.capsules import NUM_SEGMENTS, Capsules
    from contrapposto.systems.anerf.model import ANeRF
    from contrapposto.systems.anerf.renderer import Renderer

    model = ANeRF().eval()
    capsules = Capsules(torch.full((NUM_SEGMENTS,), 0.2), share_coarse=True)
    renderers = {
        "rendering an image, exactly": (Renderer(model), (16, 24, 32, 48)),
        "rendering an image, pruned": (Renderer(model, speed="pruned", capsules=capsules), (32, 64, 96, 128)),
    }
    for what, (renderer, sides) in renderers.items():

        def image(pixels: int, renderer: Renderer = renderer) -> Work:
            bones, view = standing_figure(round(pixels**0.5))
            return lambda: renderer(bones.world_to_bone[0], view)

        yield measured("A-NeRF", what, "pixels", [side**2 for side in sides], image)


def scail_pose() -> Series:
    """More and more people in an image of 512 x 896."""
    from benchmarks.scail_pose import walking_clip
    from contrapposto.systems.scail_pose.pipeline import ClipDrawer

    def draw(people: int) -> Work:
        drawer = ClipDrawer(walking_clip(people), device="cpu")
        frames = [drawer.cylinders(shown) for shown in drawer.clip.frames]
        return lambda: [None for _ in drawer.renderer.stream(frames)]

    return measured("SCAIL-Pose", "rendering 32 frames", "people", (1, 2, 3, 4, 6), draw)


def data(folder: Path) -> Iterator[Series]:
    """Stores of more and more clips: made, opened, drawn from."""
    from contrapposto.data.prepare import prepare
    from contrapposto.data.store import MotionStore
    from contrapposto.data.windows import Places, draw_windows

    number_of_runs = iter(range(10**6))

    def make(clips: int) -> Work:
        raw = folder / f"raw{clips}"
        write_clips(raw, clips)
        return lambda: prepare("amass", raw=raw, output=folder / f"made{next(number_of_runs)}", workers=1)

    yield measured("Preparation", "clips of 240 frames to a store", "clips", (10, 30, 100, 300), make)

    def opened(clips: int) -> Work:
        store = enlarged(folder / "made0", folder / f"store{clips}", clips)
        return lambda: MotionStore.open(store)

    yield measured("Store", "opening a store", "clips", STORES, opened)

    def drawn(clips: int) -> Work:
        places = Places.of(np.random.default_rng(0).integers(60, 2000, clips), 20)
        return lambda: [draw_windows(0, step, places, 512, 20) for step in range(20)]

    sizes = (1_000, 10_000, 100_000, 1_000_000)
    yield measured("Store", "drawing 20 batches of 512 windows", "clips", sizes, drawn)


def processes() -> Series:
    """The share of one process of 64 steps, by the number of processes: 1 / processes would be perfect."""
    from contrapposto.data.windows import StepBatchDataset, WindowReader

    lengths = np.full(5_000, 200)
    reader = WindowReader({"sparse": np.zeros((lengths.sum(), 54), np.float32)}, lengths)

    def share(world_size: int) -> Work:
        options: dict[str, Any] = {"seed": 0, "batch_size": 512, "length": 20, "steps": 64}
        part = StepBatchDataset(reader, **options, world_size=world_size)
        return lambda: list(part)

    return measured(
        "Processes", "reading its share of 64 batches of 512", "processes", (1, 2, 4, 8, 16, 32, 64), share
    )


def write_clips(raw: Path, count: int) -> None:
    """Different clips in AMASS layout."""
    from dataclasses import replace

    from contrapposto.io.amass import write_amass
    from contrapposto.synthetic import generate

    motion = generate("walk", seconds=4.0, seed=0)
    for index in range(count):
        moved = motion.root_translation + np.float32(index)
        write_amass(raw / f"{index:05d}.npz", replace(motion, root_translation=moved))


def enlarged(store: Path, target: Path, clips: int) -> Path:
    """A store with as many clips of few frames: the manifest of a small one repeated, its arrays zero."""
    import json

    from contrapposto.data.store import ARRAYS

    manifest = json.loads((store / "manifest.json").read_text())
    one, frames = manifest["clips"][0], 5
    manifest["clips"] = [{**one, "name": f"{index:07d}", "frames": frames} for index in range(clips)]
    target.mkdir()
    (target / "manifest.json").write_text(json.dumps(manifest))
    for name, shape in ARRAYS.items():
        shape = (clips * frames, *shape)
        np.lib.format.open_memmap(target / f"{name}.npy", mode="w+", dtype=np.float32, shape=shape)
    return target


def draw(series: Sequence[Series], path: Path) -> None:
    """A panel for each kind, both axes logarithmic, the slope in the legend, a dotted line of slope 1."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys(one.panel for one in series))
    figure, axes = plt.subplots(3, 3, figsize=(12, 9.6), layout="constrained")
    for place in axes.flat[len(panels) :]:
        place.set_axis_off()
    for panel, place in zip(panels, axes.flat):
        shown = [one for one in series if one.panel == panel]
        for one in shown:
            place.loglog(one.sizes, one.seconds, "o-", label=f"{one.what}: slope {one.slope:.2f}")
            direction = -1 if one.panel == "Processes" else 1
            linear = [one.seconds[-1] * (size / one.sizes[-1]) ** direction for size in one.sizes]
            place.loglog(one.sizes, linear, ":", color="grey", linewidth=1)
            place.set(title=panel.partition(",")[0], xlabel=one.size, ylabel="CPU seconds")
        _ends(place.xaxis, [size for one in shown for size in one.sizes], "{:,.0f}")
        _ends(place.yaxis, [time for one in shown for time in one.seconds], "{:.2g}")
        place.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=100)


def _ends(axis: Any, values: Sequence[float], form: str) -> None:
    """Numbers at the ends of an axis alone, one where they would meet."""
    from matplotlib.ticker import NullFormatter

    ends = [min(values), max(values)] if max(values) > 2 * min(values) else [max(values)]
    axis.set_ticks(ends, [form.format(value) for value in ends])
    axis.set_minor_formatter(NullFormatter())


def growth_table(series: Sequence[Series]) -> str:
    """Markdown."""
    lines = [
        (
            one.panel.partition(",")[0],
            one.what,
            f"{one.sizes[0]:,} to {one.sizes[-1]:,} {one.size}",
            f"{number(one.seconds[0])} to {number(one.seconds[-1])} s",
            f"{one.slope:.2f}",
        )
        for one in series
    ]
    return table(("", "what", "from, to", "CPU time", "slope"), lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--image", type=Path, default=Path("docs/images/growth_systems.png"))
    parser.add_argument("--page", type=Path, default=Path("docs/growth.md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        series = list(all_series(Path(folder)))
        plan = plan_table({one.what: one for one in series}, Path(folder) / f"store{STORES[-1]}")
    draw(series, options.image)
    write_between(options.page, "python -m benchmarks.growth", growth_table(series))
    write_between(options.page, "python -m benchmarks.growth: the plan", plan)


if __name__ == "__main__":
    main()
