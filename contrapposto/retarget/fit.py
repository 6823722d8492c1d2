"""Joints of a figure compared with SMPL's bone by bone, for skeletons whose rest pose states nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.skeleton import SMPL22, SMPLH52

SAME_BODY = 0.012
"""Largest relative difference between the bones of two figures that count as one body."""


def same_body(positions: np.ndarray, index: Mapping[str, int]) -> bool:
    """Whether the mapped bones of a pose have SMPL's lengths, up to a common scale.

    Args:
        positions: (J, 3) joints of any pose.
        index: SMPL joint to source joint.
    """
    rest = SMPLH52.rest_positions.astype(np.float64)
    ours, theirs = [], []
    for joint, name in enumerate(SMPL22.joint_names):
        if name not in index:
            return False
        above = SMPL22.parents[joint]
        if above >= 0:
            ours.append(np.linalg.norm(rest[joint] - rest[above]))
            theirs.append(
                np.linalg.norm(positions[index[name]] - positions[index[SMPL22.joint_names[above]]])
            )
    ratios = np.array(theirs) / np.array(ours)
    middle = float(np.median(ratios))
    return middle > 0 and float(np.abs(ratios / middle - 1).max()) < SAME_BODY


def anatomical_fit(
    rotations: np.ndarray, positions: np.ndarray, index: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """What turns the source's joints into SMPL's, from one pose: each bone of SMPL along the same bone of the source.

    Joints with several bones (pelvis, chest) take the best fit of all of them; joints with one bone are turned from
    the joint above by the shortest way; ends go along with the joint above.

    Args:
        rotations: (J, 3, 3) global rotations of the pose.
        positions: (J, 3) joints of the pose.
        index: SMPL joint to source joint.

    Returns:
        SMPL joint to (3, 3): its global rotation is the source joint's times this, in every pose.
    """
    rest = SMPLH52.rest_positions.astype(np.float64)
    places = dict(zip(SMPLH52.joint_names, rest))
    turned: dict[str, np.ndarray] = {}
    turns: dict[str, np.ndarray] = {}
    for joint, name in enumerate(SMPLH52.joint_names):
        if name not in index:
            continue
        above = _mapped_parent(joint, index)
        children = _mapped_children(joint, index)
        ours = np.array([places[child] - places[name] for child in children])
        theirs = np.array([positions[index[child]] - positions[index[name]] for child in children])
        start = turned[above] if above is not None else None
        turned[name] = _fitted(ours, theirs, start)
        turns[name] = rotations[index[name]].T @ turned[name]
    return turns


def _fitted(ours: np.ndarray, theirs: np.ndarray, start: np.ndarray | None) -> np.ndarray:
    """(3, 3) rotation that lays SMPL's bones (N, 3) along the source's, near `start` where one bone leaves it free."""
    near = np.eye(3) if start is None else start
    lengths = [np.linalg.norm(bones, axis=1) for bones in (ours, theirs)] if len(ours) else [np.zeros(0)] * 2
    usable = (lengths[0] > 1e-6) & (lengths[1] > 1e-6)
    if not usable.any():
        return near
    ours, theirs = (bones[usable] / length[usable, None] for bones, length in zip((ours, theirs), lengths))
    if usable.sum() == 1 or np.linalg.matrix_rank(theirs, tol=0.1) < 2:
        return shortest(near @ ours[0], theirs[0]) @ near
    return np.asarray(Rotation.align_vectors(theirs, ours)[0].as_matrix())


def _mapped_parent(joint: int, index: Mapping[str, int]) -> str | None:
    while (joint := SMPLH52.parents[joint]) >= 0:
        if SMPLH52.joint_names[joint] in index:
            return SMPLH52.joint_names[joint]
    return None


def _mapped_children(joint: int, index: Mapping[str, int]) -> list[str]:
    """The nearest mapped joints below; of a hand, only the body counts."""
    result = []
    for child in range(joint + 1, SMPL22.num_joints):
        name = SMPL22.joint_names[child]
        if name in index and _mapped_parent(child, index) == SMPLH52.joint_names[joint]:
            result.append(name)
    return result


def shortest(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(3, 3) rotation by the smallest angle that turns one direction into another."""
    norm = float(np.linalg.norm(start) * np.linalg.norm(end))
    if norm < 1e-12:
        return np.eye(3)
    axis, cosine = np.cross(start, end) / norm, float(start @ end) / norm
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        if cosine > 0:
            return np.eye(3)
        axis, sine = np.cross(start, np.eye(3)[np.abs(start).argmin()]), 0.0
        return np.asarray(Rotation.from_rotvec(np.pi * axis / np.linalg.norm(axis)).as_matrix())
    return np.asarray(Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix())
