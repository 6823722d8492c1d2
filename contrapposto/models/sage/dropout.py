"""Trackers that are not seen for a while: their pose is guessed, without a jump when they come back.

(The wish of RPM, Barquero et al. 2025: hand tracking that comes and goes, followed by a smooth motion.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from contrapposto.io.devices import JOINTS
from contrapposto.skeleton import SMPL22, forward_kinematics

_UPRIGHT = Rotation.from_euler("x", np.pi / 2)
_ARM = 1.35  # radians by which a hanging arm is lowered from the T-pose


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
        self.scale, self.times = scale, times or DropoutTimes()
        self._tracks: list[_Lost | None] = [None, None, None]
        self._heading = 0.0

    def fill(
        self, time: float, rotations: Rotation, positions: np.ndarray, seen: np.ndarray
    ) -> tuple[Rotation, np.ndarray] | None:
        """Poses of all three devices (3 rotations, (3, 3) metres) at increasing seconds; None before the head is seen.

        Args:
            time: seconds.
            rotations: of the devices' joints, 3 of them.
            positions: (3, 3) metres.
            seen: (3,) which of them count.
        """
        if not seen[0] and self._tracks[0] is None:
            return None
        filled: list[tuple[Rotation, np.ndarray]] = []
        frame = (Rotation.identity(), np.zeros(3))
        for device in range(3):
            track = self._tracks[device]
            if track is None:
                rest = (_UPRIGHT, np.zeros(3)) if device == 0 else hanging(device, self.scale)
                track = self._tracks[device] = _Lost(rest[0], rest[1], fresh=bool(seen[device]))
            if seen[device]:
                local = _to_local(frame, rotations[device], positions[device])
                pose = track.see(time, *local, self.times)
            else:
                pose = track.guess(time, hanging(device, self.scale) if device else None, self.times)
            filled.append(_to_world(frame, *pose))
            if device == 0:
                self._heading = heading(filled[0][0], self._heading)
                frame = (Rotation.from_euler("z", self._heading), filled[0][1])
        return Rotation.concatenate([turn for turn, _ in filled]), np.stack([place for _, place in filled])


class _Lost:
    """One device, in coordinates where holding still is natural: the world for the head, the head's for a hand."""

    def __init__(self, turn: Rotation, place: np.ndarray, fresh: bool) -> None:
        self.turn, self.place = turn, place
        self.spin, self.velocity = np.zeros(3), np.zeros(3)
        self.time = -np.inf  # when last seen
        self.lost = not fresh
        self._offset = (Rotation.identity(), np.zeros(3))
        self._back = -np.inf
        self._shown = (turn, place)

    def see(
        self, time: float, turn: Rotation, place: np.ndarray, times: DropoutTimes
    ) -> tuple[Rotation, np.ndarray]:
        """Take a pose that was seen; returns it, or on the way to it after a loss."""
        if self.lost:
            self._offset = (turn.inv() * self._shown[0], self._shown[1] - place)
            self._back, self.lost = time, False
            self.spin, self.velocity = np.zeros(3), np.zeros(3)
        elif np.isfinite(self.time):
            elapsed = max(time - self.time, 1e-4)
            self.velocity = 0.5 * self.velocity + 0.5 * (place - self.place) / elapsed
            self.spin = 0.5 * self.spin + 0.5 * (self.turn.inv() * turn).as_rotvec() / elapsed
        self.turn, self.place, self.time = turn, place, time
        weight = 1 - _smooth((time - self._back) / times.back)
        if weight > 0:
            turn = turn * Rotation.from_rotvec(weight * self._offset[0].as_rotvec())
            place = place + weight * self._offset[1]
        self._shown = (turn, place)
        return self._shown

    def guess(
        self, time: float, rest: tuple[Rotation, np.ndarray] | None, times: DropoutTimes
    ) -> tuple[Rotation, np.ndarray]:
        """Where it may be now; `rest` is where it goes in the end."""
        if not np.isfinite(self.time):
            return self._shown
        if not self.lost:  # go on from what was shown, which may still be on its way back
            self.lost, (self.turn, self.place) = True, self._shown
        age = time - self.time
        reach = times.glide * (1 - np.exp(-age / times.glide))
        turn = self.turn * Rotation.from_rotvec(reach * self.spin)
        place = self.place + reach * self.velocity
        weight = _smooth((age - times.hold) / times.fade)
        if rest is not None and weight > 0:
            turn = turn * Rotation.from_rotvec(weight * (turn.inv() * rest[0]).as_rotvec())
            place = (1 - weight) * place + weight * rest[1]
        self._shown = (turn, place)
        return self._shown


def heading(head: Rotation, before: float = 0.0) -> float:
    """Angle about the vertical by which a head is turned from -y; `before` where it looks straight up or down."""
    forward = head.as_matrix()[:, 2]
    return float(np.arctan2(forward[0], -forward[1])) if np.hypot(*forward[:2]) > 0.2 else before


def hanging(device: int, scale: float = 1.0) -> tuple[Rotation, np.ndarray]:
    """Pose of a hand (1 left, 2 right) that hangs at the side: relative to the head's place, facing -y."""
    side = 1 if device == 1 else -1
    return _UPRIGHT * Rotation.from_euler("z", -side * _ARM), scale * _HANGING[device - 1]


def _to_local(
    frame: tuple[Rotation, np.ndarray], turn: Rotation, place: np.ndarray
) -> tuple[Rotation, np.ndarray]:
    inverse = frame[0].inv()
    return inverse * turn, inverse.apply(place - frame[1])


def _to_world(
    frame: tuple[Rotation, np.ndarray], turn: Rotation, place: np.ndarray
) -> tuple[Rotation, np.ndarray]:
    return frame[0] * turn, frame[0].apply(place) + frame[1]


def _smooth(share: float) -> float:
    share = float(np.clip(share, 0.0, 1.0))
    return share * share * (3 - 2 * share)


def _hanging_places() -> np.ndarray:
    """(2, 3) wrists relative to the head for lowered arms, of the default skeleton, facing -y."""
    local = torch.eye(3).repeat(22, 1, 1)
    local[0] = torch.from_numpy(_UPRIGHT.as_matrix()).float()
    for joint, side in ((16, 1), (17, -1)):
        local[joint] = torch.from_numpy(Rotation.from_euler("z", -side * _ARM).as_matrix()).float()
    joints = forward_kinematics(SMPL22.parents, local, torch.from_numpy(SMPL22.offsets))[1].double().numpy()
    head, left, right = joints[list(JOINTS)]
    return np.stack([left - head, right - head])


_HANGING = _hanging_places()
