"""Writing .npy files row by row, without knowing the number of rows beforehand."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType

import numpy as np

_UNKNOWN = 10**12  # numpy pads the header so that any smaller number of rows fits in the same bytes


class NpyWriter:
    """Append rows to a .npy file; the header gets the true number of rows on `close`.

    Plain writes instead of a writable memory map: on a full disk they raise an error, a map would end the
        process.

    Args:
        path: the file, overwritten.
        dtype: element type, stored little-endian.
        trailing: shape of one row.

    Raises:
        ValueError: appended rows have another shape.
    """

    def __init__(self, path: Path, dtype: np.dtype | type, trailing: tuple[int, ...]) -> None:
        self.path = path
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.trailing = tuple(int(size) for size in trailing)
        self.rows = 0
        self._file = open(path, "wb")  # noqa: SIM115 (closed by close, which rewrites the header)
        self._write_header(_UNKNOWN)
        self._start = self._file.tell()

    def append(self, rows: np.ndarray) -> None:
        """Append (N, *trailing) rows."""
        if rows.shape[1:] != self.trailing:
            raise ValueError(f"{self.path.name}: rows of shape {rows.shape[1:]}, expected {self.trailing}")
        self._file.write(np.ascontiguousarray(rows, dtype=self.dtype).data)
        self.rows += len(rows)

    def close(self) -> dict[str, object]:
        """Finish the file; return its dtype, shape and SHA-256 for a manifest."""
        self._file.seek(0)
        self._write_header(self.rows)
        if self._file.tell() != self._start:
            raise RuntimeError(f"{self.path}: the .npy header changed its size")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        with open(self.path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"dtype": self.dtype.str, "shape": [self.rows, *self.trailing], "sha256": digest}

    def __enter__(self) -> NpyWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _write_header(self, rows: int) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (rows, *self.trailing),
        }
        np.lib.format.write_array_header_1_0(self._file, header)


def open_rows(path: Path) -> np.ndarray:
    """Memory-map a .npy file read-only; a file without rows, which cannot be mapped, is read instead.

    Raises:
        OSError: it cannot be opened. ValueError: it is no such file, or it is damaged.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # NumPy evaluates the header, which raises whatever is wrong with it
        try:
            array = np.load(path, allow_pickle=False)
        except Exception:
            raise ValueError(f"{path.name} is damaged: {error}") from error
        if len(array):
            raise ValueError(f"{path.name} is damaged: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path.name} is an archive of arrays")
    return array
