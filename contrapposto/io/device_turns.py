"""Quaternions of a table of devices that are not what their columns say: conjugated, or in another order.

The head shows it. In the right reading it is upright, the hands lie to its left and right and before it, and it looks
where it goes; wrists lie along their arms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from contrapposto.checks import note
from contrapposto.io.device_axes import along_arms, find_axes, find_vertical, whole_rows
from contrapposto.io.devices import CONVENTIONS, LAYOUTS, Convention

_FRAMES = 600  # rows that are looked at, evenly over the recording
_BETTER = 0.8  # by which another layout agrees better with hands and path before it is taken
_DOUBT = 0.4  # by which it agrees better before it is named
_GOOD = 1.6  # what it has to reach; recordings of people as named: 1.9 to 3.5
_POOR = 0.8  # below this nothing agrees, which is reported
_UPRIGHT = 0.8  # cosine from which on a head counts as upright
_WALKED = 1.0  # metres of a head from which on its way counts


def find_recorded(block: np.ndarray, habit: str) -> Convention:
    """Axes and order of quaternions that the rows show; what differs from the habit is reported.

    Args:
        block: rows of time, 21 numbers (position, wxyz of head, left, right) and three flags, of any unit.
        habit: name of the convention of this kind of file, taken where the rows do not tell.
    """
    layout = find_layout(block)
    if layout != "named":
        block = block.copy()
        devices = block[:, 1:22].reshape(-1, 3, 7)
        devices[..., 3:] = LAYOUTS[layout].apply(devices[..., 3:])
        block[:, 1:22] = devices.reshape(-1, 21)
    return replace(CONVENTIONS[find_axes(block, habit)], layout=layout)


def find_layout(block: np.ndarray) -> str:
    """The name in `LAYOUTS` that agrees with hands and path of the rows; as named unless another is clearly better."""
    whole = whole_rows(block)
    up = None if whole is None else find_vertical(whole[..., :3])
    if whole is None or up is None:
        return "named"
    whole = whole[:: max(1, len(whole) // _FRAMES)]
    height = float(np.median(whole[:, 0, up]))
    places = whole[..., :3] * (1.5 / height)
    turns = whole[..., 3:] / np.linalg.norm(whole[..., 3:], axis=-1, keepdims=True)
    known = [axes for axes in CONVENTIONS.values() if axes.y_up == (up == 1) and axes.head_known]
    scores = {
        name: _agreement(places, layout.apply(turns), known, exchanged=name == "named")
        for name, layout in LAYOUTS.items()
    }
    best = max(scores, key=lambda name: scores[name])
    if scores[best] > _GOOD and scores[best] > scores["named"] + _BETTER:
        note(
            f"quaternions are {LAYOUTS[best].words}, as head, hands and path show; axes= takes them as named"
        )
        return best
    if scores[best] > _GOOD and scores[best] > scores["named"] + _DOUBT:
        note(
            f"quaternions may be {LAYOUTS[best].words}: head, hands and path agree better with that; "
            "they are taken as named"
        )
    elif scores["named"] < _POOR:
        note(
            "the head does not turn as hands and path show in any order of its quaternions: the poses may be wrong"
        )
    return "named"


def _agreement(places: np.ndarray, turns: np.ndarray, known: Iterable[Convention], exchanged: bool) -> float:
    """How well quaternions (F, 3, 4) fit to places (F, 3, 3) in the best of some conventions; 3 to 4 is perfect.

    `exchanged`: hands may be on the other side.
    """
    scores = []
    for axes in known:
        rotations, turned = axes.apply(turns, places)
        along = along_arms(turned, rotations) if axes.hands_known else 0.0
        scores.append(_fit(rotations, turned, exchanged) + 0.25 * (abs(along) if exchanged else along))
    return max(scores)


def _fit(turns: np.ndarray, places: np.ndarray, exchanged: bool) -> float:
    """The same for joints' rotations (F, 3, 3, 3) and places, z up, heads at 1.5 m."""
    head = turns[:, 0]
    upright = min(float(np.median(head[:, 2, 1])), _UPRIGHT) / _UPRIGHT
    left, ahead = _level(head[:, :, 0]), _level(head[:, :, 2])
    sides = float(np.mean((_level(places[:, 1] - places[:, 2]) * left).sum(axis=1)))
    hands = places[:, 1:].mean(axis=1) - places[:, 0]
    before = float((hands * ahead).sum(axis=1).mean() / np.median(np.linalg.norm(hands, axis=1)))
    steps = np.diff(places[:, 0], axis=0) * [1.0, 1.0, 0.0]
    length = float(np.linalg.norm(steps, axis=1).sum())
    way = float((steps * ahead[1:]).sum()) / length if length > _WALKED else 0.0
    return upright + (abs(sides) if exchanged else sides) + before + way


def _level(directions: np.ndarray) -> np.ndarray:
    """(F, 3) directions, level with the floor, of length one."""
    flat = directions * [1.0, 1.0, 0.0]
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))
