"""Checkpoints to pass on: tensors and plain values in one safetensors file, in half precision or 8 bits.

The tree of dictionaries and lists is JSON in the file's metadata; in place of a tensor stands `{"tensor": NAME}`.
Nothing in such a file can be executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from contrapposto.checks import parsing
from contrapposto.errors import InputError
from contrapposto.files import atomic_path

_TREE = "contrapposto"
_LARGEST_HALF = 65504.0
_LEAST_ROW, _LEAST_SIZE = 32, 4096  # numbers with a scale in common; tensors in 8 bits


def save_portable(
    path: str | Path, content: Mapping[str, Any], *, half: bool = True, eight_bits: bool = False
) -> None:
    """Write tensors, strings, numbers, None, and dictionaries and lists of them, atomically.

    Args:
        path: ends in `.safetensors`.
        content: keys are text; tuples come back as lists.
        half: store float32 tensors as float16, but for those with numbers that float16 does not have.
        eight_bits: store large float32 matrices as whole numbers from -127 to 127 with a scale for every row.

    Raises:
        TypeError: values of other kinds.
    """
    tensors: dict[str, Tensor] = {}
    tree = _packed(dict(content), "", tensors, half, eight_bits)
    with atomic_path(path) as temporary:
        temporary.write_bytes(
            save(tensors, metadata={_TREE: json.dumps(tree)})
        )  # save_file hides a full disk


def load_portable(path: str | Path) -> dict[str, Any]:
    """Read what `save_portable` wrote; half precision comes back as float32.

    Raises:
        InputError: damaged, or not such a file.
    """
    with parsing(path, "a checkpoint that contrapposto.publish wrote", "fetch it again"):
        with safe_open(path, framework="pt") as file:
            tree = (file.metadata() or {}).get(_TREE)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        if tree is None:
            raise InputError(
                f"{path} is not a checkpoint of this suite.",
                found="a safetensors file without the suite's description",
                expected="a file that contrapposto.publish wrote",
            )
        unpacked: dict[str, Any] = dict(_unpacked(json.loads(tree), tensors))
    return unpacked


def _packed(value: Any, name: str, tensors: dict[str, Tensor], half: bool, eight: bool = False) -> Any:
    if isinstance(value, Tensor):
        if eight and value.dtype == torch.float32 and value.ndim > 1 and value.numel() >= _LEAST_SIZE:
            tensors[name], tensors[f"{name}#scale"] = _eight_bits(value.detach().cpu())
            return {"tensor": name, "scale": f"{name}#scale"}
        tensors[name] = _halved(value.detach().cpu()) if half else value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"{name or 'content'}: keys must be text")
        return {
            "map": {key: _packed(item, f"{name}/{key}", tensors, half, eight) for key, item in value.items()}
        }
    if isinstance(value, list | tuple):
        return [_packed(item, f"{name}/{index}", tensors, half, eight) for index, item in enumerate(value)]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{name}: {type(value).__name__} cannot be stored")


def _eight_bits(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers of the tensor's shape, and the scales they are multiplied with: last dimensions share one."""
    axes = 1
    while tensor.shape[-axes:].numel() < _LEAST_ROW and axes < tensor.ndim - 1:
        axes += 1
    scale = tensor.abs().amax(tuple(range(-axes, 0)), keepdim=True) / 127
    numbers = (tensor / scale.clamp_min(1e-30)).round().clamp(-127, 127)
    return numbers.to(torch.int8).contiguous(), scale.contiguous()


def _halved(tensor: Tensor) -> Tensor:
    fits = (
        tensor.dtype == torch.float32
        and tensor.isfinite().all()
        and bool((tensor.abs() <= _LARGEST_HALF).all())
    )
    return (tensor.half() if fits else tensor.clone()).contiguous()


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if "tensor" in value:
            tensor = tensors[value["tensor"]]
            if "scale" in value:
                return tensor.float() * tensors[value["scale"]]
            return tensor.float() if tensor.dtype == torch.float16 else tensor
        return {key: _unpacked(item, tensors) for key, item in value["map"].items()}
    if isinstance(value, list):
        return [_unpacked(item, tensors) for item in value]
    return value
