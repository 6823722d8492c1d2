"""Joints in space by the lifter, from keypoints that other networks found (docs/scail_lifter.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from contrapposto.devices import Device
from contrapposto.systems.scail_pose.interface import NUM_JOINTS, Person, PoseEstimator
from contrapposto.systems.scail_pose.lifter import NUM_POINTS, Lift, Lifter, lift_clip
from contrapposto.systems.scail_pose.lifter_data import KEYPOINTS
from contrapposto.systems.scail_pose.lifter_export import ExportedLifter

_LEAST_KEYPOINTS = 4
# Keypoints of which one at least must have been seen for a joint to be known; other joints always are.
_NEEDED = {
    **{4: (12, 13), 5: (9, 10), 7: (13, 18, 20), 8: (10, 21, 23), 10: (13, 18, 20), 11: (10, 21, 23)},
    **{18: (6, 7, 24, 25), 19: (3, 4, 26, 27), 20: (7, 24, 25), 21: (4, 26, 27)},
    **{22: (7, 24, 25), 23: (4, 26, 27)},
}


class LifterBody:
    """Joints in space from the keypoints that other networks found: a `Body3D`, which looks at no image.

    Args:
        lift: see `Lift`.
        window: its frames.
        least_score: keypoints below it count as not found.
    """

    def __init__(self, lift: Lift, window: int, *, least_score: float = 0.05) -> None:
        self.lift, self.window, self.least_score = lift, window, least_score

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, *, threads: int = 1, device: Device = None
    ) -> LifterBody:
        """From a file of `export_onnx` (`.onnx`), or anything that `Lifter.from_pretrained` takes.

        Args:
            name_or_path: the file.
            threads: of an exported lifter, which runs on the CPU.
            device: of the others, see `contrapposto.devices.find_device`.

        Raises:
            MissingError: there is no such model, or ONNX Runtime is not installed.
            InputError: a file of something else.
        """
        if Path(name_or_path).suffix == ".onnx":
            exported = ExportedLifter(name_or_path, threads=threads)
            return cls(exported, exported.window)
        network = Lifter.from_pretrained(name_or_path, device=device)
        return cls(network, network.window)

    def estimate(
        self, frames: Sequence[np.ndarray], people: Sequence[Sequence[Person]], intrinsics: np.ndarray
    ) -> list[np.ndarray]:
        """Joints (n, 24, 3), millimetres, of the n people of each frame (see `Body3D`); `frames` are not looked at.

        People are followed by their `id`. Nothing is known of a person in a frame with fewer than 4 keypoints, nor of
        limbs none of whose keypoints was found in these frames.
        """
        joints = [np.full((len(here), NUM_JOINTS, 3), np.nan, np.float32) for here in people]
        for one in sorted({person.id for here in people for person in here}):
            places = [
                (frame, row)
                for frame, here in enumerate(people)
                for row, person in enumerate(here)
                if person.id == one
            ]
            first, last = places[0][0], places[-1][0]
            rays = np.zeros((last - first + 1, NUM_POINTS, 2), np.float32)
            scores = np.zeros((last - first + 1, NUM_POINTS), np.float32)
            for frame, row in places:
                rays[frame - first], scores[frame - first] = self._read(people[frame][row], intrinsics)
            lifted = self._known(rays, scores)
            for frame, row in places:
                joints[frame][row] = lifted[frame - first]
        return joints

    def _read(self, person: Person, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points, scores = person.keypoints[list(KEYPOINTS)], person.scores[list(KEYPOINTS)]
        known = (scores >= self.least_score) & np.isfinite(points).all(-1)
        rays = (points - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
        return np.where(known[:, None], rays, 0), np.where(known, scores.clip(0, 1), 0)

    def _known(self, rays: np.ndarray, scores: np.ndarray) -> np.ndarray:
        joints = lift_clip(self.lift, self.window, torch.from_numpy(rays), torch.from_numpy(scores)).numpy()
        joints = 1000 * joints
        joints[(scores > 0).sum(-1) < _LEAST_KEYPOINTS] = np.nan
        ever: np.ndarray = np.max(scores, axis=0) > 0
        for joint, keypoints in _NEEDED.items():
            if not ever[list(keypoints)].any():
                joints[:, joint] = np.nan
        return joints


class LiftedEstimator:
    """Another estimator's people with the lifter's joints, each window with frames before and after.

    Args:
        estimator: finds people and keypoints; its joints are not used.
        body: the lifter.
        context: frames before and after that a frame is lifted with; a window of the lifter where None.
    """

    def __init__(self, estimator: PoseEstimator, body: LifterBody, *, context: int | None = None) -> None:
        self.estimator, self.body = estimator, body
        self.context = body.window if context is None else context

    def people(self, frames: Iterable[np.ndarray], intrinsics: np.ndarray) -> Iterator[list[Person]]:
        """The people of one frame after the other (see `PoseEstimator`); reads on by two contexts."""
        before: list[list[Person]] = []
        now: list[list[Person]] = []
        chunk = max(self.context, 1)
        for here in self.estimator.people(frames, intrinsics):
            now.append(here)
            if len(now) == chunk + self.context:
                yield from self._lifted(before, now, chunk, intrinsics)
                before, now = now[chunk - self.context : chunk], now[chunk:]
        yield from self._lifted(before, now, len(now), intrinsics)

    def _lifted(
        self, before: list[list[Person]], now: list[list[Person]], count: int, intrinsics: np.ndarray
    ) -> Iterator[list[Person]]:
        joints = self.body.estimate([], [*before, *now], intrinsics)[len(before) :]
        for here, lifted in list(zip(now, joints))[:count]:
            yield [replace(person, joints=one) for person, one in zip(here, lifted)]
