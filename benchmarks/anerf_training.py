"""PSNR, SSIM and LPIPS of avatars against training time, one thread: python -m benchmarks.anerf_training [NAME ...].

On the shipped scene (`python prepare.py data=anerf_scene`), one after the other: the demo's networks `exact` (samples all
over the figure's cylinder), `pruned` (only in capsules around the bones) and `fast` (the student), and `splat`, whose
schedule ends with its share of the time. Time is that of this process's CPU without the evaluations, which see the same
few held-out images each time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from contrapposto.files import write_json
from contrapposto.metrics.image import psnr, ssim
from contrapposto.metrics.lpips import load_lpips, lpips

DEMO = "experiment=anerf_demo"
VARIANTS: dict[str, tuple[str, ...]] = {
    "exact": ("model=anerf", DEMO, "module.network.capsule_radius=null"),
    "pruned": ("model=anerf", DEMO),
    "fast": ("model=anerf_fast", DEMO),
    "splat": ("model=anerf_splat",),
}
SHARED = (
    "logger=csv",
    "trainer.accelerator=cpu",
    "trainer.devices=1",
    "trainer.max_epochs=100",
    "trainer.limit_val_batches=1",
    "callbacks.media=null",
)
_SPLAT_SHARE = 0.125
"""Of the time of the other trainings: splats need no more."""
_SPLAT_STEPS = 33
"""Steps of a splat avatar in a CPU second: the length of its schedule."""


class Curve(pl.Callback):
    """Evaluates a training on the images of validation at given times, and ends it after the last.

    Args:
        path: JSON file of the curve.
        marks: CPU seconds of training.
        network: file of the network of LPIPS; None: without LPIPS.
    """

    def __init__(self, path: str, marks: Sequence[float], network: str | None = None) -> None:
        self.path, self.marks, self.network = Path(path), list(marks), network
        self.rows: list[dict[str, Any]] = []
        self.started = self.excluded = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.started = time.process_time()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self.excluded -= time.process_time()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let it run on."""
        self.excluded += time.process_time()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *step: Any) -> None:
        """Evaluate where a mark was passed."""
        spent = time.process_time() - self.started - self.excluded
        if not self.marks or spent < self.marks[0]:
            return
        self.marks = [mark for mark in self.marks if mark > spent]
        self.excluded -= time.process_time()
        self.rows.append(
            {"cpu_s": spent, "steps": trainer.global_step, **_scores(trainer, pl_module, self.network)}
        )
        self.excluded += time.process_time()
        write_json(self.path, self.rows)
        print("  " + ", ".join(f"{name} {value:.5g}" for name, value in self.rows[-1].items()), flush=True)
        trainer.should_stop = not self.marks


@torch.no_grad()
def _scores(trainer: pl.Trainer, module: Any, network: str | None) -> dict[str, float]:
    """Means over the images of validation, by split."""
    results: dict[str, list[float]] = {}
    measures: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"psnr": psnr, "ssim": ssim}
    if network is not None:
        measures["lpips"] = partial(lpips, load_lpips(network))
    module.eval()
    for item in trainer.datamodule.val_dataloader().dataset:  # type: ignore[attr-defined]
        outputs = module.evaluate_batch(item)
        for name, measure in measures.items():
            value = float(measure(outputs["predicted"], outputs["true"], outputs["box"]))
            results.setdefault(f"{name}_{outputs['group']}", []).append(value)
    module.train()
    return {name: float(np.mean(values)) for name, values in results.items()}


def main() -> None:
    """Train the chosen variants."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anerf_training", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(VARIANTS)}; all without")
    parser.add_argument("--minutes", type=float, default=10, help="CPU minutes of each training")
    parser.add_argument(
        "--shares", type=float, nargs="+", default=(0.1, 0.2, 0.4, 0.6, 0.8, 1.0), help="marks"
    )
    parser.add_argument("--images", type=int, default=4, help="of each held-out split")
    parser.add_argument("--lpips", help="file of the network of LPIPS (docs/anerf.md)")
    parser.add_argument("--stores", default="stores", help="where the scene is")
    parser.add_argument("--runs", default="runs/benchmarks", help="where runs and curves are written")
    options = parser.parse_args()
    from cli.launch import compose_config
    from cli.train import train

    torch.set_num_threads(1)
    places = (f"paths.runs={options.runs}", f"paths.stores={options.stores}")
    for name in options.names or VARIANTS:
        seconds = 60 * options.minutes * (_SPLAT_SHARE if name == "splat" else 1)
        marks = [round(seconds * share) for share in options.shares]
        path = Path(options.runs).absolute() / f"anerf_training_{name}.json"
        network = "null" if options.lpips is None else f"'{Path(options.lpips).absolute()}'"
        curve = f"path:'{path}',marks:{marks},network:{network}"
        curve = f"+callbacks.curve={{_target_:benchmarks.anerf_training.Curve,{curve}}}"
        arguments = [*VARIANTS[name], *SHARED, *places, f"data.max_val_images={options.images}", curve]
        if name == "splat":
            arguments.append(f"module.steps={round(seconds * _SPLAT_STEPS)}")
        print(name, flush=True)
        sys.argv = ["train.py", *arguments]
        train(compose_config("train", arguments))


if __name__ == "__main__":
    main()
