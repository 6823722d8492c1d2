"""Readers and writers: round trips, trimesh as a second opinion, hostile files."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from contrapposto.errors import InputError
from contrapposto.mesh import Material, MeshAsset, RiggedMesh, read_mesh, write_mesh, write_mesh_glb
from contrapposto.mesh.asset import joined
from tests.mesh.shapes import bent, grid, sphere


def picture(color=(200, 30, 60)):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(buffer, "PNG")
    return buffer.getvalue()


def painted():
    """A grid with a seam in its texture, two materials, and a vertex that no face uses."""
    mesh = grid(4)
    vertices = np.concatenate([mesh.vertices, [[9.0, 9, 9]]])
    coordinates = np.concatenate([vertices[:, :2], vertices[:, :2] + 0.5])
    texture_faces = mesh.faces + np.where(np.arange(len(mesh.faces)) % 2, len(vertices), 0)[:, None]
    materials = (Material("red cloth", (1, 0.5, 0.25, 1), picture()), Material("skin", (0.8, 0.6, 0.5, 0.5)))
    paint = np.repeat([0, 1], len(mesh.faces) // 2)
    return MeshAsset(vertices, mesh.faces, coordinates, texture_faces, paint, materials, name="sheet")


def drawn(mesh):
    """Per corner: where it is and what is painted there."""
    corners = mesh.vertices[mesh.faces]
    coordinates = mesh.texture_coordinates[mesh.texture_faces]
    color = np.array([mesh.materials[m].color for m in mesh.face_materials])
    rows = np.concatenate(
        [corners.reshape(len(corners), -1), coordinates.reshape(len(corners), -1), color], axis=1
    )
    return rows[np.lexsort(rows.T[::-1])]


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_texture_materials_and_vertex_order_come_back(tmp_path, suffix):
    mesh = painted()
    back = read_mesh(write_mesh(tmp_path / f"my mesh{suffix}", mesh))
    count = len(mesh.vertices)
    assert np.abs(back.vertices[:count] - mesh.vertices).max() < 1e-6
    assert np.abs(drawn(back) - drawn(mesh)).max() < 1e-6
    assert [m.texture for m in back.materials] == [m.texture for m in mesh.materials]
    assert len({m.name for m in back.materials}) == 2
    if suffix == ".obj":
        assert np.array_equal(back.faces, mesh.faces) and np.array_equal(
            back.texture_faces, mesh.texture_faces
        )


@pytest.mark.parametrize("suffix", [".obj", ".glb", ".ply", ".stl", ".off"])
def test_shapes_come_back_and_trimesh_agrees(tmp_path, suffix):
    mesh = sphere(1)
    path = write_mesh(tmp_path / f"a{suffix}", mesh)
    back = read_mesh(path)
    assert np.abs(back.vertices[back.faces] - mesh.vertices[mesh.faces]).max() < 1e-6
    if suffix != ".stl":
        assert np.array_equal(back.faces, mesh.faces)
    other = trimesh.load(path, force="mesh")
    assert other.area == pytest.approx(trimesh.Trimesh(mesh.vertices, mesh.faces).area, rel=1e-5)


def test_vertex_colours(tmp_path):
    colors = np.random.default_rng(0).integers(0, 256, (42, 4)).astype(np.uint8)
    mesh = MeshAsset(sphere(1).vertices, sphere(1).faces, vertex_colors=colors)
    for suffix, channels in ((".ply", 4), (".glb", 4), (".obj", 3)):
        back = read_mesh(write_mesh(tmp_path / f"a{suffix}", mesh))
        assert np.abs(back.vertex_colors[:, :channels].astype(int) - colors[:, :channels]).max() <= 1


def test_colours_of_vertices_are_linear_in_glb_files(tmp_path):
    colors = np.tile(np.array([188, 0, 255, 128], np.uint8), (42, 1))  # 188: half of the light of 255
    mesh = MeshAsset(sphere(1).vertices, sphere(1).faces, vertex_colors=colors)
    path = write_mesh(tmp_path / "a.glb", mesh)
    raw = trimesh.load(path, force="mesh").visual.vertex_colors
    assert np.abs(raw.astype(int) - [128, 0, 255, 128]).max() <= 1
    assert np.array_equal(read_mesh(path).vertex_colors, colors)


def test_obj_as_people_write_it(tmp_path):
    path = tmp_path / "quad.obj"
    path.write_text(
        "# made by hand\nmtllib none.mtl\nv 0 0 0\nv 1 0 0 \\\n\nv 1 1 0\nv 0 1 0\nvt 0 0\nvn 0 0 1\ns off\n"
        "g first\nusemtl a b\nf 1/1/1 2/1/1 3/1/1 4/1/1\nf -4//1 -3//1 -2//1\n"
    )
    mesh = read_mesh(path)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]] and len(mesh.vertices) == 4
    assert mesh.texture_faces.tolist() == [[0] * 3, [0] * 3, [-1] * 3]
    assert mesh.materials[0].name == "a b" and mesh.face_materials.tolist() == [0, 0, 0]


def test_textures_are_only_pictures(tmp_path):
    (tmp_path / "secret").write_text("password")
    (tmp_path / "a.mtl").write_text("newmtl a\nmap_Kd secret\n")
    (tmp_path / "a.obj").write_text("mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n")
    assert read_mesh(tmp_path / "a.obj").materials[0].texture is None


def test_a_sequence_plays_back(tmp_path):
    mesh = painted()
    frames = np.stack([bent(mesh.vertices, amount) for amount in (0.0, 0.5, 1.0)])
    path = write_mesh_glb(tmp_path / "a.glb", mesh, frames, fps=10, credit="somebody")
    document = json.loads(path.read_bytes()[20:].split(b"BIN\0")[0][:-4].decode())
    assert document["asset"]["copyright"] == "somebody"
    primitive = document["meshes"][0]["primitives"][0]
    assert len(primitive["targets"]) == 3 and len(document["meshes"][0]["primitives"]) == 2
    rest, data = read_mesh(path), _accessors(path, document)
    for number, target in enumerate(primitive["targets"]):
        posed = data(target["POSITION"]) + data(primitive["attributes"]["POSITION"])
        assert np.abs(posed[: len(mesh.vertices)] - frames[number]).max() < 1e-6
    sampler = document["animations"][0]["samplers"][0]
    assert np.allclose(data(sampler["input"]).ravel(), [0, 0.1, 0.2])
    assert np.array_equal(data(sampler["output"]).reshape(3, 3), np.eye(3))
    assert len(rest.faces) == len(mesh.faces)
    for wrong in (frames[:, :-1], frames[:0], np.full_like(frames, np.nan)):
        with pytest.raises(InputError):
            write_mesh_glb(tmp_path / "b.glb", mesh, wrong)
    assert not (tmp_path / "b.glb").exists()


def _accessors(path, document):
    data = path.read_bytes()
    start = 20 + struct.unpack_from("<I", data, 12)[0] + 8

    def read(index):
        accessor = document["accessors"][index]
        offset = start + document["bufferViews"][accessor["bufferView"]]["byteOffset"]
        width = {"SCALAR": 1, "VEC3": 3}[accessor["type"]]
        return np.frombuffer(data, "<f4", accessor["count"] * width, offset).reshape(-1, width)

    return read


def test_joined_keeps_what_each_part_has():
    whole = joined([painted(), sphere(0), painted()])
    assert len(whole.faces) == 18 + 20 + 18 and whole.texture_faces[18:38].max() == -1
    assert np.array_equal(drawn(MeshAsset(*_slice(whole, 0, 18))), drawn(painted()))
    assert whole.face_materials[18:38].max() == -1


def _slice(mesh, start, stop):
    part = slice(start, stop)
    return (
        mesh.vertices,
        mesh.faces[part],
        mesh.texture_coordinates,
        mesh.texture_faces[part],
        mesh.face_materials[part],
        mesh.materials,
    )


class TestRigged:
    def test_poses_agree_with_another_reader_of_bodies(self, tmp_path):
        """A skinned clip of ours, posed by this reader, against the body model that it was made from."""
        from contrapposto.body import load_body, motion_vertices
        from contrapposto.io import write_motion
        from contrapposto.synthetic import generate

        motion = generate("walk", seconds=0.5, fps=30)
        path = write_motion(tmp_path / "walk.glb", motion)
        rigged = RiggedMesh(path)
        (clip,) = rigged.clips
        expected = motion_vertices(load_body(), motion)
        expected = expected @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # z up to y up
        actual = rigged.pose(clip, np.arange(motion.num_frames) / 30)
        error = np.linalg.norm(actual - expected, axis=-1)
        assert error.mean() < 1e-4 and error.max() < 0.02  # four weights for each vertex are kept in the file

    def test_clips_of_real_files(self, shared_data):
        fox = RiggedMesh(shared_data / "meshes/mesh2motion/fox-animations.glb")
        assert "Walk" in fox.clips and len(fox.clips) == 14
        frames = fox.frames("Walk", fps=10)
        assert frames.shape[1:] == fox.mesh.vertices.shape and np.isfinite(frames).all()
        edges = fox.mesh.faces[:, :2]
        lengths = [
            np.linalg.norm(v[edges[:, 0]] - v[edges[:, 1]], axis=1) for v in (*frames, fox.mesh.vertices)
        ]
        assert np.median(np.abs(lengths[3] / lengths[-1] - 1)) < 0.05
        assert np.abs(frames[0] - frames[3]).max() > 0.1
        with pytest.raises(InputError, match="Walk"):
            fox.pose("Wlak", [0.0])

    def test_parts_by_name(self, shared_data):
        path = shared_data / "meshes/kaykit/Knight.glb"
        body = read_mesh(path, only=["Knight_*"])
        assert 0 < len(body.faces) < len(read_mesh(path).faces)
        assert body.materials[0].texture is not None
        with pytest.raises(InputError, match="no triangles"):
            read_mesh(path, only=["Dragon"])


def _glb(document, binary=b""):
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def _document(**changes):
    base = {
        "asset": {"version": "2.0"},
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"componentType": 5126, "type": "VEC3", "count": 3, "bufferView": 0}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "buffers": [{"byteLength": 36}],
    }
    return base | changes


_TRIANGLE = np.eye(3, dtype="<f4").tobytes()
_HOSTILE = {
    "empty.glb": b"",
    "short.glb": _glb(_document(), _TRIANGLE)[:-20],
    "noise.glb": b"glTF" + bytes(range(200)),
    "list.gltf": b"[]",
    "truncated_buffer.glb": _glb(_document(buffers=[{"byteLength": 999}]), _TRIANGLE),
    "huge_count.glb": _glb(
        _document(accessors=[{"componentType": 5126, "type": "VEC3", "count": 10**12, "bufferView": 0}]),
        _TRIANGLE,
    ),
    "beyond.glb": _glb(
        _document(accessors=[{"componentType": 5126, "type": "VEC3", "count": 30, "bufferView": 0}]),
        _TRIANGLE,
    ),
    "index.glb": _glb(
        _document(
            meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
            accessors=[
                *_document()["accessors"],
                {"componentType": 5121, "type": "SCALAR", "count": 3, "bufferView": 0},
            ],
        ),
        b"\x09" * 36,
    ),
    "circle.glb": _glb(_document(nodes=[{"mesh": 0, "children": [1]}, {"children": [0]}]), _TRIANGLE),
    "missing.glb": _glb(_document(nodes=[{"mesh": 7}]), _TRIANGLE),
    "meshopt.glb": _glb(_document(extensionsRequired=["EXT_meshopt_compression"]), _TRIANGLE),
    "outside.glb": _glb(_document(buffers=[{"byteLength": 36, "uri": "../secret.bin"}])),
    "types.glb": _glb(_document(nodes=[{"mesh": 0, "children": 3}]), _TRIANGLE),
    "zero.glb": _glb(_document(nodes=[{"mesh": 0, "rotation": [0, 0, 0, 0]}]), _TRIANGLE),
    "empty.obj": b"",
    "noface.obj": b"v 0 0 0\nv 1 0 0\n",
    "word.obj": b"v 0 0 zero\n",
    "far.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n",
    "nil.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n",
    "binary.obj": b"\0\1\2" * 50,
    "short.stl": b"solid" + b"\xff" * 90,
    "liar.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 99999999\nproperty float x\nend_header\n12",
    "short.off": b"OFF\n5 5 0\n0 0 0\n",
    "a.fbx": b"something",
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_hostile_files_give_one_clear_error(tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(_TRIANGLE)
    path = tmp_path / "in" / name
    path.write_bytes(_HOSTILE[name])
    with pytest.raises(InputError, match=name.split(".")[0]):
        read_mesh(path)


def test_the_hostile_base_is_fine_itself(tmp_path):
    path = tmp_path / "good.glb"
    path.write_bytes(_glb(_document(), _TRIANGLE))
    assert np.array_equal(read_mesh(path).vertices, np.eye(3))
