"""Motion onto the skeleton of somebody's own rigged character; its mesh, materials and textures stay untouched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.checks import parsing
from contrapposto.errors import InputError
from contrapposto.mesh.figure import Figure, read_figure, rotation_of
from contrapposto.mesh.legs import SOLE, ankle_goals, bend_legs, drop_of_hips, figure_places
from contrapposto.mesh.rig import Rig, Track
from contrapposto.mesh.rig_write import GltfEditor
from contrapposto.motion import Motion
from contrapposto.retarget.alignment import align
from contrapposto.retarget.skeletons import SIDES
from contrapposto.skeleton import SMPLH52

_TO_FILE = Rotation.from_euler("x", -90, degrees=True)  # z up to y up


@dataclass(frozen=True)
class Retargeted:
    """A character with a motion.

    Args:
        path: of the file.
        joints: (F, J, 3) world positions of the character's joints, y up, in the file's unit.
        index: SMPL joint to joint.
        floor: height of the character's floor.
        scale: of the path: units of the file per metre of the motion.
        rest_height: heights of ankles and, where there are such joints, balls of the feet at rest.
    """

    path: Path
    joints: np.ndarray
    index: dict[str, int]
    floor: float
    scale: float
    rest_height: dict[str, float]


def animate_character(
    path: str | Path,
    motion: Motion,
    character: str | Path,
    *,
    joint_map: Mapping[str, str] | None = None,
    name: str = "motion",
    fps: float | None = None,
    credit: str = "",
) -> Retargeted:
    """Write a character's file again with a motion as its first animation.

    Every joint turns as the motion's joint does, from the same stance: the rest poses of both are compared as in
    `contrapposto.retarget`. The hips' path is scaled by the length of the legs, soles come down to the character's
    floor, and the legs are bent so that the balls of the feet follow the motion's path: feet that stand do not slide.
    Where the legs are too short for that, the hips come down.

    Args:
        path: of the .glb or .vrm file.
        motion: of the SMPL family, z up.
        character: .glb, .gltf or .vrm with a human skeleton: Mixamo, VRM, Ready Player Me, Unreal, Rigify, plain names.
        joint_map: the character's joint names to SMPL's, where names do not tell.
        name: of the animation.
        fps: key frames per second; the motion's where absent.
        credit: goes into the file's copyright entry.

    Raises:
        InputError: the character has no skeleton, or one whose joints are not recognised.
    """
    motion = motion.to_skeleton(SMPLH52)
    motion = motion if fps is None else motion.resample(fps)
    rig = Rig(character)
    with parsing(character, "a rigged human figure"):
        figure = read_figure(rig, joint_map)
    rest = Motion(np.zeros((1, figure.skeleton.num_joints, 3)), np.zeros((1, 3)), 1.0, figure.skeleton)
    alignment = align(rest, figure.source, figure.index)
    turns = {
        joint: alignment.turns[name].T
        for name, joint in figure.index.items()
        if name not in figure.source.stiff
    }
    wanted, places = _smpl_world(motion)
    world = {
        joint: wanted[:, SMPLH52.index(name)[0]] @ turns[joint]
        for name, joint in figure.index.items()
        if joint in turns
    }
    scale = _leg(figure.skeleton.rest_positions, figure.index) / _leg(
        SMPLH52.rest_positions, dict(zip(SMPLH52.joint_names, range(52)))
    )
    floor = _floor(character, figure)
    turned = _all_turned(figure, world, motion.num_frames)
    lift = _ankle_height(figure, floor) - scale * _smpl_ankle_height()
    goal = places * scale
    goal[..., 1] += floor + lift
    goal[..., [0, 2]] += figure.skeleton.rest_positions[figure.index["pelvis"]][[0, 2]] - goal[0, 0][[0, 2]]
    root = _hips(figure, turned, goal).copy()
    feet = ankle_goals(figure, turned, goal, floor, scale, motion.fps)
    root[:, 1] -= drop_of_hips(figure, figure_places(figure, turned, root), feet)
    bend_legs(figure, turned, figure_places(figure, turned, root), feet)
    joints = figure_places(figure, turned, root)
    tracks = _tracks(rig, figure, turned, root, motion)
    editor = GltfEditor(rig.file)
    for track in tracks:
        _free_of_matrix(editor.json["nodes"][track.node])
    editor.animate(name, tracks)
    return Retargeted(editor.write(path, credit), joints, figure.index, floor, scale, _rest_heights(figure))


def _smpl_world(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Global rotations (F, 52, 3, 3) and positions (F, 52, 3) of a motion, y up."""
    rotations, positions = (tensor.double().numpy() for tensor in motion.kinematics())
    turn = _TO_FILE.as_matrix()
    return turn @ rotations, positions @ turn.T


def _leg(positions: np.ndarray, index: Mapping[str, int]) -> float:
    total = 0.0
    for side in SIDES:
        hip, knee, ankle = (
            positions[index[f"{side}_{part}"]].astype(np.float64) for part in ("hip", "knee", "ankle")
        )
        total += float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)) / 2
    return total


def _floor(character: str | Path, figure: Figure) -> float:
    """Height of the lowest point of the character's mesh; of its joints, where it has none."""
    from contrapposto.mesh.rigged import RiggedMesh

    try:
        lowest = float(RiggedMesh(character).mesh.vertices[:, 1].min())
    except InputError:
        return float(figure.skeleton.rest_positions[:, 1].min())
    ankles = [figure.skeleton.rest_positions[figure.index[f"{side}_ankle"], 1] for side in SIDES]
    leg = _leg(figure.skeleton.rest_positions, figure.index)
    return lowest if 0 <= min(ankles) - lowest < 0.5 * leg else float(min(ankles)) - 0.09 * leg


def _ankle_height(figure: Figure, floor: float) -> float:
    heights = [figure.skeleton.rest_positions[figure.index[f"{side}_ankle"], 1] for side in SIDES]
    return float(np.mean(heights)) - floor


def _rest_heights(figure: Figure) -> dict[str, float]:
    joints = {part: [figure.index.get(f"{side}_{part}") for side in SIDES] for part in ("ankle", "foot")}
    return {
        part: float(np.mean([figure.skeleton.rest_positions[joint, 1] for joint in pair]))
        for part, pair in joints.items()
        if None not in pair
    }


def _smpl_ankle_height() -> float:
    rest = SMPLH52.rest_positions
    ankles, balls = SMPLH52.index("left_ankle", "right_ankle"), SMPLH52.index("left_foot", "right_foot")
    return float((rest[ankles, 1] - rest[balls, 1]).mean()) + SOLE


def _all_turned(figure: Figure, world: Mapping[int, np.ndarray], frames: int) -> np.ndarray:
    """(F, J, 3, 3) rotations of the joints relative to their rest; those without a counterpart follow their parents."""
    result = np.tile(np.eye(3), (frames, figure.skeleton.num_joints, 1, 1))
    for joint, parent in enumerate(figure.skeleton.parents):
        if joint in world:
            result[:, joint] = world[joint]
        elif parent >= 0:
            result[:, joint] = result[:, parent]
        elif "pelvis" in figure.index and figure.index["pelvis"] in world:
            result[:, joint] = world[figure.index["pelvis"]]  # a root above the hips
    return result


def _hips(figure: Figure, turned: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """(F, 3) places of the skeleton's first joint such that the middle of the hips is where the motion has it."""
    places = figure_places(figure, turned, np.zeros((len(turned), 3)))
    middle = places[:, [figure.index[f"{side}_hip"] for side in SIDES]].mean(axis=1)
    return np.asarray(goal[:, SMPLH52.index("left_hip", "right_hip")].mean(axis=1) - middle)


def _tracks(rig: Rig, figure: Figure, turned: np.ndarray, root: np.ndarray, motion: Motion) -> list[Track]:
    """Local rotations of every joint that turns, and translations of the first."""
    times = np.arange(motion.num_frames) / motion.fps
    world = turned @ figure.rest  # of the nodes
    still = rig.rest_transforms()
    tracks = []
    for joint, (node, parent) in enumerate(zip(figure.nodes, figure.skeleton.parents)):
        above = rig.parents[node]
        if parent >= 0:
            # The node's own parent may stand between the two joints; it does not turn against the joint.
            between = rotation_of(still[figure.nodes[parent]]).T @ rotation_of(still[above])
            base = world[:, parent] @ between
        else:
            base = rotation_of(still[above]) if above >= 0 else np.eye(3)
        local = np.swapaxes(base, -1, -2) @ world[:, joint]
        quaternions = _continuous(Rotation.from_matrix(local).as_quat())
        tracks.append(Track(node, "rotation", times, quaternions, "LINEAR"))
        if parent < 0:
            inverse = np.linalg.inv(still[above]) if above >= 0 else np.eye(4)
            place = root @ inverse[:3, :3].T + inverse[:3, 3]
            tracks.insert(0, Track(node, "translation", times, place, "LINEAR"))
    return tracks


def _continuous(quaternions: np.ndarray) -> np.ndarray:
    flips = np.where((quaternions[1:] * quaternions[:-1]).sum(-1) < 0, -1.0, 1.0)
    return quaternions * np.concatenate([[1.0], np.cumprod(flips)])[:, None]


def _free_of_matrix(node: dict[str, Any]) -> None:
    """Replace a node's matrix by its parts: an animated node must not have one."""
    if "matrix" not in node:
        return
    matrix = np.array(node.pop("matrix"), np.float64).reshape(4, 4).T
    turn = rotation_of(matrix)
    node["translation"] = matrix[:3, 3].tolist()
    node["rotation"] = Rotation.from_matrix(turn).as_quat().tolist()
    node["scale"] = np.diag(turn.T @ matrix[:3, :3]).tolist()
