"""Meshes as other programs write them, read right or refused: one small file of each kind, made here."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.mesh import MeshAsset, RiggedMesh, draco, read_mesh, write_mesh, write_mesh_glb
from contrapposto.mesh.asset import Material
from contrapposto.mesh.gltf import Gltf
from contrapposto.mesh.polygons import cut_polygon
from contrapposto.mesh.poses import read_poses
from tests.mesh.shapes import sphere

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
_TETRA = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
_FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint16)


def glb(path: Path, arrays: list[np.ndarray], **entries: Any) -> Path:
    """A GLB of arrays (as accessors 0, 1, ...) and further top-level entries."""
    kinds = {"float32": 5126, "uint16": 5123, "uint32": 5125}
    widths = {1: "SCALAR", 2: "VEC2", 3: "VEC3"}
    binary, views, accessors = b"", [], []
    for values in arrays:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": values.nbytes})
        width = 1 if values.ndim == 1 else values.shape[1]
        kind = kinds[str(values.dtype)]
        accessors.append(
            {"bufferView": len(views) - 1, "componentType": kind, "count": len(values), "type": widths[width]}
        )
        binary += values.tobytes() + bytes(-values.nbytes % 4)
    document = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
        **entries,
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return path


def volume(mesh: MeshAsset) -> float:
    """Positive where the faces look outward."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return float((np.cross(a, b) * c).sum() / 6)


def tetra(**primitive: Any) -> list[dict[str, Any]]:
    return [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, **primitive}]}]


def test_the_base_is_right(tmp_path: Path) -> None:
    mesh = read_mesh(glb(tmp_path / "a.glb", [_TETRA, _FACES.ravel()], meshes=tetra()))
    assert volume(mesh) == pytest.approx(1 / 6)


@pytest.mark.parametrize("scale", [[-1, 1, 1], [1, -2, 1], [-1, -1, 1]])
def test_a_mirroring_node_turns_the_faces(scale: list[float], tmp_path: Path) -> None:
    path = glb(
        tmp_path / "a.glb", [_TETRA, _FACES.ravel()], meshes=tetra(), nodes=[{"mesh": 0, "scale": scale}]
    )
    assert volume(read_mesh(path)) == pytest.approx(abs(np.prod(scale)) / 6)


def test_strips_and_fans(tmp_path: Path) -> None:
    strip = np.array([0, 1, 2, 3, 3, 4, 4, 5], np.uint16)  # with empty triangles, which are left out
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 2, 0], [1, 2, 0]], np.float32)
    for mode, indices, faces in (
        (5, strip[:4], [[0, 1, 2], [2, 1, 3]]),
        (6, np.array([0, 1, 3, 2], np.uint16), [[0, 1, 3], [0, 3, 2]]),
    ):
        path = glb(tmp_path / "a.glb", [points, indices], meshes=tetra(mode=mode))
        mesh = read_mesh(path)
        assert mesh.faces.tolist() == faces
        normals = np.cross(
            *(mesh.vertices[mesh.faces[:, i]] - mesh.vertices[mesh.faces[:, 0]] for i in (1, 2))
        )
        assert (normals[:, 2] > 0).all()
    long = read_mesh(glb(tmp_path / "a.glb", [points, strip], meshes=tetra(mode=5)))
    assert all(len(set(face)) == 3 for face in long.faces.tolist())


def test_default_morph_weights(tmp_path: Path) -> None:
    moves = np.ones((4, 3), np.float32)
    meshes = tetra(targets=[{"POSITION": 2}])
    for weights, shift in (([1.0], 1.0), ([0.25], 0.25), (None, 0.0)):
        named = [{**meshes[0], **({"weights": weights} if weights else {})}]
        mesh = read_mesh(glb(tmp_path / "a.glb", [_TETRA, _FACES.ravel(), moves], meshes=named))
        np.testing.assert_allclose(mesh.vertices, _TETRA + shift)


def test_clips_of_one_name_are_all_kept(tmp_path: Path) -> None:
    times, values = np.array([0, 1], np.float32), np.zeros((2, 3), np.float32)
    channel = {"sampler": 0, "target": {"node": 0, "path": "translation"}}
    clip = {"name": "take", "samplers": [{"input": 2, "output": 3}], "channels": [channel]}
    path = glb(
        tmp_path / "a.glb", [_TETRA, _FACES.ravel(), times, values], meshes=tetra(), animations=[clip] * 3
    )
    assert list(RiggedMesh(path).clips) == ["take", "take (2)", "take (3)"]


def test_texture_transform_is_applied_and_other_maps_are_carried(tmp_path: Path) -> None:
    coordinates = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    turn = {"scale": [0.25, 0.5], "offset": [0.5, 0.125]}
    material = {
        "name": "skin",
        "pbrMetallicRoughness": {
            "baseColorTexture": {"index": 0, "extensions": {"KHR_texture_transform": turn}},
            "metallicRoughnessTexture": {"index": 0},
        },
        "normalTexture": {"index": 0, "scale": 0.5, "extensions": {"KHR_texture_transform": turn}},
        "emissiveTexture": {"index": 0},
        "emissiveFactor": [1, 0, 0],
        "extensions": {"KHR_materials_clearcoat": {"clearcoatFactor": 0.3, "clearcoatTexture": {"index": 0}}},
    }
    meshes = [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 1, "material": 0}]}]
    uri = "data:image/png;base64," + base64.b64encode(_PNG).decode()
    path = glb(
        tmp_path / "a.glb",
        [_TETRA, _FACES.ravel(), coordinates],
        meshes=meshes,
        materials=[material],
        textures=[{"source": 0}],
        images=[{"uri": uri}],
        extensionsUsed=["KHR_texture_transform", "KHR_materials_clearcoat"],
    )
    mesh = read_mesh(path)
    expected = coordinates * turn["scale"] + turn["offset"]
    np.testing.assert_allclose(mesh.texture_coordinates, expected * [1, -1] + [0, 1], atol=1e-6)
    again = Gltf(write_mesh_glb(tmp_path / "b.glb", mesh))
    written = again.json["materials"][0]
    assert written["normalTexture"]["scale"] == 0.5 and "extensions" not in written["normalTexture"]
    relative = written["emissiveTexture"]["extensions"]["KHR_texture_transform"]
    np.testing.assert_allclose(expected * relative["scale"] + relative["offset"], coordinates, atol=1e-6)
    coat = written["extensions"]["KHR_materials_clearcoat"]
    assert coat["clearcoatFactor"] == 0.3 and again.image(coat["clearcoatTexture"]["index"]) == _PNG
    assert again.image(written["pbrMetallicRoughness"]["metallicRoughnessTexture"]["index"]) == _PNG
    assert len(again.json["images"]) == 1  # one image, however often it is used
    assert set(again.json["extensionsUsed"]) == {"KHR_texture_transform", "KHR_materials_clearcoat"}


def test_percent_encoded_names(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "My Buffer.bin").write_bytes(_TETRA.tobytes() + _FACES.tobytes())
    (tmp_path / "tex").mkdir()
    for file in (folder / "My Skin.png", tmp_path / "tex" / "skin.png"):
        file.write_bytes(_PNG)
    for image in ("My%20Skin.png", "../tex/skin.png"):
        document = {
            "asset": {"version": "2.0"},
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
            "accessors": [
                {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
                {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR"},
            ],
            "bufferViews": [
                {"buffer": 0, "byteLength": 48},
                {"buffer": 0, "byteOffset": 48, "byteLength": 24},
            ],
            "buffers": [{"byteLength": 72, "uri": "My%20Buffer.bin"}],
            "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
            "textures": [{"source": 0}],
            "images": [{"uri": image}],
        }
        (folder / "my box.gltf").write_text(json.dumps(document))
        mesh = read_mesh(folder / "my box.gltf")
        assert volume(mesh) == pytest.approx(1 / 6) and mesh.materials[0].texture == _PNG


def test_our_own_glb_comes_back_with_its_vertices_and_materials(tmp_path: Path) -> None:
    mesh = sphere(2)
    materials = tuple(Material(f"m{n}", (n / 8, 0, 0, 1)) for n in range(8))
    rng = np.random.default_rng(0)
    coordinates = rng.random((3 * len(mesh.faces), 2))  # every corner is a seam
    texture_faces = np.arange(3 * len(mesh.faces)).reshape(-1, 3)
    paint = np.sort(rng.integers(0, 8, len(mesh.faces)))
    whole = MeshAsset(mesh.vertices, mesh.faces, coordinates, texture_faces, paint, materials)
    frames = mesh.vertices[None] * np.array([1.0, 1.5, 2.0])[:, None, None]
    for sequence in (None, frames):
        back = read_mesh(write_mesh_glb(tmp_path / "a.glb", whole, sequence, 10.0))
        assert len(back.vertices) == len(mesh.vertices)
        np.testing.assert_allclose(back.vertices, mesh.vertices, atol=1e-6)
        np.testing.assert_array_equal(back.faces, mesh.faces)  # in the order of their materials, as here
        np.testing.assert_array_equal(back.face_materials, paint)
        corners = back.texture_coordinates[back.texture_faces]
        np.testing.assert_allclose(corners, coordinates[texture_faces], atol=1e-6)
    poses = read_poses(tmp_path / "a.glb")
    assert poses.fps == pytest.approx(10)
    np.testing.assert_allclose(poses.vertices, frames, atol=1e-5)


def test_a_small_file_does_not_take_much_memory(tmp_path: Path) -> None:
    import tracemalloc

    for count, primitives in ((2**27, 1), (2**21, 200)):
        accessors = [{"componentType": 5126, "count": count, "type": "VEC3"}] * 2
        meshes = [{"primitives": [{"attributes": {"POSITION": n % 2}, "targets": [{"POSITION": 0}] * 3}
                                  for n in range(primitives)]}]  # fmt: skip
        path = glb(tmp_path / "a.glb", [_TETRA], accessors=accessors, meshes=meshes)
        tracemalloc.start()
        with pytest.raises(InputError, match="Accessor"):
            read_mesh(path)
        assert tracemalloc.get_traced_memory()[1] < 2**30
        tracemalloc.stop()


def test_compressed_and_foreign_files_say_how_to_convert_them(tmp_path: Path) -> None:
    needed = ["EXT_meshopt_compression"]
    path = glb(tmp_path / "a.glb", [_TETRA], meshes=tetra(), extensionsRequired=needed)
    with pytest.raises(InputError, match="npx @gltf-transform/cli copy"):
        read_mesh(path)
    (tmp_path / "a.fbx").write_bytes(b"Kaydara FBX Binary")
    with pytest.raises(InputError, match="Blender: File > Import > FBX"):
        read_mesh(tmp_path / "a.fbx")


def compressed(path: Path, mesh: MeshAsset, data: bytes, **stated: Any) -> Path:
    """A GLB with a mesh that Draco has compressed, as Blender writes it; `stated`: other numbers of elements."""
    counts = {"POSITION": len(mesh.vertices), "TEXCOORD_0": len(mesh.vertices), "indices": mesh.faces.size}
    kinds = {"POSITION": (5126, "VEC3"), "TEXCOORD_0": (5126, "VEC2"), "indices": (5125, "SCALAR")}
    accessors = [
        {"count": stated.get(name, counts[name]), "componentType": kind, "type": width}
        for name, (kind, width) in kinds.items()
    ]
    ids = {"POSITION": 1, "TEXCOORD_0": 0}  # as DracoPy numbers them
    extension = {"bufferView": 0, "attributes": ids}
    primitive = {
        "attributes": {"POSITION": 0, "TEXCOORD_0": 1},
        "indices": 2,
        "extensions": {draco.EXTENSION: extension},
    }
    packed = np.frombuffer(data + bytes(-len(data) % 4), np.uint32)
    views = [{"buffer": 0, "byteOffset": 0, "byteLength": len(data)}]
    return glb(
        path,
        [packed],
        accessors=accessors,
        bufferViews=views,
        meshes=[{"primitives": [primitive]}],
        extensionsUsed=[draco.EXTENSION],
        extensionsRequired=[draco.EXTENSION],
    )


def test_draco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = pytest.importorskip("DracoPy")
    ball = sphere(2)
    coordinates = np.random.default_rng(0).random((len(ball.vertices), 2))
    faces = ball.faces.astype(np.uint32)
    data = codec.encode(ball.vertices, faces, 20, preserve_order=True, tex_coord=coordinates)
    mesh = read_mesh(compressed(tmp_path / "ball.glb", ball, data))
    np.testing.assert_array_equal(mesh.faces, ball.faces)
    np.testing.assert_allclose(mesh.vertices, ball.vertices, atol=1e-5)
    assert mesh.texture_coordinates is not None
    np.testing.assert_allclose(mesh.texture_coordinates, coordinates * [1, -1] + [0, 1], atol=1e-3)
    with pytest.raises(InputError, match="4 stated"):
        read_mesh(compressed(tmp_path / "other.glb", ball, data, POSITION=4))
    with pytest.raises(InputError, match="Draco"):
        read_mesh(compressed(tmp_path / "cut.glb", ball, data[: len(data) // 2]))
    monkeypatch.setattr(draco, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(InputError, match="pip install"):
        read_mesh(tmp_path / "ball.glb")


def test_several_mtl_files(tmp_path: Path) -> None:
    (tmp_path / "a.mtl").write_text("newmtl A\nKd 1 0 0\n")
    (tmp_path / "b c.mtl").write_text("newmtl B\nKd 0 1 0\nTr 0.5\n")
    (tmp_path / "b.mtl").write_text("newmtl B\nKd 0 1 0\nTr 0.5\n")
    faces = "v 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl A\nf 1 2 3\nusemtl B\nf 1 3 2\n"
    for line in ("mtllib a.mtl b.mtl\n", "mtllib a.mtl\nmtllib b c.mtl\n"):
        (tmp_path / "x.obj").write_text(line + faces)
        looks = {material.name: material.color for material in read_mesh(tmp_path / "x.obj").materials}
        assert looks == {"A": (1, 0, 0, 1), "B": (0, 1, 0, 0.5)}


def area(points: np.ndarray, triangles: list[tuple[int, int, int]]) -> tuple[float, float]:
    """Sum of signed, and of absolute areas along z."""
    signed = [np.cross(points[b] - points[a], points[c] - points[a])[2] / 2 for a, b, c in triangles]
    return float(np.sum(signed)), float(np.abs(signed).sum())


@pytest.mark.parametrize("shift", range(5))
def test_concave_polygons_are_cut_without_turning_over(shift: int, tmp_path: Path) -> None:
    points = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [1, 0.5, 0], [0, 2, 0]], float)
    lines = [f"v {x} {y} {z}" for x, y, z in points]
    corners = " ".join(str((n + shift) % 5 + 1) for n in range(5))
    (tmp_path / "a.obj").write_text("\n".join([*lines, f"f {corners}"]) + "\n")
    mesh = read_mesh(tmp_path / "a.obj")
    signed, absolute = area(mesh.vertices, [tuple(face) for face in mesh.faces.tolist()])
    assert signed == pytest.approx(2.5) and absolute == pytest.approx(2.5) and len(mesh.faces) == 3


def test_ears_of_random_stars() -> None:
    rng = np.random.default_rng(1)
    for count in (5, 8, 21):
        angles = np.sort(rng.random(count)) * 2 * np.pi
        radii = rng.uniform(0.2, 1, count)
        points = np.stack([radii * np.cos(angles), radii * np.sin(angles), np.zeros(count)], axis=1)
        triangles = cut_polygon(points)
        if not triangles:
            continue
        signed, absolute = area(points, triangles)
        following = np.roll(points, -1, axis=0)
        outline = (points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]).sum() / 2
        assert (
            len(triangles) == count - 2
            and signed == pytest.approx(outline)
            and absolute == pytest.approx(signed)
        )


def test_far_vertices_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1e39 0\nf 1 2 3\n")
    with pytest.raises(InputError, match="infinitely far"):
        read_mesh(tmp_path / "a.obj")


def test_ply_coordinates_and_face_colours(tmp_path: Path) -> None:
    header = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    textured = "property float s\nproperty float t\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "a.ply").write_text(header + textured + "0 0 0 0 0\n1 0 0 1 0\n0 1 0 0 1\n3 0 1 2\n")
    np.testing.assert_allclose(read_mesh(tmp_path / "a.ply").texture_coordinates, [[0, 0], [1, 0], [0, 1]])
    colours = "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    painted = f"element face 2\nproperty list uchar int vertex_indices\n{colours}end_header\n"
    rows = "0 0 0\n1 0 0\n0 1 0\n3 0 1 2 255 0 0\n3 0 2 1 0 255 0\n"
    (tmp_path / "b.ply").write_text(header + painted + rows)
    mesh = read_mesh(tmp_path / "b.ply")
    shades = [mesh.materials[number].color[:3] for number in mesh.face_materials]
    assert shades == [(1, 0, 0), (0, 1, 0)]


def test_vrm_is_a_glb(tmp_path: Path) -> None:
    path = write_mesh(tmp_path / "a.glb", sphere(1))
    path.rename(tmp_path / "a.vrm")
    assert len(read_mesh(tmp_path / "a.vrm").vertices) == len(sphere(1).vertices)
