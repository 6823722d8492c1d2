from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.skeleton import (
    SKELETONS,
    SMPL22,
    SMPL24,
    SMPLH52,
    SMPLX55,
    Skeleton,
    forward_kinematics,
    local_from_global,
)


def plain_kinematics(
    skeleton: Skeleton, rotations: list[Rotation], root: np.ndarray
) -> tuple[list[Rotation], list[np.ndarray]]:
    """Joint by joint, as textbooks have it."""
    turned: list[Rotation] = []
    places: list[np.ndarray] = []
    for joint, parent in enumerate(skeleton.parents):
        offset = skeleton.offsets[joint].astype(float)
        if parent < 0:
            turned.append(rotations[joint])
            places.append(offset + root)
        else:
            turned.append(turned[parent] * rotations[joint])
            places.append(places[parent] + turned[parent].apply(offset))
    return turned, places


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_kinematics_by_level_equal_those_by_joint(skeleton: Skeleton) -> None:
    frames, joints = 4, skeleton.num_joints
    local = [Rotation.random(frames, random_state=joint) for joint in range(joints)]
    root = np.random.default_rng(0).normal(size=(frames, 3))
    matrices = torch.from_numpy(np.stack([r.as_matrix() for r in local], axis=1))
    turned, places = forward_kinematics(
        skeleton.parents, matrices, torch.from_numpy(skeleton.offsets).double(), torch.from_numpy(root)
    )
    expected, positions = plain_kinematics(skeleton, local, root)
    np.testing.assert_allclose(
        turned.numpy(), np.stack([r.as_matrix() for r in expected], axis=1), atol=1e-12
    )
    np.testing.assert_allclose(places.numpy(), np.stack(positions, axis=1), atol=1e-12)
    np.testing.assert_allclose(
        local_from_global(skeleton.parents, turned).numpy(), matrices.numpy(), atol=1e-12
    )


def test_kinematics_take_any_leading_dimensions_and_offsets_per_item() -> None:
    rotations = torch.from_numpy(Rotation.random(6 * 22, random_state=0).as_matrix()).view(2, 3, 22, 3, 3)
    offsets = (
        torch.from_numpy(SMPL22.offsets).double() * torch.tensor([1.0, 2.0])[:, None, None, None].double()
    )
    turned, places = forward_kinematics(SMPL22.parents, rotations, offsets.expand(2, 3, 22, 3))
    assert turned.shape == (2, 3, 22, 3, 3) and places.shape == (2, 3, 22, 3)
    single = forward_kinematics(SMPL22.parents, rotations[1, 2], offsets[1, 0])[1]
    np.testing.assert_allclose(places[1, 2].numpy(), single.numpy(), atol=1e-12)


def test_gradients_of_kinematics() -> None:
    rotations = torch.from_numpy(Rotation.random(22, random_state=0).as_matrix()).requires_grad_()
    offsets = torch.from_numpy(SMPL22.offsets).double().requires_grad_()
    root = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda r, o, p: forward_kinematics(SMPL22.parents, r, o, p), (rotations, offsets, root), atol=1e-6
    )


def test_levels_hold_every_joint_once_after_its_parent() -> None:
    for skeleton in SKELETONS.values():
        assert sorted(joint for level in skeleton.levels for joint in level) == list(
            range(skeleton.num_joints)
        )
        depth = {joint: number for number, level in enumerate(skeleton.levels) for joint in level}
        assert all(p < 0 or depth[p] + 1 == depth[j] for j, p in enumerate(skeleton.parents))


def test_the_family_shares_its_names_and_places() -> None:
    assert [s.num_joints for s in (SMPL22, SMPL24, SMPLH52, SMPLX55)] == [22, 24, 52, 55]
    for skeleton in (SMPL24, SMPLH52, SMPLX55):
        assert skeleton.joint_names[:22] == SMPL22.joint_names
        assert skeleton.parents[:22] == SMPL22.parents
        np.testing.assert_array_equal(skeleton.rest_positions[:22], SMPL22.rest_positions)
    # the published SMPL-H order: left hand from 22, right hand from 37; three joints a finger
    assert SMPLH52.index("left_index1", "left_thumb3", "right_index1", "right_thumb3") == [22, 36, 37, 51]
    assert SMPLX55.index("jaw", "left_eye", "right_eye", "left_index1", "right_index1") == [
        22,
        23,
        24,
        25,
        40,
    ]
    assert [SMPLH52.parents[i] for i in (22, 25, 28, 31, 34)] == [20] * 5
    assert [SMPLH52.parents[i] for i in (37, 40, 43, 46, 49)] == [21] * 5


def test_the_rest_pose_is_a_t_pose() -> None:
    rest = SMPLH52.rest_positions
    left, right = (
        rest[SMPLH52.index(f"{side}_wrist", f"{side}_ankle", f"{side}_foot")] for side in ("left", "right")
    )
    assert left[0, 0] > 0.5 and right[0, 0] < -0.5  # x to the figure's left
    assert left[1, 1] < -0.9 and rest[SMPLH52.index("head")[0], 1] > 0.2  # y up
    assert left[2, 2] > left[1, 2] + 0.1 and right[2, 2] > right[1, 2] + 0.1  # toes forward, z


def test_maps_and_mirrors() -> None:
    index = SMPLX55.map_to(SMPLH52)
    assert [SMPLX55.joint_names[i] for i in index] == list(SMPLH52.joint_names)
    assert (SMPL22.map_to(SMPLH52)[22:] == -1).all()
    for skeleton in SKELETONS.values():
        mirror = skeleton.mirror_map
        np.testing.assert_array_equal(mirror[mirror], np.arange(skeleton.num_joints))
        swapped = [
            n.replace("left", "L").replace("right", "left").replace("L", "right")
            for n in skeleton.joint_names
        ]
        assert [skeleton.joint_names[i] for i in mirror] == swapped


def test_other_bone_lengths() -> None:
    double = SMPL22.with_offsets(SMPL22.offsets * 2)
    np.testing.assert_allclose(double.rest_positions, SMPL22.rest_positions * 2, atol=1e-6)
    assert double.parents == SMPL22.parents


@pytest.mark.parametrize(
    ("names", "parents", "offsets"),
    [
        (("a", "b"), (-1,), np.zeros((2, 3))),
        (("a", "b"), (-1, 0), np.zeros((3, 3))),
        (("a", "b"), (-1, 1), np.zeros((2, 3))),
        (("a", "b"), (1, -1), np.zeros((2, 3))),
        (("a", "b"), (-1, -1), np.zeros((2, 3))),
        ((), (), np.zeros((0, 3))),
    ],
)
def test_what_is_no_tree_is_refused(
    names: tuple[str, ...], parents: tuple[int, ...], offsets: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="skeleton x"):
        Skeleton("x", names, parents, offsets)


def test_an_unknown_joint_is_named() -> None:
    with pytest.raises(KeyError, match="tail"):
        SMPL22.index("pelvis", "tail")
