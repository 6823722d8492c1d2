"""Poses out of folders, archives, clips; the same clip on another mesh."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.mesh import RiggedMesh, write_mesh
from contrapposto.mesh.poses import read_poses, unpack
from contrapposto.mesh.shared_rig import borrowed_pose
from tests.mesh.shapes import bent, sphere


def folder(path, count=11):
    mesh = sphere(1)
    write_mesh(path / "template.obj", mesh)
    for number in range(count):
        write_mesh(path / f"pose {number}.obj", mesh.moved(bent(mesh.vertices, 0.1 * number)))
    return mesh


def test_a_folder_in_the_order_of_its_numbers(tmp_path):
    mesh = folder(tmp_path / "poses")
    poses = read_poses(tmp_path / "poses")
    assert poses.names == tuple(f"pose {number}" for number in range(11)) and poses.fps is None
    for number, vertices in enumerate(poses.vertices):
        assert np.abs(vertices - bent(mesh.vertices, 0.1 * number)).max() < 1e-6


def test_folders_with_one_mesh_each(tmp_path):
    mesh = sphere(1)
    for name in ("template", "0000002", "0000010"):
        write_mesh(tmp_path / name / "mesh.obj", mesh)
    assert read_poses(tmp_path).names == ("0000002", "0000010")


def test_one_pose_needs_a_template(tmp_path):
    mesh = folder(tmp_path, 1)
    with pytest.raises(InputError, match="template"):
        read_poses(tmp_path / "pose 0.obj")
    assert len(read_poses(tmp_path / "pose 0.obj", template=mesh).vertices) == 1
    write_mesh(tmp_path / "other.obj", sphere(2))
    with pytest.raises(InputError, match=r"other\.obj"):
        read_poses(tmp_path)


def test_nothing_to_read(tmp_path):
    for name in ("", "missing"):
        with pytest.raises(InputError, match=str(tmp_path / name)):
            read_poses(tmp_path / name)
    write_mesh(tmp_path / "a.obj", sphere(0))
    with pytest.raises(InputError, match="Which mesh"):
        read_poses(tmp_path)


def archive(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return path


def test_an_archive_is_read_as_its_folder(tmp_path):
    folder(tmp_path / "poses", 3)
    files = {f"poses/{file.name}": file.read_bytes() for file in (tmp_path / "poses").iterdir()}
    poses = read_poses(archive(tmp_path / "poses.zip", files))
    assert np.array_equal(poses.vertices, read_poses(tmp_path / "poses").vertices)


def test_zip_bombs_are_refused_before_they_go_off(tmp_path):
    bomb = archive(tmp_path / "bomb.zip", {"a.obj": b"0" * 2**24})
    with pytest.raises(InputError, match="archive is refused") as error:
        read_poses(bomb)
    assert "bomb.zip" in error.value.what


def test_archives_of_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("contrapposto.mesh.poses._MOST_FILES", 10)
    many = archive(tmp_path / "many.zip", {f"{number}.obj": b"v" for number in range(11)})
    with pytest.raises(InputError, match="archive is refused") as error:
        read_poses(many)
    assert "11 files" in error.value.found


def test_an_archive_that_lies_about_its_size(tmp_path):
    path = archive(tmp_path / "liar.zip", {"a.obj": np.random.default_rng(0).bytes(4096)})
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, place + 24, 16)  # the uncompressed size of the central directory
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_poses(path)


def test_names_that_lead_out_of_an_archive(tmp_path):
    (tmp_path / "inside").mkdir()
    with pytest.raises(InputError, match="leads out"):
        unpack(archive(tmp_path / "a.zip", {"../../outside.obj": b"v"}), tmp_path / "inside")
    assert not list(tmp_path.rglob("outside.obj"))
    (tmp_path / "half.zip").write_bytes(archive(tmp_path / "b.zip", {"a.obj": b"v"}).read_bytes()[:40])
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(tmp_path / "half.zip", tmp_path / "inside")


class TestSharedRig:
    def test_on_its_own_mesh_it_is_the_clip(self, shared_data):
        fox = RiggedMesh(shared_data / "meshes/mesh2motion/fox-animations.glb")
        times = [0.1, 0.4]
        assert np.abs(borrowed_pose(fox, fox, "Walk", times) - fox.pose("Walk", times)).max() < 1e-12

    def test_another_mesh_does_the_same(self, shared_data, tmp_path):
        folder = shared_data / "meshes/mesh2motion"
        fox, panda = RiggedMesh(folder / "fox-animations.glb"), RiggedMesh(folder / "fox-panda.glb")
        posed = borrowed_pose(panda, fox, "Sit", [1.2])[0]
        edges = panda.mesh.faces[:, :2]
        lengths = [
            np.linalg.norm(np.diff(v[edges], axis=1)[:, 0], axis=1) for v in (posed, panda.mesh.vertices)
        ]
        stretch = lengths[0] / np.maximum(lengths[1], 1e-9)
        assert abs(np.median(stretch) - 1) < 0.03  # limbs keep their own lengths
        assert np.abs(posed - panda.mesh.vertices).max() > 0.3
        with pytest.raises(InputError, match="Sit"):
            borrowed_pose(panda, fox, "Sti", [0.0])
        stranger = RiggedMesh(write_mesh(tmp_path / "ball.glb", sphere(0)))
        with pytest.raises(InputError, match="no joint of the same name"):
            borrowed_pose(stranger, fox, "Sit", [0.0])


def test_bytes_are_closed(tmp_path):
    """A zip whose entry is damaged is one error, and leaves nothing."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("a.obj", b"v 0 0 0\n" * 100)
    data = bytearray(buffer.getvalue())
    data[45] ^= 0xFF
    (tmp_path / "damaged.zip").write_bytes(data)
    with pytest.raises(InputError, match=r"damaged\.zip"):
        read_poses(tmp_path / "damaged.zip")
