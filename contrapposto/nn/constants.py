"""Constants on a device."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def constant(values: tuple[float, ...], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers where `like` is, with its type or another.

    On a CUDA device they are copied there once: `new_tensor` copies them in every call, which no CUDA graph may.
    """
    if like.device.type != "cuda" or torch.compiler.is_compiling():
        return like.new_tensor(values, dtype=dtype)
    return _on_device(values, like.device, dtype or like.dtype)


@lru_cache(maxsize=256)
def _on_device(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)
