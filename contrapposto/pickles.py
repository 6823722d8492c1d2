"""Reading foreign pickles without executing them.

A pickle names classes and functions that the reader then calls. Here only a fixed list of names is known;
arrays are built by numpy, everything else on the list becomes an inert record that keeps its data. Any other
name is refused. Enough for the official SMPL, SMPL-H, MANO and SMPL-X files (Python 2, numpy, scipy.sparse,
chumpy).
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import scipy.sparse

from contrapposto.errors import InputError, MissingError

_SPARSE = {"csc_matrix": scipy.sparse.csc_matrix, "csr_matrix": scipy.sparse.csr_matrix}
_NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")


class Record:
    """Stands in for an object of a foreign class: keeps the name and the data, does nothing."""

    kind = ""

    def __init__(self, *args: object) -> None:
        self.data: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) == 2:  # (__dict__, slots)
            state = {**(state[0] or {}), **(state[1] or {})}
        if not isinstance(state, dict):
            raise pickle.UnpicklingError(
                f"the state of {self.kind} is a {type(state).__name__}, not a dictionary"
            )
        self.data = {str(key): value for key, value in state.items()}


class _DType:
    """Stands in for a numpy dtype: numbers and texts only."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch(r"[?biufcSU]\d*", str(code)):
            raise pickle.UnpicklingError(f"arrays of objects or of the type {code!r} are not read")
        self.value = np.dtype(str(code))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class _Array:
    """Stands in for a numpy array: numpy's own reader would trust the pickle with its memory layout."""

    value = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, dtype, fortran, data = state[-4:]
        order: Literal["F", "C"] = "F" if fortran else "C"
        self.value = np.frombuffer(_bytes(data), dtype=dtype.value).reshape(shape, order=order).copy(order)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        matches = _allowed(module, name)
        if matches is None:
            raise _Refused(f"{module}.{name}")
        return matches


class _ObjectDType(_DType):
    """Objects too: they have been read by the same rules as everything else."""

    def __init__(self, code: str, *rest: object) -> None:
        if str(code).startswith("O"):
            self.value = np.dtype(object)
        else:
            super().__init__(code, *rest)


class _ObjectArray(_Array):
    """An array of objects becomes their list."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if isinstance(state[-1], list):
            self.value = state[-1]  # type: ignore[assignment]
        else:
            super().__setstate__(state)


class _ObjectUnpickler(_Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        matches = super().find_class(module, name)
        if matches is _empty_array:
            return lambda subtype, shape, code: _ObjectArray()
        return {_DType: _ObjectDType, _Array: _ObjectArray}.get(matches, matches)


class _Refused(Exception):
    """Carries the name that is not on the list."""


def read_pickle(path: str | Path) -> Any:
    """The content of a pickle of plain values and arrays; scipy.sparse and chumpy ones come as dense arrays.

    Raises:
        MissingError: there is no such file.
        InputError: it names a class or function that is not on the list (nothing has been executed), or is
            broken.
    """
    # latin1 maps Python 2's byte strings one to one, which numpy needs
    return _read(Path(path), lambda file: _load(file, _Unpickler))


def read_object_npy(path: str | Path) -> Any:
    """What a .npy file with one object holds (as `np.save` writes a dictionary), read by the rules of `read_pickle`.

    An array of several objects comes as their list.

    Raises:
        MissingError, InputError: see `read_pickle`.
    """

    def content(file: BinaryIO) -> Any:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
        if not dtype.hasobject:
            raise InputError(f"{path} is an array of numbers.", expected="a .npy file with a dictionary")
        items = _load(file, _ObjectUnpickler)
        return items.value[0] if shape == () and isinstance(items, _ObjectArray) else items

    return _read(Path(path), content)


def _load(file: BinaryIO, kind: type[_Unpickler]) -> Any:
    _check_numbers(file)
    return kind(file, encoding="latin1").load()


def _check_numbers(file: BinaryIO) -> None:
    """Refuse numbers of kept objects that a pickle cannot have: Python reserves memory for all below them at once."""
    start = file.tell()
    try:
        for count, (code, argument, _) in enumerate(pickletools.genops(file)):
            if code.name.endswith("PUT") and isinstance(argument, int) and argument > count + 1:
                raise pickle.UnpicklingError(f"object {argument} is kept after {count} steps")
    except UnicodeDecodeError:  # texts of Python 2, which are read as latin1
        pass
    file.seek(start)


def _read(path: Path, content: Callable[[BinaryIO], Any]) -> Any:
    if not path.is_file():
        raise MissingError(f"There is no file {path}.")
    try:
        return _plain(content(io.BytesIO(path.read_bytes())))
    except InputError:
        raise
    except _Refused as error:
        raise InputError(
            f"The pickle {path} was refused, nothing in it was executed.",
            found=f"it names {error}",
            expected="plain values, numpy arrays, scipy.sparse matrices and chumpy arrays",
            fix="if you trust the file, convert it to .npz with the program that wrote it",
        ) from None
    except (MemoryError, RecursionError) as error:
        raise InputError(
            f"The pickle {path} is broken or far too large.", found=type(error).__name__
        ) from error
    except Exception as error:  # a broken pickle may raise nearly anything while numbers are put together
        raise InputError(
            f"The pickle {path} cannot be read.", found=f"{type(error).__name__}: {error}"
        ) from error


def _allowed(module: str, name: str) -> Any:
    """What a name in a pickle stands for, or None."""
    if module in _NUMPY_MODULES and name == "_reconstruct":
        return _empty_array
    if module in _NUMPY_MODULES and name == "scalar":
        return _scalar
    if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
        return _from_buffer
    plain: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _DType,
        ("collections", "OrderedDict"): OrderedDict,
        ("copy_reg", "_reconstructor"): _reconstruct_record,
        ("copyreg", "_reconstructor"): _reconstruct_record,
        ("__builtin__", "set"): set,  # chumpy arrays keep an empty one
        ("builtins", "set"): set,
        ("__builtin__", "object"): object,
        ("builtins", "object"): object,
        ("_codecs", "encode"): _encode,
    }
    if (module, name) in plain:
        return plain[module, name]
    if module.split(".")[0] == "chumpy" or (module.startswith("scipy.sparse") and name in _SPARSE):
        return type("Record", (Record,), {"kind": f"{module}.{name}"})
    return None


def _plain(value: Any) -> Any:
    """Records turned into arrays, all the way down."""
    if isinstance(value, Record):
        return _array(value)
    if isinstance(value, _Array):
        return _plain(value.value) if isinstance(value.value, list) else value.value
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _array(record: Record) -> np.ndarray:
    """The dense array that a chumpy or scipy.sparse object holds."""
    data, name = record.data, record.kind.rpartition(".")[2]
    if name in _SPARSE:
        shape: Any = data.get("_shape", data.get("shape"))
        parts = tuple(_plain(data[key]) for key in ("data", "indices", "indptr"))
        matrix = _SPARSE[name](parts, shape=tuple(shape))
        matrix.check_format(full_check=True)
        return matrix.toarray()
    if name == "Ch" and "x" in data:
        return np.asarray(_plain(data["x"]))
    if (
        name == "Select" and "a" in data and "idxs" in data
    ):  # chumpy.reordering.Select: a view of another array
        chosen = np.asarray(_plain(data["a"])).ravel()[np.asarray(_plain(data["idxs"]), dtype=np.int64)]
        return chosen.reshape(data["preferred_shape"]) if "preferred_shape" in data else chosen
    raise InputError(f"A {record.kind} cannot be read as an array.", found=f"entries {sorted(data)}")


def _empty_array(subtype: object, shape: object, code: object) -> _Array:
    # numpy's own way of pickling: an empty array first, its state (shape, dtype, bytes) right after
    return _Array()


def _scalar(dtype: _DType, data: bytes | str) -> Any:
    return np.frombuffer(_bytes(data), dtype=dtype.value, count=1)[0]


def _from_buffer(buffer: bytes | str, dtype: _DType, shape: tuple[int, ...], order: str) -> np.ndarray:
    array = np.frombuffer(_bytes(buffer), dtype=dtype.value)
    return array.reshape(shape, order="F" if order == "F" else "C")


def _bytes(data: object) -> bytes:
    if isinstance(data, str):
        return data.encode("latin1")
    if isinstance(data, bytes | bytearray):
        return bytes(data)
    raise pickle.UnpicklingError("arrays of Python objects are not read")


def _reconstruct_record(cls: type, base: type, state: object) -> Record:
    if not (isinstance(cls, type) and issubclass(cls, Record)):
        raise pickle.UnpicklingError("only records can be made this way")
    return cls()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1", "utf-8"):
        raise pickle.UnpicklingError(f"the encoding {encoding!r} is not expected in a pickle of arrays")
    return text.encode(encoding)
