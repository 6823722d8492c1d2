"""Write clips as skinned, animated GLB (glTF 2.0 binary): opens in Blender, three.js, game engines, phones.

glTF is y up, metres, column-major matrices, quaternions xyzw (Khronos glTF 2.0 specification, sections 3.4 to 3.11).
The mesh and the joints lie in the body's rest frame, which is y up too; only the root's track is turned from our z up.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.motion import Motion
from contrapposto.retarget.names import written_name

if TYPE_CHECKING:
    from contrapposto.body import BodyModel

_COLORS = ((0.17, 0.34, 0.60), (0.78, 0.28, 0.14), (0.25, 0.47, 0.28), (0.47, 0.30, 0.58))  # linear RGB
_COMPONENT = {np.dtype(np.uint8): 5121, np.dtype(np.uint16): 5123, np.dtype(np.uint32): 5125}
_FLOAT = 5126
_TYPE = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_VERTEX_DATA, _INDEX_DATA = 34962, 34963
_Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)  # z-up coordinates to y-up ones


def write_glb(
    path: str | Path,
    motion: Motion | Mapping[str, Motion],
    body: BodyModel | None = None,
    fps: float | None = None,
    colors: np.ndarray | None = None,
    names: str = "smplh",
) -> Path:
    """Write one clip, or several as figures that move in the same space at the same time.

    Args:
        path: the .glb file.
        motion: a clip on a skeleton of the SMPL family, or clips by the names of their figures.
        body: the mesh; the shipped body where absent. A clip's own betas are used as in `motion_vertices`.
        fps: key frames per second; each clip's own rate where absent.
        colors: (V, 3) uint8 sRGB of the body's vertices, in place of one colour for each figure.
        names: of the joints: `smplh` (ours), `smpl` (L_Hip), `mixamo` or `vrm`.

    Returns:
        The path.

    Raises:
        InputError: no clip, a skeleton that is not of the SMPL family, or a file that cannot be written.
    """
    from contrapposto.body import load_body

    clips = {"figure": motion} if isinstance(motion, Motion) else dict(motion)
    if not clips:
        raise InputError(
            "There is no clip to write.", found="an empty mapping", expected="at least one Motion"
        )
    body = body or load_body()
    document = Document()
    for name, clip in clips.items():
        _add_figure(document, name, clip if fps is None else clip.resample(fps), body, colors)
    for node in document.nodes:
        if node.get("name") in body.skeleton.joint_names:
            node["name"] = written_name(str(node["name"]), names)
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.write_bytes(document.encode(_credits(clips)))
    return path


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


def _add_figure(
    document: Document, name: str, clip: Motion, body: BodyModel, colors: np.ndarray | None = None
) -> None:
    from contrapposto.body import clip_betas

    betas = torch.from_numpy(clip_betas(body, clip))
    clip = clip.to_skeleton(body.skeleton)
    rest = body.rest_joints(betas)[0].cpu().numpy()
    vertices = body.rest_vertices(betas)[0].cpu().numpy()
    first = _add_joints(document, body, rest)
    _add_mesh(document, name, body, vertices, colors)
    inverse_binds = np.tile(np.eye(4, dtype=np.float32), (len(rest), 1, 1))
    inverse_binds[:, 3, :3] = -rest  # column-major: the translation stands in the last row
    document.skins.append(
        {
            "name": name,
            "skeleton": first,
            "joints": list(range(first, first + len(rest))),
            "inverseBindMatrices": document.array(inverse_binds),
        }
    )
    # The mesh's node stands at the top: glTF ignores the transforms above a skinned mesh.
    mesh = {"name": name, "mesh": len(document.meshes) - 1, "skin": len(document.skins) - 1}
    document.nodes += [{"name": f"{name} joints", "children": [first]}, mesh]
    document.roots += [len(document.nodes) - 2, len(document.nodes) - 1]
    _animate(document, clip, first, rest)


def _add_joints(document: Document, body: BodyModel, rest: np.ndarray) -> int:
    """Append the joint nodes in their order; returns the root's number."""
    first, parents = len(document.nodes), body.skeleton.parents
    for joint, parent in enumerate(parents):
        offset = rest[joint] - (rest[parent] if parent >= 0 else 0)
        node: dict[str, Any] = {"name": body.skeleton.joint_names[joint], "translation": offset.tolist()}
        children = [first + child for child, above in enumerate(parents) if above == joint]
        document.nodes.append(node | ({"children": children} if children else {}))
    return first


def _add_mesh(
    document: Document, name: str, body: BodyModel, vertices: np.ndarray, colors: np.ndarray | None
) -> None:
    faces = body.faces.cpu().numpy()
    joints, weights = top_four(body.skinning.weights.cpu().numpy())
    index_type = np.uint16 if len(vertices) < 65535 else np.uint32
    attributes = {
        "POSITION": document.array(vertices, _VERTEX_DATA, bounds=True),
        "NORMAL": document.array(vertex_normals(vertices, faces), _VERTEX_DATA),
        "JOINTS_0": document.array(joints, _VERTEX_DATA),
        "WEIGHTS_0": document.array(weights, _VERTEX_DATA),
    }
    color = _COLORS[len(document.materials) % len(_COLORS)]
    if colors is not None:
        attributes["COLOR_0"] = document.array(_linear(colors), _VERTEX_DATA)
        color = (1.0, 1.0, 1.0)
    surface = {"baseColorFactor": [*color, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.65}
    document.materials.append({"name": name, "pbrMetallicRoughness": surface, "doubleSided": True})
    indices = document.array(faces.astype(index_type).ravel(), _INDEX_DATA)
    primitive = {"attributes": attributes, "indices": indices, "material": len(document.materials) - 1}
    document.meshes.append({"name": body.name, "primitives": [primitive]})


def _linear(colors: np.ndarray) -> np.ndarray:
    """(V, 3) float32 linear RGB of sRGB bytes (IEC 61966-2-1): what glTF wants of vertices."""
    values = colors.astype(np.float64) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _animate(document: Document, clip: Motion, first: int, rest: np.ndarray) -> None:
    """Tracks of the root's place and of every joint that turns; the others keep one rotation."""
    times = document.array((np.arange(clip.num_frames) / clip.fps).astype(np.float32), bounds=True)
    matrices = clip.local_matrices()
    matrices[:, 0] = torch.from_numpy(_Y_UP) @ matrices[:, 0]
    quaternions = continuous(rot.matrix_to_quaternion(matrices).numpy())
    quaternions = np.roll(quaternions, -1, axis=-1).astype(np.float32)  # glTF stores the real part last
    document.track(first, "translation", times, (clip.root_translation + rest[0]) @ _Y_UP.T)
    for joint in range(quaternions.shape[1]):
        track = quaternions[:, joint]
        if np.abs(track - track[0]).max() > 1e-6:
            document.track(first + joint, "rotation", times, track)
        else:
            document.nodes[first + joint]["rotation"] = track[0].tolist()


def continuous(quaternions: np.ndarray) -> np.ndarray:
    """(F, ..., 4) quaternions with signs such that neighbours in time lie in the same half of the sphere."""
    flips = np.where((quaternions[1:] * quaternions[:-1]).sum(-1) < 0, -1.0, 1.0)
    signs = np.concatenate([np.ones_like(flips[:1]), np.cumprod(flips, axis=0)]) if len(flips) else 1.0
    return quaternions * np.asarray(signs)[..., None]


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


def _credits(clips: Mapping[str, Motion]) -> str:
    """Licences and attributions of the clips, which must travel with what is made of them."""
    return "; ".join(dict.fromkeys(line for clip in clips.values() for line in clip.credits))
