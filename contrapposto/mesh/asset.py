"""A mesh as people have it: with texture coordinates, materials and its own order of vertices."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from contrapposto.errors import InputError


@dataclass(frozen=True, eq=False)
class Material:
    """How a surface looks.

    Args:
        name: unique within its mesh.
        color: red, green, blue, alpha, linear, 0 to 1; multiplies the texture.
        texture: an encoded PNG or JPEG image; None: none.
        settings: further glTF settings (metallic and roughness factors, alpha mode, double-sidedness).
    """

    name: str = "material"
    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    texture: bytes | None = None
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def texture_suffix(self) -> str:
        """`.png` or `.jpg`."""
        return ".jpg" if self.texture is not None and self.texture[:2] == b"\xff\xd8" else ".png"


@dataclass(frozen=True, eq=False)
class MeshAsset:
    """Triangles and what is painted on them.

    Args:
        vertices: (V, 3) float64, in the file's order, units and axes.
        faces: (F, 3) int64.
        texture_coordinates: (T, 2), first right, then up; None: none.
        texture_faces: (F, 3) int64 into them, -1 where a face has none.
        face_materials: (F,) int64 into `materials`, -1 where a face has none.
        materials: may be empty.
        vertex_colors: (V, 4) uint8, sRGB as in images; None: none.
        name: of the object.

    Raises:
        InputError: shapes that do not fit, or an index with nothing behind it.
    """

    vertices: np.ndarray
    faces: np.ndarray
    texture_coordinates: np.ndarray | None = None
    texture_faces: np.ndarray | None = None
    face_materials: np.ndarray | None = None
    materials: tuple[Material, ...] = ()
    vertex_colors: np.ndarray | None = None
    name: str = "mesh"

    def __post_init__(self) -> None:
        vertices, faces = np.asarray(self.vertices, np.float64), np.asarray(self.faces)
        if (
            vertices.ndim != 2
            or vertices.shape[1] != 3
            or faces.ndim != 2
            or faces.shape[1] != 3
            or not len(faces)
        ):
            raise InputError(
                "A mesh needs triangles.",
                found=f"vertices {vertices.shape}, faces {faces.shape}",
                expected="(V, 3) and (F, 3), at least one face",
            )
        _within("face", faces, len(vertices), lowest=0)
        if (self.texture_coordinates is None) != (self.texture_faces is None):
            raise InputError("Texture coordinates and their faces come together or not at all.")
        if self.texture_coordinates is not None and self.texture_faces is not None:
            _within("texture index", self.texture_faces, len(self.texture_coordinates), shape=faces.shape)
        if self.face_materials is not None:
            _within("material index", self.face_materials, len(self.materials), shape=(len(faces),))
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces.astype(np.int64))

    def moved(self, vertices: np.ndarray) -> MeshAsset:
        """The same mesh with other vertices (V, 3)."""
        if np.shape(vertices) != self.vertices.shape:
            raise InputError(
                "Moved vertices changed shape.",
                found=str(np.shape(vertices)),
                expected=str(self.vertices.shape),
            )
        return replace(self, vertices=vertices)


def joined(parts: list[MeshAsset], name: str = "mesh") -> MeshAsset:
    """Several meshes as one, vertices and faces in the order of the parts; materials of the same name stay apart."""
    if len(parts) == 1:
        return parts[0]
    textured = any(part.texture_faces is not None for part in parts)
    painted = any(part.face_materials is not None for part in parts)
    colored = any(part.vertex_colors is not None for part in parts)
    faces, coordinates, texture_faces, paint = [], [], [], []
    materials: list[Material] = []
    vertex_count = texture_count = 0
    known: dict[int, int] = {}
    for part in parts:
        faces.append(part.faces + vertex_count)
        vertex_count += len(part.vertices)
        if part.texture_faces is not None and part.texture_coordinates is not None:
            texture_faces.append(np.where(part.texture_faces < 0, -1, part.texture_faces + texture_count))
            coordinates.append(part.texture_coordinates)
            texture_count += len(part.texture_coordinates)
        else:
            texture_faces.append(np.full_like(part.faces, -1))
        for material in part.materials:
            if id(material) not in known:
                known[id(material)] = len(materials)
                materials.append(material)
        table = np.array([*(known[id(material)] for material in part.materials), -1])
        own = np.full(len(part.faces), -1) if part.face_materials is None else part.face_materials
        paint.append(table[own])
    white = [np.full((len(part.vertices), 4), 255, np.uint8) for part in parts]
    colors = [
        blank if part.vertex_colors is None else part.vertex_colors for part, blank in zip(parts, white)
    ]
    return MeshAsset(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate(faces),
        np.concatenate(coordinates) if textured else None,
        np.concatenate(texture_faces) if textured else None,
        np.concatenate(paint) if painted else None,
        tuple(materials),
        np.concatenate(colors) if colored else None,
        name,
    )


def _within(
    what: str, index: np.ndarray, count: int, *, lowest: int = -1, shape: tuple[int, ...] | None = None
) -> None:
    if shape is not None and np.shape(index) != shape:
        raise InputError(
            f"The {what} of a mesh has the wrong shape.", found=str(np.shape(index)), expected=str(shape)
        )
    if len(index) and (index.min() < lowest or index.max() >= count):
        raise InputError(
            f"A {what} of the mesh names something that is not there.",
            found=f"{index.min()} to {index.max()}",
            expected=f"{lowest} to {count - 1}",
        )
