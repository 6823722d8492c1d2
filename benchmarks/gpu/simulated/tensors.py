"""Tensors that say they are on cuda:0, are computed on the CPU, and are refused what a real device refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from benchmarks.gpu.simulated.log import LOG

CUDA = torch.device("cuda:0")
_WAITING = frozenset(
    "_local_scalar_dense item is_nonzero equal nonzero masked_select unique_dim _unique2 unique_consecutive "
    "repeat_interleave".split()
)
_PYTHON_VALUES = frozenset(("_local_scalar_dense", "equal", "is_nonzero"))
_INTEGER_PRODUCTS = frozenset("mm bmm addmm baddbmm addmv mv addbmm".split())
_INDEXING = frozenset("index index_put index_put_ _index_put_impl_ _unsafe_index _unsafe_index_put".split())
_MAY_MIX = _INDEXING | frozenset(("copy_", "_to_copy", "lift_fresh", "set_"))
_FEW = 64  # numbers; float64 in smaller tensors costs nothing


class SimulatedTensor(Tensor):
    """A tensor of the simulated device.

    To torch it is a tensor without memory (device `meta`) of the right shape, so autograd works as usual;
    `values` has its numbers on the CPU.

    Args:
        values: on the CPU.
        requires_grad: of the new tensor.
    """

    values: Tensor

    @staticmethod
    def __new__(cls: type, values: Tensor, requires_grad: bool = False) -> SimulatedTensor:
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            shape = torch.empty_strided(values.shape, values.stride(), dtype=values.dtype, device="meta")
        made = Tensor._make_subclass(cls, shape, requires_grad)
        made.values = values
        return made

    device = property(lambda self: CUDA)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]
    is_meta = property(lambda self: False)  # type: ignore[assignment]

    def get_device(self) -> int:
        """Its number."""
        return 0

    def __repr__(self, **kwargs: Any) -> str:
        return f"SimulatedTensor({self.values!r})"

    def __reduce_ex__(self, protocol: Any) -> Any:  # a checkpoint holds plain tensors
        return self.values.detach().clone().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copy: Tensor = SimulatedTensor(self.values.detach().clone())
        if isinstance(self, torch.nn.Parameter):
            copy = torch.nn.Parameter(copy, self.requires_grad)
        else:
            copy.requires_grad_(self.requires_grad)
        memo[id(self)] = copy
        return copy

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if args and isinstance(args[0], SimulatedTensor):
            if name in ("numpy", "__array__"):
                LOG.fault("numpy() of a CUDA tensor")
                return args[0].values.detach().numpy()
            if name == "tolist":
                LOG.wait("tolist")
                return args[0].values.tolist()
            if name == "data_ptr":
                return args[0].values.data_ptr()
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return compute(func, args, kwargs or {})


def on_host(value: Any) -> Any:
    """The numbers of a simulated tensor; everything else as it is."""
    return value.values if isinstance(value, SimulatedTensor) else value


def compute(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run one operation on the CPU, by the rules of a device; its results are on the device where an input was."""
    name = func._schema.name.split("::")[1]
    LOG.launches += 1
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    ours = [value for value in tensors if isinstance(value, SimulatedTensor)]
    target = kwargs.get("device")
    kind = None if target is None else torch.device(target).type
    if ours or kind in ("cuda", "meta"):
        _check(name, args, kwargs, tensors, ours)
    real_args, real_kwargs = tree_map(on_host, (args, dict(kwargs)))
    if target is not None:
        real_kwargs["device"] = torch.device("cpu")
    result = func(*real_args, **real_kwargs)
    if name == "_to_copy":
        return _copied(result, args[0], kind)
    to_host = kind == "cpu" or name in _PYTHON_VALUES or not (ours or kind in ("cuda", "meta"))
    if name in ("copy_", "index_put_", "_index_put_impl_") and not isinstance(args[0], SimulatedTensor):
        return args[0]
    return result if to_host else _wrapped(func, name, args, kwargs, result, ours)


def _check(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], tensors: list[Tensor], ours: list[Any]
) -> None:
    """Record what a device would refuse, and what the host would wait for."""
    if name in _WAITING and ours and kwargs.get("output_size") is None:
        LOG.wait(name)
    if name in _INDEXING and ours:
        _check_index(name, args)
    mixed = [value for value in tensors if not isinstance(value, SimulatedTensor) and value.ndim]
    if ours and mixed and name not in _MAY_MIX:
        LOG.fault(f"aten.{name}: tensors on cuda:0 and cpu")
    if kwargs.get("generator") is not None:
        LOG.fault(f"aten.{name}: a CPU generator for a CUDA tensor")
    if name in _INTEGER_PRODUCTS and not any(x.is_floating_point() or x.is_complex() for x in ours):
        LOG.fault(f"aten.{name}: integer product on CUDA")
    if name == "copy_":
        inside, source = (isinstance(value, SimulatedTensor) for value in args[:2])
        if inside and not source and args[1].ndim:
            LOG.upload("copy_")
        elif source and not inside:
            LOG.wait("copy_ to the host")
    if any(value.dtype == torch.float64 and value.numel() > _FEW for value in ours):
        LOG.double(name)


def _check_index(name: str, args: Sequence[Any]) -> None:
    base, indices = args[0], [index for index in args[1] if index is not None]
    reading = name in ("index", "_unsafe_index")
    if reading and any(index.dtype in (torch.bool, torch.uint8) for index in indices):
        LOG.wait("index by a mask")
    if not isinstance(base, SimulatedTensor):
        if any(isinstance(index, SimulatedTensor) for index in indices):
            LOG.fault(f"{name}: a CPU tensor indexed by a CUDA tensor")
        return
    if any(not isinstance(index, SimulatedTensor) for index in indices):
        LOG.upload("index from the host")
    if not reading and len(args) > 2 and not isinstance(args[2], SimulatedTensor) and args[2].ndim:
        LOG.fault(f"{name}: values on the CPU")


def _copied(result: Tensor, source: Tensor, kind: str | None) -> Tensor:
    inside = isinstance(source, SimulatedTensor)
    if inside and kind == "cpu":
        LOG.wait("copy to the host")
        return result
    if not inside and kind == "cuda":
        LOG.upload("copy")
    return SimulatedTensor(result) if kind in ("cuda", "meta") or inside else result


def _wrapped(
    func: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, ours: list[Any]
) -> Any:
    known = {id(value.values): value for value in ours}

    def wrap(value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, SimulatedTensor):
            return value
        return known[id(value)] if id(value) in known else SimulatedTensor(value)

    wrapped = tree_map(wrap, result)
    if func._schema.is_mutable and not name.endswith("_"):
        return wrapped
    try:
        return return_and_correct_aliasing(func, args, dict(kwargs), wrapped)
    except (RuntimeError, AssertionError, AttributeError):  # operations whose outputs it does not know
        return wrapped
