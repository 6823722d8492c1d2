"""Skinned GLB files, read back by an independent evaluation of the format, and by trimesh."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from contrapposto.body import BodyModel, load_body, motion_vertices
from contrapposto.errors import InputError
from contrapposto.io import write_motion
from contrapposto.io.glb import continuous, write_glb
from contrapposto.mesh.gltf_document import top_four
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22, SMPLH52, Skeleton

DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Reader:
    """The least of glTF that evaluates a skinned animation, written from the specification alone."""

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", raw)
        assert (magic, version, length) == (b"glTF", 2, len(raw))
        size, kind = struct.unpack_from("<I4s", raw, 12)
        assert kind == b"JSON" and size % 4 == 0
        self.json: dict[str, Any] = json.loads(raw[20 : 20 + size])
        binary_size, kind = struct.unpack_from("<I4s", raw, 20 + size)
        assert kind == b"BIN\0" and binary_size % 4 == 0
        self.binary = raw[28 + size :]
        assert len(self.binary) == binary_size == self.json["buffers"][0]["byteLength"]

    def array(self, index: int) -> np.ndarray:
        accessor = self.json["accessors"][index]
        view = self.json["bufferViews"][accessor["bufferView"]]
        dtype, width = DTYPES[accessor["componentType"]], WIDTHS[accessor["type"]]
        assert view["byteOffset"] % 4 == 0
        values = np.frombuffer(self.binary, dtype, accessor["count"] * width, view["byteOffset"])
        values = values.reshape(accessor["count"], width)
        if "min" in accessor:
            np.testing.assert_array_equal(values.min(0), np.array(accessor["min"], dtype))
            np.testing.assert_array_equal(values.max(0), np.array(accessor["max"], dtype))
        return values

    def local(self, time: float) -> list[np.ndarray]:
        """Local matrices of all nodes at a time."""
        state = [dict(node) for node in self.json["nodes"]]
        for channel in self.json["animations"][0]["channels"]:
            sampler = self.json["animations"][0]["samplers"][channel["sampler"]]
            times, values = self.array(sampler["input"])[:, 0], self.array(sampler["output"])
            path, node = channel["target"]["path"], channel["target"]["node"]
            clamped = np.clip(time, times[0], times[-1])
            if path == "rotation" and len(times) > 1:
                state[node][path] = Slerp(times, Rotation.from_quat(values))(clamped).as_quat()
            elif path == "translation":
                state[node][path] = [np.interp(clamped, times, column) for column in values.T]
            else:
                state[node][path] = values[0]
        result = []
        for node in state:
            matrix = np.eye(4)
            matrix[:3, :3] = Rotation.from_quat(node.get("rotation", [0, 0, 0, 1])).as_matrix()
            matrix[:3, 3] = node.get("translation", [0, 0, 0])
            result.append(matrix)
        return result

    def vertices(self, skinned_node: dict[str, Any], time: float | None) -> np.ndarray:
        """World positions (V, 3) of a skinned mesh, y up; at rest without a time."""
        local, world = self.local(0 if time is None else time), {}
        if time is None:
            for matrix, node in zip(local, self.json["nodes"]):
                matrix[:3, :3] = np.eye(3)
                matrix[:3, 3] = node.get("translation", [0, 0, 0])

        def visit(node: int, above: np.ndarray) -> None:
            world[node] = above @ local[node]
            for child in self.json["nodes"][node].get("children", []):
                visit(child, world[node])

        for root in self.json["scenes"][0]["nodes"]:
            visit(root, np.eye(4))
        skin = self.json["skins"][skinned_node["skin"]]
        binds = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = np.stack([world[joint] @ bind for joint, bind in zip(skin["joints"], binds)])
        attributes = self.json["meshes"][skinned_node["mesh"]]["primitives"][0]["attributes"]
        rest = np.pad(self.array(attributes["POSITION"]), ((0, 0), (0, 1)), constant_values=1)
        weights = self.array(attributes["WEIGHTS_0"]).astype(np.float64)
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
        blended = np.einsum("vk,vkab->vab", weights, joints[self.array(attributes["JOINTS_0"])])
        return np.einsum("vab,vb->va", blended, rest)[:, :3]

    def skinned(self) -> list[dict[str, Any]]:
        return [node for node in self.json["nodes"] if "skin" in node]


def y_up(points: np.ndarray) -> np.ndarray:
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def walk(frames: int = 12, seed: int = 0, skeleton: Skeleton = SMPLH52, **extra: Any) -> Motion:
    """A smooth random clip, upright, that turns more than once about itself."""
    generator = np.random.default_rng(seed)
    phase = np.linspace(0, 2, frames)[:, None, None]
    rotations = generator.normal(0, 0.4, (1, skeleton.num_joints, 3)) * np.sin(phase * 2)
    heading = Rotation.from_euler("z", phase[:, 0] * 4) * Rotation.from_euler("x", np.pi / 2)
    rotations[:, 0] = heading.as_rotvec()
    translation = np.concatenate([phase[:, 0], 0.5 * phase[:, 0] ** 2, 0.9 + 0 * phase[:, 0]], axis=1)
    return Motion(rotations, translation, 30.0, skeleton, **extra)


@pytest.mark.parametrize("frame", [0, 7, 11])
def test_the_file_says_what_the_body_does(tmp_path: Path, frame: int) -> None:
    clip, body = walk(), load_body()
    path = write_glb(tmp_path / "walk.glb", clip)
    reader = Reader(path)
    (node,) = reader.skinned()
    actual = reader.vertices(node, frame / 30)
    np.testing.assert_allclose(actual, y_up(motion_vertices(body, clip, [frame])[0]), atol=2e-4)
    attributes = reader.json["meshes"][0]["primitives"][0]
    np.testing.assert_array_equal(reader.array(attributes["indices"]).reshape(-1, 3), body.faces)
    names = [reader.json["nodes"][joint]["name"] for joint in reader.json["skins"][0]["joints"]]
    assert tuple(names) == SMPLH52.joint_names


def test_at_rest_the_figure_stands_upright_as_modelled(tmp_path: Path) -> None:
    reader = Reader(write_glb(tmp_path / "walk.glb", walk()))
    (node,) = reader.skinned()
    np.testing.assert_allclose(reader.vertices(node, None), load_body().v_template, atol=1e-5)


def test_half_way_between_frames_follows_the_resampled_clip(tmp_path: Path) -> None:
    clip = walk()
    reader = Reader(write_glb(tmp_path / "walk.glb", clip))
    for sampler in reader.json["animations"][0]["samplers"][
        1:
    ]:  # some viewers do not look for the shorter way
        keys = reader.array(sampler["output"])
        assert (keys[1:] * keys[:-1]).sum(1).min() > 0
    actual = reader.vertices(reader.skinned()[0], 5.5 / 30)
    expected = motion_vertices(load_body(), clip.at_times(np.array([5.5 / 30]), 30.0))[0]
    np.testing.assert_allclose(actual, y_up(expected), atol=5e-4)


def test_joints_that_rest_have_no_track_and_fps_thins_the_keys(tmp_path: Path) -> None:
    reader = Reader(write_glb(tmp_path / "a.glb", walk(61, skeleton=SMPL22), fps=10))
    channels = reader.json["animations"][0]["channels"]
    assert len(channels) == 1 + 22  # the fingers keep still
    sampler = reader.json["animations"][0]["samplers"][0]
    np.testing.assert_allclose(reader.array(sampler["input"])[:, 0], np.arange(21) / 10, atol=1e-6)


def test_several_figures_shapes_and_credits(tmp_path: Path) -> None:
    tall = np.array([2.0], np.float32)
    first = walk(5, metadata={"licence": "CC0", "attribution": "Somebody"})
    second = walk(5, seed=1, betas=tall, metadata={"shape_space": "contrapposto", "licence": "CC0"})
    reader = Reader(write_glb(tmp_path / "two.glb", {"before": first, "after": second}))
    assert reader.json["asset"]["copyright"] == "Somebody; CC0"
    assert [node["name"] for node in reader.skinned()] == ["before", "after"]
    for node, clip in zip(reader.skinned(), (first, second)):
        expected = y_up(motion_vertices(load_body(), clip, [3])[0])
        np.testing.assert_allclose(reader.vertices(node, 3 / 30), expected, atol=2e-4)


def test_one_frame_and_other_bodies(tmp_path: Path) -> None:
    body = load_body("smpl", "female")
    clip = walk(1, skeleton=SMPL22)
    reader = Reader(write_glb(tmp_path / "a b[c]=d.glb", clip, body))
    assert len(reader.json["skins"][0]["joints"]) == 24
    actual = reader.vertices(reader.skinned()[0], 0.0)
    np.testing.assert_allclose(actual, y_up(motion_vertices(body, clip)[0]), atol=2e-4)


def test_trimesh_opens_it(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    path = write_motion(tmp_path / "walk.glb", walk())
    scene = trimesh.load(path)
    (mesh,) = scene.geometry.values()
    assert len(mesh.faces) == 26756 and np.ptp(mesh.vertices[:, 1]) > 1.6
    by_angle = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).vertex_normals  # ours are by area
    agreement = (mesh.vertex_normals * by_angle).sum(1)
    assert agreement.min() > 0.5 and agreement.mean() > 0.99


def test_more_than_four_weights_are_cut_to_the_largest() -> None:
    weights = np.array([[0.1, 0.3, 0.05, 0.25, 0.3], [0, 0, 0, 0, 1.0]])
    joints, kept = top_four(weights)
    assert joints.tolist() == [[1, 4, 3, 0], [4, 0, 0, 0]]
    np.testing.assert_allclose(kept[0], np.array([0.3, 0.3, 0.25, 0.1]) / 0.95, rtol=1e-6)
    two, half = top_four(np.array([[0.5, 0.5]]))
    assert two.shape == (1, 4) and half.tolist() == [[0.5, 0.5, 0, 0]]


def test_quaternion_signs_do_not_jump() -> None:
    angles = np.linspace(0, 20, 200)[:, None]
    raw = Rotation.from_euler("z", angles).as_quat(canonical=True)
    smooth = continuous(raw[:, None])[:, 0]
    assert (smooth[1:] * smooth[:-1]).sum(1).min() > 0.99
    np.testing.assert_allclose(Rotation.from_quat(smooth).as_matrix(), Rotation.from_quat(raw).as_matrix())


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    other = Skeleton("other", ("hips",), (-1,), np.zeros((1, 3)))
    with pytest.raises(InputError, match="cannot be read as"):
        write_glb(tmp_path / "x.glb", Motion(np.zeros((1, 1, 3)), np.zeros((1, 3)), 30.0, other))
    with pytest.raises(InputError, match="no clip"):
        write_glb(tmp_path / "x.glb", {})
    (tmp_path / "file").write_text("")
    with pytest.raises((InputError, OSError)):
        write_glb(tmp_path / "file" / "x.glb", walk(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_body_with_dense_weights_differs_by_the_cut_only(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    weights = generator.dirichlet(np.full(22, 0.05), 40)
    weights[:20] = np.eye(22)[:20]
    arrays = {
        "v_template": generator.normal(0, 0.5, (40, 3)),
        "f": generator.integers(0, 40, (60, 3)),
        "shapedirs": np.zeros((40, 3, 1)),
        "J_regressor": generator.dirichlet(np.ones(40), 22),
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, *SMPL22.parents[1:]], range(22)]),
    }
    body = BodyModel.from_arrays(arrays)
    chain = body.skeleton
    clip = Motion(generator.normal(0, 0.3, (3, 22, 3)), np.zeros((3, 3)), 30.0, chain)
    reader = Reader(write_glb(tmp_path / "x.glb", clip, body))
    actual = reader.vertices(reader.skinned()[0], 1 / 30)
    cut = 1 - np.sort(weights, axis=1)[:, -4:].sum(1)
    error = np.linalg.norm(actual - y_up(motion_vertices(body, clip, [1])[0]), axis=1)
    assert (error < 1e-4 + 6 * cut).all() and error[cut < 1e-6].max() < 1e-4
    assert torch.isfinite(body.rest_joints()).all()
