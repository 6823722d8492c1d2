"""Run by test_ranks.py with `python -m`: every system trained in 1, 2 and 4 processes, which are forked from this one.

The processes are started as torchrun starts them. Libraries are imported once, in this process, which computes nothing: a
forked process of a parent that has computed gradients cannot compute any.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.lightning_modules import anerf_tiny, lifter_tiny, npr_tiny, posegpt_tiny, sage_tiny
from tests.lightning_modules.sage_tiny import entry_point, only_run

FOUR = ("sage_refiner", "npr", "posegpt_gpt", "anerf", "scail_lifter")
"""One model of every system is trained in four processes too."""
IMPORTED = (
    *(
        "cli.evaluate",
        "cli.train",
        "cli.report",
        "cli.preflight",
        "callbacks",
        "loggers",
        "matplotlib.pyplot",
    ),
    *(f"lightning_modules.{system}" for system in ("anerf", "npr", "posegpt", "sage", "scail_pose")),
    *(
        "datamodules.anerf",
        "datamodules.npr",
        "datamodules.posegpt",
        "datamodules.sage",
        "datamodules.scail_pose.lifter",
    ),
)
_BODY = ("data.max_val_clips=3",)
CASES: dict[str, tuple[Callable[..., list[str]], tuple[str, ...]]] = {
    "sage_lower_vqvae": (
        sage_tiny.tiny,
        (*_BODY, "trainer.max_epochs=1", "trainer.limit_train_batches=3", "module.network.dropout=0"),
    ),
    "sage_decoder": (sage_tiny.tiny, _BODY),
    "sage_refiner": (sage_tiny.tiny, _BODY),
    "sage_student": (sage_tiny.tiny, _BODY),
    "npr": (npr_tiny.tiny, ("data.batch_size=4",)),
    "posegpt_vqvae": (posegpt_tiny.tiny, ("trainer.max_epochs=1", "data.max_val_items=3")),
    "posegpt_gpt": (posegpt_tiny.tiny, ("trainer.max_epochs=1", "data.max_val_items=3")),
    "anerf": (
        anerf_tiny.tiny,
        (
            "module.poses={every:2,learning_rate:2e-3,weight:0.1,temporal_weight:0.01}",
            "module.codes=true",
            "data.max_val_images=1",
            "trainer.max_epochs=1",
        ),
    ),
    "scail_lifter": (lifter_tiny.tiny, ("data.max_val_clips=1", "trainer.max_epochs=1")),
}
"""Fewer validation items than four processes."""
ALONE = {"sage_decoder": ("sage_upper_vqvae", "sage_first", "sage_second")}
"""What one process trains before a model."""
EARLIER = {
    "sage_decoder": {"first": "sage_first", "second": "sage_second"},
    "sage_refiner": {"decoder": "sage_decoder"},
    "sage_student": {"teacher": "sage_refiner"},
    "posegpt_gpt": {"vqvae": "posegpt_vqvae"},
}


def counts(model: str) -> tuple[int, ...]:
    """Numbers of processes that a model is trained in."""
    return (1, 2, 4) if model in FOUR else (1, 2)


def in_processes(count: int, name: str, arguments: list[str]) -> bool:
    """Whether an entry point ended well in all of `count` processes."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    children = [_forked(rank, count, port, name, arguments) for rank in range(count)]
    return all(os.waitpid(child, 0)[1] == 0 for child in children)


def _forked(rank: int, count: int, port: str, name: str, arguments: list[str]) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        if count > 1:
            places = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": count}
            os.environ |= {key: str(value) for key, value in {**places, "LOCAL_WORLD_SIZE": count}.items()}
            os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": port}
            arguments = [word for word in arguments if word != "trainer.accelerator=cpu"]
            arguments += ["trainer=ddp_cpu", f"trainer.devices={count}"]
        entry_point(name, arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main(stores: Path, runs: Path) -> int:
    """Train all cases; the earlier stages of all are those of one process."""
    import torch

    for name in IMPORTED:
        importlib.import_module(name)
    torch.set_num_threads(1)
    failed = []
    for model, (tiny, options) in CASES.items():
        for stage in ALONE.get(model, ()):
            in_processes(1, "train", tiny(stage, stores, runs / "1", "trainer.max_epochs=1"))
        given: list[str] = []
        for count in counts(model):
            command = tiny(model, stores, runs / str(count), *options, *given)
            if not in_processes(count, "train", command):
                failed.append(f"{model} in {count} processes")
            stages = {option: only_run(runs / "1", name) for option, name in EARLIER.get(model, {}).items()}
            given = [f"module.{option}={run / 'checkpoints' / 'last.ckpt'}" for option, run in stages.items()]
    print("failed:", ", ".join(failed))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
