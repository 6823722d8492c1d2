"""What every benchmark needs: the machine's own matrix-product speed, counted work, repeated times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Row:
    """One figure.

    Args:
        name: what was measured.
        value: the median.
        unit: of the value, a rate per second unless it states otherwise.
        threads: of torch.
        dtype: of the work.
        floor_share: (time that the counted matrix work needs at this machine's matmul speed) / (time taken), 0 to 1.
        ratio: how many times faster than the plain path, in the same process.
        plain: what the plain path is.
    """

    name: str
    value: float
    unit: str
    threads: int = 1
    dtype: str = "float32"
    floor_share: float | None = None
    ratio: float | None = None
    plain: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def clock() -> float:
    """Seconds: of this process's CPU with one thread (a shared machine disturbs it less), of the wall with several."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(function: Callable[[], Any], *, repeats: int = 7, minimum: float = 0.3) -> float:
    """Median time of one call: calls are grouped so that a group takes a measurable time, after one warm-up call."""
    function()
    start = clock()
    function()
    once = clock() - start
    calls = max(1, round(minimum / repeats / max(once, 1e-7)))
    times = []
    for _ in range(repeats):
        start = clock()
        for _ in range(calls):
            function()
        times.append((clock() - start) / calls)
    return statistics.median(times)


def compare(fast: Callable[[], Any], plain: Callable[[], Any], *, repeats: int = 7) -> tuple[float, float]:
    """Median time of `fast`, and the median ratio plain / fast of calls made in turn: drift of the machine cancels."""
    fast(), plain()
    times, ratios = [], []
    for _ in range(repeats):
        start = clock()
        fast()
        middle = clock()
        plain()
        end = clock()
        times.append(middle - start)
        ratios.append((end - middle) / (middle - start))
    return statistics.median(times), statistics.median(ratios)


def matmul_speed(size: int = 1024, dtype: torch.dtype = torch.float32, device: str = "cpu") -> float:
    """FLOP/s of a square matrix product with the current number of threads."""
    a, b = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))

    def product() -> None:
        torch.mm(a, b)
        if device != "cpu":
            torch.cuda.synchronize()

    return 2 * size**3 / seconds(product, repeats=9, minimum=1.0)


def flops(function: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products, convolutions and attention in one call, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())


def floor_share(work: int, time_taken: float, speed: float) -> float:
    """Share of the floor: 1 would be nothing but matrix products at the speed measured in the same run."""
    return work / speed / time_taken
