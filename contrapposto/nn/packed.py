"""Linear layers for inference on a CPU: weights laid out once for small batches, or rounded to 8 bits.

A row-major weight is read in an order that suits training's large batches. With the ten tokens of one live frame
a layer is bound by the traffic of its weights: packed in oneDNN's own blocks it is 1.5 to 2 times faster, with 8
bits per weight 4 to 5 times (docs/benchmarks.md).
"""

from __future__ import annotations

import warnings
from typing import Literal

import torch
from torch import Tensor, nn

LinearKind = Literal["plain", "packed", "int8"]
LINEAR_KINDS: tuple[LinearKind, ...] = ("plain", "packed", "int8")
_ENGINES = ("onednn", "fbgemm", "x86")  # the first that this build of torch has


class ColumnLinear(nn.Module):
    """A linear layer whose weight lies in memory as (in, out): exported files need no turned copies of it.

    Args:
        weight: (out, in).
        bias: (out,) or None.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().t().contiguous())
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, features: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        product = features @ self.weight
        return product if self.bias is None else product + self.bias


class PackedLinear(nn.Module):
    """A linear layer whose weight is packed for about `rows` rows of input: the same numbers to rounding.

    It has no parameters, so it can neither be trained nor saved nor moved to another device.

    Args:
        weight: (out, in) float32 on the CPU.
        bias: (out,) or None.
        gelu: whether a GELU (tanh form) follows, computed while the outputs are still in the cache.
        rows: of the usual input.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, gelu: bool = False, rows: int = 10) -> None:
        super().__init__()
        self.after: tuple[str, list[float], str] = ("gelu", [], "tanh") if gelu else ("none", [], "")
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), rows)
        self.bias = None if bias is None else bias.detach().clone()

    def forward(self, features: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(features, self.weight, self.bias, *self.after)
        return result


class Int8Linear(nn.Module):
    """A linear layer with 8-bit weights (a scale per output) and inputs (a scale per call, from their range).

    Args:
        weight: (out, in) float32 on the CPU.
        bias: (out,) or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        weight = weight.detach()
        scales = weight.abs().amax(1).clamp_min(1e-12) / 127
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces another place for these operators
            self._pack(torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8), bias)

    @classmethod
    def of_rounded(cls, numbers: Tensor, scales: Tensor, bias: Tensor | None) -> Int8Linear:
        """The layer whose `rounded` gives these."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        zeros = torch.zeros(len(numbers), dtype=torch.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer._pack(torch._make_per_channel_quantized_tensor(numbers, scales, zeros, 0), bias)
        return layer

    def _pack(self, rounded: Tensor, bias: Tensor | None) -> None:
        # Without these instructions sums of two products have 16 bits, which full 8-bit inputs overflow.
        self.reduce_range = not torch.cpu._is_vnni_supported()
        before = torch.backends.quantized.engine
        torch.backends.quantized.engine = next(
            name for name in _ENGINES if name in torch.backends.quantized.supported_engines
        )
        self.packed = torch.ops.quantized.linear_prepack(rounded, None if bias is None else bias.detach())
        torch.backends.quantized.engine = before

    def rounded(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Whole numbers (out, in) int8, their scales (out,), and the bias."""
        weight, bias = torch.ops.quantized.linear_unpack(self.packed)
        return weight.int_repr(), weight.q_per_channel_scales().float(), bias

    def forward(self, features: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        result: Tensor = torch.ops.quantized.linear_dynamic(features, self.packed, self.reduce_range)
        return result


def make_linear(weight: Tensor, bias: Tensor | None, kind: LinearKind, *, gelu: bool = False) -> nn.Module:
    """A linear layer of that kind with copies of weight (out, in) and bias; plain where the kind is not to be had.

    Packed and 8-bit layers exist on CPUs only, and in builds of torch with oneDNN.

    Args:
        weight, bias: of the layer.
        kind: of the layer.
        gelu: whether a GELU (tanh form) follows.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in LINEAR_KINDS:
        raise ValueError(f"kind: expected one of {', '.join(LINEAR_KINDS)}, got {kind!r}")
    on_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
    if kind == "packed" and on_cpu and torch.backends.mkldnn.is_available():
        return PackedLinear(weight, bias, gelu=gelu)
    if kind == "int8" and on_cpu and set(_ENGINES) & set(torch.backends.quantized.supported_engines):
        layer: nn.Module = Int8Linear(weight, bias)
    else:
        layer = ColumnLinear(weight, bias)
    return nn.Sequential(layer, nn.GELU(approximate="tanh")) if gelu else layer


def replace_linears(module: nn.Module, kind: LinearKind) -> None:
    """Put a layer of that kind in place of every `nn.Linear` inside a module, the module itself excepted."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, make_linear(child.weight, child.bias, kind))
        else:
            replace_linears(child, kind)
