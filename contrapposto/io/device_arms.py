"""Whether hands turn as wrists at the ends of arms: along their arms, and swinging about their elbows.

Places are (F, 3, 3) of head, left and right hand, z up; turns are the joints' rotations (F, 3, 3, 3).
"""

from __future__ import annotations

import numpy as np


def along_arms(places: np.ndarray, turns: np.ndarray) -> float:
    """How far wrists of (F, 3, 3) places, z up, lie along their arms, -2 to 2.

    Of joints, it is negative where left and right are exchanged; of a Quest's controllers it stays positive.
    """
    reach = np.median(np.linalg.norm(places[:, 1:] - places[:, :1], axis=-1))
    shoulders = places[:, 0] - [0.0, 0.0, 0.3 * reach]
    along = 0.0
    for hand, sign in ((1, 1.0), (2, -1.0)):  # a wrist's x points away from the body, on the left side
        arm = places[:, hand] - shoulders
        arm /= np.maximum(np.linalg.norm(arm, axis=1, keepdims=True), 1e-9)
        along += sign * float((turns[:, hand, :, 0] * arm).sum(axis=1).mean())
    return along


def swing(places: np.ndarray, turns: np.ndarray, span: int) -> float:
    """How far hands move as ends of rigid forearms that turn as they do: 1 if every way is explained.

    The best place of the elbow in the hand's axes is fitted, so that nothing need be known of how controllers are held.
    """
    shares = []
    for hand in (1, 2):
        arms, ways = _changes(places, turns, hand, span)
        elbow = np.linalg.lstsq(arms.reshape(-1, 3), ways.ravel(), rcond=None)[0]
        shares.append(_cosine(arms @ elbow, ways))
    return float(np.mean(shares))


def swing_of_wrists(places: np.ndarray, turns: np.ndarray, span: int) -> float:
    """The same of joints, whose x points away from the body on the left side, -1 to 1."""
    shares = []
    for hand, sign in ((1, 1.0), (2, -1.0)):
        arms, ways = _changes(places, turns, hand, span)
        shares.append(_cosine(sign * arms[..., 0], ways))
    return float(np.mean(shares))


def _changes(places: np.ndarray, turns: np.ndarray, hand: int, span: int) -> tuple[np.ndarray, np.ndarray]:
    """By how much a hand's rotation (F - span, 3, 3) and its place beside the head (F - span, 3) change."""
    beside = places[:, hand] - places[:, 0]
    return turns[span:, hand] - turns[:-span, hand], beside[span:] - beside[:-span]


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / length if length > 1e-9 else 0.0
