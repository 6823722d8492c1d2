"""Where networks run: one choice, `device=`, for every task, chain, service, live session and `from_pretrained`.

`auto` takes CUDA where torch sees it, else the CPU; `mps` is used only when it is named. A command opens
`using_device`; whatever it loads inside then goes there, and the choice is recorded in `provenance.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from contrapposto.errors import ConfigError
from contrapposto.outputs import note

EXPECTED = "auto, cpu, cuda, cuda:1 (any number), mps"
Device = torch.device | str | None
"""A device by name; None: that of the open command, else `auto`."""

_T = TypeVar("_T")


class DeviceChoice:
    """The device of one command.

    Args:
        name: see `find_device`.
        announce: called once with a line that names the device, when the first network goes there.

    Attributes:
        device: where networks go.
    """

    def __init__(self, name: Device, announce: Callable[[str], object] | None = None) -> None:
        self.name, self.device = name, find_device(name)
        self._announce = announce

    def use(self) -> torch.device:
        """The device; recorded in the provenance of the open command."""
        text = describe_device(self.device)
        note(device=text)
        if self._announce is not None:
            self._announce(f"device: {text}")
        self._announce = None
        return self.device


_open: list[DeviceChoice] = []


def find_device(name: Device = None) -> torch.device:
    """The device of a name.

    Args:
        name: `auto`, `cpu`, `cuda`, `cuda:N`, `mps`, or a `torch.device`; None: that of the open command, else `auto`.

    Raises:
        ConfigError: no such name, or the machine does not have it.
    """
    if name is None and _open:
        return _open[-1].use()
    if name in (None, "auto"):
        return _cuda(torch.device("cuda")) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(str(name))
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"device={name} is not known.", expected=EXPECTED)
    if device.type == "cuda":
        return _cuda(device)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device=mps, but torch sees no Apple GPU.", found=_build(), fix="device=cpu")
    return device


def _cuda(device: torch.device) -> torch.device:
    if not torch.cuda.is_available():
        raise ConfigError(
            f"device={device}, but torch sees no CUDA device.",
            found=_build(),
            fix="device=cpu, or install a CUDA build of torch (see Makefile, TORCH_INDEX_URL)",
        )
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise ConfigError(f"device={device} is not there.", found=f"cuda:0 to cuda:{count - 1}")
    return torch.device("cuda", device.index if device.index is not None else torch.cuda.current_device())


def _build() -> str:
    return f"torch {torch.__version__}" + (
        f", CUDA {torch.version.cuda}" if torch.version.cuda else ", a CPU build"
    )


def drawing_device(name: str | None = None) -> str | None:
    """The device that draws images, as Warp names it: the one of the open command; None: whatever there is.

    Args:
        name: a device that was named for the drawing itself.
    """
    if name is not None or not _open or _open[-1].name in (None, "auto"):
        return name
    return str(_open[-1].device) if _open[-1].device.type == "cuda" else "cpu"


@contextmanager
def without_tf32() -> Iterator[None]:
    """Products of float32 in float32: TF32 keeps 10 bits, which puts a point at 8 m off by 2.1 mm."""
    before = torch.get_float32_matmul_precision()
    if before == "highest" or torch.compiler.is_compiling():
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def full_precision(like: torch.Tensor) -> Iterator[None]:
    """Neither autocast on the device of `like` nor TF32: positions that are rounded to bfloat16 are centimetres off."""
    with torch.autocast(like.device.type, enabled=False), without_tf32():
        yield


def device_of(network: nn.Module) -> torch.device:
    """Where the weights of a network are; the CPU where it has none."""
    for tensor in (*network.parameters(), *network.buffers()):
        return tensor.device
    return torch.device("cpu")


def describe_device(device: torch.device) -> str:
    """Name of a device as a user knows it: `cuda:0 (NVIDIA H200)`, `cpu (4 threads)`."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


@contextmanager
def using_device(
    name: Device = "auto", announce: Callable[[str], object] | None = None
) -> Iterator[DeviceChoice]:
    """Networks that are loaded inside go to this device, unless another one is named for them.

    Images are drawn there too, where it is named. On CUDA devices float32 products are computed in TF32 inside, as in
    training; geometry is not (`without_tf32`). Arguments as in `DeviceChoice`.

    Raises:
        ConfigError: see `find_device`; or the device ran out of memory inside.
    """
    choice, before = DeviceChoice(name, announce), torch.get_float32_matmul_precision()
    _open.append(choice)
    if choice.device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield choice
    except torch.OutOfMemoryError as error:
        raise out_of_memory(choice.device) from error
    finally:
        torch.set_float32_matmul_precision(before)
        _open.remove(choice)


def out_of_memory(device: torch.device, fix: str = "device=cpu, or less work at a time") -> ConfigError:
    """The error of a device whose memory does not suffice."""
    actual = ""
    if device.type == "cuda" and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info(device)
        actual = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    return ConfigError(f"The memory of {device} does not suffice.", found=actual, fix=fix)


def in_chunks(
    run: Callable[[int], _T], chunk: int, *, device: torch.device, least: int = 1
) -> tuple[_T, int]:
    """Do work whose memory grows with a chunk; where the device runs out of memory, again with half of it.

    Args:
        run: does all of the work, so many items at a time.
        chunk: to begin with.
        device: named in the error.
        least: smallest chunk to try.

    Returns:
        What `run` gave, and the chunk that sufficed: begin with it the next time.

    Raises:
        ConfigError: the memory does not even suffice for `least`.
    """
    while True:
        try:
            return run(chunk), chunk
        except torch.OutOfMemoryError:
            if chunk <= least:
                raise out_of_memory(device) from None
        # Outside of the handler: the exception holds the tensors of the attempt.
        chunk = max(chunk // 2, least)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a CUDA device; None for others."""
    if device.type != "cuda":
        return None
    free: int = torch.cuda.mem_get_info(device)[0]
    return free
