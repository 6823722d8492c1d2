"""The tables of docs/costs.md: measured steps, scaled to full runs (`full_runs`), and what is assumed for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.full_runs import (
    AMASS_CLIPS,
    AMASS_FPS,
    AMASS_HOURS,
    NPR_FACES,
    NPR_POSES,
    SAGE_CLIPS,
    SAGE_WINDOWS,
    UNTRAINED,
    FullRun,
)
from benchmarks.one_step import Step
from contrapposto.data.store import MotionStore
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.npr.data.mesh_store import MeshStore

# Assumed, not measured: an NVIDIA A100 by its data sheet (TF32 on tensor cores), what a training step reaches of it, and
# what starting a kernel takes.
GPU, GPU_FLOPS, GPU_SHARE, KERNEL_SECONDS = "A100", 156e12, 0.3, 10e-6
CORES = 2
DEVICES, LINK_BYTES = (
    64,
    25e9,
)  # GPUs, and bytes per second that each sends and takes (a network of 200 Gbit/s)
CACHE_BYTES = 20 * 2**30  # data.cache_gib
CHECKPOINTS = 3  # best, last, previous
NONE = "–"


@dataclass(frozen=True)
class Cost:
    """A full-scale run, from a measured step.

    Args:
        run, step: see there.
        core_flops: FLOP/s of a matrix product on one core.

    Attributes:
        step_flops: of one step at the full batch, frozen networks cached where the model does that.
        fill_flops: of the frozen networks on all windows that are kept, once.
        memory: bytes of weights, gradients and optimiser; and of tensors kept for the backward pass.
        share: of the matrix product's speed that the small step has reached on one thread.
    """

    run: FullRun
    step: Step
    core_flops: float

    @property
    def scale(self) -> float:
        return self.run.batch / self.step.units

    @property
    def step_flops(self) -> float:
        saved = self.step.frozen_flops if self.run.windows else 0
        return (self.step.flops - saved) * self.scale

    @property
    def fill_flops(self) -> float:
        return self.step.frozen_flops / self.step.units * self.cached_windows

    @property
    def share(self) -> float:
        return self.step.flops / self.step.seconds / self.core_flops

    @property
    def memory(self) -> tuple[float, float]:
        fixed = 4 * self.step.weights + 4 * self.step.trained + self.step.optimizer_bytes
        return fixed, self.step.kept_bytes * self.scale

    @property
    def cached_windows(self) -> int:
        """As many as there is room for: others are not trained on."""
        room = CACHE_BYTES // self.step.frozen_bytes if self.step.frozen_bytes else self.run.windows
        return min(self.run.windows, int(room))

    @property
    def cache_bytes(self) -> float:
        return self.step.frozen_bytes * self.cached_windows

    @property
    def total_flops(self) -> float:
        return self.run.steps * self.step_flops + self.fill_flops

    @property
    def cpu_seconds(self) -> float:
        return self.total_flops / (CORES * self.core_flops * self.share)

    @property
    def gpu_seconds(self) -> float:
        return self.run.steps * self.gpu_step_seconds + self.fill_flops / (GPU_FLOPS * GPU_SHARE)

    @property
    def gpu_step_seconds(self) -> float:
        return max(self._gpu_work, self._gpu_starts)

    @property
    def _gpu_work(self) -> float:
        return self.step_flops / (GPU_FLOPS * GPU_SHARE)

    @property
    def _gpu_starts(self) -> float:
        return self.step.operations * KERNEL_SECONDS

    @property
    def reduced_bytes(self) -> int:
        """Gradients that a step of several processes adds up."""
        return 4 * self.step.reduced

    @property
    def reduce_seconds(self) -> float:
        """Of one ring all-reduce, nothing else being done meanwhile."""
        return 2 * (DEVICES - 1) / DEVICES * self.reduced_bytes / LINK_BYTES

    @property
    def efficiencies(self) -> tuple[float, float]:
        """On all devices, against as many times one: the same batch shared, and a batch for each."""
        one = self.gpu_step_seconds
        shared = max(self._gpu_work / DEVICES, self._gpu_starts) + self.reduce_seconds
        return one / (DEVICES * shared), one / (one + self.reduce_seconds)

    @property
    def gpu_bound(self) -> str:
        return "matrix products" if self._gpu_work > self._gpu_starts else "kernel launches"


def all_tables(costs: list[Cost], stores: Path) -> str:
    """Markdown: what is assumed, then a step, the whole run, the stores."""
    parts = [
        assumptions(costs[0].core_flops),
        "## One step",
        step_table(costs),
        "## The whole run",
        run_table(costs),
    ]
    return "\n\n".join([*parts, "## Stores", store_table(stores)])


def step_table(costs: list[Cost]) -> str:
    """Markdown: one step."""
    head = (
        "model",
        "weights, trained",
        "batch",
        "one step",
        "kernels",
        "share of the floor, 1 thread",
        "memory: weights, gradients, optimiser + activations",
        "checkpoint",
    )
    lines = []
    for cost in costs:
        run, step, (fixed, kept) = cost.run, cost.step, cost.memory
        lines.append(
            (
                f"`{run.model}`{run.label}",
                f"{millions(step.weights)}, {millions(step.trained)}",
                run.amount,
                f"{number(cost.step_flops / 1e9)} GFLOP",
                number(step.operations),
                f"{100 * cost.share:.0f} %",
                f"{size(fixed)} + {size(kept)}",
                size(step.checkpoint_bytes),
            )
        )
    return table(head, lines)


def run_table(costs: list[Cost]) -> str:
    """Markdown: the whole run."""
    head = (
        "model",
        "steps",
        "from",
        "frozen networks (once)",
        "all",
        "two CPU cores",
        f"one {GPU} (assumed)",
        "limited by",
        "disk: checkpoints, cache",
    )
    lines = []
    for cost in costs:
        run = cost.run
        lines.append(
            (
                f"`{run.model}`{run.label}",
                f"{run.steps:,}",
                run.origin,
                f"{number(cost.fill_flops / 1e15)} PFLOP" if cost.fill_flops else NONE,
                f"{number(cost.total_flops / 1e15)} PFLOP",
                duration(cost.cpu_seconds),
                duration(cost.gpu_seconds),
                cost.gpu_bound,
                f"{size(CHECKPOINTS * cost.step.checkpoint_bytes)}, "
                + (size(cost.cache_bytes) if cost.cache_bytes else NONE),
            )
        )
    lines += [(f"`{m}`", "0", f"nothing to train: {why}", *(NONE,) * 6) for m, why in UNTRAINED.items()]
    return table(head, lines)


def devices_table(costs: list[Cost]) -> str:
    """Markdown: steps on many GPUs."""
    head = (
        "model",
        "batch",
        f"step on one {GPU}",
        "gradients",
        "all-reduce",
        f"{DEVICES} GPUs, the same batch",
        f"{DEVICES} GPUs, a batch each",
    )
    lines = []
    for cost in costs:
        shared, each = (f"{100 * value:.0f} %" for value in cost.efficiencies)
        if cost.run.samples % DEVICES:
            shared = f"no share of {cost.run.samples}"
        lines.append(
            (
                f"`{cost.run.model}`{cost.run.label}",
                cost.run.amount,
                f"{number(1e3 * cost.gpu_step_seconds)} ms",
                size(cost.reduced_bytes),
                f"{number(1e3 * cost.reduce_seconds)} ms",
                shared,
                each,
            )
        )
    return table(head, lines)


def store_table(folder: Path) -> str:
    """Markdown: bytes of stores by what is measured on small ones in `folder`."""
    motion, scene = MotionStore.open(folder / "demo"), AvatarScene.open(folder / "avatar")
    frame = _bytes(folder / "demo", "*.npy") / int(motion.offsets[-1])
    clip = (folder / "demo" / "manifest.json").stat().st_size / len(motion)
    sage, posegpt = (
        _bytes(folder / "demo/features", f"{n}-*/*.npy") / motion.seconds for n in ("sage", "posegpt")
    )
    pose = _bytes(folder / "mesh/poses", "average.npy") / len(_first_poses(folder))
    pixels = scene.num_images * scene.hw[0] * scene.hw[1]
    pixel = sum(_bytes(scene.path, f"{name}.npy") for name in ("imgs", "masks", "sampling_masks")) / pixels
    seconds = AMASS_HOURS * 3600
    corpus = f"AMASS: {AMASS_HOURS} h at {AMASS_FPS} frames/s, {AMASS_CLIPS:,} clips"
    amass = frame * seconds * AMASS_FPS + clip * AMASS_CLIPS
    surreal = pixel * 9 * 1200 * 512**2
    meshes = f"{NPR_POSES} poses of {NPR_FACES:,} faces"
    lines = [
        ("motion (`data=amass`)", f"{frame:.0f} B a frame, {clip:.0f} B a clip", corpus, size(amass)),
        ("features of SAGE, 60 frames/s", f"{sage:,.0f} B a second", "the same", size(sage * seconds)),
        ("poses of PoseGPT, 30 frames/s", f"{posegpt:,.0f} B a second", "the same", size(posegpt * seconds)),
        ("meshes (`data=smpl_poses`)", f"{pose:,.0f} B a pose", meshes, size(pose * NPR_POSES)),
        (
            "images (`data=anerf_surreal`)",
            f"{pixel:.1f} B a pixel",
            "9 cameras, 1,200 poses, 512 x 512",
            size(surreal),
        ),
    ]
    return table(("store", "measured", "full scale", "takes"), lines)


def _bytes(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))


def _first_poses(folder: Path) -> tuple[str, ...]:
    return MeshStore.open(folder / "mesh").identities[0].poses


def assumptions(core_flops: float) -> str:
    """What is measured, and what is taken for granted."""
    windows, start = SAGE_WINDOWS / 1e6, 1e6 * KERNEL_SECONDS
    peak, share = GPU_FLOPS / 1e12, 100 * GPU_SHARE
    return f"""Measured on the machine that wrote these tables (torch {torch.__version__}): {core_flops / 1e9:.0f}
GFLOP/s of one core in a float32 matrix product of 1024 x 1024; and all counts, bytes and shares of the floor.

Assumed:

* AMASS holds {AMASS_HOURS} hours in {AMASS_CLIPS:,} clips (its paper states more), all at {AMASS_FPS} frames/s;
* the {SAGE_CLIPS:,} clips of SAGE's Setting 1 have the mean length, so they contain {windows:.1f} million windows;
* two cores do twice the work of one;
* the {GPU} does {peak:.0f} TFLOP/s (its data sheet, TF32), and a training step reaches {share:.0f} % of that;
* launching a kernel takes {start:.0f} µs, and a step is never shorter than its kernel launches in sequence.

No GPU was measured."""


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *lines))


def millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count < 1e8 else f"{count / 1e6:.0f} M"


def number(value: float) -> str:
    """Two or three digits."""
    return f"{value:.2g}" if value < 10 else f"{float(f'{value:.3g}'):,.0f}"


def size(value: float) -> str:
    """Bytes in a fitting unit."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= scale:
            return f"{number(value / scale)} {unit}"
    return f"{number(value / 1e3)} kB"


def duration(seconds: float) -> str:
    """In a fitting unit."""
    for unit, scale in (("years", 365 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * scale:
            return f"{number(seconds / scale)} {unit}"
    return f"{number(seconds)} s"
