"""Phase 4: steps per second in three precisions and compiled, chunks of the avatar's renderer, live tracking, one image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu.golden import precision
from benchmarks.gpu.plan import Plan, described
from benchmarks.gpu.steps import LEFT, train_steps

WARM_UP = 3
KINDS = (("float32", "32-true"), ("tf32", "32-true"), ("bf16", "bf16-mixed"))


def speeds(plan: Plan, results: dict[str, Any]) -> dict[str, Any]:
    """All of it, the short ones first; what time does not suffice for is left out by name."""
    entry: dict[str, Any] = {}
    for name, work in (
        ("matmul_tflops", _matmul),
        ("live_tracker", _live),
        ("graphs", _graphs),
        ("avatar", _avatar),
        ("steps_per_second", _training),
    ):
        if plan.left() < LEFT:
            entry.setdefault("left out", []).append(name)
            continue
        try:
            entry[name] = work(plan)
        except Exception as error:  # the others are worth having
            entry[name] = {"error": described(error)}
    return entry


def timed(work: Callable[[], object], device: str, repeats: int) -> float:
    """Median seconds of a call, the device waited for."""
    times = []
    for _ in range(repeats + 1):
        start = time.monotonic()
        work()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()
        times.append(time.monotonic() - start)
    return statistics.median(times[1:])


def _matmul(plan: Plan) -> dict[str, float]:
    size = 128 if plan.rehearse else 8192
    result = {}
    for kind, _ in KINDS:
        a = torch.ones(size, size, device=plan.device)
        with precision(kind, plan.device):
            result[kind] = round(2 * size**3 / timed(lambda a=a: a @ a, plan.device, 3) / 1e12, 2)
    return result


def _live(plan: Plan) -> dict[str, Any]:
    """Milliseconds a frame at batch 1: the shipped tracker (NumPy on the CPU by design) and the shipped student."""
    from contrapposto.systems.sage.recurrent_tracker import Tracker
    from contrapposto.systems.sage.student import StudentTracker

    frame = torch.zeros(3, 18)
    frame[:, [0, 4, 6, 10]] = 1
    frame[:, 14] = torch.tensor([1.6, 1.1, 1.1])
    result: dict[str, Any] = {}
    count = 3 if plan.rehearse else 100
    tracker = Tracker.from_pretrained(device=plan.device).stream()
    result["tracker, on the CPU"] = 1000 * timed(lambda: tracker.push(frame), plan.device, count)
    for device in ("cpu", plan.device):
        student, there = StudentTracker.from_pretrained(device=device).stream(), frame.to(device)
        result[f"student on {device}"] = 1000 * timed(lambda s=student, f=there: s.push(f), device, count)
    return result


def _graphs(plan: Plan) -> dict[str, Any]:
    """Live frames and a motion of tokens by CUDA graphs and without: milliseconds, and how far the numbers differ."""
    from contrapposto.nn.replay import Replay
    from contrapposto.systems.posegpt.generator import MotionGenerator
    from contrapposto.systems.sage.tracker import SageTracker

    frames = 12 if plan.rehearse else 100
    generator = MotionGenerator.from_pretrained(device=plan.device)
    tracker = SageTracker.from_pretrained("sage_refiner", device=plan.device)
    sparse = torch.randn(frames, 3, 18, generator=torch.Generator().manual_seed(0)).to(plan.device)

    def motion() -> torch.Tensor:
        generated = generator.generate(["walk"], frames=16 if plan.rehearse else 120, count=1)
        return torch.from_numpy(generated.motions[0].rotations)

    def tracked() -> torch.Tensor:
        stream = tracker.stream()
        return torch.cat([stream.push(frame).joints for frame in sparse]).cpu()

    result: dict[str, Any] = {}
    for name, work in (("motion", motion), ("tracked frames", tracked)):
        outputs, row = {}, {}
        for kind, on in (("plain", False), ("graphs", True)):
            Replay.graphs = on
            row[f"{kind}, ms"] = round(1000 * timed(work, plan.device, 1 if plan.rehearse else 3), 2)
            outputs[kind] = work()
        row["largest difference"] = float((outputs["plain"] - outputs["graphs"]).abs().max())
        result[name] = row
    return result


def _avatar(plan: Plan) -> dict[str, Any]:
    """Seconds of an image of the shipped A-NeRF avatar by rays at once."""
    from contrapposto.systems.anerf.avatar import Avatar
    from contrapposto.systems.anerf.paths import MODES

    avatar = Avatar.from_pretrained("anerf", device=plan.device)
    path = MODES["selected"](avatar.frames(), [0])
    height = 8 if plan.rehearse else 512
    view = path.view(0, avatar.size).scaled(height / avatar.size[0])
    renderer = avatar.renderer()
    result: dict[str, Any] = {"height": height, "chosen chunk": renderer.chunk, "seconds by chunk": {}}
    chunks = (256, 2048) if plan.rehearse else (32768, 16384, 8192, 4096, 1024, 256)
    for chunk in chunks:
        if plan.left() < LEFT:
            break
        renderer.chunk = chunk
        seconds = timed(lambda: renderer(path.world_to_bone[0], view, code_index=-1), plan.device, 1)
        result["seconds by chunk"][chunk] = round(seconds, 4)
    return result


def _training(plan: Plan) -> dict[str, Any]:
    """Steps per second of every model whose published step ran, in every precision."""
    result: dict[str, Any] = {}
    count = WARM_UP + (1 if plan.rehearse else 10)
    for model, overrides in list(plan.commands().items())[: 2 if plan.rehearse else None]:
        row: dict[str, Any] = {}
        variants = [(kind, trainer, False) for kind, trainer in KINDS]
        variants += [] if plan.rehearse else [("bf16 compiled", "bf16-mixed", True)]
        for kind, trainer, compiled in variants:
            if plan.left() < LEFT:
                return result
            try:
                with precision("tf32" if kind != "float32" else kind, plan.device):
                    steps = train_steps(
                        overrides, plan.device, count=count, precision=trainer, compiled=compiled
                    )
                row[kind] = round(1 / statistics.median(steps.seconds[WARM_UP - 1 : -1]), 2)
            except Exception as error:
                row[kind] = described(error)
        result[model] = row
    return result
