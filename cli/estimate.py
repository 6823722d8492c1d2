"""How long a training takes, roughly: operations of its steps at the speed of this machine."""

from __future__ import annotations

import json
import math
import time
from functools import cache
from pathlib import Path

from omegaconf import DictConfig

# GFLOP of a training step at the published size, and its batch (docs/costs.md).
_STEPS = {
    "sage_upper_vqvae": (199.0, 512),
    "sage_lower_vqvae": (199.0, 512),
    "sage_first": (981.0, 400),
    "sage_second": (1260.0, 512),
    "sage_decoder": (2900.0, 300),
    "sage_refiner": (7.6, 1),
    "sage_student": (205.0, 64),
    "sparse_transformer": (109.0, 256),
    "posegpt_vqvae": (307.0, 64),
    "posegpt_gpt": (68.0, 32),
    "posegpt_classifier": (23.0, 32),
}
# Minutes on one core that does 85 GFLOP/s, of the small experiments.
_MINUTES = {
    "sage_demo": 3.0,
    "posegpt_demo": 4.0,
    "npr_demo": 4.0,
    "anerf_demo": 6.0,
    "scail_lifter_demo": 8.0,
}
_SHARE = 0.5  # of the speed of a plain matrix product
_DEMO_CLIPS = 160


def seconds_of(config: DictConfig) -> float | None:
    """Seconds that a training of this configuration takes on this machine; None where there is no basis for a guess."""
    experiment = config.get("experiment_name")
    if experiment in _MINUTES:
        return 60 * _MINUTES[experiment] * 85e9 / speed()
    steps = number_of_steps(config)
    if config.name not in _STEPS or steps is None or experiment is not None:
        return None
    gflop, batch = _STEPS[config.name]
    return steps * gflop * 1e9 * config.data.batch_size / batch / (speed() * _SHARE)


def number_of_steps(config: DictConfig) -> int | None:
    """Optimiser steps of a training; None where they depend on data that is not there."""
    data, trainer = config.data, config.trainer
    if data.get("steps_per_epoch"):
        per_epoch = int(data.steps_per_epoch)
    elif data.get("repeats") and data.get("batch_size"):
        share = (1 - data.get("test_share", 0)) * (1 - data.get("val_share", 0))
        per_epoch = max(math.floor(_clips(Path(data.store)) * share * data.repeats / data.batch_size), 1)
    else:
        return None
    steps = per_epoch * trainer.max_epochs if (trainer.max_epochs or 0) > 0 else None
    if trainer.max_steps and trainer.max_steps > 0:
        return min(steps or trainer.max_steps, trainer.max_steps)
    return steps


def _clips(store: Path) -> int:
    try:
        return len(json.loads((store / "manifest.json").read_text(encoding="utf-8"))["clips"])
    except (OSError, ValueError, KeyError, TypeError):
        return _DEMO_CLIPS


@cache
def speed() -> float:
    """Floating-point operations per second of a float32 matrix product on this machine, all threads; measured."""
    import torch

    if torch.cuda.is_available():
        return 50e12  # no reason to start the device for a guess
    a = torch.randn(768, 768)
    _ = a @ a
    begin = time.perf_counter()
    for _ in range(5):
        _ = a @ a
    return 5 * 2 * 768**3 / (time.perf_counter() - begin)
