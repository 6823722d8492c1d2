"""A glTF 2.0 document while it is written: accessors, nodes, meshes, skins, animations, and the GLB container."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_COMPONENT = {np.dtype(np.uint8): 5121, np.dtype(np.uint16): 5123, np.dtype(np.uint32): 5125}
_FLOAT = 5126
_TYPE = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
VERTEX_DATA, INDEX_DATA = 34962, 34963


@dataclass
class Document:
    """The growing JSON part and the binary part that it points into."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    meshes: list[dict[str, Any]] = field(default_factory=list)
    materials: list[dict[str, Any]] = field(default_factory=list)
    skins: list[dict[str, Any]] = field(default_factory=list)
    samplers: list[dict[str, Any]] = field(default_factory=list)
    channels: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    textures: list[dict[str, Any]] = field(default_factory=list)
    binary: bytearray = field(default_factory=bytearray)
    extensions: set[str] = field(default_factory=set)
    _known: dict[bytes, int] = field(default_factory=dict)

    def image(self, data: bytes) -> int:
        """Append an encoded PNG or JPEG, once; returns the texture."""
        if data in self._known:
            return self._known[data]
        self.views.append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)})
        self.binary += data + bytes(-len(data) % 4)
        kind = "image/jpeg" if data[:2] == b"\xff\xd8" else "image/png"
        self.images.append({"bufferView": len(self.views) - 1, "mimeType": kind})
        self.textures.append({"source": len(self.images) - 1})
        self._known[data] = len(self.textures) - 1
        return self._known[data]

    def array(self, values: np.ndarray, target: int | None = None, *, bounds: bool = False) -> int:
        """Append (N,) or (N, C) values; returns the accessor. `bounds` where the specification asks for them."""
        values = np.ascontiguousarray(values)
        width = values[0].size
        view = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": values.nbytes}
        self.views.append(view if target is None else {**view, "target": target})
        accessor = {
            "bufferView": len(self.views) - 1,
            "componentType": _COMPONENT.get(values.dtype, _FLOAT),
            "count": len(values),
            "type": _TYPE[width],
        }
        if bounds:
            table = values.reshape(len(values), width)
            accessor |= {"min": table.min(0).tolist(), "max": table.max(0).tolist()}
        self.accessors.append(accessor)
        self.binary += values.tobytes()
        self.binary += bytes(-len(self.binary) % 4)
        return len(self.accessors) - 1

    def track(self, node: int, path: str, times: int, values: np.ndarray) -> None:
        """Animate a node's `translation` or `rotation` with (F, C) key values."""
        self.samplers.append({"input": times, "output": self.array(values), "interpolation": "LINEAR"})
        target = {"node": node, "path": path}
        self.channels.append({"sampler": len(self.samplers) - 1, "target": target})

    def encode(self, credit: str) -> bytes:
        """The whole file."""
        return pack_glb(self.content(credit), bytes(self.binary))

    def content(self, credit: str) -> dict[str, Any]:
        """The JSON part."""
        animation = {"name": "motion", "samplers": self.samplers, "channels": self.channels}
        animations = [animation] if self.channels else []
        content = {
            "asset": {
                "version": "2.0",
                "generator": "Contrapposto",
                **({"copyright": credit} if credit else {}),
            },
            "extensionsUsed": sorted(self.extensions),
            "scene": 0,
            "scenes": [{"nodes": self.roots}],
            "nodes": self.nodes,
            "meshes": self.meshes,
            "materials": self.materials,
            "skins": self.skins,
            "animations": animations,
            "images": self.images,
            "textures": self.textures,
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": len(self.binary)}],
        }
        return {name: value for name, value in content.items() if value != []}  # empty lists are not allowed


def pack_glb(content: Mapping[str, Any], binary: bytes) -> bytes:
    """A GLB file of its JSON part and one buffer, whose length must be a multiple of four."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(binary)
    header = struct.pack("<4sII", b"glTF", 2, size)
    return b"".join(
        [
            header,
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(binary), b"BIN\0"),
            binary,
        ]
    )


def top_four(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four largest weights of each of (V, J) rows: joints (V, 4) uint8, and weights (V, 4) summing to one."""
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    joints = np.pad(joints, ((0, 0), (0, 4 - joints.shape[1])))
    kept = np.take_along_axis(weights, joints, axis=1).astype(np.float64)
    kept[:, weights.shape[1] :] = 0
    kept = (kept / kept.sum(1, keepdims=True)).astype(np.float32)
    return np.where(kept > 0, joints, 0).astype(np.uint8), kept


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals: the mean of the faces around each vertex, weighted by area."""
    corners = vertices[faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(total, faces[:, corner], normals)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.maximum(length, 1e-30), [0.0, 1.0, 0.0]).astype(np.float32)
