"""Devices that are somewhere no device can be: lost hands at the origin, frozen or on the head; impossible places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from contrapposto.errors import InputError
from contrapposto.io.devices import DEVICES, DeviceTrack, Repairs

HIGHEST = 3.0
"""Metres above the floor that no head exceeds."""

FARTHEST = 2.0
"""Metres from the head that no hand exceeds."""

FASTEST = 15.0
"""Metres a second that no head or hand exceeds."""

_ORIGIN, _ON_HEAD = 2e-3, 0.02  # metres
_FROZEN = 0.25  # seconds without any change, while the head moves
_HEAD_MOVES = 0.01  # metres
_WINDOW = 0.4  # seconds in which a hand stays at one place
_SHAKES, _TURNS = 0.006, 0.03  # metres, and entries of matrices, of its noise
_WALKS = 0.25  # metres that the head goes in this time


def plausible(tracks: Iterator[DeviceTrack], repairs: Repairs) -> Iterator[DeviceTrack]:
    """Tracks in which devices count as not tracked wherever they cannot have been; what was found is counted.

    Args:
        tracks: successive stretches of a recording.
        repairs: strict or lenient; in strict mode each is an error.

    Raises:
        InputError: most of the first stretch is impossible.
    """
    for number, track in enumerate(tracks):
        lost = _lost_hands(track)
        _report(track, lost, repairs)
        seen = track.tracked & ~np.any(list(lost.values()), axis=0)
        for kind, frames in _impossible(track, seen).items():
            bad = frames & seen
            if number == 0 and bad.any(axis=1).mean() > 0.5:
                raise InputError(
                    f"{repairs.path}: most frames {kind}.", found=_value(track), expected=_LIMITS
                )
            _count(bad, kind, track, repairs)
            seen = seen & ~frames
        yield replace(track, seen=seen)


_LIMITS = f"heads below {HIGHEST:g} m, hands within {FARTHEST:g} m, speeds below {FASTEST:g} m/s"


def _lost_hands(track: DeviceTrack) -> dict[str, np.ndarray]:
    """By kind, (F, 3) where a hand lies at a place at which trackers put lost devices."""
    places = track.positions.numpy()
    still = np.zeros(places.shape[:2], bool)
    origin, on_head = still.copy(), still.copy()
    head = places[:, 0]
    for hand in (1, 2):
        origin[:, hand] = np.abs(places[:, hand]).max(axis=1) < _ORIGIN
        on_head[:, hand] = np.linalg.norm(places[:, hand] - head, axis=1) < _ON_HEAD
        still[:, hand] = _frozen(track, hand) | _shaking(track, hand)
    return {"at the origin": origin, "on the head": on_head & ~origin, "frozen": still & ~origin & ~on_head}


def _frozen(track: DeviceTrack, hand: int) -> np.ndarray:
    """(F,) where a hand's pose does not change by a bit for a while, although the head moves."""
    places, turns = track.positions.numpy()[:, hand], track.rotations.numpy()[:, hand]
    same = np.zeros(len(places), bool)
    same[1:] = (places[1:] == places[:-1]).all(axis=1) & (turns[1:] == turns[:-1]).all(axis=(1, 2))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(int), [0]])))
    head = track.positions.numpy()[:, 0]
    result = np.zeros(len(places), bool)
    for start, stop in zip(edges[::2], edges[1::2]):
        lasts = track.times[stop - 1] - track.times[start - 1] >= _FROZEN
        if lasts and np.ptp(head[start - 1 : stop], axis=0).max() > _HEAD_MOVES:
            result[start:stop] = True
    return result


def _shaking(track: DeviceTrack, hand: int) -> np.ndarray:
    """(F,) where a hand stays at one place but for noise, turning neither, although the head walks away from it."""
    step = float(np.median(np.diff(track.times))) if len(track) > 1 else 0.0
    size = round(_WINDOW / step) + 1 if step > 0 else 0
    if not 3 <= size <= len(track):
        return np.zeros(len(track), bool)
    pose = np.concatenate(
        [
            track.positions.numpy()[:, hand] / _SHAKES,
            track.rotations.numpy()[:, hand].reshape(-1, 9) / _TURNS,
        ],
        axis=1,
    )
    windows = np.lib.stride_tricks.sliding_window_view(pose, size, axis=0)
    head = track.positions.numpy()[:, 0]
    away = np.linalg.norm(head[size - 1 :] - head[: len(head) - size + 1], axis=1) > _WALKS
    starts = np.flatnonzero((np.ptp(windows, axis=-1) < 1).all(axis=1) & away)
    result = np.zeros(len(track), bool)
    for start in starts:
        result[start + 1 : start + size] = True  # the first is the last true pose, or the one before
    return result


def doubtful(track: DeviceTrack) -> dict[str, np.ndarray]:
    """By kind, (F, 3) where a device is lost or cannot be: what a live session leaves out."""
    lost = {f"hands lost ({kind})": frames for kind, frames in _lost_hands(track).items()}
    seen = track.tracked & ~np.any(list(lost.values()), axis=0)
    return lost | {f"places that {kind}": frames for kind, frames in _impossible(track, seen).items()}


def _impossible(track: DeviceTrack, seen: np.ndarray) -> dict[str, np.ndarray]:
    """By kind, (F, 3) where a tracked device is too high, too far or too fast."""
    places = track.positions.numpy()
    high, far, fast = (np.zeros(places.shape[:2], bool) for _ in range(3))
    high[:, 0] = places[:, 0, 2] > HIGHEST
    away = np.linalg.norm(places - places[:, :1], axis=-1)
    far[:, 1:] = (away[:, 1:] > FARTHEST) & seen[:, :1]
    steps = np.linalg.norm(np.diff(places, axis=0), axis=-1)
    times = np.maximum(np.diff(track.times), 1e-6)[:, None]
    seen = seen & ~high & ~far
    jumps = (steps > FASTEST * times) & (steps > 0.1) & seen[1:] & seen[:-1]
    fast[1:] = jumps
    return {"have a head that is too high": high, "have a hand too far from the head": far, "jump": fast}


def _report(track: DeviceTrack, lost: dict[str, np.ndarray], repairs: Repairs) -> None:
    for kind, frames in lost.items():
        for hand in (1, 2):
            bad = frames[:, hand] & track.tracked[:, hand]
            _count_kind(bad, f"has the {DEVICES[hand]} hand lost ({kind})", track, repairs)


def _count(bad: np.ndarray, kind: str, track: DeviceTrack, repairs: Repairs) -> None:
    for device, name in enumerate(DEVICES):
        _count_kind(bad[:, device], f"has an impossible place of {name} ({kind})", track, repairs)


def _count_kind(frames: np.ndarray, kind: str, track: DeviceTrack, repairs: Repairs) -> None:
    if frames.any():
        first = float(track.times[int(frames.argmax())])
        repairs.note(kind, f"the frame at {first:.3f} s")
        repairs.counts[kind] += int(frames.sum()) - 1


def _value(track: DeviceTrack) -> str:
    places = track.positions.numpy()
    away = np.linalg.norm(places - places[:, :1], axis=-1)
    return f"head up to {places[:, 0, 2].max():.3g} m high, hands up to {away.max():.3g} m away"
