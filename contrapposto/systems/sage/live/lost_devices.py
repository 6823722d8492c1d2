"""Trackers that are not seen for a while: their pose is guessed, without a jump when they come back.

(The wish of RPM, Barquero et al. 2025: hand tracking that comes and goes, followed by a smooth motion.)
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from contrapposto.io.devices import JOINTS
from contrapposto.skeleton import SMPL22, forward_kinematics

Pose = tuple[np.ndarray, np.ndarray]
"""Rotation matrices (..., 3, 3) and positions (..., 3)."""
_UPRIGHT = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
_ARM = 1.35  # radians by which a hanging arm is lowered from the T-pose
_RECENT = 4  # frames from which the velocity at a loss is taken


@dataclass(frozen=True)
class DropoutTimes:
    """Seconds.

    Args:
        glide: the last velocity dies away with this time constant.
        hold: until here the hand stays where it was, seen from the head.
        fade: from there on it sinks to the wearer's side within this time.
        back: the guess is blended into what is seen again within this time.
    """

    glide: float = 0.08
    hold: float = 0.5
    fade: float = 1.0
    back: float = 0.15


class DropoutGuard:
    """Complete poses from incomplete ones, one frame after another.

    A lost hand first glides on, is then held relative to the head's place and heading, and sinks to the wearer's side
    at last. A lost head glides and stays. A hand that was never seen hangs at the side.

    Args:
        scale: of the wearer relative to the default skeleton; the length of a hanging arm.
        times: see `DropoutTimes`.
    """

    def __init__(self, scale: float = 1.0, times: DropoutTimes | None = None) -> None:
        self.times = times or DropoutTimes()
        self._rest: list[Pose] = [(_UPRIGHT, np.zeros(3)), *(hanging(device, scale) for device in (1, 2))]
        self._tracks: list[_Device] = []
        self._heading = 0.0

    def fill(
        self, time: float, rotations: np.ndarray, positions: np.ndarray, seen: np.ndarray
    ) -> Pose | None:
        """Poses of all three devices, (3, 3, 3) and (3, 3) metres, at increasing seconds; None before the head is seen.

        Args:
            time: seconds.
            rotations: (3, 3, 3) of the devices' joints.
            positions: (3, 3) metres.
            seen: (3,) which of them count.
        """
        if not self._tracks:
            if not seen[0]:
                return None
            self._tracks = [_Device(rest, self.times, bool(flag)) for rest, flag in zip(self._rest, seen)]
        turns, places = np.empty((3, 3, 3)), np.empty((3, 3))
        frame, origin = np.eye(3), np.zeros(3)
        for device, track in enumerate(self._tracks):
            if seen[device]:
                turn, place = track.see(
                    time, frame.T @ rotations[device], frame.T @ (positions[device] - origin)
                )
            else:
                turn, place = track.guess(time, self._rest[device] if device else None)
            turns[device], places[device] = frame @ turn, frame @ place + origin
            if device == 0:
                self._heading = heading(turns[0], self._heading)
                frame, origin = about_vertical(self._heading), places[0].copy()
        return turns, places


class _Device:
    """One device, in coordinates where holding still is natural: the world for the head, the head's for a hand."""

    def __init__(self, rest: Pose, times: DropoutTimes, seen: bool) -> None:
        self.times, self.lost = times, not seen
        self._shown = rest
        self._recent: deque[tuple[float, np.ndarray, np.ndarray]] = deque(maxlen=_RECENT)
        self._last: tuple[float, Pose] | None = None  # when and where it was lost
        self._back: tuple[float, np.ndarray, np.ndarray] | None = None  # the guess's error when it came back

    def see(self, time: float, turn: np.ndarray, place: np.ndarray) -> Pose:
        """Take a pose that was seen; returns it, or on the way to it after a loss."""
        if self.lost:
            shown, shown_place = self._shown
            self._back = (time, _log(turn.T @ shown), shown_place - place)
            self.lost = False
            self._recent.clear()
        self._recent.append((time, turn, place))
        self._last = None
        if self._back is not None:
            since, turn_error, place_error = self._back
            weight = 1 - _smooth((time - since) / self.times.back)
            if weight > 0:
                turn, place = turn @ _exp(weight * turn_error), place + weight * place_error
            else:
                self._back = None
        self._shown = (turn, place)
        return self._shown

    def guess(self, time: float, rest: Pose | None) -> Pose:
        """Where it may be now; `rest` is where it goes in the end."""
        if not self._recent:
            return self._shown  # never seen
        if self._last is None:
            self._last, self.lost = (self._recent[-1][0], self._shown), True
        since, (turn, place) = self._last
        age, times = time - since, self.times
        spin, velocity = self._velocity()
        reach = times.glide * (1 - np.exp(-age / times.glide))
        turn, place = turn @ _exp(reach * spin), place + reach * velocity
        weight = _smooth((age - times.hold) / times.fade)
        if rest is not None and weight > 0:
            turn = turn @ _exp(weight * _log(turn.T @ rest[0]))
            place = (1 - weight) * place + weight * rest[1]
        self._shown = (turn, place)
        return self._shown

    def _velocity(self) -> Pose:
        """Radians and metres per second over the last few frames that were seen."""
        (start, turn, place), (end, last_turn, last_place) = self._recent[0], self._recent[-1]
        elapsed = max(end - start, 1e-3)
        return _log(turn.T @ last_turn) / elapsed, (last_place - place) / elapsed


def heading(head: np.ndarray, before: float = 0.0) -> float:
    """Angle about the vertical by which a head (3, 3) is turned from -y; `before` where it looks straight up or down."""
    x, y = head[0, 2], head[1, 2]
    return float(np.arctan2(x, -y)) if np.hypot(x, y) > 0.2 else before


def about_vertical(angle: float) -> np.ndarray:
    """(3, 3) rotation about z."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def hanging(device: int, scale: float = 1.0) -> Pose:
    """Pose of a hand (1 left, 2 right) that hangs at the side: relative to the head's place, facing -y."""
    side = 1 if device == 1 else -1
    return _UPRIGHT @ _exp(np.array([0.0, 0.0, -side * _ARM])), scale * _HANGING[device - 1]


def _log(matrix: np.ndarray) -> np.ndarray:
    return Rotation.from_matrix(matrix).as_rotvec()


def _exp(vector: np.ndarray) -> np.ndarray:
    return Rotation.from_rotvec(vector).as_matrix()


def _smooth(share: float) -> float:
    share = float(np.clip(share, 0.0, 1.0))
    return share * share * (3 - 2 * share)


def _hanging_places() -> np.ndarray:
    """(2, 3) wrists relative to the head for lowered arms, of the default skeleton, facing -y."""
    local = torch.eye(3).repeat(22, 1, 1)
    local[0] = torch.from_numpy(_UPRIGHT).float()
    for joint, side in ((16, 1), (17, -1)):
        local[joint] = torch.from_numpy(_exp(np.array([0, 0, -side * _ARM]))).float()
    joints = forward_kinematics(SMPL22.parents, local, torch.from_numpy(SMPL22.offsets))[1].double().numpy()
    head, left, right = joints[list(JOINTS)]
    return np.stack([left - head, right - head])


_HANGING = _hanging_places()
