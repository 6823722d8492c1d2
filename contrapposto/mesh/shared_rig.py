"""Clips of one animated file on another mesh whose skeleton has joints of the same names: true poses of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.errors import InputError, nearest
from contrapposto.mesh.rigged import RiggedMesh, Track

_REST = {"translation": (0.0, 0.0, 0.0), "rotation": (0.0, 0.0, 0.0, 1.0), "scale": (1.0, 1.0, 1.0)}


def borrowed_pose(
    rig: RiggedMesh, other: RiggedMesh, clip: str, times: np.ndarray | Sequence[float]
) -> np.ndarray:
    """Vertices (T, V, 3) of `rig` that does what `other` does in a clip of its own; see `borrowed_tracks`."""
    return rig.posed_by(borrowed_tracks(rig, other, clip), times)


def borrowed_tracks(rig: RiggedMesh, other: RiggedMesh, clip: str) -> list[Track]:
    """Tracks of a clip of `other` for the joints of `rig`.

    Every joint turns, moves and stretches from its own rest as the joint of the same name does from its rest; moves are
    scaled by the heights of the two meshes (y is up).

    Args:
        rig: whose mesh is posed.
        other: whose clip it is.
        clip: name of the clip.

    Raises:
        InputError: no such clip, or no joint of the clip is found in `rig`.
    """
    if clip not in other.tracks:
        known = nearest(clip, other.tracks) if other.tracks else "(no clips)"
        raise InputError(f"There is no clip {clip!r}.", found=known, expected="the name of a clip")
    places = {str(node.get("name")): index for index, node in enumerate(rig.nodes)}
    scale = _height(rig) / max(_height(other), 1e-12)
    tracks = []
    for track in other.tracks[clip]:
        source = other.nodes[track.node]
        index = places.get(str(source.get("name")))
        if index is not None:
            tracks.append(_carried(track, source, rig.nodes[index], index, scale))
    if not tracks:
        raise InputError("The two files have no joint of the same name.", found=", ".join(list(places)[:8]))
    return tracks


def _carried(track: Track, source: dict, target: dict, index: int, scale: float) -> Track:
    """A track as a change from rest, put on another node; of a cubic spline the knots' tangents are carried alike."""
    rest, own = (np.asarray(node.get(track.path, _REST[track.path]), float) for node in (source, target))
    cubic = track.interpolation == "CUBICSPLINE"
    values = track.values.reshape(len(track.times), 3 if cubic else 1, -1)
    result = np.empty_like(values)
    for part in range(values.shape[1]):
        knot = part == 1 or not cubic
        inputs = values[:, part]
        if track.path == "translation":
            result[:, part] = own + scale * (inputs - rest) if knot else scale * inputs
        elif track.path == "scale":
            result[:, part] = own * inputs / rest
        else:
            result[:, part] = _times(_times(own, _inverse(rest)), inputs)  # linear in the quaternion
    return replace(track, node=index, values=result.reshape(track.values.shape))


def _times(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Product of quaternions (..., 4), x y z w; bilinear, so it serves tangents too."""
    x, y, z, w = np.moveaxis(np.asarray(first), -1, 0)
    matrix = np.array([[w, -z, y, x], [z, w, -x, y], [-y, x, w, z], [-x, -y, -z, w]])
    return np.asarray(second) @ matrix.T


def _inverse(quaternion: np.ndarray) -> np.ndarray:
    inverse: np.ndarray = Rotation.from_quat(quaternion).inv().as_quat()
    return inverse


def _height(rig: RiggedMesh) -> float:
    return float(np.ptp(rig.mesh.vertices[:, 1]))
