"""Left and right of a person, decided over the whole track.

Networks look at single frames and take a front for a back now and then: left and right change places for some frames,
with high scores. Smoothed over time, such frames make shoulders and hips collapse. Limbs do not change places within a
frame, so the sequence of swaps with the least motion is the right one (Viterbi over the frames).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from contrapposto.systems.scail_pose.interface import NUM_JOINTS, Person
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.wholebody import THRESHOLD

# Pairs of keypoints and of joints, of the upper and of the lower part of the body.
_KEYPOINTS = (
    [(2, 5), (3, 6), (4, 7), (14, 15), (16, 17), *zip(range(92, 113), range(113, 134))],
    [(8, 11), (9, 12), (10, 13), *zip(range(18, 21), range(21, 24))],
)
_JOINTS = ([(13, 14), (16, 17), (18, 19), (20, 21), (22, 23)], [(1, 2), (4, 5), (7, 8), (10, 11)])
_BODY = 14  # keypoints whose motion is compared
_STATES = ((False, False), (False, True), (True, False), (True, True))  # which parts are swapped
# In sizes of the person: what a swapped part costs per frame, and parts that disagree.
_SWAPPED, _DISAGREE = 0.01, 0.04
_TRUST = 0.6  # in a frame in which the network took left for right
_LONGEST = 1.0  # seconds: after a longer absence nothing is compared


def steady_sides(clip: ClipPoses) -> tuple[ClipPoses, dict[int, int]]:
    """The clip with left and right as they move least, and in how many frames of each person they were exchanged."""
    times = np.arange(len(clip.frames)) / clip.fps if clip.times is None else np.asarray(clip.times)
    changed: dict[int, int] = {}
    frames = [list(frame) for frame in clip.frames]
    for number in clip.ids:
        places = [
            (t, row) for t, frame in enumerate(frames) for row, one in enumerate(frame) if one.id == number
        ]
        persons = [frames[t][row] for t, row in places]
        if any(np.shape(person.joints) != (NUM_JOINTS, 3) for person in persons):
            continue
        states = best_states(persons, times[[t for t, _ in places]])
        for (t, row), person, state in zip(places, persons, states):
            if any(state):
                frames[t][row] = swap_sides(person, state)
                changed[number] = changed.get(number, 0) + 1
    return replace(clip, frames=frames), changed


def best_states(persons: Sequence[Person], times: np.ndarray) -> list[tuple[bool, bool]]:
    """Whether the upper and the lower part are swapped in each frame of one person, by the least motion.

    Args:
        persons: in the order of time. times: (T,) seconds.
    """
    points = np.stack([[_swapped(p.keypoints, _KEYPOINTS, s)[:_BODY] for s in _STATES] for p in persons])
    scores = np.stack([[_swapped(p.scores, _KEYPOINTS, s)[:_BODY] for s in _STATES] for p in persons])
    size = float(np.median([np.linalg.norm(person.box[2:] - person.box[:2]) for person in persons]))
    own = np.array([_SWAPPED * sum(s) + _DISAGREE * (s[0] != s[1]) for s in _STATES])
    best, links = own.copy(), []
    for t in range(1, len(persons)):
        step = np.zeros((len(_STATES), len(_STATES)))
        if times[t] - times[t - 1] <= _LONGEST:
            step = _motion(points[t - 1], scores[t - 1], points[t], scores[t]) / max(size, 1.0)
        total = best[:, None] + step
        links.append(total.argmin(axis=0))
        best = total.min(axis=0) + own
    state = int(best.argmin())
    path = [state]
    for link in reversed(links):
        state = int(link[state])
        path.append(state)
    return [_STATES[one] for one in reversed(path)]


def swap_sides(person: Person, state: tuple[bool, bool]) -> Person:
    """A person with left and right of the upper and of the lower part exchanged."""
    return replace(
        person,
        keypoints=_swapped(person.keypoints, _KEYPOINTS, state),
        scores=_swapped(person.scores, _KEYPOINTS, state),
        joints=_swapped(person.joints, _JOINTS, state),
        score=person.score * _TRUST,
    )


def _motion(
    before: np.ndarray, before_scores: np.ndarray, after: np.ndarray, after_scores: np.ndarray
) -> np.ndarray:
    """(4, 4) mean distances in pixels between the states of two frames, over points that are known in both."""
    weights = np.minimum(before_scores[:, None], after_scores[None])
    weights = np.where(weights > THRESHOLD, weights, 0.0)
    away = np.linalg.norm(before[:, None] - after[None], axis=-1)
    total = weights.sum(axis=-1)
    return np.where(total > 0, (weights * away).sum(axis=-1) / np.maximum(total, 1e-6), 0.0)


def _swapped(
    values: np.ndarray, pairs: Sequence[Sequence[tuple[int, int]]], state: tuple[bool, bool]
) -> np.ndarray:
    order = np.arange(len(values))
    for part, wanted in zip(pairs, state):
        if wanted:
            for left, right in part:
                order[[left, right]] = right, left
    return values[order]
