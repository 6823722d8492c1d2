"""Meshes of glTF files with their nodes, skins and clips: the rest mesh, and its poses by its own animations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError, nearest
from contrapposto.mesh.asset import Material, MeshAsset, joined
from contrapposto.mesh.clean import MAX_FACES
from contrapposto.mesh.colors import srgb_of_linear
from contrapposto.mesh.rig import Rig, Track, sample
from contrapposto.progress import late

_KNOWN = ("name", "pbrMetallicRoughness")


@dataclass(frozen=True, eq=False)
class _Part:
    """A primitive: vertices (V, 3) on a node, or on a skin's joints by (V, K) weights; (T, V, 3) morph targets.

    Primitives that share their vertices are one part: `primitives` are their numbers in the mesh.
    """

    node: int
    primitives: tuple[int, ...]
    vertices: np.ndarray
    skin: int | None
    joints: np.ndarray
    weights: np.ndarray
    targets: np.ndarray | None = None


class RiggedMesh(Rig):
    """A glTF file's meshes and clips.

    Args:
        path: .glb or .gltf.
        only: names (with * and ?) of nodes or meshes to take; None: all of the scene.

    Attributes:
        mesh: `MeshAsset` in the pose of the file's nodes, in the file's axes (y up) and units.
        clips: name to duration in seconds.
        nodes: entries of the file, and `tracks`: those of each clip.
        parents: of the nodes, -1 for roots; `order`: all nodes, parents first.

    Raises:
        InputError: see `Gltf`; no triangles, or nothing of the wanted names.
    """

    def __init__(self, path: str | Path, only: Sequence[str] | None = None) -> None:
        self._only = only
        super().__init__(path)

    def _read_meshes(self) -> None:
        self._parts: list[_Part] = []
        self._materials: dict[int, Material] = {}
        assets = [asset for node in self._scene() for asset in self._read_node(node, self._only)]
        if not assets:
            names = sorted({name for node in range(len(self.nodes)) for name in self._names(node)})
            raise self._file.error(
                "There are no triangles to take.", f"meshes {', '.join(names) or '(none)'}"
            )
        if sum(len(asset.faces) for asset in assets) > MAX_FACES:
            raise self._file.error("The mesh has too many faces.", fix=f"decimate it to at most {MAX_FACES}")
        self._inverse_binds = {
            part.skin: self.binds(part.skin) for part in self._parts if part.skin is not None
        }
        local = self._locals([], 0.0)
        assets = [self._unmirrored(asset, part, local) for asset, part in zip(assets, self._parts)]
        self.mesh = joined(assets, self._file.path.stem)
        self.mesh = self.mesh.moved(self._skinned(local))

    def _unmirrored(self, asset: MeshAsset, part: _Part, local: np.ndarray) -> MeshAsset:
        """A mesh whose faces look outward although its node mirrors it."""
        world = self._worlds(local)[part.node]
        if part.skin is not None or np.linalg.det(world[:3, :3]) >= 0:
            return asset
        textures = None if asset.texture_faces is None else asset.texture_faces[:, ::-1]
        return replace(asset, faces=asset.faces[:, ::-1], texture_faces=textures)

    def pose(self, clip: str, times: np.ndarray | Sequence[float]) -> np.ndarray:
        """Vertices (T, V, 3) float64 of a clip at times in seconds, held at its ends.

        Raises:
            InputError: no such clip.
        """
        if clip not in self.tracks:
            actual = nearest(clip, self.tracks) if self.tracks else "(no clips)"
            raise InputError(
                f"{self._file.path} has no clip {clip!r}.", found=actual, expected="the name of a clip"
            )
        return self.posed_by(self.tracks[clip], times)

    def posed_by(self, tracks: Sequence[Track], times: np.ndarray | Sequence[float]) -> np.ndarray:
        """Vertices (T, V, 3) float64 by tracks of any origin at times in seconds."""
        frames: list[np.ndarray] = []
        step = late(f"posing {self._file.path.name}")
        for time in np.asarray(times):
            step(len(frames), len(times))
            weights = {t.node: sample(t, float(time)) for t in tracks if t.path == "weights"}
            frames.append(self._skinned(self._locals(tracks, float(time)), weights))
        step(len(times), len(times))
        return np.stack(frames)

    def frames(self, clip: str, fps: float = 30.0) -> np.ndarray:
        """Vertices (T, V, 3) of a whole clip at a rate."""
        return self.pose(clip, np.arange(int(self.clips.get(clip, 0.0) * fps + 1e-6) + 1) / fps)

    def key_times(self, clip: str) -> np.ndarray | None:
        """(T,) even times of a clip that is a sequence of morph targets, one after the other; None of other clips."""
        tracks = self.tracks.get(clip, [])
        if not tracks or any(track.path != "weights" for track in tracks):
            return None
        times = tracks[0].times
        steps = np.diff(times)
        even = len(steps) and steps.min() > 0 and np.allclose(steps, steps[0], rtol=0.01)
        return times if even else None

    def skin_joints(self) -> list[int]:
        """Nodes that the vertices of the taken meshes hang on."""
        skins = dict.fromkeys(part.skin for part in self._parts if part.skin is not None)
        return [node for skin in skins for node in self._file.entry("skins", skin)["joints"]]

    def _num_targets(self, node: int) -> int:
        return max(
            (len(p.targets) for p in self._parts if p.node == node and p.targets is not None), default=0
        )

    def mesh_nodes(self) -> list[tuple[int, list[tuple[int, int]]]]:
        """Nodes that carry taken meshes, each with its primitives: (number in its mesh, vertices), as in `mesh`.

        Primitives that share the vertices of the one before have no vertices of their own: (number, 0).
        """
        matches: dict[int, list[tuple[int, int]]] = {}
        for part in self._parts:
            first, *others = part.primitives
            matches.setdefault(part.node, []).append((first, len(part.vertices)))
            matches[part.node] += [(other, 0) for other in others]
        return list(matches.items())

    def _names(self, node: int) -> list[str]:
        mesh = self.nodes[node].get("mesh")
        if mesh is None:
            return []
        return [str(self.nodes[node].get("name", "")), str(self._file.entry("meshes", mesh).get("name", ""))]

    def _scene(self) -> list[int]:
        if not self._file.items("scenes"):
            return self.order
        wanted = set(self._file.entry("scenes", self._file.json.get("scene", 0)).get("nodes", []))
        for index in self.order:
            if self.parents[index] in wanted:
                wanted.add(index)
        return [index for index in self.order if index in wanted]

    def _read_node(self, node: int, only: Sequence[str] | None) -> list[MeshAsset]:
        names = self._names(node)
        if not names or (only is not None and not any(fnmatch(name, p) for name in names for p in only)):
            return []
        mesh = self._file.entry("meshes", self.nodes[node]["mesh"])
        groups: dict[str, list[int]] = {}
        for number, primitive in enumerate(mesh.get("primitives", [])):
            if primitive.get("mode", 4) in (4, 5, 6) and "POSITION" in primitive.get("attributes", {}):
                shared = json.dumps([primitive["attributes"], primitive.get("targets")], sort_keys=True)
                groups.setdefault(shared, []).append(number)
        primitives = mesh.get("primitives", [])
        return [
            self._read_primitives(node, numbers, [primitives[number] for number in numbers])
            for numbers in groups.values()
        ]

    def _read_primitives(
        self, node: int, numbers: Sequence[int], primitives: Sequence[dict[str, Any]]
    ) -> MeshAsset:
        """Primitives with the same vertices as one mesh."""
        attributes = primitives[0]["attributes"]
        vertices = self._rows(attributes["POSITION"], 3).astype(np.float64)
        count = len(vertices)
        lists = [self._faces(primitive, count) for primitive in primitives]
        faces = np.concatenate(lists)
        skin = self.nodes[node].get("skin")
        joints, weights = np.zeros((count, 0), np.int64), np.zeros((count, 0))
        if skin is not None and "JOINTS_0" in attributes:
            sets = [i for i in range(4) if f"JOINTS_{i}" in attributes and f"WEIGHTS_{i}" in attributes]
            joints = np.concatenate(
                [self._rows(attributes[f"JOINTS_{i}"], 4, count) for i in sets], axis=1
            ).astype(np.int64)
            weights = np.concatenate([self._rows(attributes[f"WEIGHTS_{i}"], 4, count) for i in sets], axis=1)
            weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        else:
            skin = None
        targets = self._targets(primitives[0].get("targets") or [], count)
        self._parts.append(
            _Part(node, tuple(numbers), vertices, skin, joints, weights.astype(np.float64), targets)
        )
        coordinates = colors = None
        turn = self._texture_transform(primitives[0].get("material"))
        name = f"TEXCOORD_{turn.get('texCoord', 0)}"
        if name in attributes:
            coordinates = transformed(self._rows(attributes[name], 2, count), turn) * [1.0, -1.0] + [0.0, 1.0]
        if "COLOR_0" in attributes:
            shades = self._file.array(attributes["COLOR_0"])
            shades = np.concatenate([srgb_of_linear(shades[:, :3].clip(0, 1)), shades[:, 3:]], axis=1)
            colors = np.full((count, 4), 255, np.uint8)
            colors[:, : shades.shape[1]] = np.clip(shades * 255, 0, 255).round().astype(np.uint8)
        corners = faces
        if "_SOURCE" in attributes and skin is None:
            # Our own files name the vertex that each vertex at a seam of the texture is.
            sources = self._sources(attributes["_SOURCE"], count)
            kept = int(sources.max(initial=-1)) + 1
            corners, vertices, colors = (
                sources[faces],
                vertices[:kept],
                None if colors is None else colors[:kept],
            )
            part = self._parts[-1]
            moves = None if part.targets is None else part.targets[:, :kept]
            empty = np.zeros((kept, 0))
            self._parts[-1] = replace(
                part, vertices=vertices, targets=moves, joints=empty.astype(np.int64), weights=empty
            )
        looks = [self._material(primitive.get("material")) for primitive in primitives]
        materials = tuple(dict.fromkeys(look for look in looks if look is not None))
        paint = [-1 if look is None else materials.index(look) for look in looks]
        return MeshAsset(
            vertices,
            corners,
            coordinates,
            None if coordinates is None else faces,
            np.repeat(paint, [len(part) for part in lists]) if materials else None,
            materials,
            colors,
        )

    def _sources(self, accessor: object, count: int) -> np.ndarray:
        values = self._file.array(accessor)
        sources = values.astype(np.int64).ravel()
        kept = int(sources.max(initial=-1)) + 1
        if len(sources) != count or not np.array_equal(sources[:kept], np.arange(kept)):
            raise self._file.error("The attribute _SOURCE is not that of a file of this project.")
        return sources

    def _faces(self, primitive: dict[str, Any], count: int) -> np.ndarray:
        """(F, 3) of a list, strip or fan of triangles; strips and fans without their empty ones."""
        flat = self._file.array(primitive["indices"]) if "indices" in primitive else np.arange(count)
        flat, mode = flat.astype(np.int64), primitive.get("mode", 4)
        if mode == 4:
            return flat[: len(flat) // 3 * 3].reshape(-1, 3)
        if len(flat) < 3:
            return np.zeros((0, 3), np.int64)
        if mode == 6:
            faces = np.stack([np.full(len(flat) - 2, flat[0]), flat[1:-1], flat[2:]], axis=1)
        else:
            faces = np.stack([flat[:-2], flat[1:-1], flat[2:]], axis=1)
            faces[1::2] = faces[1::2, [1, 0, 2]]  # every other triangle of a strip is turned over
        whole = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
        return faces[whole]

    def _targets(self, targets: Sequence[dict[str, Any]], count: int) -> np.ndarray | None:
        """(T, V, 3) float32 moves of the vertices by morph targets; a target without positions moves nothing."""
        if not targets:
            return None
        still = np.zeros((count, 3), np.float32)
        return np.stack(
            [
                self._rows(target["POSITION"], 3, count).astype(np.float32) if "POSITION" in target else still
                for target in targets
            ]
        )

    def _texture_transform(self, material: object) -> dict[str, Any]:
        """KHR_texture_transform of a material's colour texture, with the number of its coordinates."""
        if material is None:
            return {}
        texture = (
            self._file.entry("materials", material).get("pbrMetallicRoughness", {}).get("baseColorTexture")
        )
        if not isinstance(texture, dict):
            return {}
        turn = dict((texture.get("extensions") or {}).get("KHR_texture_transform") or {})
        turn.setdefault("texCoord", texture.get("texCoord", 0))
        return turn

    def _material(self, index: object) -> Material | None:
        if index is None:
            return None
        number = int(index)  # type: ignore[call-overload]
        if number not in self._materials:
            entry = self._file.entry("materials", number)
            surface = dict(entry.get("pbrMetallicRoughness", {}))
            color = surface.pop("baseColorFactor", [1.0, 1.0, 1.0, 1.0])
            texture = surface.pop("baseColorTexture", None)
            image = None if texture is None else self._file.image(texture.get("index"))
            surface = {key: value for key, value in surface.items() if key.endswith("Factor")}
            turn = self._texture_transform(number)
            kept = {key: self._carried(value, turn) for key, value in entry.items() if key not in _KNOWN}
            rough = entry.get("pbrMetallicRoughness", {}).get("metallicRoughnessTexture")
            if rough is not None:
                surface["metallicRoughnessTexture"] = self._carried(rough, turn)
            self._materials[number] = Material(
                str(entry.get("name", f"material {number}")),
                tuple(color),
                image,
                {"surface": surface, **kept},
            )
        return self._materials[number]

    def _carried(self, value: Any, turn: dict[str, Any]) -> Any:
        """A part of a material as it is, with the images of its textures in place of their numbers.

        The transform of the colour texture is in the coordinates already: what others have is taken relative to it.
        """
        if isinstance(value, list):
            return [self._carried(inner, turn) for inner in value]
        if not isinstance(value, dict):
            return value
        if "index" not in value or not isinstance(value["index"], int):
            return {key: self._carried(inner, turn) for key, inner in value.items()}
        texture = dict(value)
        texture["index"] = self._file.image(value["index"])
        if turn.get("scale") or turn.get("offset") or turn.get("rotation"):
            extensions = dict(texture.get("extensions") or {})
            own = extensions.pop("KHR_texture_transform", {})
            relative = relative_transform(own, turn)
            if relative:
                extensions["KHR_texture_transform"] = relative
            texture["extensions"] = extensions
        texture.pop("texCoord", None)
        return {key: inner for key, inner in texture.items() if inner not in (None, {})}

    def _skinned(self, local: np.ndarray, weights: Mapping[int, np.ndarray] | None = None) -> np.ndarray:
        world = self._worlds(local)
        return np.concatenate([self._place(part, world, weights or {}) for part in self._parts])

    def _morphed(self, part: _Part, weights: Mapping[int, np.ndarray]) -> np.ndarray:
        """(V, 3) vertices with morph targets by the weights of a clip, else of the node, else of the mesh."""
        if part.targets is None:
            return part.vertices
        node = self.nodes[part.node]
        stated = weights.get(part.node)
        if stated is None:
            stated = node.get("weights", self._file.entry("meshes", node["mesh"]).get("weights", []))
        share = np.zeros(len(part.targets))
        share[: len(stated)] = np.asarray(stated, np.float64)[: len(share)]
        used = np.flatnonzero(share)
        return part.vertices + np.tensordot(share[used], part.targets[used].astype(np.float64), axes=1)

    def _place(self, part: _Part, world: np.ndarray, weights: Mapping[int, np.ndarray]) -> np.ndarray:
        vertices = self._morphed(part, weights)
        points = np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1)
        if part.skin is None:
            return (points @ world[part.node].T)[:, :3]
        # glTF: the transform of a skinned mesh's own node is ignored.
        joints = world[self._file.entry("skins", part.skin)["joints"]] @ self._inverse_binds[part.skin]
        if part.joints.max(initial=0) >= len(joints):
            raise self._file.error("A vertex hangs on a joint that is not there.")
        result = np.zeros((len(points), 3))
        for column in range(part.joints.shape[1]):
            moved = np.einsum("vij,vj->vi", joints[part.joints[:, column]], points)[:, :3]
            result += part.weights[:, column, None] * moved
        return result


def transformed(coordinates: np.ndarray, turn: Mapping[str, Any]) -> np.ndarray:
    """(V, 2) texture coordinates under KHR_texture_transform (Khronos): scaled, rotated, moved."""
    angle = float(turn.get("rotation", 0.0))
    scaled = np.asarray(coordinates, np.float64) * np.asarray(turn.get("scale", [1.0, 1.0]), np.float64)
    cosine, sine = np.cos(angle), np.sin(angle)
    return scaled @ np.array([[cosine, -sine], [sine, cosine]]) + np.asarray(turn.get("offset", [0.0, 0.0]))


def relative_transform(own: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """The transform that, after `base`, has the effect of `own`; exact where neither rotates."""
    scales = [np.asarray(turn.get("scale", [1.0, 1.0]), np.float64) for turn in (own, base)]
    offsets = [np.asarray(turn.get("offset", [0.0, 0.0]), np.float64) for turn in (own, base)]
    scale = scales[0] / np.where(scales[1] == 0, 1.0, scales[1])
    offset = offsets[0] - scale * offsets[1]
    angle = float(own.get("rotation", 0.0)) - float(base.get("rotation", 0.0))
    result = {"scale": scale.tolist(), "offset": offset.tolist(), "rotation": angle}
    neutral: dict[str, Any] = {"scale": [1.0, 1.0], "offset": [0.0, 0.0], "rotation": 0.0}
    return {key: value for key, value in result.items() if not np.allclose(value, neutral[key])}
