"""Warp arrays on the memory of torch tensors. Warp is imported when the first one is made."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor


@cache
def load_warp() -> Any:
    """Warp, started without its greeting."""
    from contrapposto.render.launching import start_warp

    start_warp()
    import warp

    return warp


def wrap(tensor: Tensor, kind: str = "float32") -> Any:
    """A Warp array on a tensor's memory; `kind` is float32, int32, vec2, vec3, vec4 or mat33.

    It is Warp's bare descriptor, which is made in a fraction of the time of an array, and keeps the tensor alive.
    """
    warp = load_warp()
    held = tensor.detach().contiguous()
    array = warp.from_torch(held, dtype=getattr(warp, kind), requires_grad=False, return_ctype=True)
    array.held = held  # a descriptor does not own its memory
    return array


def device_of(tensor: Tensor) -> str:
    """Warp's name of the device of a tensor."""
    return "cpu" if tensor.device.type == "cpu" else f"cuda:{tensor.device.index or 0}"
