"""Quaternions of a table of devices that are not what their columns say: conjugated, or in another order.

The head shows it. In the right reading it is upright, the hands lie to its left and right and before it, and it looks
where it goes; wrists lie along their arms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from contrapposto.checks import note
from contrapposto.io.device_arms import along_arms, swing, swing_of_wrists
from contrapposto.io.device_axes import find_axes, find_vertical, whole_rows
from contrapposto.io.devices import CONVENTIONS, LAYOUTS, Convention

_FRAMES = 600  # rows that are looked at, evenly over the recording
_BETTER = 0.35  # by which another layout agrees better with hands and path before it is taken
_DOUBT = 0.1  # by which it agrees better before it is named
_LIKE = 0.5  # by which it agrees less and still may be right, which is reported as well
_GOOD = 1.6  # what it has to reach; recordings of people as named: 2.4 to 5
_POOR = 0.8  # below this nothing agrees, which is reported
_UPRIGHT = 0.8  # cosine from which on a head counts as upright
_WALKED = 1.0  # metres of a head from which on its way counts
_SPAN = 6  # rows over which hands swing
_LOSS = 0.05  # by which hands may swing less well about their elbows in a layout that is taken


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
    up = None if whole is None else find_vertical(whole)
    if whole is None or up is None:
        return "named"
    stride = max(1, len(whole) // _FRAMES)
    whole = whole[::stride]
    height = float(np.median(whole[:, 0, up]))
    places = whole[..., :3] * (1.5 / height)
    turns = whole[..., 3:] / np.linalg.norm(whole[..., 3:], axis=-1, keepdims=True)
    known = [axes for axes in CONVENTIONS.values() if axes.y_up == (up == 1) and axes.head_known]
    span = max(1, round(_SPAN / stride))
    fits = {
        name: _agreement(places, layout.apply(turns), known, span, exchanged=name == "named")
        for name, layout in LAYOUTS.items()
    }
    best = max(fits, key=lambda name: fits[name].score)
    swings = fits[best].swing > fits["named"].swing - _LOSS
    ahead = fits[best].score - fits["named"].score if fits[best].score > _GOOD and swings else 0.0
    if ahead > _BETTER:
        note(
            f"quaternions are {LAYOUTS[best].words}, as head, hands and path show; axes= takes them as named"
        )
        return best
    _report(fits, best, ahead)
    return "named"


class _Agreement(NamedTuple):
    """How well a reading fits: in all (4 to 5 is perfect), and how far hands swing about elbows (0 to 1)."""

    score: float
    swing: float


def _report(fits: Mapping[str, _Agreement], best: str, ahead: float) -> None:
    """State what quaternions taken as named may be else."""
    others = {name: fit.score for name, fit in fits.items() if name != "named"}
    second = max(others, key=lambda name: others[name])
    if ahead > _DOUBT:
        note(
            f"quaternions may be {LAYOUTS[best].words}: head, hands and path agree better with that; "
            f"they are taken as named; task.axes=NAME_{best} (such as quest_{best}) states it"
        )
    elif fits["named"].score < _POOR:
        note(
            "the head does not turn as hands and path show in any order of its quaternions: the poses may be wrong"
        )
    elif others[second] > fits["named"].score - _LIKE:
        note(
            f"quaternions are taken as named, but this recording hardly shows whether they are {LAYOUTS[second].words}; "
            f"if the figure turns the wrong way: task.axes=NAME_{second} (such as quest_{second})"
        )


def _agreement(
    places: np.ndarray, turns: np.ndarray, known: Iterable[Convention], span: int, exchanged: bool
) -> _Agreement:
    """How well quaternions (F, 3, 4) fit to places (F, 3, 3) in the best of some conventions.

    `exchanged`: hands may be on the other side.
    """
    results = []
    for axes in known:
        rotations, turned = axes.apply(turns, places)
        elbows = swing(turned, rotations, span)
        score = _fit(rotations, turned, exchanged) + 0.5 * elbows
        if axes.hands_known:
            shown = (along_arms(turned, rotations), swing_of_wrists(turned, rotations, span))
            along, wrists = map(abs, shown) if exchanged else shown
            score += 0.25 * along + wrists
        results.append(_Agreement(score, elbows))
    return max(results)


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
