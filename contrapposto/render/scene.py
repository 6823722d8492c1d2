"""What is in an image: meshes, capsules, the ground, light. Colours are sRGB in [0, 1], lengths metres, z up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from contrapposto.errors import InputError

WARM = (0.90, 0.58, 0.27)
COOL = (0.40, 0.58, 0.77)
PALETTE = (COOL, WARM, (0.45, 0.66, 0.47), (0.68, 0.53, 0.75), (0.86, 0.69, 0.32), (0.42, 0.66, 0.69))


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh; front and back of a face are drawn alike.

    Args:
        vertices: (V, 3) world positions.
        faces: (F, 3) vertex indices.
        color: (3,) for the whole mesh or (V, 3) for each vertex.

    Raises:
        InputError: wrong shapes, no faces, values that are not finite, or an index without a vertex.
    """

    vertices: np.ndarray
    faces: np.ndarray
    color: np.ndarray | Sequence[float] = COOL

    def __post_init__(self) -> None:
        object.__setattr__(self, "vertices", points("vertices of a mesh", self.vertices))
        faces = np.asarray(self.faces)
        if (
            faces.ndim != 2
            or faces.shape[1] != 3
            or not np.issubdtype(faces.dtype, np.integer)
            or not len(faces)
        ):
            raise InputError(
                "A mesh needs triangles.",
                found=f"faces {faces.shape} {faces.dtype}",
                expected="(F, 3) whole numbers",
            )
        if faces.min() < 0 or faces.max() >= len(self.vertices):
            bad = int(np.flatnonzero((faces < 0).any(1) | (faces >= len(self.vertices)).any(1))[0])
            raise InputError(
                "A face of a mesh names a vertex that is not there.",
                found=f"face {bad}: {faces[bad].tolist()}",
                expected=f"indices from 0 to {len(self.vertices) - 1}",
            )
        object.__setattr__(self, "faces", np.ascontiguousarray(faces, dtype=np.int32))
        object.__setattr__(self, "color", _color("mesh", self.color, len(self.vertices)))

    def moved(self, vertices: np.ndarray) -> Mesh:
        """The same faces and colours with other vertices (V, 3)."""
        if np.shape(vertices) != self.vertices.shape:
            raise InputError("Moved vertices of a mesh changed shape.", found=str(np.shape(vertices)))
        result = object.__new__(Mesh)  # the faces were checked before; an animation need not check them again
        values = {
            "vertices": points("vertices of a mesh", vertices),
            "faces": self.faces,
            "color": self.color,
        }
        for name, value in values.items():
            object.__setattr__(result, name, value)
        return result


@dataclass(frozen=True, eq=False)
class Capsules:
    """N cylinders with round ends; one with equal ends is a sphere. A camera inside one sees it at distance zero.

    Args:
        starts, ends: (N, 3) ends of the axes.
        radii: (N,) or one number, above zero.
        colors: (3,) or (N, 3).
        casts: whether they cast shadows; marks and axes do not.

    Raises:
        InputError: wrong shapes, values that are not finite, a radius that is not positive.
    """

    starts: np.ndarray
    ends: np.ndarray
    radii: np.ndarray | float
    colors: np.ndarray | Sequence[float] = COOL
    casts: bool = True

    def __post_init__(self) -> None:
        for name in ("starts", "ends"):
            object.__setattr__(self, name, points(f"{name} of capsules", getattr(self, name)))
        count = len(self.starts)
        radii = np.asarray(self.radii, np.float32)
        if len(self.ends) != count or radii.shape not in ((), (count,)):
            raise InputError(
                "The arrays of capsules do not fit together.",
                found=f"starts {self.starts.shape}, ends {self.ends.shape}, radii {radii.shape}",
                expected="(N, 3), (N, 3) and (N,)",
            )
        if not np.isfinite(radii).all() or (radii <= 0).any():
            raise InputError("A capsule has a radius that cannot be used.", expected="finite and above zero")
        object.__setattr__(self, "radii", np.ascontiguousarray(np.broadcast_to(radii, (count,))))
        colors = np.broadcast_to(_color("capsules", self.colors, count), (count, 3))
        object.__setattr__(self, "colors", np.ascontiguousarray(colors))

    def to_mesh(self, segments: int = 24) -> Mesh:
        """A triangle mesh of these capsules, for back-ends that draw triangles only; `segments` around the axis."""
        quarter = np.linspace(0, np.pi / 2, segments // 4 + 1)
        polar = np.concatenate(
            [quarter, quarter + np.pi / 2]
        )  # two equators: one at the end, one at the start
        around = np.arange(segments) * 2 * np.pi / segments
        ring = np.stack([np.cos(around), np.sin(around)], axis=-1)
        sphere = np.concatenate(
            [
                np.sin(polar)[:, None, None] * ring,
                np.broadcast_to(np.cos(polar)[:, None, None], (len(polar), segments, 1)),
            ],
            axis=-1,
        )
        at_end = (np.arange(len(polar)) < len(quarter))[:, None, None]
        corner = np.arange(len(polar) - 1)[:, None] * segments + np.arange(segments)
        right = np.arange(len(polar) - 1)[:, None] * segments + (np.arange(segments) + 1) % segments
        below, beside = corner + segments, right + segments
        quads = np.stack([corner, below, beside, corner, beside, right], axis=-1).reshape(-1, 3)
        parts = [
            (np.where(at_end, end, start) + radius * sphere @ _frame(end - start)).reshape(-1, 3)
            for start, end, radius in zip(self.starts, self.ends, np.asarray(self.radii))
        ]
        vertices = np.concatenate(parts)
        faces = np.concatenate([quads + index * len(parts[0]) for index in range(len(parts))])
        a, b, c = np.moveaxis(vertices[faces], 1, 0)
        full = np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-9 * float(np.max(self.radii)) ** 2
        return Mesh(vertices, faces[full], np.repeat(np.asarray(self.colors), len(parts[0]), axis=0))


@dataclass(frozen=True)
class Ground:
    """The plane z = `height` with squares, fading into the background.

    Args:
        square: side of a square in metres, so that a sliding foot is seen.
        light, dark: colours of the squares.
        height: metres.
        fade: distances from the centre where fading begins and where it ends, metres.
        centre: x and y from where fading is measured; None: the middle of the figures.
    """

    square: float = 0.5
    light: Sequence[float] = (0.885, 0.885, 0.890)
    dark: Sequence[float] = (0.800, 0.803, 0.812)
    height: float = 0.0
    fade: tuple[float, float] = (2.5, 9.0)
    centre: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        numbers = [self.square, self.height, *self.fade, *(self.centre or ())]
        if not np.isfinite(numbers).all() or self.square <= 0 or not 0 <= self.fade[0] < self.fade[1]:
            raise InputError(
                "A ground cannot be used.", found=str(self), expected="square > 0, fade start < end"
            )


@dataclass(frozen=True)
class Lights:
    """A key light with a soft edge, and light from the whole sky and back from the ground.

    Args:
        direction: towards the key light; relative to the world, or with `follows_camera` to the camera's heading
            (x right, y away from the viewer, z up), so that every view is lit from the same side.
        key, sky, bounce: strength of the key light, of the sky and of the ground's reflection.
        softness: angular radius of the key light in radians.
        shadows: whether light is blocked at all (cast shadows and darker creases).
    """

    direction: Sequence[float] = (-0.45, -0.55, 0.85)
    key: float = 0.88
    sky: float = 0.36
    bounce: float = 0.17
    softness: float = 0.09
    follows_camera: bool = True
    shadows: bool = True


@dataclass(frozen=True)
class Scene:
    """All that one image shows. Ids number the meshes first, then the groups of capsules.

    Args:
        meshes, capsules: the figures.
        ground: None for an empty background.
        background: colour, or a pair of colours (top, bottom).
        lights: see `Lights`.
    """

    meshes: Sequence[Mesh] = ()
    capsules: Sequence[Capsules] = ()
    ground: Ground | None = field(default_factory=Ground)
    background: Sequence[float] | Sequence[Sequence[float]] = ((0.965, 0.970, 0.980), (0.930, 0.932, 0.938))
    lights: Lights = field(default_factory=Lights)

    def __post_init__(self) -> None:
        shape = np.shape(self.background)
        if shape not in ((3,), (2, 3)) or not np.isfinite(np.asarray(self.background, np.float64)).all():
            raise InputError("A background is one colour or two.", found=str(self.background))

    def with_meshes(self, meshes: Sequence[Mesh]) -> Scene:
        """The same scene with other meshes."""
        return replace(self, meshes=tuple(meshes))

    @cached_property
    def columns(self) -> np.ndarray:
        """(3, N) points whose hull holds every figure: vertices, and corners of boxes around the capsule ends."""
        parts = [mesh.vertices.T for mesh in self.meshes]
        corners = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(8, 3)
        for group in self.capsules:
            reach = np.asarray(group.radii)[:, None, None] * corners
            parts += [(end[:, None] + reach).reshape(-1, 3).T for end in (group.starts, group.ends)]
        joined = np.concatenate(parts, axis=1) if parts else np.zeros((3, 0))
        return np.ascontiguousarray(joined, dtype=np.float32)

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """(3,), (3,) the corners of the box that holds every figure."""
        return self.columns.min(axis=1), self.columns.max(axis=1)

    @cached_property
    def scale(self) -> float:
        """Power of four by which the largest figure differs from a person: reaches of soft light grow with it.

        In steps, so that the light does not breathe with the pose.
        """
        stops = np.cumsum([0, *(len(mesh.vertices) for mesh in self.meshes)])
        sizes = [np.ptp(self.columns[:, a:b], axis=1).max() for a, b in itertools.pairwise(stops)]
        for group in self.capsules:
            ends = np.concatenate([group.starts, group.ends])
            sizes.append(np.ptp(ends, axis=0).max() + 2 * np.max(group.radii))
        return float(4.0 ** np.round(np.log2(max(max(sizes), 1e-6) / 1.8) / 2)) if sizes else 1.0


@dataclass(frozen=True, eq=False)
class RenderedImage:
    """What a renderer returns.

    Attributes:
        color: (H, W, 3) uint8 sRGB.
        depth: (H, W) float32 metres along the viewing axis at pixel centres; infinite where there is no figure.
        mask: (H, W) bool, true where a figure is (the ground counts as background).
        ids: (H, W) int32 number of the mesh or group of capsules (see `Scene`), -1 where there is none.
    """

    color: np.ndarray
    depth: np.ndarray
    mask: np.ndarray
    ids: np.ndarray


def points(what: str, values: np.ndarray) -> np.ndarray:
    """Return (N, 3) finite float32 positions, N at least 1.

    Raises:
        InputError: another shape, no rows, or values that are not finite; `what` names them.
    """
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != 3 or not len(array):
        raise InputError(
            f"The {what} cannot be drawn.", found=f"shape {array.shape}", expected="(N, 3), N at least 1"
        )
    if not np.isfinite(array).all():
        bad = ~np.isfinite(array).all(axis=1)
        raise InputError(
            f"The {what} have values that are not finite.",
            found=f"{int(bad.sum())} of {len(array)} rows, the first is number {int(bad.argmax())}",
        )
    return array


def _color(what: str, values: np.ndarray | Sequence[float], count: int) -> np.ndarray:
    array = np.ascontiguousarray(values, dtype=np.float32)
    if (
        array.shape not in ((3,), (count, 3))
        or not np.isfinite(array).all()
        or array.min() < 0
        or array.max() > 1
    ):
        raise InputError(
            f"The colour of a {what} cannot be used.",
            found=f"shape {array.shape}" + (f", values {array.min()} to {array.max()}" if array.size else ""),
            expected=f"(3,) or ({count}, 3) with values from 0 to 1",
        )
    return array


def _frame(axis: np.ndarray) -> np.ndarray:
    """(3, 3) orthonormal rows, the last along `axis` (or z where it vanishes)."""
    length = np.linalg.norm(axis)
    forward = axis / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])
    side = np.cross(forward, [1.0, 0.0, 0.0] if abs(forward[0]) < 0.8 else [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(forward, side), forward])
