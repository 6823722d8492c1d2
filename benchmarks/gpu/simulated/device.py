"""The simulated device as a context: what names `cuda` makes `SimulatedTensor`s, and torch believes in one GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from benchmarks.gpu.simulated.log import LOG, Log
from benchmarks.gpu.simulated.tensors import CUDA, SimulatedTensor, compute, on_host

GIB = 2**30
_FACTORIES = frozenset(
    "empty zeros ones full rand randn randint arange linspace eye tensor as_tensor empty_strided randperm logspace "
    "tril_indices triu_indices zeros_like ones_like full_like empty_like rand_like randn_like scalar_tensor asarray "
    "new_tensor new_zeros new_ones new_full new_empty".split()
)
# What autocast computes in the lower precision, and in float32 (the lists of torch's documentation, shortened).
_LOWER = frozenset(
    "linear matmul __matmul__ mm bmm addmm baddbmm conv1d conv2d conv3d einsum scaled_dot_product_attention gru".split()
)
_FULL = frozenset(
    "softmax log_softmax layer_norm group_norm exp log pow __pow__ sum cumsum cumprod norm mse_loss l1_loss smooth_l1_loss "
    "cross_entropy nll_loss cosine_similarity cdist prod".split()
)


@contextmanager
def simulated_cuda() -> Iterator[Log]:
    """Simulate one CUDA device.

    Inside, code may say `device="cuda"`. Tensors there have real values, computed on the CPU, and say that they are
    on cuda:0. The log counts what a real device would refuse, where the host would wait, and copies to the device.

    What it cannot show: speed, memory, the order of asynchronous work, and kernels that differ from the CPU's.

    Yields:
        The log, empty.
    """
    LOG.clear()
    with ExitStack() as stack:
        for patch in _patches():
            stack.enter_context(patch)
        stack.enter_context(_Calls())
        stack.enter_context(_Operations())
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, False)
        yield LOG


class _Operations(TorchDispatchMode):
    """Operations of the dispatcher that name the device, or have a tensor of it, where no tensor's class sees them."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        target = kwargs.get("device")
        if target is not None and torch.device(target).type == "meta":
            return compute(func, args, kwargs)
        if any(isinstance(value, SimulatedTensor) for value in tree_leaves((args, kwargs))):
            return compute(func, args, kwargs)
        return func(*args, **kwargs)


class _Calls(TorchFunctionMode):
    """Python calls that name the device: torch's C++ would look for a real one."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        first = args[0] if args else None
        ours = isinstance(first, SimulatedTensor)
        device = kwargs.get("device")
        if name in ("__getitem__", "__setitem__") and ours:
            args = (first, _index(args[1]), *args[2:])
        if name in ("to", "cuda", "cpu") and isinstance(first, Tensor):
            return _moved(func, name, first, args[1:], kwargs)
        if name in _FACTORIES and is_cuda(device):
            return self._created(func, name, args, kwargs)
        if device is not None and name.endswith("_like") and ours and torch.device(device).type == "cpu":
            return func(first.values.detach(), *args[1:], **kwargs)
        if name in ("is_pinned", "pin_memory"):
            return first if name == "pin_memory" else False
        if name == "new_tensor" and ours:
            LOG.upload("new_tensor")
            return SimulatedTensor(torch.tensor(args[1], dtype=kwargs.get("dtype", first.dtype)))
        if name == "backward":
            with self:  # a mode is off while it handles a call, and custom gradients need it
                return _backward(first, kwargs)
        if name == "unravel_index" and ours:
            with self:  # it makes a tensor inside
                return torch.functional._unravel_index(first, kwargs.get("shape") or args[1]).unbind(-1)
        if name == "embedding_bag" and ours and first.ndim == 2:  # likewise
            starts = torch.arange(0, first.numel(), first.shape[1])
            kwargs["offsets"] = SimulatedTensor(starts)
            if kwargs.get("per_sample_weights") is not None:
                kwargs["per_sample_weights"] = kwargs["per_sample_weights"].reshape(-1)
            args = (first.reshape(-1), *args[1:])
        if torch.is_autocast_enabled("cuda") and (name in _LOWER or name in _FULL):
            args, kwargs = _autocast(name, args, kwargs)
        return func(*args, **kwargs)

    @staticmethod
    def _created(func: Callable[..., Any], name: str, args: Any, kwargs: dict[str, Any]) -> Tensor:
        if kwargs.get("generator") is not None:
            LOG.fault(f"{name}: a CPU generator for a CUDA tensor")
        if name in ("tensor", "as_tensor", "new_tensor", "asarray"):
            LOG.upload(name)
        grad = bool(kwargs.pop("requires_grad", False))
        result = func(*tree_map(on_host, args), **{**kwargs, "device": torch.device("cpu")})
        created = result if isinstance(result, SimulatedTensor) else SimulatedTensor(result.detach())
        return created.requires_grad_(grad) if grad else created


def is_cuda(device: Any) -> bool:
    """Whether a device, by whatever form of name, is a CUDA one."""
    if isinstance(device, torch.device):
        return device.type == "cuda"
    return isinstance(device, str) and device.partition(":")[0] == "cuda"


def _moved(func: Callable[..., Any], name: str, tensor: Tensor, rest: Any, kwargs: dict[str, Any]) -> Tensor:
    """`.to()` in all of its forms, `.cuda()`, `.cpu()`."""
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    if name != "to":
        device, rest = (CUDA if name == "cuda" else torch.device("cpu")), ()
    for item in rest:
        if isinstance(item, Tensor):
            device, dtype = item.device, item.dtype
        elif isinstance(item, torch.dtype):
            dtype = item
        elif isinstance(item, str | torch.device) or (isinstance(item, int) and not isinstance(item, bool)):
            device = CUDA if isinstance(item, int) else item
    inside = isinstance(tensor, SimulatedTensor)
    wanted = inside if device is None else is_cuda(device)
    if dtype is not None and dtype != tensor.dtype:
        tensor = torch.ops.aten._to_copy(tensor, dtype=dtype)
    if wanted and not inside:
        LOG.upload("to")
        return _Upload.apply(tensor)
    if inside and not wanted:
        LOG.wait("copy to the host")
        return _Download.apply(tensor)
    if device is not None and not is_cuda(device) and torch.device(device).type != tensor.device.type:
        return func(tensor, device)
    if kwargs.get("copy"):
        return tensor.clone()
    return tensor


def _backward(tensor: Tensor, kwargs: dict[str, Any]) -> None:
    gradient = kwargs.get("gradient")
    if gradient is None:
        one = torch.ones((), dtype=tensor.dtype)
        gradient = SimulatedTensor(one) if isinstance(tensor, SimulatedTensor) else one
    torch.autograd.graph._engine_run_backward(
        (tensor,),
        (gradient,),
        bool(kwargs.get("retain_graph") or kwargs.get("create_graph")),
        bool(kwargs.get("create_graph")),
        tuple(kwargs.get("inputs") or ()),
        allow_unreachable=True,
        accumulate_grad=True,
    )


def _index(key: Any) -> Any:
    """Lists and arrays of an index as tensors on the device: C++ would make them where it sees the tensor, without values."""
    parts = key if isinstance(key, tuple) else (key,)
    indices = []
    for part in parts:
        if isinstance(part, list | np.ndarray):
            LOG.upload("index from the host")
            part = SimulatedTensor(torch.as_tensor(part))
        indices.append(part)
    return tuple(indices) if isinstance(key, tuple) else indices[0]


def _autocast(name: str, args: Any, kwargs: Any) -> tuple[Any, dict[str, Any]]:
    """The inputs of a function as autocast would hand them over."""
    lower = torch.get_autocast_dtype("cuda")
    target = lower if name in _LOWER else torch.float32

    def cast(value: Any) -> Any:
        suits = isinstance(value, SimulatedTensor) and value.dtype in (torch.float32, lower)
        return value.to(target) if suits else value

    return tree_map(cast, (args, kwargs))


class _Upload(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # type: ignore[override]
        return SimulatedTensor(tensor.detach())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return on_host(gradient)


class _Download(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # type: ignore[override]
        return on_host(tensor).detach().clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient if isinstance(gradient, SimulatedTensor) else SimulatedTensor(gradient)


def _patches() -> Iterator[Any]:
    """What torch and Lightning ask about the machine."""
    properties = SimpleNamespace(
        name="simulated", total_memory=80 * GIB, major=9, minor=0, multi_processor_count=132
    )
    answers: dict[str, Any] = {
        "is_available": True,
        "device_count": 1,
        "current_device": 0,
        "is_bf16_supported": True,
        "set_device": None,
        "empty_cache": None,
        "synchronize": None,
        "mem_get_info": (70 * GIB, 80 * GIB),
        "get_device_properties": properties,
        "get_device_name": properties.name,
        "get_device_capability": (9, 0),
        "max_memory_allocated": 0,
        "reset_peak_memory_stats": None,
        "get_rng_state_all": [],
        "set_rng_state_all": None,
        "manual_seed": None,
        "manual_seed_all": None,
    }
    for name, value in answers.items():
        yield mock.patch(f"torch.cuda.{name}", lambda *args, answer=value, **kwargs: answer)
    # A build for CUDA, without a GPU, would look for a driver here.
    yield mock.patch("torch.cuda._lazy_init", lambda: None)
    yield mock.patch("torch.backends.cuda.is_built", lambda: False)
    yield mock.patch("torch.backends.cudnn.is_acceptable", lambda tensor: False)
    yield mock.patch("torch.accelerator.current_accelerator", lambda *args, **kwargs: None)
    # Tensors of inference mode cannot be wrapped; without gradients is the same to the code that is simulated.
    inference = torch.autograd.grad_mode.inference_mode
    yield mock.patch.object(inference, "__enter__", _enter_without_gradients)
    yield mock.patch.object(inference, "__exit__", lambda self, *error: self._plain.__exit__(*error))
    loader = torch.utils.data.dataloader._BaseDataLoaderIter
    yield mock.patch.object(loader, "__init__", _without_pinning(loader.__init__))
    grouped = torch._C._group_tensors_by_device_and_dtype
    yield mock.patch("torch._C._group_tensors_by_device_and_dtype", _grouping(grouped))
    yield from _lightning_patches()


def _lightning_patches() -> Iterator[Any]:
    try:
        from pytorch_lightning.accelerators import CUDAAccelerator
    except ImportError:
        return
    yield mock.patch.object(CUDAAccelerator, "is_available", staticmethod(lambda: True))
    yield mock.patch.object(CUDAAccelerator, "auto_device_count", staticmethod(lambda: 1))
    yield mock.patch.object(CUDAAccelerator, "parse_devices", staticmethod(lambda devices: [0]))
    yield mock.patch.object(CUDAAccelerator, "get_parallel_devices", staticmethod(lambda devices: [CUDA]))
    for name in ("setup_device", "setup", "teardown"):
        yield mock.patch.object(CUDAAccelerator, name, lambda self, *args: None)


def _enter_without_gradients(self: Any) -> None:
    self._plain = torch.no_grad()
    self._plain.__enter__()


def _without_pinning(init: Callable[..., None]) -> Callable[..., None]:
    def initialise(self: Any, loader: Any) -> None:
        loader.pin_memory = False
        init(self, loader)

    return initialise


def _grouping(group: Callable[..., Any]) -> Callable[..., Any]:
    """torch's grouping by device and type; C++ does not see the simulated device of a group."""

    def grouped(lists: Any, with_indices: bool = False) -> dict[Any, Any]:
        groups = group(lists, with_indices)
        return {(lists[0][0].device, dtype): (lists, rest) for (_, dtype), (lists, rest) in groups.items()}

    return grouped
