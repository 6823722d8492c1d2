"""Reading checkpoints: Lightning's `.ckpt` and published `.safetensors`, without executing anything."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from contrapposto.errors import InputError, MissingError
from contrapposto.portable import load_portable
from contrapposto.weights import archive_damage


def load_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Load a checkpoint without executing anything that it holds.

    Raises:
        MissingError: there is no such file.
        InputError: the file is damaged, or holds objects that are not tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(
            f"There is no checkpoint {path}.", fix="look at the folder's files, or train first"
        )
    if path.suffix == ".safetensors":
        return load_portable(path)
    try:
        bad = archive_damage(path)
        if bad:
            raise ValueError(bad)
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"The checkpoint {path} cannot be loaded safely.",
            found=damage(path) or str(error).split("\n")[0],
            expected="tensors and plain values, as this program writes them",
            fix="use a file from a source that you trust, converted to safetensors",
        ) from error
    except Exception as error:  # damaged bytes reach parsers that raise anything
        raise InputError(
            f"The checkpoint {path} is damaged.",
            found=damage(path) or str(error).split("\n")[0],
            fix="copy it again, or use previous.ckpt of the same folder",
        ) from error
    if not isinstance(checkpoint, dict):
        raise InputError(
            f"{path} is not a checkpoint.", found=type(checkpoint).__name__, expected="a dictionary"
        )
    return checkpoint


def damage(path: str | Path) -> str | None:
    """Say what is wrong with a checkpoint file, or return None when all that it holds checks out.

    See `archive_damage` for what torch itself does not look at; then torch reads the structure (without the
    tensors' data).
    """
    try:
        bad = archive_damage(path)
        if bad:
            return bad
        torch.load(path, map_location="meta", weights_only=True)
    except Exception as error:  # damaged bytes reach parsers that raise anything
        return str(error).split("\n")[0] or type(error).__name__
    return None
