"""What is done to tracked poses after the network: less jitter, hands on their devices, feet on the floor.

Everything is causal and in closed form, so that a clip and a live stream give the same poses. Four optional steps:

1. Smoothing by the one-euro filter (Casiez et al., CHI 2012): strong at rest, weak in fast motion.
2. Reach: head and hands take the orientation of their devices, and the arms bend so that the hands stand where their
   devices are. A hand that comes back after a loss is brought there within 0.15 s.
3. Plant: a foot that stands, as the network predicts, keeps its place on the floor; legs bend. A foot that is lifted
   returns to the predicted place within some tenths of a second, without a jump.
4. Floor: legs bend so that no foot is below the floor; the body is lifted where that is not enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage import limbs
from contrapposto.systems.sage.joints import HEAD, NUM_JOINTS

FPS = 60.0
_BACK = 0.15  # seconds


@dataclass(frozen=True)
class Finishing:
    """Settings of `Finisher`; every report states them.

    Args:
        smooth: whether poses are filtered.
        cutoff: frequency in Hz below which a joint at rest may move.
        response: how fast the cutoff rises with a joint's speed, Hz per (1/s of its 6D rotation).
        reach: whether hands are put where their devices are.
        plant: whether feet that stand keep their place. Feet that are predicted to move slowly stand, unless a network
            that predicts contacts states otherwise.
        floor: height in metres below which no joint may be; None for no floor.
    """

    smooth: bool = True
    cutoff: float = 2.0
    response: float = 4.0
    reach: bool = True
    plant: bool = True
    floor: float | None = 0.0

    @classmethod
    def none(cls, *, reach: bool = False) -> Finishing:
        """Poses as the network gives them, or with reach alone."""
        return cls(smooth=False, reach=reach, plant=False, floor=None)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Finishing:
        """From the options of a training: `finishing`, or `reach` alone where that is not set."""
        if options.get("finishing") is not None:
            return cls(**options["finishing"])
        return cls.none(reach=bool(options.get("reach")))

    @property
    def does_nothing(self) -> bool:
        """Whether poses stay as the network gave them."""
        return not (self.smooth or self.reach or self.plant or self.floor is not None)

    def __str__(self) -> str:
        """One line for reports."""
        smooth = (
            f"one-euro filter ({self.cutoff:g} Hz, response {self.response:g})"
            if self.smooth
            else "no filter"
        )
        floor = "no floor" if self.floor is None else f"floor at {self.floor:g} m"
        reach = "hands reach their devices" if self.reach else "no reach"
        plant = "standing feet stay" if self.plant else "feet may slide"
        return f"{smooth}, {reach}, {plant}, {floor}"


@dataclass(frozen=True)
class Posed:
    """N frames of a posed body, float64.

    Args:
        local: (N, 22, 3, 3) local rotations.
        positions: (N, 22, 3) metres.
        root_translation: (N, 3) metres.
    """

    local: np.ndarray
    positions: np.ndarray
    root_translation: np.ndarray


class Finisher:
    """Applies `Finishing` to consecutive frames, any number at a time.

    Args:
        settings: what is done.
        offsets: (22, 3) metres, offsets of the joints from their parents.
    """

    def __init__(self, settings: Finishing, offsets: np.ndarray | None = None) -> None:
        self.settings = settings
        rest = SMPL22.offsets[:NUM_JOINTS] if offsets is None else offsets
        self.offsets = np.asarray(rest, np.float64)
        self._transforms = np.tile(np.eye(4), (NUM_JOINTS + 1, 1, 1))
        self._transforms[:NUM_JOINTS, :3, 3] = self.offsets
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._smoothed: np.ndarray | None = None
        self._speed = np.zeros(NUM_JOINTS)
        self._weights = np.zeros(2)
        self._shift = np.zeros((2, 3))
        self._hands = np.tile(np.eye(3), (2, 1, 1))
        self._first = True
        self._stands = np.zeros(2)
        self._predicted: np.ndarray | None = None
        self._toes = np.zeros((2, 2))

    def __call__(self, sixd: np.ndarray, devices: np.ndarray, seen: np.ndarray | None = None) -> Posed:
        """Poses of the next N frames.

        Args:
            sixd: (N, 132) predicted local 6D rotations, columns layout; or (N, 134), then the logits that the toes of
                the left and the right foot stand.
            devices: (N, 3, 18) device features of the same frames.
            seen: (N, 3) bool, which devices are tracked; all where None.
        """
        sixd = np.asarray(sixd, np.float64)
        values, logits = sixd[:, : 6 * NUM_JOINTS].reshape(-1, NUM_JOINTS, 6), sixd[:, 6 * NUM_JOINTS :]
        if self.settings.smooth:
            values = self._smooth(values)
        local = matrices(values)
        rotations, positions = self._forward(local)
        head = np.asarray(devices[:, 0, 12:15], np.float64)
        positions += (head - positions[:, HEAD])[:, None]
        targets = positions[:, limbs.END]
        if self.settings.reach:
            rotations, positions, targets = self._reach(rotations, positions, devices, seen)
        if self.settings.plant:
            contacts = expit(logits) if logits.shape[1] else np.ones((len(sixd), 2))
            targets[:, 2:, :2] += self._plant(positions[:, _TOES, :2], contacts)
        if self.settings.floor is not None:
            targets[:, 2:, 2] += self._below(positions)
        legs = self.settings.plant or self.settings.floor is not None
        if self.settings.reach or legs:
            local, positions = self._bend(local, rotations, positions, targets, legs)
        return Posed(local, positions, positions[:, 0] - self.offsets[0])

    def _smooth(self, values: np.ndarray) -> np.ndarray:
        """The one-euro filter, joint by joint: (N, 22, 6)."""
        settings, result = self.settings, np.empty_like(values)
        blend = _blend(1.0)  # of the speed: 1 Hz, as in the paper
        for index, value in enumerate(values):
            if self._smoothed is None:
                self._smoothed = value
            else:
                step = value - self._smoothed
                speed = FPS * np.sqrt((step * step) @ _SIX)
                self._speed = self._speed + blend * (speed - self._speed)
                share = _blend(settings.cutoff + settings.response * self._speed)
                self._smoothed = self._smoothed + share[:, None] * step
            result[index] = self._smoothed
        return result

    def _forward(self, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Global rotations and positions of (N, 22, 3, 3), the root at its rest position.

        Every joint's transform is multiplied by that of its ancestor 1, 2, 4 and 8 steps above: four products of all
        joints at once instead of one per level.
        """
        pose = self._transforms[None].repeat(len(local), 0)
        pose[:, :NUM_JOINTS, :3, :3] = local
        for above in _ANCESTORS:
            pose = pose[:, above] @ pose
        return pose[:, :NUM_JOINTS, :3, :3], pose[:, :NUM_JOINTS, :3, 3]

    def _reach(
        self, rotations: np.ndarray, positions: np.ndarray, devices: np.ndarray, seen: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rotations with head, hands and collars turned, positions with the shoulders moved, and the limbs' targets."""
        measured = np.asarray(devices, np.float64)
        turns = matrices(measured[..., :6])
        hands = limbs.END[:2]
        weights = self._weigh(len(measured), seen)
        shift = measured[:, 1:, 12:15] - positions[:, hands]
        wanted = turns[:, 1:]
        if seen is not None:
            shift, wanted = self._hold(shift, wanted, rotations[:, hands], seen[:, 1:3])
        rotations[:, HEAD] = turns[:, 0]
        if weights.min() >= 1:
            rotations[:, hands] = wanted
        else:
            rotations[:, hands] = _between(rotations[:, hands], wanted, weights)
        ends = positions[:, limbs.END]
        ends[:, :2] += weights[..., None] * shift
        collars = limbs.shrug(positions, ends[:, :2])
        if collars is not None:
            before = positions[:, limbs.COLLARS]
            moved = before + (collars @ (positions[:, limbs.UPPER[:2]] - before)[..., None])[..., 0]
            change = moved - positions[:, limbs.UPPER[:2]]
            for joints in (limbs.UPPER, limbs.MIDDLE, limbs.END):
                positions[:, joints[:2]] += change
            rotations[:, limbs.COLLARS] = collars @ rotations[:, limbs.COLLARS]
        return rotations, positions, ends

    def _weigh(self, frames: int, seen: np.ndarray | None) -> np.ndarray:
        """(N, 2) how far each hand is on its way to its device; the first frame of a stream is there at once."""
        flags = np.ones((frames, 2), bool) if seen is None else np.asarray(seen[:, 1:3], bool)
        if self._first:
            self._weights, self._first = flags[0].astype(float), False
        if seen is None and self._weights.min() >= 1:
            return flags.astype(float)
        result, step = np.empty((frames, 2)), 1 / (_BACK * FPS)
        for index, flag in enumerate(flags):
            self._weights = np.clip(self._weights + np.where(flag, step, -step), 0, 1)
            result[index] = self._weights
        return result

    def _hold(
        self, shift: np.ndarray, wanted: np.ndarray, predicted: np.ndarray, seen: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where hands are not seen: the last shift, and the last turn relative to the prediction."""
        shift, wanted = shift.copy(), wanted.copy()
        for index, flags in enumerate(seen):
            for hand in (0, 1):
                if flags[hand]:
                    self._shift[hand] = shift[index, hand]
                    self._hands[hand] = wanted[index, hand] @ predicted[index, hand].T
                else:
                    shift[index, hand] = self._shift[hand]
                    wanted[index, hand] = self._hands[hand] @ predicted[index, hand]
        return shift, wanted

    def _plant(self, toes: np.ndarray, contacts: np.ndarray) -> np.ndarray:
        """(N, 2, 2) metres by which each foot moves sideways, for predicted toes (N, 2, 2) and probabilities (N, 2).

        Toes that are predicted to move fast do not stand, whatever their probability. The toes follow the predicted
        velocity as far as they do not stand, and are drawn to the predicted place: hardly while they stand, faster while
        they move, and faster where they have fallen far behind.
        """
        result = np.empty_like(toes)
        if self._predicted is None:
            self._predicted = self._toes = toes[0]
        for index, (place, contact) in enumerate(zip(toes, contacts)):
            step = place - self._predicted
            slow = np.clip((_FAST - FPS * np.sqrt((step * step) @ _ONES2)) / (_FAST - _SLOW), 0, 1)
            wanted = np.clip(2.5 * contact - 0.25, 0, 1) * slow
            self._stands = self._stands + _CONTACT * (wanted - self._stands)
            stands = np.minimum(self._stands, wanted)  # a foot is released at once
            moved = self._toes + (1 - stands)[:, None] * step
            behind = place - moved
            far = np.clip(1 - _FAR / np.maximum(np.sqrt((behind * behind) @ _ONES2), 1e-9), 0, 1)
            rate = np.maximum(_DRIFT * stands + _RETURN * (1 - stands), _CATCH * far)
            self._toes, self._predicted = moved + rate[:, None] * behind, place
            result[index] = self._toes - place
        return result

    def _below(self, positions: np.ndarray) -> np.ndarray:
        """(N, 2) metres by which each foot has to rise."""
        assert self.settings.floor is not None
        lowest = np.minimum(positions[:, limbs.END[2:], 2], positions[:, _TOES, 2])
        return np.maximum(self.settings.floor - lowest, 0)

    def _bend(
        self,
        local: np.ndarray,
        rotations: np.ndarray,
        positions: np.ndarray,
        targets: np.ndarray,
        legs: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Local rotations and positions with the limbs' ends at their targets and their orientations as they are."""
        upper, lower, middle, end = limbs.bend(rotations, positions, targets)
        # Arms, legs, or both.
        chosen = slice(0 if self.settings.reach else 2, 4 if legs else 2)
        if legs:
            positions[:, _TOES] += end[:, 2:] - positions[:, limbs.END[2:]]
        rotations[:, limbs.UPPER[chosen]], rotations[:, limbs.MIDDLE[chosen]] = (
            upper[:, chosen],
            lower[:, chosen],
        )
        positions[:, limbs.MIDDLE[chosen]], positions[:, limbs.END[chosen]] = (
            middle[:, chosen],
            end[:, chosen],
        )
        local[:, _CHANGED] = rotations[:, _ABOVE].swapaxes(-1, -2) @ rotations[:, _CHANGED]
        if self.settings.floor is not None:
            lift = np.maximum(self.settings.floor - positions[..., 2].min(1), 0)
            positions[..., 2] += lift[:, None]
        return local, positions


def matrices(sixd: np.ndarray) -> np.ndarray:
    """(..., 6) of the columns layout to (..., 3, 3) by Gram-Schmidt."""
    first, second = sixd[..., :3], sixd[..., 3:]
    first = first / np.maximum(limbs.norm(first), 1e-12)[..., None]
    second = second - limbs.dot(first, second)[..., None] * first
    second = second / np.maximum(limbs.norm(second), 1e-12)[..., None]
    result = np.empty((*sixd.shape[:-1], 3, 3), first.dtype)
    result[..., 0], result[..., 1], result[..., 2] = first, second, limbs.cross(first, second)
    return result


def _between(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Rotations (N, 2, 3, 3) on the way from the first to the second by shares (N, 2)."""
    mixed = first + weights[..., None, None] * (second - first)
    return matrices(np.concatenate([mixed[..., 0], mixed[..., 1]], axis=-1))


def _blend(cutoff: Any) -> Any:
    """Share of the new value in a first-order low-pass filter with a cutoff in Hz."""
    return 1 / (1 + FPS / (2 * np.pi * cutoff))


def _ancestors() -> list[np.ndarray]:
    """(23,) ancestors 1, 2, 4 and 8 steps above; 22 stands for the world above the root."""
    above = np.array([NUM_JOINTS, *SMPL22.parents[1:NUM_JOINTS], NUM_JOINTS])
    steps = [above]
    for _ in range(3):
        steps.append(steps[-1][steps[-1]])
    return steps


_ANCESTORS = _ancestors()
_TOES, _SIX, _ONES2 = np.array([10, 11]), np.ones(6), np.ones(2)
# Shares per frame of the way: of feet that begin to stand, of standing and moving toes to their predicted place, and
# of toes that are further behind than `_FAR` metres. Chosen on the validation clips of docs/open_protocol.md.
_CONTACT, _DRIFT, _RETURN, _CATCH, _FAR = 0.3, 0.002, 0.2, 0.15, 0.07
_SLOW, _FAST = 0.8, 1.6  # m/s of toes that surely stand, and surely do not, where contacts allow it
# Joints whose local rotation changes.
_CHANGED = np.array([*limbs.COLLARS, *limbs.UPPER, *limbs.MIDDLE, *limbs.END, HEAD])
_ABOVE = np.array([SMPL22.parents[joint] for joint in _CHANGED])
