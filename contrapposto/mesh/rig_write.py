"""Write a glTF file again with additions (a skin, an animation); its meshes, materials and textures stay as they are."""

from __future__ import annotations

import base64
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.checks import note, shorten
from contrapposto.files import atomic_path
from contrapposto.mesh.gltf import Gltf
from contrapposto.mesh.gltf_document import Document, pack_glb
from contrapposto.mesh.rigged import Track

_VERTEX_DATA = 34962
_WHITE = base64.b64decode(  # a PNG image of one white pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="
)


class GltfEditor:
    """A glTF file that gets additions.

    Args:
        file: as read. External buffers and images are put inside.

    Attributes:
        json: the document that will be written; entries may be changed and appended.
    """

    def __init__(self, file: Gltf) -> None:
        self.json: dict[str, Any] = copy.deepcopy(file.json)
        self._data = Document(
            accessors=self.json.setdefault("accessors", []), views=self.json.setdefault("bufferViews", [])
        )
        self._embed(file)

    def _embed(self, file: Gltf) -> None:
        """Join all buffers to one, and put images of other files behind it."""
        starts = []
        for index in range(len(self.json.get("buffers", []))):
            starts.append(len(self._data.binary))
            data = file.buffer(index)
            self._data.binary += data + bytes(-len(data) % 4)
        for view in self.json["bufferViews"]:
            view["byteOffset"] = view.get("byteOffset", 0) + starts[view.get("buffer", 0)]
            view["buffer"] = 0
        for image in self.json.get("images", []):
            if "bufferView" not in image:
                uri = str(image.get("uri", ""))
                frame = file.resource(uri, beside=True)
                if frame is None:
                    note(f"the texture {shorten(uri)} is not there: it is white in the new file")
                    frame, image["mimeType"] = _WHITE, "image/png"
                image["bufferView"] = len(self.json["bufferViews"])
                image.setdefault("mimeType", "image/jpeg" if frame[:2] == b"\xff\xd8" else "image/png")
                image.pop("uri", None)
                view = {"buffer": 0, "byteOffset": len(self._data.binary), "byteLength": len(frame)}
                self.json["bufferViews"].append(view)
                self._data.binary += frame + bytes(-len(frame) % 4)

    def array(self, values: np.ndarray, target: int | None = None, *, bounds: bool = False) -> int:
        """Append (N,) or (N, C) values; returns the accessor."""
        return self._data.array(values, target, bounds=bounds)

    def append(self, name: str, entry: dict[str, Any]) -> int:
        """Append an entry to a top-level list; returns its number."""
        items = self.json.setdefault(name, [])
        items.append(entry)
        return len(items) - 1

    def animate(self, name: str, tracks: Sequence[Track]) -> None:
        """Add an animation, before those that the file has: viewers play the first."""
        samplers: list[dict[str, Any]] = []
        channels: list[dict[str, Any]] = []
        times: dict[bytes, int] = {}
        for track in tracks:
            key = track.times.astype(np.float32)
            if key.tobytes() not in times:
                times[key.tobytes()] = self.array(key, bounds=True)
            values = self.array(track.values.astype(np.float32))
            samplers.append(
                {"input": times[key.tobytes()], "output": values, "interpolation": track.interpolation}
            )
            channels.append(
                {"sampler": len(samplers) - 1, "target": {"node": track.node, "path": track.path}}
            )
        animation = {"name": name, "samplers": samplers, "channels": channels}
        self.json["animations"] = [animation, *self.json.get("animations", [])]

    def add_joints(self, names: Sequence[str], parents: Sequence[int], positions: np.ndarray) -> list[int]:
        """Add joint nodes without rotation to the scene.

        Args:
            names: J names.
            parents: J parents among them, -1 for the root.
            positions: (J, 3) in the file's world.

        Returns:
            Their node numbers.
        """
        first = len(self.json.setdefault("nodes", []))
        for joint, (name, parent) in enumerate(zip(names, parents)):
            offset = positions[joint] - (positions[parent] if parent >= 0 else 0)
            node: dict[str, Any] = {"name": name, "translation": np.asarray(offset, float).tolist()}
            children = [first + child for child, above in enumerate(parents) if above == joint]
            self.append("nodes", node | ({"children": children} if children else {}))
        scenes = self.json.setdefault("scenes", [{"nodes": []}])
        scenes[self.json.get("scene", 0)].setdefault("nodes", []).append(first)
        return list(range(first, first + len(names)))

    def add_skin(self, joints: Sequence[int], binds: np.ndarray, name: str) -> int:
        """Add a skin of joint nodes with inverse bind matrices (J, 4, 4); returns its number."""
        columns = np.ascontiguousarray(binds.transpose(0, 2, 1), np.float32).reshape(len(binds), 16)
        matrices = self.array(columns)
        return self.append("skins", {"name": name, "joints": list(joints), "inverseBindMatrices": matrices})

    def skin_attributes(self, joints: np.ndarray, weights: np.ndarray) -> dict[str, int]:
        """Attributes of vertices that hang on joints (V, 4) uint8 by weights (V, 4) float32."""
        return {"JOINTS_0": self.array(joints, _VERTEX_DATA), "WEIGHTS_0": self.array(weights, _VERTEX_DATA)}

    def write(self, path: str | Path, credit: str = "") -> Path:
        """Write a .glb file; `credit` joins the file's copyright entry."""
        asset = self.json.setdefault("asset", {"version": "2.0"})
        rights = [text for text in (asset.get("copyright"), credit) if text]
        if rights:
            asset["copyright"] = "; ".join(dict.fromkeys(rights))
        self.json["buffers"] = [{"byteLength": len(self._data.binary)}]
        content = {key: value for key, value in self.json.items() if value != []}
        path = Path(path)
        with atomic_path(path) as temporary:
            temporary.write_bytes(pack_glb(content, bytes(self._data.binary)))
        return path
