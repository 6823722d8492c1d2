"""Small valid files made slightly or badly wrong, reproducibly: bytes as such, and what formats are made of.

Flipped bits alone seldom get past the checksums of a zip archive or the first line of a parser. So archives are packed
again around a member that was changed, arrays get other shapes, types and values, and JSON gets other values in its
places, also where it is the header of a GLB or safetensors file.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from random import Random
from typing import Any

import numpy as np

_WORDS = (
    b"-1",
    b"0",
    b"nan",
    b"inf",
    b"1e999",
    b"99999999999",
    b"4294967295",
    b"\xff",
    b"\0",
    b"{",
    b"]",
    b"\n",
    b" ",
    b'"',
)
_INTEGERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 0.5, -2.5, 10**9, 10**30, 1e308, float("nan"), float("inf")),
    *("", "x", "../../x", "\0", "3", "nan", [], {}, [[]], [None], {"x": 1}, [1, 2, 3], ["a"], [[1, 2], [3]]),
)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def mutate(files: dict[str, bytes], random: Random) -> dict[str, bytes]:
    """The same files, one of them changed in one to three places, sometimes gone or empty."""
    name = random.choice(sorted(files))
    changed = dict(files)
    if random.random() < 0.01:
        changed.pop(name) if len(files) > 1 else changed.update({name: b""})
        return changed
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        changed[name] = mutate_bytes(changed[name], random)
    return changed


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """One change: three times in four by the format's own structure, where it is a known one that still holds."""
    change = next((change for begins, change in _FORMATS if data.startswith(begins)), None)
    if change is None and data[8:9] == b"{" and struct.unpack("<Q", data[:8])[0] < len(data):
        change = _safetensors
    if change is None and data and b"\0" not in data[:4096]:
        change = _text
    if change is not None and random.random() < 0.75:
        try:
            return change(data, random)
        except Exception:  # an earlier change broke the structure; bytes can still be changed
            pass
    return _raw(data, random)


def _raw(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    stop = min(len(data), start + random.choice((1, 2, 4, 8, 40, 300)))
    kind = random.randrange(7)
    if kind <= 1 and data:
        changed = bytearray(data)
        for _ in range(random.choice((1, 1, 2, 8))):
            changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
        return bytes(changed)
    if kind == 2:
        return data[:start]
    if kind == 3:
        return data[:start] + data[stop:]
    if kind == 4:
        return data[:stop] + data[start:stop] * random.choice((1, 2, 20)) + data[stop:]
    if kind == 5:
        return data[:start] + random.choice(_WORDS) + data[start:]
    width = random.choice((1, 2, 4, 8))
    number = random.choice(_INTEGERS) & (256**width - 1)
    return data[:start] + number.to_bytes(width, random.choice(("little", "big"))) + data[start + width :]


def _text(data: bytes, random: Random) -> bytes:
    kind = random.randrange(6)
    if kind <= 1:
        results = list(_NUMBER.finditer(data))
        if results:
            place = random.choice(results)
            return data[: place.start()] + random.choice(_WORDS[:7]) + data[place.end() :]
    if kind == 2:
        return data.replace(
            random.choice((b"{", b"}", b"(", b":", b",", b";", b" ")), random.choice(_WORDS), 1
        )
    if kind == 3:
        words = re.split(rb"(\s+)", data)
        words[random.randrange(len(words))] = random.choice((*_WORDS, random.choice(words)))
        return b"".join(words)
    lines = data.splitlines(keepends=True)
    if kind == 4 and len(lines) > 1:
        first, second = random.randrange(len(lines)), random.randrange(len(lines))
        lines[first : first + random.choice((0, 1))] = [lines[second]] * random.choice((0, 1, 2, 30))
        return b"".join(lines)
    return _raw(data, random)


def _json(data: bytes, random: Random) -> bytes:
    if random.random() < 0.02:
        depth = random.choice((100, 2000, 200_000))
        return random.choice((b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth))
    value = json.loads(data)
    return json.dumps(_other(value, random)).encode()


def _other(value: Any, random: Random) -> Any:
    """A JSON value with one of its places changed; large lists of numbers do not hide the rest."""
    keys: list[Any] = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    if not keys or random.random() < 0.12:
        return random.choice(_VALUES)
    key = random.choice(keys)
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if random.random() < 0.1:
        del copy[key]
    elif random.random() < 0.05 and isinstance(copy, list):
        copy.append(random.choice(_VALUES))
    else:
        copy[key] = _other(copy[key], random)
    return copy


def _zip(data: bytes, random: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = random.choice(list(members))
    chance = random.random()
    if chance < 0.06:
        del members[name]
    elif chance < 0.1:
        members[random.choice(("x", "../x", "", "a/b", name.upper()))] = members.pop(name)
    elif chance < 0.13:
        members[name] = members[random.choice(list(members))]
    else:
        members[name] = mutate_bytes(members[name], random)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key, content in members.items():
            archive.writestr(zipfile.ZipInfo(key), content)
    return buffer.getvalue()


def _npy(data: bytes, random: Random) -> bytes:
    end = 10 + struct.unpack("<H", data[8:10])[0]
    if random.random() < 0.3:  # a header that states something else than the data, of the same length
        header = _text(data[10:end], random)[: end - 10].ljust(end - 10)
        return data[:10] + header + data[end:]
    array = np.load(io.BytesIO(data), allow_pickle=False)
    buffer = io.BytesIO()
    with np.errstate(all="ignore"):
        np.save(buffer, _array(array, random), allow_pickle=True)
    return buffer.getvalue()


def _array(array: np.ndarray, random: Random) -> np.ndarray:
    kind = random.randrange(8)
    if kind <= 2 and array.size and array.dtype.kind in "fiu":
        changed = array.copy()
        values: tuple[float, ...] = (0, -1, 1e6, 100)
        if array.dtype.kind == "f":
            values += (np.nan, np.inf, -np.inf, 1e30)
        changed.reshape(-1)[random.randrange(array.size)] = np.array(random.choice(values)).astype(
            array.dtype
        )
        return changed
    if kind == 3:
        return array.astype(
            random.choice(("f8", "f2", "i8", "u1", "?", "c8", "U5", "S3", "O", ">f4", "M8[s]"))
        )
    if kind == 4 and array.ndim:
        axis = random.randrange(array.ndim)
        count = random.choice((0, 1, max(array.shape[axis] - 1, 0), array.shape[axis] + 1))
        return np.resize(array, (*array.shape[:axis], count, *array.shape[axis + 1 :]))
    if kind == 5:
        return array.ravel() if random.random() < 0.5 else array[None]
    if kind == 6:
        return array.T if array.ndim > 1 else np.array(random.choice((0.0, 1, -3, "x", b"y", 1e30)))
    return np.zeros(random.choice(((), (0,), (1,), (3,), (2, 3), (0, 3), (1, 1, 1, 1))), array.dtype)


def _glb(data: bytes, random: Random) -> bytes:
    length = struct.unpack("<I", data[12:16])[0]
    document = _json(data[20 : 20 + length], random)
    document += b" " * (-len(document) % 4)
    rest = data[20 + length :]
    header = struct.pack("<4sII", b"glTF", 2, 20 + len(document) + len(rest))
    return header + struct.pack("<I4s", len(document), b"JSON") + document + rest


def _safetensors(data: bytes, random: Random) -> bytes:
    length = struct.unpack("<Q", data[:8])[0]
    header = _json(data[8 : 8 + length], random)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _hdf5(data: bytes, random: Random) -> bytes:
    import h5py

    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        name = random.choice(sorted(file))
        old = file[name][()]
        del file[name]
        chance = random.random()
        if chance < 0.1:
            return_group = file.create_group(name)
            return_group.attrs["x"] = 1
        elif chance < 0.9:
            array = _array(np.asarray(old), random)
            file[name] = (
                array.astype("S")
                if array.dtype.kind in "OU"
                else array.view("i8")
                if array.dtype.kind == "M"
                else array
            )
    return buffer.getvalue()


_FORMATS = (
    (b"PK\x03\x04", _zip),
    (b"\x93NUMPY", _npy),
    (b"glTF", _glb),
    (b"\x89HDF", _hdf5),
    (b"{", _json),
    (b"[", _json),
)
