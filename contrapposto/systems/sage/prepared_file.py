"""A prepared SAGE tracker as a file: packed or 8-bit weights without the trained ones, ready in under a second.

A safetensors file: nothing in it can be executed. Weights are stored as plain numbers and laid out for the processor
when they are read, so that a file serves other machines too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from contrapposto.checks import parsing
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.nn.packed import Int8Linear, PackedLinear
from contrapposto.outputs import note_model
from contrapposto.systems.sage.fast import prepare_tracker
from contrapposto.systems.sage.finishing import Finishing
from contrapposto.systems.sage.tracker import SageTracker, sage_networks

_KEY = "contrapposto_prepared"
_SIZES = ("window", "latent", "diffusion", "decoder_network", "network")


def save_prepared(
    tracker: SageTracker,
    path: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    finishing: Finishing | None = None,
    licence: str = "",
) -> None:
    """Write what `prepare_tracker` gave.

    Args:
        tracker: with linears `packed` or `int8`, on the CPU.
        path: ends in `.safetensors`.
        options: of the refiner's training, as for `SageTracker.from_options`: the networks' sizes; None: the paper's.
        finishing: what is done to the poses.
        licence: of the weights.
    """
    layers: dict[str, dict[str, Any]] = {}
    tensors = _tensors(tracker)
    for name, module in tracker.named_modules():
        if isinstance(module, PackedLinear):
            layers[name] = {"kind": "packed", "gelu": module.after[0] == "gelu"}
            parts = {"weight": module.weight.to_dense(), "bias": module.bias}
        elif isinstance(module, Int8Linear):
            layers[name] = {"kind": "int8"}
            parts = dict(zip(("numbers", "scales", "bias"), module.rounded()))
        else:
            continue
        tensors |= {f"{name}.{key}": value for key, value in parts.items() if value is not None}
    about = {
        "options": {key: value for key, value in (options or {}).items() if key in _SIZES},
        "steps": tracker.steps,
        "seed": tracker.seed,
        "frame": tracker.frame,
        "finishing": asdict(finishing or Finishing.none()),
        "licence": licence,
        "layers": layers,
    }
    stored = {name: value.detach().contiguous().clone() for name, value in tensors.items()}
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(save(stored, metadata={_KEY: json.dumps(about)}))


def is_prepared(path: str | Path) -> bool:
    """Whether a file is one of `save_prepared`."""
    path = Path(path)
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    with parsing(path, "a safetensors file", "fetch it again"), safe_open(path, framework="pt") as file:
        return _KEY in (file.metadata() or {})


def load_prepared(path: str | Path) -> SageTracker:
    """Read what `save_prepared` wrote: a tracker for inference on the CPU, with the same numbers.

    Raises:
        InputError: damaged, or not such a file.
    """
    expected = "a file of task=sage_export task.format=prepared"
    with parsing(path, expected, "export it again"):
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        if text is None:
            raise InputError(f"{path} is no prepared tracker.", expected=expected)
        about = json.loads(text)
        tracker = _tree(about)
        for name, layer in about["layers"].items():
            tracker.set_submodule(name, _layer(layer, tensors, name))
        known = set(tensors)
        while tensors:  # copied: what is read from a file keeps all of it in memory
            name, value = tensors.popitem()
            _put(tracker, name, value.clone())
        missing = set(_tensors(tracker)) - known
        if missing or not known:
            raise InputError(
                f"{path} lacks weights.", found=f"no {min(missing, default='weights')}", expected=expected
            )
    note_model("sage_refiner", Path(path), about["licence"])
    tracker.finishing = Finishing(**about["finishing"])
    return tracker.eval().requires_grad_(False)


def _tensors(tracker: SageTracker) -> dict[str, Tensor]:
    """Parameters and buffers, also those that no state dict has; not those inside of packed and 8-bit layers."""
    return {**dict(tracker.named_parameters()), **dict(tracker.named_buffers())}


def _tree(about: Mapping[str, Any]) -> SageTracker:
    """The modules of a prepared tracker, all of whose numbers are still to come.

    No module of a prepared diffusion knows its width, so these are as narrow as can be: nothing is computed in vain.
    """
    diffusion = dict(about["options"].get("diffusion") or {})
    narrow = {**diffusion, "width": int(diffusion.get("heads", 8))}
    tracker = SageTracker(
        *sage_networks({**about["options"], "diffusion": narrow}),
        steps=about["steps"],
        seed=about["seed"],
        frame=about["frame"],
    )
    return prepare_tracker(tracker, linears="plain")


def _layer(layer: Mapping[str, Any], tensors: dict[str, Tensor], name: str) -> nn.Module:
    bias = tensors.pop(f"{name}.bias", None)
    if layer["kind"] == "packed":
        return PackedLinear(tensors.pop(f"{name}.weight"), bias, gelu=layer["gelu"])
    return Int8Linear.of_rounded(tensors.pop(f"{name}.numbers"), tensors.pop(f"{name}.scales"), bias)


def _put(tracker: SageTracker, name: str, value: Tensor) -> None:
    place, _, leaf = name.rpartition(".")
    module = tracker.get_submodule(place)
    if leaf in module._parameters:
        setattr(module, leaf, nn.Parameter(value, requires_grad=False))
    else:
        setattr(module, leaf, cast(Any, value))
