"""Solids that stylised figures and clutter are made of: frusta and ellipsoids with colours, y up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

_ROUND = 10


@dataclass(eq=False)
class Solids:
    """Triangles with a colour for each vertex, put together piece by piece.

    Attributes:
        vertices, faces, colors: of each piece: (V, 3), (F, 3), (V, 3).
    """

    vertices: list[np.ndarray] = field(default_factory=list)
    faces: list[np.ndarray] = field(default_factory=list)
    colors: list[np.ndarray] = field(default_factory=list)

    def add(self, vertices: np.ndarray, faces: np.ndarray, color: np.ndarray | Sequence[float]) -> None:
        """Add triangles; color (3,) or (V, 3)."""
        self.faces.append(faces + sum(len(piece) for piece in self.vertices))
        self.vertices.append(vertices)
        self.colors.append(np.broadcast_to(np.asarray(color, float), vertices.shape))

    def frustum(
        self,
        start: np.ndarray,
        end: np.ndarray,
        radii: tuple[float, float],
        color: np.ndarray | Sequence[float],
        *,
        sides: int = 8,
        flat: float = 1.0,
        turn: np.ndarray | None = None,
    ) -> None:
        """A closed cone, cylinder or box between two points.

        Args:
            start, end: (3,) of the axis.
            radii: at both ends; a box has four sides.
            color: (3,) or one for each vertex.
            sides: around.
            flat: depth over width.
            turn: (3, 3) columns across, along and in depth of the frame that the depth is measured in.
        """
        along = np.asarray(end, float) - start
        frame = np.eye(3) if turn is None else turn
        direction = along / max(float(np.linalg.norm(along)), 1e-9)
        across = frame[:, 0] - direction * (frame[:, 0] @ direction)
        if np.linalg.norm(across) < 0.3:
            across = frame[:, 1] - direction * (frame[:, 1] @ direction)
        across /= np.linalg.norm(across)
        depth = np.cross(direction, across) * flat
        angles = (np.arange(sides) + 0.5) * 2 * np.pi / sides
        ring = np.cos(angles)[:, None] * across + np.sin(angles)[:, None] * depth
        wide = np.sqrt(2) if sides == 4 else 1.0  # radii of a box are halves of its sides
        rings = [start + wide * radii[0] * ring, end + wide * radii[1] * ring]
        number = np.arange(sides)
        after = (number + 1) % sides
        quads = [[number, after, sides + after], [number, sides + after, sides + number]]
        caps = [
            [np.full(sides, 2 * sides), after, number],
            [np.full(sides, 2 * sides + 1), sides + number, sides + after],
        ]
        faces = np.concatenate([np.stack(triangle, axis=1) for triangle in (*quads, *caps)])
        self.add(np.concatenate([*rings, [start, end]]), faces, color)

    def ellipsoid(
        self,
        center: np.ndarray,
        radii: np.ndarray | Sequence[float],
        color: np.ndarray | Sequence[float],
        turn: np.ndarray | None = None,
        power: float = 1.0,
    ) -> None:
        """An ellipsoid; with `power` below 1 more like a box."""
        polar = np.linspace(0, np.pi, 8)[:, None]
        around = np.arange(_ROUND)[None] * 2 * np.pi / _ROUND
        unit = np.stack(
            [np.sin(polar) * np.cos(around), np.cos(polar) + 0 * around, np.sin(polar) * np.sin(around)],
            axis=-1,
        )
        unit = np.sign(unit) * np.abs(unit) ** power
        corner = np.arange(7)[:, None] * _ROUND + np.arange(_ROUND)
        right = np.arange(7)[:, None] * _ROUND + (np.arange(_ROUND) + 1) % _ROUND
        faces = np.concatenate(
            [
                np.stack([corner, right, corner + _ROUND], -1).reshape(-1, 3),
                np.stack([right, right + _ROUND, corner + _ROUND], -1).reshape(-1, 3),
            ]
        )
        points = unit.reshape(-1, 3) * np.asarray(radii, float)
        self.add(points @ (np.eye(3) if turn is None else turn).T + center, faces, color)

    def joined(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices (V, 3), faces (F, 3), colours (V, 3)."""
        return (
            np.concatenate(self.vertices),
            np.concatenate(self.faces),
            np.concatenate(self.colors).clip(0, 1),
        )


def random_color(rng: np.random.Generator) -> np.ndarray:
    """(3,) any hue; greys and dark colours among them."""
    import colorsys

    saturation = 0.0 if rng.random() < 0.15 else rng.uniform(0.15, 1)
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.08, 1)))
