"""People as GLB and BVH, and the options of what is drawn."""

import numpy as np
import pytest
import trimesh

from contrapposto.errors import ConfigError
from contrapposto.io import read_motion
from contrapposto.systems.scail_pose.exports import motions_in_time, write_exports
from contrapposto.systems.scail_pose.pipeline import ClipDrawer, Look, chosen_points, without_joints
from tests.systems.scail_pose.test_repairs import clip_of, walking


def test_capsules_lie_between_the_joints(tmp_path):
    persons = walking()[:4]
    (path,) = write_exports(tmp_path, clip_of(persons), ("capsules",))
    scene = trimesh.load(path)
    # trimesh shows the nodes without their animation: one cylinder and two spheres for each of the 13 limbs.
    shapes = list(scene.geometry.values())
    assert len(shapes) == 3 * 13
    sphere = next(shape for shape in shapes if shape.is_watertight or len(shape.vertices) > 30)
    assert np.abs(np.linalg.norm(sphere.vertices, axis=-1) - 0.0215).max() < 1e-4
    outward = (sphere.triangles_center * sphere.face_normals).sum(axis=-1)
    assert outward.min() > -1e-6 and (outward > 0.015).mean() > 0.5  # some at the poles have no area


def test_the_animation_is_the_motion(tmp_path):
    import json
    import struct

    persons = walking()[:6]
    (path,) = write_exports(tmp_path, clip_of([*persons[:3], None, *persons[4:]]), ("capsules",))
    data = path.read_bytes()
    size = struct.unpack("<I", data[12:16])[0]
    content, binary = json.loads(data[20 : 20 + size]), data[28 + size :]

    def values(index):
        accessor = content["accessors"][index]
        view = content["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        start = view["byteOffset"]
        return np.frombuffer(binary[start : start + view["byteLength"]], np.float32).reshape(-1, width)

    animation = content["animations"][0]
    node = next(n for n, one in enumerate(content["nodes"]) if one["name"].endswith("limb 17-19"))
    tracks = {
        channel["target"]["path"]: values(animation["samplers"][channel["sampler"]]["output"])
        for channel in animation["channels"]
        if channel["target"]["node"] == node
    }
    for frame in (0, 5):
        first, second = persons[frame].joints[[17, 19]] * [1, -1, -1] / 1000
        x, y, z, w = tracks["rotation"][frame]
        up = np.array([2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)])  # y turned
        half = up * tracks["scale"][frame, 1] / 2
        np.testing.assert_allclose(tracks["translation"][frame] - half, first, atol=1e-4)
        np.testing.assert_allclose(tracks["translation"][frame] + half, second, atol=1e-4)
    assert tracks["scale"][3].max() == 0  # nobody there


def test_figures_and_bvh_begin_with_the_clip(tmp_path):
    clip = clip_of([None] * 4 + walking()[:8])
    figures, bvh = write_exports(tmp_path, clip, ("figures", "bvh"))
    assert figures.read_bytes()[:4] == b"glTF" and bvh.name == "person_0.bvh"
    assert read_motion(bvh).num_frames == 12
    (motion,) = motions_in_time(clip).values()
    assert np.array_equal(motion.rotations[0], motion.rotations[4])


def test_hands_thresholds_and_parts_that_are_left_out():
    person = walking()[0]
    large = chosen_points(person, Look(hand_scale=2))
    np.testing.assert_allclose(
        large.keypoints[95] - large.keypoints[92], 2 * (person.keypoints[95] - person.keypoints[92])
    )
    person.scores[30], person.scores[31] = 0.2, 0.5
    low, high = (chosen_points(person, Look(threshold=limit)).scores for limit in (0.1, 0.6))
    assert low[30] > 0.3 and high[31] == 0 and high[40] == 1
    gone = chosen_points(person, Look(remove=["left_hand", "mouth"])).scores
    assert gone[92:113].max() == 0 and gone[72:92].max() == 0 and gone[113:].min() == 1
    assert np.isnan(without_joints(person.joints, ["left_leg"])[[4, 7]]).all()
    frames = [
        ClipDrawer(clip_of([person]), look) for look in (Look(), Look(remove=["left_leg", "right_arm"]))
    ]
    whole, less = (len(drawer.cylinders([person]).start) for drawer in frames)
    assert (whole, less) == (13, 9)
    with pytest.raises(ConfigError, match="tail"):
        Look(remove=["tail"])
