"""Nodes, skins and clips of a glTF file, with or without meshes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.checks import shorten
from contrapposto.mesh.gltf import Gltf

_PATHS = {"translation": 3, "rotation": 4, "scale": 3}
_SAME_TIME = 1e-4  # seconds; files round the times of keys, and a step must not miss its own


@dataclass(frozen=True, eq=False)
class Track:
    """A channel of a clip: what becomes of a node's translation, rotation (x, y, z, w) or scale."""

    node: int
    path: str
    times: np.ndarray
    values: np.ndarray
    interpolation: str


class Rig:
    """The nodes of a glTF file and what moves them.

    Args:
        path: .glb, .gltf or .vrm.

    Attributes:
        nodes: entries of the file.
        parents: of the nodes, -1 for roots; `order`: all nodes, parents first.

    Raises:
        InputError: see `Gltf`; nodes that are not a tree. Clips that are damaged, when they are asked for.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = Gltf(path)
        self.path = self._file.path
        try:
            self._read_nodes()
            self._read_meshes()
        except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            raise self._file.error("The file is damaged.", shorten(str(error), 120)) from error

    def _read_nodes(self) -> None:
        self.nodes = [self._file.entry("nodes", index) for index in range(len(self._file.items("nodes")))]
        self.parents = self._find_parents()

    def _read_meshes(self) -> None:
        """What a subclass reads besides nodes."""

    @cached_property
    def tracks(self) -> dict[str, list[Track]]:
        """Those of each clip by its name; read when they are first asked for."""
        try:
            return self._read_clips()
        except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            raise self._file.error("The file is damaged.", shorten(str(error), 120)) from error

    @cached_property
    def clips(self) -> dict[str, float]:
        """Name to duration in seconds."""
        return {
            name: float(max((track.times[-1] for track in tracks), default=0.0))
            for name, tracks in self.tracks.items()
        }

    def over_time(self, clip: str, times: np.ndarray) -> np.ndarray:
        """(N, F, 4, 4) from each node to the world in a clip at times (F,) in seconds."""
        values = {(t.node, t.path): sample_all(t, times) for t in self.tracks[clip] if t.path != "weights"}
        world = np.empty((len(self.nodes), len(times), 4, 4))
        for index in self.order:
            own = {path: values[index, path] for path in _PATHS if (index, path) in values}
            local = self._moved(index, own, len(times)) if own else self._local(index, {}, False)
            parent = self.parents[index]
            world[index] = local if parent < 0 else world[parent] @ local
        return world

    def _moved(self, index: int, values: dict[str, np.ndarray], frames: int) -> np.ndarray:
        """(F, 4, 4) local transforms of an animated node."""
        node, defaults = (
            self.nodes[index],
            {"translation": [0.0] * 3, "rotation": [0, 0, 0, 1.0], "scale": [1.0] * 3},
        )
        parts = {
            path: values.get(path, np.tile(np.asarray(node.get(path, default), np.float64), (frames, 1)))
            for path, default in defaults.items()
        }
        result = np.tile(np.eye(4), (frames, 1, 1))
        result[:, :3, :3] = Rotation.from_quat(parts["rotation"]).as_matrix() * parts["scale"][:, None, :]
        result[:, :3, 3] = parts["translation"]
        return result

    def _num_targets(self, node: int) -> int:
        """Morph targets of a node's mesh; none where meshes are not read."""
        return 0

    @property
    def file(self) -> Gltf:
        """The container."""
        return self._file

    def rest_transforms(self) -> np.ndarray:
        """(N, 4, 4) from each node to the world, in the pose of the file's nodes."""
        return self._worlds(self._locals([], 0.0))

    def common(self, nodes: Sequence[int]) -> int:
        """The lowest node that all of these hang on, or are."""

        def path(node: int) -> list[int]:
            return [] if node < 0 else [node, *path(self.parents[node])]

        shared = set.intersection(*(set(path(node)) for node in nodes))
        return next(node for node in path(nodes[0]) if node in shared)

    def _find_parents(self) -> list[int]:
        parents = [-1] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            for child in node.get("children", []):
                self._file.entry("nodes", child)
                if parents[child] != -1:
                    raise self._file.error("A node has two parents.", str(child))
                parents[child] = index
        self.order: list[int] = [index for index, parent in enumerate(parents) if parent < 0]
        for index in self.order:  # grows while it is walked
            self.order += self.nodes[index].get("children", [])
        if len(self.order) != len(self.nodes):
            raise self._file.error("The nodes go round in a circle.")
        return parents

    def _rows(self, accessor: object, width: int, count: int | None = None) -> np.ndarray:
        values = self._file.array(accessor)
        if values.ndim != 2 or values.shape[1] != width or (count is not None and len(values) != count):
            raise self._file.error("A mesh has data of the wrong shape.", str(values.shape))
        return values

    def binds(self, skin: int) -> np.ndarray:
        """(J, 4, 4) inverse bind matrices of a skin."""
        entry = self._file.entry("skins", skin)
        joints = entry.get("joints", [])
        for joint in joints:
            self._file.entry("nodes", joint)
        if "inverseBindMatrices" not in entry:
            return np.tile(np.eye(4), (len(joints), 1, 1))
        binds = self._rows(entry["inverseBindMatrices"], 16, len(joints))
        return binds.reshape(-1, 4, 4).transpose(0, 2, 1).astype(np.float64)

    def _read_clips(self) -> dict[str, list[Track]]:
        clips: dict[str, list[Track]] = {}
        for number, animation in enumerate(self._file.items("animations")):
            samplers = animation.get("samplers", [])
            tracks = []
            for channel in animation.get("channels", []):
                target = channel.get("target", {})
                path, node, index = target.get("path"), target.get("node"), channel.get("sampler", -1)
                if path not in (*_PATHS, "weights") or node is None or not 0 <= index < len(samplers):
                    continue
                self._file.entry("nodes", node)
                track = self._track(node, path, samplers[index])
                tracks += [] if track is None else [track]
            name = str(animation.get("name", f"clip {number}"))
            same = sum(known == name or known.startswith(f"{name} (") for known in clips)
            clips[f"{name} ({same + 1})" if same else name] = tracks
        return clips

    def _track(self, node: int, path: str, sampler: dict[str, Any]) -> Track | None:
        """A channel's track; None of morph weights of a mesh that was not taken."""
        times = self._file.array(sampler.get("input")).astype(np.float64)
        kind = sampler.get("interpolation", "LINEAR")
        count = len(times) * (3 if kind == "CUBICSPLINE" else 1)
        if path == "weights":
            width = self._num_targets(node)
            if not width:
                return None
            values = self._file.array(sampler.get("output")).astype(np.float64).reshape(count, width)
        else:
            values = self._rows(sampler.get("output"), _PATHS[path], count).astype(np.float64)
        if not len(times) or (np.diff(times) < 0).any() or not np.isfinite(values).all():
            raise self._file.error("An animation has times that do not rise, or values that are not finite.")
        return Track(node, path, times, values, kind)

    def _locals(self, tracks: Sequence[Track], time: float) -> np.ndarray:
        """(N, 4, 4) local transforms of all nodes."""
        values: dict[tuple[int, str], np.ndarray] = {}
        for track in tracks:
            if track.path != "weights":
                values[track.node, track.path] = sample(track, time)
        animated = {node for node, _ in values}
        return np.stack([self._local(index, values, index in animated) for index in range(len(self.nodes))])

    def _local(self, index: int, values: dict[tuple[int, str], np.ndarray], animated: bool) -> np.ndarray:
        node = self.nodes[index]
        if "matrix" in node and not animated:
            return np.array(node["matrix"], np.float64).reshape(4, 4).T
        defaults = {"translation": [0.0] * 3, "rotation": [0.0, 0.0, 0.0, 1.0], "scale": [1.0] * 3}
        parts = {
            path: np.asarray(values.get((index, path), node.get(path, default)), np.float64)
            for path, default in defaults.items()
        }
        if not np.linalg.norm(parts["rotation"]) > 0:
            raise self._file.error(
                f"The rotation of node {index} is no quaternion: {parts['rotation'].tolist()}."
            )
        result = np.eye(4)
        result[:3, :3] = Rotation.from_quat(parts["rotation"]).as_matrix() * parts["scale"]
        result[:3, 3] = parts["translation"]
        return result

    def _worlds(self, local: np.ndarray) -> np.ndarray:
        world = np.empty_like(local)
        for index in self.order:
            parent = self.parents[index]
            world[index] = local[index] if parent < 0 else world[parent] @ local[index]
        return world


def sample(track: Track, time: float) -> np.ndarray:
    """Value of a track at a time: steps, lines (arcs for rotations), or cubic splines (Khronos specification, C)."""
    times, values = track.times, track.values
    after = int(np.searchsorted(times, time + _SAME_TIME, side="right"))
    low, high = max(after - 1, 0), min(after, len(times) - 1)
    span = times[high] - times[low]
    share = (time - times[low]) / span if span > 0 else 0.0
    if track.interpolation == "STEP":
        return values[low]
    if track.interpolation == "CUBICSPLINE":
        knots = values.reshape(len(times), 3, -1)
        s2, s3 = share**2, share**3
        leave, arrive = span * knots[low, 2], span * knots[high, 0]
        start, end = knots[low, 1], knots[high, 1]
        result = (2 * s3 - 3 * s2 + 1) * start + (s3 - 2 * s2 + share) * leave
        return result + (3 * s2 - 2 * s3) * end + (s3 - s2) * arrive
    first, second = values[low], values[high]
    if track.path != "rotation":
        return first + share * (second - first)
    return _slerp(first, second, share)


def _slerp(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    cosine = float(first @ second)
    second, cosine = (second, cosine) if cosine >= 0 else (-second, -cosine)
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-6:
        return first + share * (second - first)
    return (np.sin((1 - share) * angle) * first + np.sin(share * angle) * second) / np.sin(angle)


def sample_all(track: Track, times: np.ndarray) -> np.ndarray:
    """(F, C) values of a track at times (F,); see `sample`."""
    if track.interpolation == "CUBICSPLINE" or len(track.times) == 1:
        return np.stack([sample(track, float(time)) for time in times])
    after = np.searchsorted(track.times, times + _SAME_TIME, side="right")
    low, high = np.maximum(after - 1, 0), np.minimum(after, len(track.times) - 1)
    first, second = track.values[low], track.values[high]
    if track.interpolation == "STEP":
        return np.asarray(first)
    span = track.times[high] - track.times[low]
    share = np.divide(times - track.times[low], span, out=np.zeros(len(times)), where=span > 0)[:, None]
    if track.path != "rotation":
        return np.asarray(first + share * (second - first))
    cosine = (first * second).sum(axis=1, keepdims=True)
    second, angle = np.where(cosine < 0, -second, second), np.arccos(np.clip(np.abs(cosine), 0, 1))
    sine = np.sin(angle)
    near = sine < 1e-6
    weights = [np.where(near, w, np.sin(w * angle) / np.where(near, 1, sine)) for w in (1 - share, share)]
    return np.asarray(weights[0] * first + weights[1] * second)
