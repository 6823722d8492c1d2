"""Human motion on the joints of a target: those of its own rig, or joints that were placed inside of it.

Frame of all arrays: upright, y up, the figure's left along x, facing z; the target's own units. `axes` (3, 3) turns the
target's file axes into it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.body import load_body
from contrapposto.errors import InputError
from contrapposto.io.glb import continuous
from contrapposto.mesh.rigged import RiggedMesh, Track
from contrapposto.motion import Motion
from contrapposto.retarget import recognise
from contrapposto.retarget.alignment import align
from contrapposto.skeleton import SMPLH52, Skeleton

NUM_JOINTS = 22
JOINTS = SMPLH52.joint_names[:NUM_JOINTS]
PARENTS = SMPLH52.parents[:NUM_JOINTS]
_Z_UP_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
_INDEX = {name: number for number, name in enumerate(JOINTS)}
_LEGS = [
    (_INDEX[f"{side}_{a}"], _INDEX[f"{side}_{b}"])
    for side in ("left", "right")
    for a, b in (("hip", "knee"), ("knee", "ankle"))
]
_HIPS = [_INDEX["left_hip"], _INDEX["right_hip"]]


@dataclass(frozen=True, eq=False)
class JointMotion:
    """What the joints of a target do.

    Args:
        rotations: (T, 52, 3, 3) global, from the target's rest pose; joints of SMPL-H.
        pelvis: (T, 3) where the pelvis is.
        scale: the target's units per metre of the motion.
        fps: frames per second.
    """

    rotations: np.ndarray
    pelvis: np.ndarray
    scale: float
    fps: float

    def lifted(self, heights: np.ndarray) -> JointMotion:
        """The same, moved up by (T,)."""
        return replace(self, pelvis=self.pelvis + heights[:, None] * [0.0, 1.0, 0.0])


def drive(motion: Motion, rest: np.ndarray, corrections: np.ndarray, ground: float) -> JointMotion:
    """Put a clip on the joints of a target.

    Args:
        motion: of the SMPL family.
        rest: (22, 3) joints of the target's rest pose.
        corrections: (52, 3, 3) rotation that brings each joint's limb from the target's rest pose to SMPL's.
        ground: height of the target's soles at rest.
    """
    clip = motion.to_skeleton(SMPLH52)
    rotations, joints = (values.double().numpy() for values in clip.kinematics())
    rotations, joints = _Z_UP_TO_Y_UP @ rotations, joints @ _Z_UP_TO_Y_UP.T
    own = SMPLH52.rest_positions.astype(np.float64)
    scale = _leg_length(rest) / _leg_length(own)
    hips = scale * joints[:, _HIPS].mean(axis=1)
    middle = rest[_HIPS].mean(axis=0)
    shift = middle - scale * own[_HIPS].mean(axis=0)
    shift[1] = middle[1] - ground - scale * (own[_HIPS].mean(axis=0)[1] - sole_height())
    shift[[0, 2]] = middle[[0, 2]] - hips[0, [0, 2]]
    shift[1] += ground
    turned = rotations @ corrections
    pelvis = hips + shift - turned[:, 0] @ (middle - rest[0])
    return JointMotion(turned, pelvis, scale, motion.fps)


def sole_height() -> float:
    """Height of the soles of the shipped body's rest pose, metres."""
    return float(load_body().v_template[:, 1].min())


def _leg_length(joints: np.ndarray) -> float:
    return sum(float(np.linalg.norm(joints[b] - joints[a])) for a, b in _LEGS) / 2


class HumanoidRig:
    """The humanoid rig of a glTF file.

    Args:
        rig: with a skin.

    Attributes:
        nodes: node of each SMPL-H joint that was found.
        axes: (3, 3) file axes to upright ones.
        rest: (22, 3) joints of the rest pose, upright; those that are missing lie on their parents.
        corrections: see `drive`.

    Raises:
        InputError: no skin, joints that are not recognised, or a rest pose that is not that of a standing figure.
    """

    def __init__(self, rig: RiggedMesh) -> None:
        self.rig = rig
        self.world = rig.rest_transforms()
        names, parents, nodes = _joint_tree(rig)
        positions = self.world[nodes, :3, 3]
        offsets = positions - np.where(np.array(parents)[:, None] < 0, 0.0, positions[np.maximum(parents, 0)])
        skeleton = Skeleton(rig.path.stem, names, parents, offsets)
        known = replace(recognise(skeleton), reference={}, stiff=())
        index = {name: skeleton.index(joint)[0] for name, joint in known.joints.items()}
        still = Motion(np.zeros((1, len(names), 3), np.float32), np.zeros((1, 3), np.float32), 30.0, skeleton)
        turns = align(still, known, index).turns
        self.nodes = {name: nodes[joint] for name, joint in index.items()}
        self.axes = turns["pelvis"].T
        upright = {name: self.axes @ self.world[node, :3, 3] for name, node in self.nodes.items()}
        self.rest = np.zeros((NUM_JOINTS, 3))
        for joint, name in enumerate(JOINTS):
            self.rest[joint] = upright[name] if name in upright else self.rest[max(PARENTS[joint], 0)]
        self.corrections = np.tile(np.eye(3), (SMPLH52.num_joints, 1, 1))
        for name, turn in turns.items():
            self.corrections[SMPLH52.index(name)[0]] = (self.axes @ turn).T

    def tracks(self, motion: JointMotion) -> list[Track]:
        """Rotations of all joint nodes that were found, and the place of the one above all of them."""
        times = np.arange(len(motion.pelvis)) / motion.fps
        turned = self.axes.T @ motion.rotations @ self.axes
        joint_of = {node: SMPLH52.index(name)[0] for name, node in self.nodes.items()}
        rest = np.stack([_rotation(matrix) for matrix in self.world])
        world: dict[int, np.ndarray] = {}
        result = []
        for node in self.rig.order:
            parent = self.rig.parents[node]
            above = world[parent] if parent >= 0 else np.eye(3)[None]
            above_rest = rest[parent] if parent >= 0 else np.eye(3)
            if node not in joint_of:
                world[node] = above @ above_rest.T @ rest[node]
                continue
            world[node] = turned[:, joint_of[node]] @ rest[node]
            local = Rotation.from_matrix(
                np.broadcast_to(above.transpose(0, 2, 1) @ world[node], world[node].shape)
            )
            values = continuous(local.as_quat())
            result.append(Track(node, "rotation", times, values, "LINEAR"))
        return [*result, self._place(motion, times)]

    def _place(self, motion: JointMotion, times: np.ndarray) -> Track:
        """Translation of the pelvis, or of what hips and chest hang on."""
        node = self.rig.common(list(self.nodes.values()))
        moved = (motion.pelvis - self.rest[0]) @ self.axes
        parent = self.rig.parents[node]
        above = np.linalg.inv(self.world[parent]) if parent >= 0 else np.eye(4)
        places = self.world[node, :3, 3] + moved
        return Track(node, "translation", times, places @ above[:3, :3].T + above[:3, 3], "LINEAR")


def _joint_tree(rig: RiggedMesh) -> tuple[tuple[str, ...], tuple[int, ...], list[int]]:
    """Names, parents and nodes of all joints of the skins and what they hang on; unique names, one root."""
    joints = set(rig.skin_joints())
    if not joints:
        raise InputError(f"{rig.path.name} has no skin.")
    kept = set()
    for joint in joints:
        while joint >= 0:
            kept.add(joint)
            joint = rig.parents[joint]
    nodes = [node for node in rig.order if node in kept]
    roots = [node for node in nodes if rig.parents[node] < 0]
    if len(roots) > 1:
        raise InputError(f"The joints of {rig.path.name} do not hang together.", found=f"{len(roots)} roots")
    names: list[str] = []
    for node in nodes:
        name = str(rig.nodes[node].get("name", f"node {node}"))
        names.append(name if name not in names else f"{name} #{node}")
    place = {node: number for number, node in enumerate(nodes)}
    return tuple(names), tuple(place.get(rig.parents[node], -1) for node in nodes), nodes


def _rotation(matrix: np.ndarray) -> np.ndarray:
    """The rotation of a (4, 4) transform without mirroring.

    Raises:
        InputError: it mirrors.
    """
    left, _, right = np.linalg.svd(matrix[:3, :3])
    if np.linalg.det(left @ right) < 0:
        raise InputError("A joint of the rig is mirrored.")
    result: np.ndarray = left @ right
    return result
