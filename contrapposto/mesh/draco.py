"""Draco compression of glTF primitives (KHR_draco_mesh_compression, Khronos), decoded by the optional package DracoPy."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from contrapposto.checks import shorten

EXTENSION = "KHR_draco_mesh_compression"
PACKAGE = "DracoPy"


def can_decode() -> bool:
    """Whether the decoder is installed."""
    return find_spec(PACKAGE) is not None


def compressed(document: Any) -> dict[int, tuple[dict[str, Any], str]]:
    """Accessors without bytes of their own: to the extension of their primitive, and their name in it."""
    matches: dict[int, tuple[dict[str, Any], str]] = {}
    for mesh in document.get("meshes", []):
        for primitive in mesh.get("primitives", []):
            extension = (primitive.get("extensions") or {}).get(EXTENSION)
            if extension is None:
                continue
            counts = {"indices": primitive["indices"], **primitive["attributes"]}
            entry = {**extension, "accessors": counts}
            matches |= {
                number: (entry, name)
                for name, number in counts.items()
                if name == "indices" or name in extension["attributes"]
            }
    return {
        number: match
        for number, match in matches.items()
        if "bufferView" not in document["accessors"][number]
    }


def decoded(data: bytes, named: dict[str, int], counts: dict[str, int]) -> dict[str, np.ndarray]:
    """Attributes (N, C) and `indices` (3 F,) of a compressed primitive.

    Args:
        data: the compressed bytes.
        named: attribute of glTF to its id in them.
        counts: elements that the file states of every attribute and of `indices`.

    Raises:
        ValueError: the bytes are damaged, or hold something else than the file states.
    """
    import DracoPy

    try:
        mesh = DracoPy.decode(data)
        attributes: dict[int, Any] = {entry["unique_id"]: entry["data"] for entry in mesh.attributes}
        faces = np.asarray(mesh.faces, np.int64)
    except Exception as error:  # the decoder's own errors, and what its wrapper meets damage with
        raise ValueError(f"Draco: {shorten(str(error), 80)}") from error
    result = {"indices": faces.ravel()}
    for name, number in named.items():
        if number not in attributes:
            raise ValueError(f"Draco: no attribute {name}")
        result[name] = np.asarray(attributes[number])
    for name, values in result.items():
        if len(values) != counts.get(name):
            raise ValueError(f"Draco: {len(values)} elements of {name}, {counts.get(name)} stated")
    return result
