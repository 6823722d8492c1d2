"""PLY and OFF files, and MTL lines, as other programs write them: one small file of each kind, made here."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.mesh import MeshAsset, read_mesh
from contrapposto.mesh.polygons import cut_polygon
from tests.mesh.test_other_programs import _FACES, _PNG, _TETRA, area, volume

PLACES = "property float x\nproperty float y\nproperty float z\n"
LIST = "property list uchar int vertex_indices\n"


def ply(path: Path, header: str, body: bytes | str, form: str = "ascii") -> Path:
    data = body if isinstance(body, bytes) else body.encode()
    path.write_bytes(f"ply\nformat {form} 1.0\n{header}end_header\n".encode() + data)
    return path


def rows(table: np.ndarray, more: list[str] | None = None) -> str:
    lines = [" ".join(f"{value:g}" for value in row) for row in table]
    return "".join(f"{line} {extra}\n" for line, extra in zip(lines, more or [""] * len(lines)))


def triangles(more: list[str] | None = None) -> str:
    return rows(np.concatenate([np.full((4, 1), 3), _FACES], axis=1), more)


TETRA = f"element vertex 4\n{PLACES}", f"element face 4\n{LIST}"


def flat_area(mesh: MeshAsset) -> tuple[float, float]:
    return area(mesh.vertices, [tuple(face) for face in mesh.faces.tolist()])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mixed", [False, True])
def test_binary_boxes_of_quads(order: str, mixed: bool, tmp_path: Path) -> None:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], f"{order}f4")
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces: list[tuple[int, ...]] = [*quads[:-1], (1, 5, 7), (1, 7, 3)] if mixed else [*quads]
    lists = b"".join(struct.pack(f"{order}B{len(face)}i", len(face), *face) for face in faces)
    header = f"element vertex 8\n{PLACES}element face {len(faces)}\n{LIST}"
    form = "binary_little_endian" if order == "<" else "binary_big_endian"
    mesh = read_mesh(ply(tmp_path / "a.ply", header, corners.tobytes() + lists, form))
    assert len(mesh.faces) == 12 and volume(mesh) == pytest.approx(1)
    np.testing.assert_array_equal(mesh.vertices, corners)
    for cut in (len(lists) // 2, len(lists) + 50):
        damaged = (corners.tobytes() + lists)[:-cut]
        with pytest.raises(InputError, match="cannot be read"):
            read_mesh(ply(tmp_path / "cut.ply", header, damaged, form))


def test_texture_coordinates_of_corners(tmp_path: Path) -> None:
    """MeshLab's: vertices stay what they are, although their coordinates differ from face to face."""
    (tmp_path / "Skin One.PNG").write_bytes(_PNG)
    pairs = np.random.default_rng(0).random((4, 6)).round(3)
    header = f"comment TextureFile skin one.png\n{TETRA[0]}{TETRA[1]}property list uchar float texcoord\n"
    body = rows(_TETRA) + triangles(["6 " + " ".join(map(str, row)) for row in pairs])
    mesh = read_mesh(ply(tmp_path / "a.ply", header, body))
    np.testing.assert_array_equal(mesh.vertices, _TETRA)
    np.testing.assert_array_equal(mesh.faces, _FACES)
    assert mesh.texture_coordinates is not None and mesh.texture_faces is not None
    np.testing.assert_allclose(mesh.texture_coordinates[mesh.texture_faces].reshape(4, 6), pairs, atol=1e-6)
    assert [material.texture for material in mesh.materials] == [_PNG]


@pytest.mark.parametrize("names", ["s t", "u v", "texture_u texture_v"])
def test_texture_coordinates_of_vertices(names: str, tmp_path: Path) -> None:
    properties = "".join(f"property float {name}\n" for name in names.split())
    body = rows(np.concatenate([_TETRA, _TETRA[:, :2] / 2], axis=1)) + triangles()
    mesh = read_mesh(ply(tmp_path / "a.ply", f"{TETRA[0]}{properties}{TETRA[1]}", body))
    np.testing.assert_allclose(mesh.texture_coordinates, _TETRA[:, :2] / 2)


@pytest.mark.parametrize(
    ("kind", "names", "full"),
    [
        ("uchar", "red green blue", 255),
        ("float", "red green blue", 1),
        ("uchar", "diffuse_red diffuse_green diffuse_blue", 255),
    ],
)
def test_colours(kind: str, names: str, full: int, tmp_path: Path) -> None:
    colors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    properties = "".join(f"property {kind} {name}\n" for name in names.split())
    body = rows(np.concatenate([_TETRA, colors * full], axis=1)) + triangles()
    mesh = read_mesh(ply(tmp_path / "a.ply", f"{TETRA[0]}{properties}{TETRA[1]}", body))
    np.testing.assert_array_equal(
        mesh.vertex_colors, np.concatenate([colors, np.ones((4, 1), int)], axis=1) * 255
    )
    body = rows(_TETRA) + triangles([" ".join(map(str, row)) for row in colors * full])
    painted = read_mesh(ply(tmp_path / "b.ply", f"{TETRA[0]}{TETRA[1]}{properties}", body))
    assert painted.face_materials is not None
    np.testing.assert_allclose(
        [painted.materials[number].color[:3] for number in painted.face_materials], colors, atol=1e-6
    )


def test_strips_and_concave_polygons(tmp_path: Path) -> None:
    points = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [1, 0.5, 0], [0, 2, 0]])
    header = f"element vertex 5\n{PLACES}element face 1\n{LIST}"
    assert flat_area(read_mesh(ply(tmp_path / "a.ply", header, rows(points) + "5 0 1 2 3 4\n"))) == (2.5, 2.5)
    (tmp_path / "a.off").write_text(f"OFF 5 1 0\n# a comment\n{rows(points)}5 0 1 2 3 4 255 0 0\n")
    assert flat_area(read_mesh(tmp_path / "a.off")) == (2.5, 2.5)
    grid = np.array([[x, y, 0] for y in (0, 1, 2) for x in (0, 1)])
    header = f"element vertex 6\n{PLACES}element tristrips 1\nproperty list int int vertex_indices\n"
    strip = read_mesh(ply(tmp_path / "b.ply", header, rows(grid) + "9 0 1 2 3 -1 2 3 4 5\n"))
    assert len(strip.faces) == 4 and flat_area(strip) == (2.0, 2.0)


def test_a_hole_that_a_bridge_joins_to_the_outline_stays_open() -> None:
    outline = [(0, 0), (3, 0), (3, 3), (0, 3), (0, 0), (1, 1), (1, 2), (2, 2), (2, 1), (1, 1)]
    points = np.array([(x, y, 0) for x, y in outline], float)
    assert area(points, cut_polygon(points)) == (8.0, 8.0)


def test_colours_of_off(tmp_path: Path) -> None:
    colors = np.array([[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255], [255, 255, 255, 128]])
    (tmp_path / "a.off").write_text(
        "COFF\n4 4 6\n" + rows(np.concatenate([_TETRA, colors], axis=1)) + triangles()
    )
    mesh = read_mesh(tmp_path / "a.off")
    np.testing.assert_array_equal(mesh.vertex_colors, colors)
    assert volume(mesh) == pytest.approx(1 / 6)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = rows(_TETRA) + triangles()
    for header, body, words in (
        (TETRA[0].replace("4", "999999999") + TETRA[1], whole, "999999999 elements"),
        (TETRA[0] + TETRA[1], whole.replace("3 1 2 3", "3 1 2 7"), "vertices 1 to 7|0 to 7"),
        (TETRA[0] + TETRA[1], whole.replace("3 1 2 3", "9 1 2 3"), "a list of 9"),
        (TETRA[0] + TETRA[1], rows(_TETRA), "0 of 4 lines"),
        (TETRA[0], rows(_TETRA), "no triangles"),
        (TETRA[0] + "element face 0\n" + LIST, rows(_TETRA), "no triangles"),
    ):
        with pytest.raises(InputError, match=words):
            read_mesh(ply(tmp_path / "a.ply", header, body))
    for text in ("OFF\n4 4 0\n" + rows(_TETRA), "OFF\n1 1 0\n0 0 0\n3 0 1 2\n", "mesh\n", "OFF\n0 0 0\n"):
        (tmp_path / "a.off").write_text(text)
        with pytest.raises(InputError):
            read_mesh(tmp_path / "a.off")


def test_options_and_spaces_of_mtl_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "My Skin.png").write_bytes(_PNG)
    faces = "v 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n"
    (tmp_path / "a.obj").write_text('mtllib "my looks.mtl"\n' + faces)
    for line, noted in (
        ("-s 2 2 1 -o 0.5 0 0 My Skin.png", 2),
        ("-clamp on -s 1 1 1 my skin.PNG", 0),
        ("C:\\work\\tex\\My Skin.png", 0),
        ("-bm 0.5 My Skin.png", 0),
        ("another.png", 1),
    ):
        (tmp_path / "my looks.mtl").write_text(f"newmtl a\nd -halo 0.5\nmap_Kd {line}\n")
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            (look,) = read_mesh(tmp_path / "a.obj").materials
        assert look.color[3] == 0.5 and len(caplog.records) == noted
        assert look.texture == (None if line == "another.png" else _PNG)
