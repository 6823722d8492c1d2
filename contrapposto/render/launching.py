"""Where Warp kernels run: a device, threads on the CPU, arrays that are kept from image to image.

Warp's CPU kernels run on one thread and release Python's lock, so an image is cut into bands of rows that a small
pool of threads works through.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import warp as wp

from contrapposto.devices import drawing_device
from contrapposto.errors import ConfigError
from contrapposto.threads import drawing_threads


class Launcher:
    """Runs kernels on one device; not safe to be shared between threads.

    Args:
        device: a Warp device name such as `cpu` or `cuda:0`; None takes CUDA where there is one.
        threads: threads on the CPU; None takes those of `drawing_threads`.
        modules: of kernels, compiled at once, not in several threads later.

    Raises:
        ConfigError: there is no such device.
    """

    def __init__(self, device: str | None, threads: int | None, modules: tuple[ModuleType, ...]) -> None:
        start_warp()
        try:
            self.device = wp.get_device(
                drawing_device(device) or ("cuda:0" if wp.is_cuda_available() else "cpu")
            )
        except Exception as error:
            raise ConfigError(
                f"There is no device {device!r} to render on.", found=str(error), expected="cpu, cuda:0, ..."
            ) from error
        for module in modules:
            wp.load_module(module=module, device=self.device)
        self.threads = (threads or drawing_threads()) if self.device.is_cpu else 1
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self._buffers: dict[str, wp.array] = {}

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> wp.array:
        """An array for use within one image, kept for the next of the same size; its values are those of the last."""
        kept = self._buffers.get(name)
        if kept is None or kept.shape != tuple(shape):
            kept = self._buffers[name] = wp.empty(shape, dtype=dtype, device=self.device)
        return kept

    def array(self, values: np.ndarray, dtype: Any) -> Any:
        """A copy of an array on the device."""
        return wp.array(np.ascontiguousarray(values), dtype=dtype, device=self.device)

    def full(self, shape: tuple[int, ...], value: float, dtype: Any) -> Any:
        """A new array of one value; NumPy's way to fill is several times as fast as Warp's on a CPU."""
        return wp.array(np.full(shape, value, dtype), device=self.device, copy=False)

    def launch(self, kernel: Any, dim: int | tuple[int, ...], arguments: list[Any]) -> None:
        """Run a kernel."""
        wp.launch(kernel, dim=dim, inputs=arguments, device=self.device)

    def bands(self, count: int, work: Callable[[int, int], None]) -> None:
        """Run `work(first, number)` over bands of 0..count, in threads on the CPU."""
        if self._pool is None:
            work(0, count)
            return
        size = -(-count // (self.threads * 4))  # several bands a thread: figures fill rows unevenly
        tasks = [self._pool.submit(work, first, min(size, count - first)) for first in range(0, count, size)]
        for task in tasks:
            task.result()


@lru_cache(maxsize=1)
def start_warp() -> None:
    """Initialise Warp without its greeting.

    Its native part writes to the error stream when there is no CUDA driver, whatever the log level: that is normal on
    a machine without a GPU, so the stream is turned away for the moment.
    """
    try:
        kept = os.dup(2)
    except OSError:  # no error stream at all
        wp.init()
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            wp.init()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
