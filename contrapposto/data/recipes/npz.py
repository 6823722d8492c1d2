"""Looking into .npz files without reading their arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from contrapposto.errors import InputError

MAX_ARRAY_BYTES = 4 * 2**30


def members(path: Path) -> set[str] | None:
    """Names of the arrays in an .npz file; None when it is not a readable archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return None


def array_shape(path: Path, name: str) -> tuple[int, ...]:
    """Shape of one array by its header alone.

    Raises:
        InputError: no such array, a damaged header, Python objects inside, or an absurd size.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
    except (
        OSError,
        KeyError,
        ValueError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(f"The array {name} of {path} cannot be read.", found=str(error)) from error
    if dtype.hasobject:
        raise InputError(
            f"The array {name} of {path} holds Python objects; it is not loaded.", found=str(dtype)
        )
    if int(np.prod(shape, dtype=object)) * dtype.itemsize > MAX_ARRAY_BYTES:
        raise InputError(f"The array {name} of {path} is too large.", found=f"shape {shape}, {dtype}")
    return shape
