"""Random numbers that depend on a key, not on who asks for them.

A number is a pure function of (seed, step, sample id, stream, position): the same in one process or eight, at
batch 1 or 32, before and after a resume. It is a hash of these integers (the finaliser of splitmix64: Steele,
Lea and Flood, "Fast splittable pseudorandom number generators", 2014) computed in wrapping 64-bit tensor
arithmetic, hence equal on every device.
"""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor


def keyed_uniform(
    seed: int, step: int, sample_ids: Tensor, shape: tuple[int, ...], stream: int | str = 0
) -> Tensor:
    """(B, *shape) float32 in [0, 1), 24 bits each.

    Args:
        seed: of the run.
        step: training step, or 0 where there is none.
        sample_ids: (B,) int64; its device is that of the result.
        shape: of the numbers of one sample.
        stream: what the numbers are for ("mask", "noise", ...); streams are independent.
    """
    bits = _bits(seed, step, sample_ids, shape, stream)
    return _shift(bits, 40).to(torch.float32) * 2.0**-24


def keyed_normal(
    seed: int, step: int, sample_ids: Tensor, shape: tuple[int, ...], stream: int | str = 0
) -> Tensor:
    """(B, *shape) float32, standard normal, by Box and Muller; arguments of `keyed_uniform`."""
    bits = _bits(seed, step, sample_ids, shape, stream)
    exact = torch.float32 if sample_ids.device.type == "mps" else torch.float64
    # The upper half of the bits is the radius, in (0, 1]; the lower half the angle.
    radius = (_shift(bits, 32).to(exact) + 1) * 2.0**-32
    angle = (bits & 0xFFFFFFFF).to(exact) * (2 * math.pi * 2.0**-32)
    return ((-2 * radius.log()).sqrt() * torch.cos(angle)).to(torch.float32)


def keyed_integers(
    seed: int, step: int, sample_ids: Tensor, shape: tuple[int, ...], high: int, stream: int | str = 0
) -> Tensor:
    """(B, *shape) int64 in [0, high), high at most 2^31; arguments of `keyed_uniform`."""
    bits = _shift(_bits(seed, step, sample_ids, shape, stream), 32)
    return _shift(bits * high, 32)


def _bits(seed: int, step: int, sample_ids: Tensor, shape: tuple[int, ...], stream: int | str) -> Tensor:
    """(B, *shape) int64, all 64 bits random."""
    number = zlib.crc32(stream.encode()) if isinstance(stream, str) else stream
    key = 0
    for part in (seed, step, number):
        key = _mix_integer(key ^ _mix_integer(part + _GOLDEN))
    ids = sample_ids.to(torch.int64)
    base = _mix(_mix(ids * _signed(_GOLDEN) + _signed(key)) + _signed(_mix_integer(key ^ _FIRST)))
    count = math.prod(shape)
    counter = torch.arange(1, count + 1, device=ids.device) * _signed(_GOLDEN)
    return _mix(base[:, None] + counter).view(len(ids), *shape)


_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_ALL = 2**64 - 1


def _signed(value: int) -> int:
    value &= _ALL
    return value - 2**64 if value >= 2**63 else value


def _shift(value: Tensor, count: int) -> Tensor:
    """Logical right shift: torch's is arithmetic."""
    return (value >> count) & ((1 << (64 - count)) - 1)


def _mix(value: Tensor) -> Tensor:
    value = (value ^ _shift(value, 30)) * _signed(_FIRST)
    value = (value ^ _shift(value, 27)) * _signed(_SECOND)
    return value ^ _shift(value, 31)


def _mix_integer(value: int) -> int:
    value &= _ALL
    value = ((value ^ (value >> 30)) * _FIRST) & _ALL
    value = ((value ^ (value >> 27)) * _SECOND) & _ALL
    return value ^ (value >> 31)
