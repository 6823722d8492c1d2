"""`python -m benchmarks.gpu simulate [MODELS]`: every model trains and is evaluated on the simulated device.

Prints a table of faults, launches and host waits per training step; `--json FILE` writes it too. Sizes are the smallest
that work: what is shown is correctness and what the host waits for, no speed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl

from benchmarks.gpu.plan import described
from benchmarks.gpu.simulated import simulated_cuda
from benchmarks.gpu.simulated.log import LOG
from contrapposto.files import write_json
from tests.lightning_modules import anerf_tiny, lifter_tiny, npr_tiny, posegpt_tiny, sage_tiny
from tests.lightning_modules.sage_tiny import entry_point

STEPS = 3
ON_DEVICE = (
    "trainer.accelerator=gpu",
    "trainer.devices=1",
    f"trainer.max_steps={STEPS}",
    "trainer.limit_val_batches=1",
    "trainer.num_sanity_val_steps=0",
    "+callbacks.waits._target_=benchmarks.gpu.simulate.CountWaits",
)
_POSES = "module.poses={every:2,learning_rate:2e-3,weight:0.1,temporal_weight:0.01}"
_AVATAR = {
    "anerf": (_POSES, "module.cameras={start:1}", "module.codes=true", "module.opacity_weight=0.1"),
    "anerf_fast": ("module.network.volume_size=6",),
    "anerf_finetune": ("module.codes=true",),
}
MODELS = (*sage_tiny.TRAINED, *npr_tiny.OPTIONS, *posegpt_tiny.MODELS, *_AVATAR, lifter_tiny.MODEL)
"""All that can be simulated, in the order that later stages need. The kernels of `anerf_splat` are Warp's."""


@dataclass
class Row:
    """What one model did.

    Args:
        model: its name.
        error: of training or evaluation; empty where there was none.
        faults: what a device would refuse, by place.
        waits: of the host in a training step after the first, by place.
        launches: on the device in such a step.
        seconds: in all, of the wall.
    """

    model: str
    error: str = ""
    faults: dict[str, int] = field(default_factory=dict)
    waits: dict[str, float] = field(default_factory=dict)
    launches: float = 0.0
    seconds: float = 0.0

    @property
    def waits_per_step(self) -> float:
        """In all."""
        return round(sum(self.waits.values()), 2)


class CountWaits(pl.Callback):
    """Counts the waits and launches of the training steps after the first, which sets things up."""

    waits: ClassVar[Counter[tuple[str, str]]] = Counter()
    launches: ClassVar[int] = 0
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        CountWaits.waits, CountWaits.launches, CountWaits.steps = Counter(), 0, 0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Begin to count."""
        self._before, self._launched = Counter(LOG.waits), LOG.launches

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add what the step did."""
        if trainer.global_step > 1:
            CountWaits.waits += LOG.waits - self._before
            CountWaits.launches += LOG.launches - self._launched
            CountWaits.steps += 1


def command(model: str, stores: Path, runs: Path, *more: str) -> list[str]:
    """The smallest command line of a model."""
    for tiny, names in (
        (sage_tiny, sage_tiny.TRAINED),
        (npr_tiny, tuple(npr_tiny.OPTIONS)),
        (posegpt_tiny, posegpt_tiny.MODELS),
        (lifter_tiny, (lifter_tiny.MODEL,)),
    ):
        if model in names:
            return tiny.tiny(model, stores, runs, *more)
    return anerf_tiny.tiny(model, stores, runs, *_AVATAR[model], *more)


def make_stores(folder: Path, clips: int = 12) -> Path:
    """Stores `tiny`, `bent` and `sticks` in a folder."""
    from contrapposto.data.prepare import prepare
    from contrapposto.io.amass import write_amass
    from contrapposto.synthetic import generate

    raw = folder / "raw"
    for number in range(clips):
        action = ("walk", "run", "squat", "wave both hands")[number % 4]
        clip = generate(action, seconds=2.0, seed=number)
        write_amass(raw / f"{action.replace(' ', '_')}_{number}.npz", clip)
    prepare("amass", output=folder / "tiny", raw=raw, workers=1)
    npr_tiny.write_bent(folder)
    anerf_tiny.write_sticks(folder)
    return folder


def simulate(model: str, stores: Path, runs: Path, *more: str, evaluated: bool = True) -> Row:
    """Train, validate, write a checkpoint and evaluate it on the simulated device."""
    row, started = Row(model), time.monotonic()
    with simulated_cuda() as log:
        try:
            entry_point("train", command(model, stores, runs, *ON_DEVICE, *more))
            steps = max(CountWaits.steps, 1)
            row.waits = {
                f"{what} ({where})": count / steps for (what, where), count in CountWaits.waits.most_common()
            }
            row.launches = round(CountWaits.launches / steps)
            if evaluated:
                on_device = [*ON_DEVICE[:2], *(option for option in more if option.startswith("trainer."))]
                entry_point(
                    "evaluate", [*command(model, stores, runs, *on_device), "trainer.limit_test_batches=1"]
                )
        except Exception as error:  # the table names it, the next model is tried
            row.error = described(error)
        row.faults = {f"{what} ({where})": count for (what, where), count in log.faults.items()}
    row.seconds = round(time.monotonic() - started, 1)
    return row


def table(rows: Sequence[Row]) -> str:
    """As markdown."""
    lines = ["| model | faults | launches a step | waits a step | where |", "|---|---|---|---|---|"]
    for row in rows:
        places = "; ".join(f"{count:g} {name}" for name, count in row.waits.items())
        faults = row.error or sum(row.faults.values())
        lines.append(f"| {row.model} | {faults} | {row.launches:.0f} | {row.waits_per_step:g} | {places} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 where a model failed or had a fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu simulate", description=__doc__)
    parser.add_argument("models", nargs="*", help=f"of {', '.join(MODELS)}; none: all")
    parser.add_argument("--json", type=Path, help="write the rows too")
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        stores = make_stores(Path(name) / "stores")
        for model in options.models or MODELS:
            rows.append(simulate(model, stores, Path(name) / "runs"))
            print(f"{asdict(rows[-1])}", flush=True)
    print(table(rows))
    if options.json:
        write_json(options.json, [asdict(row) for row in rows])
    return int(any(row.error or row.faults for row in rows))
