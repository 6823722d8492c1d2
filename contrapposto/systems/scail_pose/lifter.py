"""From 2D whole-body keypoints over time to 24 SMPL joints in camera space.

A window of keypoints is turned such that an imagined camera looks straight at the person, and scaled to unit size: a
transformer then sees the same numbers wherever in the image and however far away the person is. It gives the joints
about the pelvis in metres, the pelvis's direction and its distance relative to the one that the seen size suggests.
(An imagined camera at the person: Yu et al., PCLs, CVPR 2021; lifting over time: Pavllo et al., VideoPose3D, CVPR 2019.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from contrapposto.errors import InputError
from contrapposto.nn.stacks import Stack
from contrapposto.skeleton import SMPL24
from contrapposto.systems.scail_pose.estimators.interface import NUM_JOINTS, Person, PoseEstimator
from contrapposto.systems.scail_pose.lifter_data import KEYPOINTS
from contrapposto.weights import load_file_safely

NUM_POINTS = len(KEYPOINTS)
# Distance in metres of a person whose keypoints spread over one unit of rays about their middle.
_DISTANCE = 0.5
_LEAST_KEYPOINTS = 4
# Keypoints of which one at least must have been seen for a joint to be known; other joints always are.
_NEEDED = {
    **{4: (12, 13), 5: (9, 10), 7: (13, 18, 20), 8: (10, 21, 23), 10: (13, 18, 20), 11: (10, 21, 23)},
    **{18: (6, 7, 24, 25), 19: (3, 4, 26, 27), 20: (7, 24, 25), 21: (4, 26, 27)},
    **{22: (7, 24, 25), 23: (4, 26, 27)},
}

Lift = Callable[[Tensor, Tensor], Tensor]
"""Rays (B, T, 28, 2) and scores (B, T, 28) to joints (B, T, 24, 3), metres in camera space."""


class Lifter(nn.Module):
    """The network, with the imagined camera before and after it.

    Args:
        window: frames at a time.
        width, heads, layers, dropout: of the transformer.
    """

    def __init__(
        self, window: int = 16, width: int = 192, heads: int = 6, layers: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.window = window
        self.embed = nn.Linear(3 * NUM_POINTS + 1, width)
        self.encoder = Stack(
            layers,
            width,
            heads,
            position_every_block=False,
            dropout=dropout,
            entry_dropout=dropout,
            block_size=window,
            persistent_positions=False,
            position_scale=0.1,
        )
        self.head = nn.Linear(width, 3 * NUM_JOINTS + 3)
        nn.init.normal_(self.head.weight, std=0.01)
        # Begin with a figure at rest that looks into the camera.
        rest = torch.from_numpy(SMPL24.rest_positions - SMPL24.rest_positions[0]) * torch.tensor([1, -1, -1])
        with torch.no_grad():
            self.head.bias.copy_(torch.cat([rest.flatten(), torch.zeros(3)]))

    def forward(self, rays: Tensor, scores: Tensor) -> Tensor:
        """Joints (B, T, 24, 3), metres in camera space.

        Args:
            rays: (B, T, 28, 2) tangents x / z and y / z of the keypoints `lifter_data.KEYPOINTS`.
            scores: (B, T, 28) in [0, 1]; 0 where nothing was found.
        """
        turn, flat = look_at(rays, scores)
        middle, spread = _extent(flat, scores)
        found = (scores > 0)[..., None]
        scaled = torch.where(found, (flat - middle) / spread, 0.0)
        size = spread.log().expand(-1, rays.shape[1], -1, -1).flatten(2)
        features = torch.cat([scaled.flatten(2), scores, size], dim=-1)
        result = self.head(self.encoder(self.embed(features))[0])
        root = self._root(result[..., -3:], middle[:, :, 0], spread[:, :, 0])
        joints = result[..., :-3].unflatten(-1, (NUM_JOINTS, 3))
        joints = joints - joints[:, :, :1] + root[:, :, None]
        return joints @ turn[:, None]

    def _root(self, values: Tensor, middle: Tensor, spread: Tensor) -> Tensor:
        """The pelvis (B, T, 3) before the imagined camera."""
        depth = _DISTANCE / spread * values[..., 2:].clamp(-3, 3).exp()
        return torch.cat([(values[..., :2] * spread + middle) * depth, depth], -1)


def look_at(rays: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the camera to the middle of what was found in a window.

    Returns:
        (B, 3, 3) whose rows are the imagined camera's axes, and the rays (B, T, 28, 2) in it.
    """
    weight = scores[..., None]
    middle = (rays * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-6)
    forward = nn.functional.normalize(torch.cat([middle, torch.ones_like(middle[:, :1])], -1), dim=-1)
    down = torch.tensor([0.0, 1.0, 0.0]).to(rays).expand_as(forward)
    right = nn.functional.normalize(torch.linalg.cross(down, forward), dim=-1)
    turn = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
    local = torch.cat([rays, torch.ones_like(rays[..., :1])], -1) @ turn[:, None].mT
    return turn, local[..., :2] / local[..., 2:].clamp_min(0.05)


def _extent(flat: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Middle (B, 1, 1, 2) of a window, and how far its keypoints are from each frame's own middle (B, 1, 1, 1)."""
    weight = scores[..., None]
    here = (flat * weight).sum(2, keepdim=True) / weight.sum(2, keepdim=True).clamp_min(1e-6)
    total = weight.sum((1, 2), keepdim=True).clamp_min(1e-6)
    middle = (flat * weight).sum((1, 2), keepdim=True) / total
    square = ((flat - here).square().sum(-1, keepdim=True) * weight).sum((1, 2), keepdim=True) / total
    return middle, square.clamp_min(1e-6).sqrt()


@torch.inference_mode()
def lift_clip(lift: Lift, window: int, rays: Tensor, scores: Tensor, *, batch: int = 64) -> Tensor:
    """Joints (N, 24, 3), metres in camera space, of a clip of any length.

    Windows overlap by half; each frame is a mean of its windows that falls off towards their ends.

    Args:
        lift: a `Lifter` in evaluation mode, or an exported one.
        window: its frames.
        rays, scores: (N, 28, 2) and (N, 28).
        batch: windows at a time.
    """
    count, hop = len(rays), max(window // 2, 1)
    starts = [*range(0, max(count - window, 0), hop), max(count - window, 0)]
    # A clip shorter than a window goes on with frames in which nothing is found.
    missing = max(window - count, 0)
    rays = torch.cat([rays, rays.new_zeros(missing, *rays.shape[1:])])
    scores = torch.cat([scores, scores.new_zeros(missing, NUM_POINTS)])
    weight = 1 - ((torch.arange(window) + 0.5) / window - 0.5).abs() * 1.9
    total = torch.zeros(len(rays))
    joints = torch.zeros(len(rays), NUM_JOINTS, 3)
    for first in range(0, len(starts), batch):
        part = starts[first : first + batch]
        lifted = lift(
            torch.stack([rays[start : start + window] for start in part]),
            torch.stack([scores[start : start + window] for start in part]),
        )
        for start, one in zip(part, lifted):
            joints[start : start + window] += weight[:, None, None] * one.float().cpu()
            total[start : start + window] += weight
    return (joints / total[:, None, None])[:count]


class LifterBody:
    """Joints in space from the keypoints that other networks found: a `Body3D`, which looks at no picture.

    Args:
        lift: see `Lift`.
        window: its frames.
        least_score: keypoints below it count as not found.
    """

    def __init__(self, lift: Lift, window: int, *, least_score: float = 0.05) -> None:
        self.lift, self.window, self.least_score = lift, window, least_score

    @classmethod
    def open(cls, path: str | Path, *, threads: int = 1) -> LifterBody:
        """From a file of `export_onnx` (`.onnx`), or a checkpoint of training.

        Raises:
            MissingError: no such file, or ONNX Runtime is not installed.
            InputError: a file of something else.
        """
        if Path(path).suffix == ".onnx":
            from contrapposto.systems.scail_pose.lifter_export import ExportedLifter

            exported = ExportedLifter(path, threads=threads)
            return cls(exported, exported.window)
        network = load_lifter(path)
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
            found = self._known(rays, scores)
            for frame, row in places:
                joints[frame][row] = found[frame - first]
        return joints

    def _read(self, person: Person, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points, scores = person.keypoints[list(KEYPOINTS)], person.scores[list(KEYPOINTS)]
        found = (scores >= self.least_score) & np.isfinite(points).all(-1)
        rays = (points - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
        return np.where(found[:, None], rays, 0), np.where(found, scores.clip(0, 1), 0)

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
        for here, found in list(zip(now, joints))[:count]:
            yield [replace(person, joints=one) for person, one in zip(here, found)]


def load_lifter(path: str | Path) -> Lifter:
    """The network of a checkpoint of training, in evaluation mode.

    Raises:
        MissingError: no such file.
        InputError: a file of something else.
    """
    content = load_file_safely(path)
    options = content.get("hyper_parameters", {}) if isinstance(content, dict) else {}
    state = {
        name.removeprefix("network."): value
        for name, value in (content.get("state_dict", {}) if options else {}).items()
        if name.startswith("network.")
    }
    try:
        network = Lifter(options["window"], **(options.get("network") or {}))
        network.load_state_dict(state)
    except Exception as error:  # sizes that do not go together break wherever they meet
        raise InputError(
            f"{path} holds no lifter.",
            found=str(error).splitlines()[0],
            expected="a checkpoint of model=scail_lifter",
        ) from error
    return network.eval()
