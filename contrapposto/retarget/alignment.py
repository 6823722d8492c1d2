"""How the joints of a foreign skeleton are turned against SMPL's: found in a pose in which both can be compared.

That pose is, in this order: a frame that the user names; the rest pose, if it is that of a standing figure (arms may
point anywhere); rotations that are known for skeletons of this name; the frame of the clip in which the figure stands
most upright.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.retarget.fit import anatomical_fit, same_body, shortest
from contrapposto.retarget.skeletons import SIDES, SourceSkeleton
from contrapposto.skeleton import SMPLH52

FLAT_FEET = 12.0
"""Degrees. A T-pose whose shins are further from the vertical does not stand on flat feet: they are tilted as well."""

SNAP = 12.0
"""Degrees. A rest pose whose vertical is nearer than this to an axis of its file stands on that axis."""

# In degrees:
_SQUARE = 6.0  # a figure whose left is nearer than this to an axis faces along an axis
_LIKE_SMPL = 12.0  # between limbs: joints of SMPL's names, nearer than this, rest in SMPL's own T-pose
_NEAR_T_POSE = 30.0  # between limbs in a pose that is stated to be a T-pose
_POINTED = 35.0  # between the slopes of two feet: beyond, they do not both stand flat
_RAISED = 75.0  # between collar bones: beyond, one of the figures shrugs
_CHILD = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}
_LANDMARKS = tuple(f"{side}_{part}" for side in SIDES for part in ("hip", "knee", "ankle", "shoulder"))


@dataclass(frozen=True)
class Alignment:
    """What turns source rotations into SMPL's.

    Args:
        turns: SMPL joint to (3, 3): its global rotation is the source joint's times this.
        positions: (J, 3) of the source joints in the pose of comparison, for lengths.
        own: whether the source is an SMPL figure in its T-pose, so that its rotations are SMPL's.
    """

    turns: dict[str, np.ndarray]
    positions: np.ndarray
    own: bool = False


def align(
    motion: Motion, known: SourceSkeleton, index: Mapping[str, int], reference_frame: int | None = None
) -> Alignment:
    """Compare a skeleton with SMPL's.

    Args:
        motion: the clip, z up.
        known: its joints.
        index: SMPL joint to source joint.
        reference_frame: of the clip, in which the figure stands in a T-pose or with lowered arms.

    Raises:
        InputError: no such frame, a frame or skeleton that is not that of a figure, or left and right exchanged.
    """
    rotations, positions = _pose(motion, reference_frame)
    turn = _upright(positions, index)
    standing = _stands(positions, turn, index)
    if standing:
        _check_sides(positions @ turn.T, index, known.name)
    elif reference_frame is not None:
        raise InputError(
            f"Frame {reference_frame} does not show a standing figure.",
            expected="legs down, on flat feet, arms to the side or down",
            fix="name another frame: reference_frame=",
        )
    stated = not standing and bool(known.reference)
    if stated:
        rotations, positions = _known_pose(motion, known, index)
        turn = _upright(positions, index)
        standing = _stands(positions, turn, index) and _is_t_pose(positions @ turn.T, index, _NEAR_T_POSE)
    if not standing:
        rotations, positions = _standing_frame(motion, index)
    own = known.own and standing and _is_t_pose(positions @ turn.T, index, _LIKE_SMPL)
    if not standing or (same_body(positions, index) and not stated):
        fitted = anatomical_fit(rotations, positions, index)
        _check_sides_of_fit(rotations, positions, fitted, index, known.name)
        return Alignment(fitted, positions, own)
    rotations, positions = turn @ rotations, positions @ turn.T
    aligned = {} if own else _limbs(positions, index)
    turns = {name: rotations[joint].T @ aligned.get(name, np.eye(3)) for name, joint in index.items()}
    return Alignment(turns, positions, own)


def _pose(motion: Motion, frame: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Global rotations (J, 3, 3) and positions (J, 3) of a frame, or of the rest pose."""
    if frame is None:
        identity = np.tile(np.eye(3), (motion.skeleton.num_joints, 1, 1))
        return identity, motion.skeleton.rest_positions.astype(np.float64)
    if not -motion.num_frames <= frame < motion.num_frames:
        raise InputError(f"There is no frame {frame}.", found=f"a clip of {motion.num_frames} frames")
    number = frame % motion.num_frames
    turned, places = motion.frames(number, number + 1).kinematics()
    return turned[0].double().numpy(), places[0].double().numpy()


def _known_pose(
    motion: Motion, known: SourceSkeleton, index: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The T-pose of a skeleton whose rotations in it are known."""
    skeleton = motion.skeleton
    stated = {index[name]: matrix for name, matrix in known.reference.items() if name in index}
    rotations = np.tile(np.eye(3), (skeleton.num_joints, 1, 1))
    positions = np.zeros((skeleton.num_joints, 3))
    for joint, parent in enumerate(skeleton.parents):
        rotations[joint] = stated.get(joint, rotations[max(parent, 0)])
        if parent >= 0:
            positions[joint] = positions[parent] + rotations[parent] @ skeleton.offsets[joint]
    return rotations, positions


def _standing_frame(motion: Motion, index: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The pose, out of up to 300 of the clip, whose trunk and legs are most upright and whose arms hang or stretch."""
    some = np.unique(np.linspace(0, motion.num_frames - 1, 300).astype(int))
    places = motion.frames(0, motion.num_frames).joint_positions()[some].astype(np.float64)
    score = np.zeros(len(some))
    for start, end in (("knee", "hip"), ("ankle", "knee"), ("hip", "shoulder"), ("shoulder", "elbow")):
        for side in SIDES:
            bone = places[:, index[f"{side}_{end}"]] - places[:, index[f"{side}_{start}"]]
            height = bone[:, 2] / np.maximum(np.linalg.norm(bone, axis=1), 1e-9)
            score += -0.3 * height if start == "shoulder" else height
    return _pose(motion, int(some[score.argmax()]))


def _upright(positions: np.ndarray, index: Mapping[str, int]) -> np.ndarray:
    """(3, 3) rotation that makes a figure upright in y and facing z; none where it has no shape.

    The best fit of legs and shoulders to SMPL's. Unless the two are alike, a vertical near an axis is that axis.
    """
    rest = dict(zip(SMPLH52.joint_names, SMPLH52.rest_positions.astype(np.float64)))
    ours = np.array([rest[name] for name in _LANDMARKS])
    theirs = positions[[index[name] for name in _LANDMARKS]]
    ours, theirs = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    size = float(np.linalg.norm(theirs))
    if size < 1e-9 or np.linalg.matrix_rank(theirs / size, tol=1e-3) < 2:
        return np.eye(3)
    ours, theirs = ours / np.linalg.norm(ours), theirs / size
    turn: np.ndarray = Rotation.align_vectors(ours, theirs)[0].as_matrix()
    if np.linalg.norm(theirs @ turn.T - ours) < 0.01:
        return turn
    axis = np.eye(3)[np.abs(turn[1]).argmax()] * np.sign(turn[1][np.abs(turn[1]).argmax()])
    if turn[1] @ axis < np.cos(np.radians(SNAP)):
        return turn
    turn = turn @ shortest(axis, turn[1])  # now turn @ axis is y
    left = (theirs[[0, 3]] - theirs[[4, 7]]).sum(axis=0) @ turn.T
    yaw = float(np.arctan2(left[2], left[0]))
    square = np.round(yaw / (np.pi / 2)) * np.pi / 2
    yaw = square if abs(yaw - square) < np.radians(_SQUARE) else yaw
    return np.asarray(Rotation.from_euler("y", yaw).as_matrix() @ turn)


def _stands(positions: np.ndarray, turn: np.ndarray, index: Mapping[str, int]) -> bool:
    """Whether trunk and legs of a pose, turned, are upright in y, and hips and shoulders face z."""
    positions = positions @ turn.T

    def place(name: str) -> np.ndarray:
        return np.asarray(positions[index[name]])

    def height(lower: np.ndarray, upper: np.ndarray) -> float:
        return float((upper - lower)[1] / (np.linalg.norm(upper - lower) + 1e-9))

    legs = [
        height(place(f"{side}_{low}"), place(f"{side}_{high}"))
        for side in SIDES
        for low, high in (("knee", "hip"), ("ankle", "knee"))
    ]
    across = [place(f"left_{part}") - place(f"right_{part}") for part in ("hip", "shoulder")]
    widths = [line[0] / (np.linalg.norm(line) + 1e-9) for line in across]
    middle = [(place(f"left_{part}") + place(f"right_{part}")) / 2 for part in ("hip", "shoulder")]
    return min(*legs, *widths, height(*middle)) > 0.7


def _check_sides(positions: np.ndarray, index: Mapping[str, int], name: str) -> None:
    """Refuse a figure, upright and facing z by its joints' names, whose toes point backward."""
    toes = [
        positions[index[f"{side}_foot"]] - positions[index[f"{side}_ankle"]]
        for side in SIDES
        if f"{side}_foot" in index
    ]
    if toes and all(toe[2] < -0.4 * np.linalg.norm(toe) for toe in toes):
        raise InputError(
            f"Left and right of the skeleton ({name}) are exchanged, or the file is mirrored.",
            found="toes that point backward, by the names of hips and shoulders",
            fix="name the joints with joint_map=FILE",
        )


def _check_sides_of_fit(
    rotations: np.ndarray,
    positions: np.ndarray,
    turns: Mapping[str, np.ndarray],
    index: Mapping[str, int],
    name: str,
) -> None:
    pelvis = rotations[index["pelvis"]] @ turns["pelvis"]
    chest = rotations[index["spine3"]] @ turns["spine3"] if "spine3" in turns else pelvis
    left = positions[index["left_shoulder"]] - positions[index["right_shoulder"]]
    if (left @ chest)[0] < 0:
        raise InputError(
            f"The skeleton ({name}) has its left shoulder on the right.",
            fix="name the joints with joint_map=FILE",
        )
    _check_sides((positions - positions[index["pelvis"]]) @ pelvis, index, name)


def _is_t_pose(positions: np.ndarray, index: Mapping[str, int], degrees: float) -> bool:
    """Whether the limbs of a pose, y up, point where those of SMPL's rest pose do."""
    rest = dict(zip(SMPLH52.joint_names, SMPLH52.rest_positions.astype(np.float64)))
    for side in SIDES:
        for part, child in _CHILD.items():
            start, end = f"{side}_{part}", f"{side}_{child}"
            if end not in index:
                continue
            bones = rest[end] - rest[start], positions[index[end]] - positions[index[start]]
            if _degrees(*bones) > degrees:
                return False
    return True


def _limbs(positions: np.ndarray, index: Mapping[str, int]) -> dict[str, np.ndarray]:
    """(3, 3) rotation for each limb joint: from the direction of SMPL's bone at rest to the source's in its T-pose."""
    rest = dict(zip(SMPLH52.joint_names, SMPLH52.rest_positions.astype(np.float64)))
    result: dict[str, np.ndarray] = {}
    for side in SIDES:
        for part, child in _CHILD.items():
            joint, end = f"{side}_{part}", f"{side}_{child}"
            if end in index:
                result[joint] = shortest(
                    rest[end] - rest[joint], positions[index[end]] - positions[index[joint]]
                )
            elif part == "elbow":
                result[joint] = result[f"{side}_shoulder"]
        collar, shoulder = f"{side}_collar", f"{side}_shoulder"
        if collar in index:
            bones = rest[shoulder] - rest[collar], positions[index[shoulder]] - positions[index[collar]]
            if _degrees(*bones) > _RAISED:
                result[collar] = shortest(*bones)
        for name in index:
            if name.startswith(side) and not name.endswith(
                ("hip", "knee", "shoulder", "elbow", "collar", "ankle", "foot")
            ):
                result[name] = result[f"{side}_elbow"]  # hand and fingers
        result[f"{side}_ankle"] = result[f"{side}_foot"] = _foot(side, rest, positions, index)
    return result


def _foot(
    side: str, rest: Mapping[str, np.ndarray], positions: np.ndarray, index: Mapping[str, int]
) -> np.ndarray:
    """Flat on the ground, turned until the toes point the same way.

    The slope from ankle to toes is not compared, unless it differs so much that one of the feet cannot stand flat: it
    differs between skeletons whose soles are equally flat. Where the legs of the T-pose are far apart (CMU: 20
    degrees), its feet are tilted with them.
    """
    axis = positions[index[f"{side}_knee"]] - positions[index[f"{side}_ankle"]]
    axis = axis / np.linalg.norm(axis)
    up = np.array([0.0, 1.0, 0.0])
    flat = np.eye(3)
    if axis @ up < np.cos(np.radians(FLAT_FEET)):
        flat, up = shortest(up, axis), axis
    if f"{side}_foot" not in index:
        return flat
    ours = flat @ (rest[f"{side}_foot"] - rest[f"{side}_ankle"])
    theirs = positions[index[f"{side}_foot"]] - positions[index[f"{side}_ankle"]]
    level = ours - up * (ours @ up), theirs - up * (theirs @ up)
    if np.linalg.norm(level[1]) > 1e-3 * np.linalg.norm(theirs):
        angle = np.arctan2(np.cross(*level) @ up, level[0] @ level[1])
        flat = Rotation.from_rotvec(up * angle).as_matrix() @ flat
    ours = flat @ (rest[f"{side}_foot"] - rest[f"{side}_ankle"])
    return shortest(ours, theirs) @ flat if _degrees(ours, theirs) > _POINTED else flat


def _degrees(first: np.ndarray, second: np.ndarray) -> float:
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.degrees(np.arccos(np.clip(first @ second / norm, -1, 1)))) if norm > 0 else 0.0
