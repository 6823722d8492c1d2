"""Legs of a character: where its ankles have to be so that its feet stand, and how the legs get there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from contrapposto.mesh.figure import Figure
from contrapposto.retarget.fit import shortest
from contrapposto.retarget.skeletons import SIDES
from contrapposto.skeleton import SMPLH52

SOLE = 0.0265
"""Metres from the ball of the foot down to the sole of the SMPL figure."""

_STRETCHED = 0.999  # of a leg's length
_TURN = 0.5  # seconds over which the direction of the hips is averaged: steps do not move feet that stand
_AHEAD = 7  # frames before and after one in which the hips come down


def figure_places(figure: Figure, turned: np.ndarray, root: np.ndarray) -> np.ndarray:
    """(F, J, 3) places of the joints, from rotations relative to rest and places of the first joint."""
    places = np.empty((*turned.shape[:2], 3))
    offsets = figure.skeleton.offsets.astype(np.float64)
    for joint, parent in enumerate(figure.skeleton.parents):
        places[:, joint] = root if parent < 0 else places[:, parent] + turned[:, parent] @ offsets[joint]
    return places


def ankle_goals(
    figure: Figure, turned: np.ndarray, goal: np.ndarray, floor: float, scale: float, fps: float
) -> dict[str, np.ndarray]:
    """Places (F, 3) of the ankles, by side: the balls of the feet follow the motion's, and no sole is below the floor.

    Feet are as much farther apart than the motion's as the hips are: legs do not cross below a broad body.

    Args:
        figure: the character.
        turned: (F, J, 3, 3) rotations relative to rest.
        goal: (F, 52, 3) of the motion's joints, in the character's size and place; ankles where its ankles stand.
        floor: height of the floor.
        scale: units per metre of the motion.
        fps: frames per second.
    """
    wider = _wider(figure, goal, scale, fps)
    rest, ground = figure.skeleton.rest_positions.astype(np.float64), _smpl_ground()
    goals = {}
    for side in SIDES:
        ankle, ball = figure.index[f"{side}_ankle"], figure.index.get(f"{side}_foot")
        place = goal[:, SMPLH52.index(f"{side}_ankle")[0]]
        points = [np.array([0.0, floor - rest[ankle, 1], 0.0])]  # the sole, from the ankle
        if ball is not None:
            reach = rest[ball] - rest[ankle]
            there = goal[:, SMPLH52.index(f"{side}_foot")[0]].copy()
            ankles_up = rest[ankle, 1] - floor - scale * ground["ankle"]  # which `goal` holds
            there[:, 1] += rest[ball, 1] - floor - scale * ground["foot"] - ankles_up
            place = there - turned[:, ankle] @ reach
            points.append(reach + np.array([0.0, floor - rest[ball, 1], 0.0]))
        soles = [place[:, 1] + (turned[:, ankle] @ point)[:, 1] for point in points]
        place = place + wider if side == "left" else place - wider
        place[:, 1] += np.maximum(floor - np.min(soles, axis=0), 0.0)
        goals[side] = place
    return goals


def _wider(figure: Figure, goal: np.ndarray, scale: float, fps: float) -> np.ndarray:
    """(F, 3) what is added to the left foot and taken from the right one, level, along the mean direction of the hips."""
    pairs = [
        (figure.skeleton.rest_positions, [figure.index[f"{side}_hip"] for side in SIDES]),
        (SMPLH52.rest_positions * scale, list(SMPLH52.index("left_hip", "right_hip"))),
    ]
    widths = [float(np.linalg.norm(places[pair[0]] - places[pair[1]])) for places, pair in pairs]
    left, right = SMPLH52.index("left_hip", "right_hip")
    across = (goal[:, left] - goal[:, right]) * [1.0, 0.0, 1.0]
    across = gaussian_filter1d(across, _TURN * fps, axis=0, mode="nearest")
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    return np.asarray(across * max(widths[0] - widths[1], 0.0) / 2)


def _smpl_ground() -> dict[str, float]:
    """Heights of ankles and balls of the standing SMPL figure."""
    rest = SMPLH52.rest_positions
    heights = {
        part: float(rest[list(SMPLH52.index(f"left_{part}", f"right_{part}")), 1].mean())
        for part in ("ankle", "foot")
    }
    return {part: height - heights["foot"] + SOLE for part, height in heights.items()}


def drop_of_hips(figure: Figure, joints: np.ndarray, goals: Mapping[str, np.ndarray]) -> np.ndarray:
    """(F,) by how much the hips must come down, smoothly, so that both legs reach their goals."""
    needed = np.zeros(len(joints))
    for side in SIDES:
        hip, knee, ankle = (figure.index[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
        places = joints[0]
        length = np.linalg.norm(places[knee] - places[hip]) + np.linalg.norm(places[ankle] - places[knee])
        line = goals[side] - joints[:, hip]
        level = np.minimum(np.linalg.norm(line[:, [0, 2]], axis=1), 0.9 * length)
        needed = np.maximum(needed, -line[:, 1] - np.sqrt((_STRETCHED * length) ** 2 - level**2))
    if not needed.any():
        return needed
    return np.asarray(gaussian_filter1d(maximum_filter1d(needed, _AHEAD), _AHEAD / 3, mode="nearest"))


def bend_legs(
    figure: Figure, turned: np.ndarray, joints: np.ndarray, goals: Mapping[str, np.ndarray]
) -> None:
    """Turn thighs and shins so that ankles come to their goals; feet keep their rotation in the world.

    Args:
        figure: the character.
        turned: (F, J, 3, 3) rotations relative to rest, changed in place.
        joints: (F, J, 3) where the joints are.
        goals: of each side (F, 3).
    """
    for side in SIDES:
        hip, knee, ankle = (figure.index[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
        for frame, target in enumerate(goals[side]):
            start, middle, end = joints[frame, [hip, knee, ankle]]
            knee_goal, ankle_goal = two_bones(start, middle, end, target)
            thigh = shortest(middle - start, knee_goal - start)
            shin = shortest(end - middle, ankle_goal - knee_goal)
            for joint, turn in _between(figure, hip, ankle, thigh, shin, knee):
                turned[frame, joint] = turn @ turned[frame, joint]


def _between(
    figure: Figure, hip: int, ankle: int, thigh: np.ndarray, shin: np.ndarray, knee: int
) -> list[tuple[int, np.ndarray]]:
    """Joints from the hip to before the ankle with the turn of their bone: helpers between go along."""
    path, joint = [], figure.skeleton.parents[ankle]
    while joint != hip:
        path.append(joint)
        joint = figure.skeleton.parents[joint]
    below = path[: path.index(knee) + 1]
    return [(hip, thigh), *((joint, shin if joint in below else thigh) for joint in path)]


def two_bones(
    start: np.ndarray, middle: np.ndarray, end: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places of the middle and the end of two bones whose end reaches for a target, bent in the plane they have.

    Where the target is out of reach, the bones are stretched toward it.
    """
    upper, lower = float(np.linalg.norm(middle - start)), float(np.linalg.norm(end - middle))
    line = target - start
    length = float(np.linalg.norm(line))
    if length < 1e-9:
        return middle, end
    line = line / length
    reach = float(np.clip(length, abs(upper - lower) + 1e-6, (upper + lower) * (1 - 1e-6)))
    along = (upper**2 - lower**2 + reach**2) / (2 * reach)
    bend = middle - start - ((middle - start) @ line) * line
    size = float(np.linalg.norm(bend))
    side = bend / size if size > 1e-6 * upper else np.cross(line, np.eye(3)[np.abs(line).argmin()])
    knee = start + along * line + np.sqrt(max(upper**2 - along**2, 0.0)) * side / np.linalg.norm(side)
    return knee, start + reach * line
