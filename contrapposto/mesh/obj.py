"""Wavefront OBJ with its MTL and textures; vertex order, texture seams and materials are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from contrapposto.checks import note, read_text, shorten
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.mesh.asset import Material, MeshAsset
from contrapposto.mesh.beside import image_beside
from contrapposto.mesh.clean import MAX_FACES
from contrapposto.mesh.polygons import MOST_CORNERS, cut_polygon
from contrapposto.progress import late

_AT_ONCE = 100_000  # lines between two reports of progress

_MAP_OPTIONS = dict.fromkeys(
    ("-blendu", "-blendv", "-boost", "-texres", "-clamp", "-bm", "-imfchan", "-type"), 1
)
_MAP_OPTIONS |= {"-mm": 2, "-o": 3, "-s": 3, "-t": 3}  # at most so many values


@dataclass
class _Parsed:
    vertices: list[list[float]] = field(default_factory=list)
    colors: list[list[float]] = field(default_factory=list)
    coordinates: list[list[float]] = field(default_factory=list)
    faces: list[tuple[int, int, int]] = field(default_factory=list)
    texture_faces: list[tuple[int, int, int]] = field(default_factory=list)
    paint: list[int] = field(default_factory=list)
    materials: dict[str, int] = field(default_factory=dict)
    libraries: list[list[str]] = field(default_factory=list)
    current: int = -1
    name: str = ""


def read_obj(path: str | Path) -> MeshAsset:
    """Read a mesh; polygons become triangles (concave ones by cutting ears); groups and smoothing are ignored.

    Raises:
        InputError: not text, a line that cannot be read (named), no faces, or indices with nothing behind them.
    """
    path = Path(path)
    parsed = _Parsed()
    for number, words in _lines(read_text(path, "OBJ")):
        try:
            _statement(parsed, words)
        except (ValueError, IndexError) as error:
            line = shorten(" ".join(words))
            raise InputError(f"{path}: line {number} cannot be read.", found=line, expected="OBJ") from error
        if len(parsed.faces) > MAX_FACES:
            raise InputError(
                f"{path} has too many faces.", expected=f"at most {MAX_FACES}", fix="decimate it first"
            )
    if not parsed.faces or not parsed.vertices:
        raise InputError(
            f"{path} has no faces.", found=f"{len(parsed.vertices)} vertices", expected="an OBJ mesh"
        )
    return _asset(parsed, path)


def write_obj(path: str | Path, mesh: MeshAsset) -> Path:
    """Write a mesh, its MTL file and its textures beside it (same stem), each atomically."""
    return write_obj_poses([Path(path)], mesh, mesh.vertices[None])[0]


def write_obj_poses(paths: Sequence[Path], mesh: MeshAsset, poses: Iterable[np.ndarray]) -> list[Path]:
    """Write poses (V, 3) of a mesh, each atomically; all share the MTL file and the textures beside the first.

    What no pose changes, faces above all, is formatted once.
    """
    library = paths[0].with_suffix(".mtl")
    begin = ["# Contrapposto"]
    if mesh.materials:
        _write_materials(library, mesh.materials)
        begin.append(f"mtllib {library.name}")
    begin.append(f"o {mesh.name or 'mesh'}")
    end: list[str] = []
    if mesh.texture_coordinates is not None:
        end += [f"vt {u:.9g} {v:.9g}" for u, v in mesh.texture_coordinates.tolist()]
    head, tail = "\n".join(begin) + "\n", "\n".join([*end, *_face_lines(mesh)]) + "\n"
    for path, pose in zip(paths, poses, strict=True):
        with atomic_path(path) as temporary:
            temporary.write_text(head + _vertex_text(mesh.moved(pose)) + tail, encoding="utf-8")
    return list(paths)


def _vertex_text(mesh: MeshAsset) -> str:
    """The lines of all vertices, by one formatting."""
    line, values = "v %.9g %.9g %.9g\n", np.asarray(mesh.vertices, np.float64)
    if mesh.vertex_colors is not None:
        line = "v %.9g %.9g %.9g %.4g %.4g %.4g\n"
        values = np.concatenate([values, mesh.vertex_colors[:, :3] / 255], axis=1)
    return (line * len(values)) % tuple(values.ravel().tolist())


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    pending = ""
    lines, step = text.splitlines(), late("reading a mesh, lines")
    for number, line in enumerate(lines, 1):
        if number % _AT_ONCE == 0 or number == len(lines):
            step(number, len(lines))
        line = pending + line.split("#", 1)[0]
        if line.endswith("\\"):
            pending = line[:-1] + " "
            continue
        pending = ""
        words = line.split()
        if words:
            yield number, words


def _statement(parsed: _Parsed, words: list[str]) -> None:
    kind = words[0]
    if kind == "v":
        values = [float(word) for word in words[1:8]]
        parsed.vertices.append([values[0], values[1], values[2]])
        if len(values) >= 6:
            parsed.colors.append(values[3:6])
    elif kind == "vt":
        parsed.coordinates.append([float(words[1]), float(words[2]) if len(words) > 2 else 0.0])
    elif kind == "f":
        _face(parsed, words[1:])
    elif kind == "usemtl":
        name = " ".join(words[1:])
        parsed.current = parsed.materials.setdefault(name, len(parsed.materials))
    elif kind == "mtllib":
        parsed.libraries.append(words[1:])
    elif kind == "o" and not parsed.name:
        parsed.name = " ".join(words[1:])


def _face(parsed: _Parsed, corners: list[str]) -> None:
    points, textures = [], []
    for corner in corners:
        parts = corner.split("/")
        points.append(_index(int(parts[0]), len(parsed.vertices)))
        inputs = len(parts) > 1 and parts[1]
        textures.append(_index(int(parts[1]), len(parsed.coordinates)) if inputs else -1)
    if len(points) < 3:
        raise ValueError("a face needs three corners")
    for first, second, third in _triangles(parsed, points):
        parsed.faces.append((points[first], points[second], points[third]))
        texture = (textures[first], textures[second], textures[third])
        parsed.texture_faces.append(texture if min(texture) >= 0 else (-1, -1, -1))
        parsed.paint.append(parsed.current)


def _triangles(parsed: _Parsed, points: list[int]) -> list[tuple[int, int, int]]:
    """Corners of the triangles of a polygon: a fan where it is convex, else ears are cut off one by one."""
    fan = [(0, last - 1, last) for last in range(2, len(points))]
    if len(points) == 3 or len(points) > MOST_CORNERS or max(points) >= len(parsed.vertices):
        return fan
    return cut_polygon(np.array([parsed.vertices[point] for point in points])) or fan


def _index(value: int, count: int) -> int:
    """OBJ counts from 1, and from -1 backwards from the last one so far."""
    if value > 0:
        return value - 1
    if value == 0 or -value > count:
        raise ValueError("an index with nothing behind it")
    return count + value


def _asset(parsed: _Parsed, path: Path) -> MeshAsset:
    texture_faces = np.array(parsed.texture_faces)
    textured = bool(parsed.coordinates) and bool((texture_faces >= 0).any())
    colors = None
    if parsed.colors and len(parsed.colors) == len(parsed.vertices):
        shades = np.clip(np.array(parsed.colors), 0, 1) * 255
        colors = np.concatenate([shades, np.full((len(shades), 1), 255)], axis=1).round().astype(np.uint8)
    looks: dict[str, Material] = {}
    for words in parsed.libraries:  # several files, or one whose name holds spaces
        whole = path.parent / " ".join(words).strip('"')
        for library in [whole] if _is_file(whole) else [path.parent / word for word in words]:
            looks |= _read_materials(library)
    materials = tuple(looks.get(name, Material(name)) for name in parsed.materials)
    return MeshAsset(
        np.array(parsed.vertices),
        np.array(parsed.faces),
        np.array(parsed.coordinates) if textured else None,
        texture_faces if textured else None,
        np.array(parsed.paint) if materials else None,
        materials,
        colors,
        parsed.name or path.stem,
    )


def _is_file(path: Path) -> bool:
    """Whether a file exists; a name that no file can have (too long, or with a null character) is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _read_materials(path: Path) -> dict[str, Material]:
    """Materials of an MTL file by name; a file that is missing has none, as in every viewer."""
    if not _is_file(path):
        return {}
    matches: dict[str, dict[str, object]] = {}
    current: dict[str, object] = {}
    for _, words in _lines(read_text(path, "MTL")):
        if words[0] == "newmtl":
            current = matches.setdefault(" ".join(words[1:]), {})
        elif words[0] in ("Kd", "d", "Tr"):
            try:
                numbers = [float(word) for word in words[1:4] if word != "-halo"]
            except ValueError:
                continue
            current["d" if words[0] == "Tr" else words[0]] = (
                [1 - number for number in numbers] if words[0] == "Tr" else numbers
            )
        elif words[0] == "map_Kd":
            current["map"] = _image(path.parent, words)
    return {name: _material(name, values) for name, values in matches.items()}


def _material(name: str, values: dict[str, object]) -> Material:
    shade, alpha, image = values.get("Kd"), values.get("d"), values.get("map")
    color = shade if isinstance(shade, list) and len(shade) == 3 else [1.0, 1.0, 1.0]
    opacity = alpha[0] if isinstance(alpha, list) and alpha else 1.0
    return Material(name, (*color, opacity), image if isinstance(image, bytes) else None)


def _image(folder: Path, words: list[str]) -> bytes | None:
    """The texture of a `map_Kd` line, whose name may hold spaces, behind options such as `-s 2 2 1`."""
    rest = words[1:]
    while rest and (option := rest[0].lower()) in _MAP_OPTIONS:
        rest, values = rest[1:], list[str]()
        while len(values) < _MAP_OPTIONS[option] and len(rest) > 1 and (not values or _is_number(rest[0])):
            rest, values = rest[1:], [*values, rest[0]]
        plain = {float(word) for word in values if _is_number(word)} == {1.0 if option == "-s" else 0.0}
        if option in ("-s", "-o", "-t") and not plain:
            note(f"a texture has the option {option} {' '.join(values)}, which is left out")
    return image_beside(folder, " ".join(rest), rest[-1]) if rest else None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _write_materials(path: Path, materials: tuple[Material, ...]) -> None:
    lines = []
    for number, (key, material) in enumerate(zip(_keys(materials), materials)):
        red, green, blue, alpha = material.color
        lines += [
            f"newmtl {key}",
            f"Kd {red:.6g} {green:.6g} {blue:.6g}",
            f"d {alpha:.6g}",
        ]
        if material.texture is not None:
            image = path.with_name(f"{path.stem}_{number}{material.texture_suffix}")
            with atomic_path(image) as temporary:
                temporary.write_bytes(material.texture)
            lines.append(f"map_Kd {image.name}")
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _keys(materials: tuple[Material, ...]) -> list[str]:
    """A name without spaces for each material, no two alike."""
    keys: list[str] = []
    for number, material in enumerate(materials):
        key = "_".join(material.name.split()) or "material"
        keys.append(f"{key}_{number}" if key in keys else key)
    return keys


def _face_lines(mesh: MeshAsset) -> list[str]:
    lines: list[str] = []
    keys, current = _keys(mesh.materials), -1
    paint = np.full(len(mesh.faces), -1) if mesh.face_materials is None else mesh.face_materials
    textures = np.full_like(mesh.faces, -1) if mesh.texture_faces is None else mesh.texture_faces
    for corners, coordinates, material in zip(
        (mesh.faces + 1).tolist(), (textures + 1).tolist(), paint.tolist(), strict=True
    ):
        if material != current and material >= 0:
            lines.append(f"usemtl {keys[material]}")
            current = material
        if min(coordinates) > 0:
            lines.append("f " + " ".join(f"{v}/{t}" for v, t in zip(corners, coordinates)))
        else:
            lines.append("f {} {} {}".format(*corners))
    return lines
