"""Which way up a mesh stands and where it faces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from contrapposto.errors import ConfigError
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.surface_sampling import sample_surface
from contrapposto.systems.npr.alignment import FigureLandmarks, figure_landmarks

_DIRECTIONS = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}
DIRECTIONS = tuple(sign + axis for sign in ("", "-") for axis in _DIRECTIONS)
_SAMPLES = 20_000
_FEET, _SHINS = 0.035, (0.08, 0.16)  # shares of the height
_TOES = 0.012  # of the height: feet that reach no further forward than this do not say where the figure faces


@dataclass(frozen=True, eq=False)
class Orientation:
    """How a mesh stands in its file.

    Args:
        axes: (3, 3) rotation from file axes to upright ones: x to the figure's left, y up, z forward.
        up, forward: directions of the file (`y`, `-z`, ...).
        reason: where they come from.
        landmarks: of the upright mesh, in its units, where it is a figure with its arms out; else None.
    """

    axes: np.ndarray
    up: str
    forward: str
    reason: str
    landmarks: FigureLandmarks | None


def orientation(mesh: MeshAsset, up: str | None = None, forward: str | None = None) -> Orientation:
    """Find how a mesh stands.

    A figure with its arms out is recognised by its outline from the front; its toes say where the front is. The first
    direction that shows such a figure is taken: up along y, then z, then x. Any other mesh stands along y and faces z,
    as glTF has it.

    Args:
        mesh: only its shape is looked at.
        up, forward: of `DIRECTIONS` where they are known.

    Raises:
        ConfigError: an unknown direction, or two along the same axis.
    """
    for name, value in (("up", up), ("forward", forward)):
        if value is not None and value not in DIRECTIONS:
            raise ConfigError(f"{name}={value} is no direction.", expected=", ".join(DIRECTIONS))
    if up and forward and up[-1] == forward[-1]:
        raise ConfigError("up and forward lie along the same axis.", found=f"up={up}, forward={forward}")
    vertices, faces = mesh.vertices, mesh.faces
    for one_up, one_forward in _candidates(up, forward):
        axes = _axes(one_up, one_forward)
        facing, sure = one_forward, forward is not None
        if forward is None:
            side = _toes(vertices @ axes.T, faces)
            sure = abs(side) > _TOES
            facing = _opposite(one_forward) if side < -_TOES else one_forward
            axes = _axes(one_up, facing)
        landmarks = figure_landmarks(vertices @ axes.T, faces)
        if landmarks is not None:
            matches = "a standing figure with its arms out" + (
                "" if sure else "; which way it faces is not certain"
            )
            return Orientation(axes, one_up, facing, matches, landmarks)
    chosen = up or ("y" if forward is None or forward[-1] != "y" else "z")
    facing = forward or ("z" if chosen[-1] != "z" else "-y")
    return Orientation(
        _axes(chosen, facing), chosen, facing, "no standing figure with its arms out was recognised", None
    )


def _candidates(up: str | None, forward: str | None) -> Iterator[tuple[str, str]]:
    for one_up in [up] if up else ["y", "z", "x"]:
        for one_forward in [forward] if forward else ["z", "x", "-y"]:  # -y: the front in Blender
            if one_up[-1] != one_forward[-1]:
                yield one_up, one_forward


def _axes(up: str, forward: str) -> np.ndarray:
    above, front = (np.array(_DIRECTIONS[n[-1]], float) * (-1 if n[0] == "-" else 1) for n in (up, forward))
    return np.stack([np.cross(above, front), above, front])


def direction(vector: np.ndarray) -> str:
    """The name in `DIRECTIONS` nearest to a vector (3,)."""
    axis = int(np.abs(vector).argmax())
    return ("-" if vector[axis] < 0 else "") + "xyz"[axis]


def _opposite(direction: str) -> str:
    return direction[1:] if direction[0] == "-" else "-" + direction


def _toes(vertices: np.ndarray, faces: np.ndarray) -> float:
    """How far the soles reach before the shins, as a share of the height; negative: behind them."""
    points, _ = sample_surface(vertices, faces, _SAMPLES, np.random.default_rng(0))
    height = float(np.ptp(points[:, 1]))
    level = (points[:, 1] - points[:, 1].min()) / max(height, 1e-12)
    feet = points[level < _FEET, 2]
    shins = points[(level > _SHINS[0]) & (level < _SHINS[1]), 2]
    if len(feet) < 10 or len(shins) < 10:
        return 0.0
    middle = [(np.quantile(part, 0.02) + np.quantile(part, 0.98)) / 2 for part in (feet, shins)]
    return float(middle[0] - middle[1]) / max(height, 1e-12)
