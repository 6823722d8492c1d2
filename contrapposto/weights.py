"""Weights in and out: safe reading of every file that people have, and import of the originals' checkpoints.

Nothing here ever runs what a file contains: safetensors hold only arrays, and everything else goes through
`torch.load(weights_only=True)` with a short list of harmless NumPy types.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from contrapposto.errors import InputError, MissingError
from contrapposto.files import atomic_path

StateDict = dict[str, Tensor]

# Original checkpoints hold NumPy scalars (best metrics) and arrays (usage statistics) beside the tensors.
_NUMPY_TYPES: list[Any] = [
    np.dtype,
    np.ndarray,
    *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdFDUS"},
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    # The same two under the names that NumPy 1 wrote.
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    (np._core.multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),  # type: ignore[attr-defined]
]
_ALIGNMENTS = {str(2**power).encode() for power in range(13)}
_CONSTRUCTED = ("pe", "*.pe", "mask", "*.mask")


def load_file_safely(path: str | Path) -> Any:
    """Read a file of weights onto the CPU: safetensors, or anything that `torch.save` wrote, old format
    included.

    Returns:
        What the file holds: a state dict, or a dict with state dicts, epoch, optimiser and so on.

    Raises:
        MissingError: no such file.
        InputError: the file is damaged, not a file of weights, or holds objects that would have to be
            executed.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"There is no file of weights at {path}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        damage = archive_damage(path)
        if damage:
            raise ValueError(damage)
        with torch.serialization.safe_globals(_NUMPY_TYPES), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle protocol
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} was not loaded: it is damaged, or it holds objects that would have to be executed.",
            found=_reason(error),
            expected="tensors, numbers, text, lists and dicts only",
            fix="ask for a file of plain weights (a state dict or safetensors); none of this one ran",
        ) from error
    except Exception as error:  # damaged bytes reach parsers that raise anything
        raise InputError(
            f"{path} is damaged or is not a file of weights.",
            found=_reason(error),
            expected="safetensors, or a file that torch.save wrote",
            fix="fetch it again and compare its size or hash",
        ) from error


def archive_damage(path: str | Path) -> str:
    """What is wrong with the ZIP archive that `torch.save` wrote, or nothing; other files have nothing wrong.

    torch never looks at the archive's checksums, so that flipped bits would be loaded as weights, and divides by the
    alignment that the archive states: by a 0, which ends the process.
    """
    if not zipfile.is_zipfile(path):
        return ""
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
        if bad is not None:
            return f"the checksum of {bad} is wrong"
        for name in archive.namelist():
            if name.endswith(".storage_alignment") and archive.read(name) not in _ALIGNMENTS:
                return "it states an alignment that torch never writes"
    return ""


def load_state_dicts(path: str | Path) -> dict[str, StateDict]:
    """Read a file and find the state dicts in it.

    Layouts: a bare state dict, `{state_dict: ...}`, `{model_state_dict: ...}` or `{model: ...}` (docs/specs/npr.md,
    section 12) beside epoch and optimiser, and
    `{upper_state_dict: ..., lower_state_dict: ..., decoder_state_dict: ...}` (docs/specs/sage.md, section 7;
    docs/specs/posegpt.md, section 12; A-NeRF's `network_fn_state_dict` and so on). A leading `module.` of every
    name, left by data-parallel training, is removed.

    Returns:
        State dicts by name; the name is empty where the file holds one only, else what stands before
        `_state_dict`.

    Raises:
        MissingError, InputError: see `load_file_safely`; also where the file holds no state dict.
    """
    content = load_file_safely(path)
    matches: dict[str, StateDict] = {}
    if isinstance(content, Mapping):
        if content and all(isinstance(value, Tensor) for value in content.values()):
            matches[""] = dict(content)
        for key in ("state_dict", "model_state_dict", "model"):
            if isinstance(content.get(key), Mapping):
                matches[""] = dict(content[key])
        for key, value in content.items():
            name = str(key).removesuffix("_state_dict")
            if name != key and name not in ("model", "optimizer", "scheduler") and isinstance(value, Mapping):
                matches[name] = dict(value)
    if not matches:
        kind = (
            f"keys {sorted(map(str, content))[:8]}"
            if isinstance(content, Mapping)
            else type(content).__name__
        )
        raise InputError(f"{path} holds no state dict.", found=kind, expected="names and tensors")
    return {name: _without_prefix(state) for name, state in matches.items()}


def load_official_state_dict(path: str | Path, name: str = "") -> StateDict:
    """Read the one state dict of a file, or the one of that `name` (see `load_state_dicts`).

    Raises:
        MissingError, InputError: see `load_state_dicts`; also where the file holds several and none is named.
    """
    matches = load_state_dicts(path)
    if name in matches:
        return matches[name]
    if len(matches) == 1 and not name:
        return next(iter(matches.values()))
    raise InputError(
        f"{path} holds several state dicts." if not name else f"{path} holds no state dict for {name}.",
        found=", ".join(key or "(unnamed)" for key in matches),
        expected=name or "one",
    )


@dataclass(frozen=True)
class ImportReport:
    """What became of every name of an imported state dict.

    Args:
        matched: names loaded.
        missing: names of the model that the file lacks.
        unexpected: names of the file that the model lacks.
        wrong_shape: name to (shape in the file, shape in the model).
        not_finite: names loaded with values that are not finite.
        constructed: buffers that the model builds itself: name to the largest difference from the file's;
            None
            where the file has none.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    wrong_shape: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    not_finite: tuple[str, ...] = ()
    constructed: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def differing(self) -> dict[str, float]:
        """Constructed buffers that differ by more than 1e-3 from the file's."""
        return {
            name: value for name, value in self.constructed.items() if value is not None and not value <= 1e-3
        }

    @property
    def complete(self) -> bool:
        """Whether everything found its place."""
        problems = (self.missing, self.unexpected, self.wrong_shape, self.not_finite, self.differing)
        return not any(problems)

    def __str__(self) -> str:
        lines = [f"{len(self.matched)} tensors matched, {len(self.constructed)} built by the model"]
        shapes = [f"{name}: file {a}, model {b}" for name, (a, b) in self.wrong_shape.items()]
        differing = [f"{name}: by {value:.2g}" for name, value in self.differing.items()]
        for title, names in (
            ("missing from the file", self.missing),
            ("unknown to the model", self.unexpected),
            ("wrong shape", shapes),
            ("values not finite", self.not_finite),
            ("built by the model, but different in the file", differing),
        ):
            if names:
                more = f", and {len(names) - 5} more" if len(names) > 5 else ""
                lines.append(f"{title} ({len(names)}): {'; '.join(names[:5])}{more}")
        return "\n".join(lines)


def import_official(
    model: nn.Module,
    state_dict: Mapping[str, Tensor],
    *,
    rename: Mapping[str, str] | None = None,
    ignore: Sequence[str] = (),
    optional: Sequence[str] = (),
    constructed: Sequence[str] = _CONSTRUCTED,
    strict: bool = True,
) -> ImportReport:
    """Load an original's state dict into our network.

    Nothing is loaded where strict import fails: the model is as before.

    Args:
        model: its names are those of the original, up to `rename`.
        state_dict: as in the original's file.
        rename: beginnings of names in the file to beginnings of names here; the first that fits is taken.
        ignore: patterns (`fnmatch`) of the file's names that are left out.
        optional: patterns of the model's names that the file may lack.
        constructed: patterns of buffers that the model builds itself (position tables, causal masks): never
            loaded
            from the file, but compared with it. Trained tables are parameters, hence loaded.
        strict: raise where anything is missing, unknown, of another shape, not finite, or differs.

    Returns:
        The report; `str(report)` is readable.

    Raises:
        InputError: strict, and the report is not complete.
    """
    inputs = {_renamed(name, rename or {}): value for name, value in state_dict.items()}
    inputs = {name: value for name, value in inputs.items() if not _fits(name, ignore)}
    own = model.state_dict(keep_vars=True)
    buffers = {name: value for name, value in model.named_buffers() if _fits(name, constructed)}
    built = {name: _difference(inputs.get(name), value) for name, value in buffers.items()}
    for name in inputs.keys() - own.keys() - buffers.keys():
        if _fits(name, constructed) and name.endswith("mask"):
            built[name] = _difference(inputs[name], torch.ones(inputs[name].shape[-2:]).tril())
    inputs = {name: value for name, value in inputs.items() if name not in built}
    matched = [name for name in own if name in inputs and inputs[name].shape == own[name].shape]
    report = ImportReport(
        matched=tuple(matched),
        missing=tuple(name for name in own if name not in inputs and not _fits(name, [*optional, *built])),
        unexpected=tuple(name for name in inputs if name not in own),
        wrong_shape={
            name: (tuple(inputs[name].shape), tuple(own[name].shape))
            for name in own
            if name in inputs and name not in matched
        },
        not_finite=tuple(name for name in matched if not bool(torch.isfinite(inputs[name]).all())),
        constructed=built,
    )
    if strict and not report.complete:
        raise InputError(
            f"The weights do not fit {type(model).__name__}.",
            found=str(report),
            expected=f"the {len(own)} tensors of this network",
            fix="choose the file of this network and the options it was trained with (layers, width, part)",
        )
    with torch.no_grad():
        for name in matched:
            own[name].copy_(inputs[name])
    return report


def save_weights(
    path: str | Path, state_dict: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Publish weights as safetensors, atomically.

    Args:
        path: ends in `.safetensors`.
        state_dict: names and tensors; tensors that share memory are stored once each.
        metadata: text by key (system, licence of the data, ...), readable without loading the tensors.
    """
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in state_dict.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, metadata=dict(metadata or {})))  # save_file hides a full disk


def _reason(error: Exception) -> str:
    """The first line of an error that states something; torch wraps the blocked name in an essay."""
    text = str(error)
    for line in text.splitlines():
        if "GLOBAL" in line or "Unsupported" in line:
            return line.strip()[:200]
    return (text.strip().splitlines() or [type(error).__name__])[0][:200]


def _without_prefix(state: Mapping[Any, Any]) -> StateDict:
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if tensors and all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def _renamed(name: str, rename: Mapping[str, str]) -> str:
    for old, new in rename.items():
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _difference(loaded: Tensor | None, built: Tensor) -> float | None:
    """Largest difference; infinite for another shape; None where nothing was given."""
    if loaded is None:
        return None
    built = built.expand(loaded.shape) if loaded.shape[-2:] == built.shape[-2:] else built
    if loaded.shape != built.shape:
        return float("inf")
    return float((loaded.float() - built.float().cpu()).abs().max())
