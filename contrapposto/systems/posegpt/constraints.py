"""Where a generated motion has to go: a path of the root, places of single joints, a pose at the end.

The motion is encoded, and its latents are moved by gradient steps until the decoded motion meets the constraints; what the
decoder then shows otherwise is added to the motion. So a motion without constraints stays as it is, and one with
constraints changes the way that the auto-encoder's motions change. It needs an auto-encoder in the velocity representation
whose encoder and decoder see the past alone (`variant=ours`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from contrapposto import rotations as rot
from contrapposto.errors import ConfigError, InputError
from contrapposto.motion import Motion
from contrapposto.skeleton import Skeleton, forward_kinematics
from contrapposto.systems.posegpt.convolutional import ConvAutoEncoder
from contrapposto.systems.posegpt.motion_loss import FEET, STILL
from contrapposto.systems.posegpt.poses import (
    FPS,
    face_forward,
    from_motion,
    join_pose,
    network_input,
    pose_of,
    split_pose,
    turn_world,
    zero_start,
)
from contrapposto.systems.posegpt.root_motion import integrate

STIFFNESS = 0.02
"""Weight of a standard deviation of the features' change beside metres: how much a motion resists."""

BLEND = 4
"""Frames after a past over which a motion may begin to change."""

SMOOTH = 4.0
"""The same of the change's change from frame to frame."""

SMOOTHING = 2.0
"""Frames (standard deviation) of the Gaussian over the change: what gradient steps make of latents is rough."""

HEIGHT = 1000.0
"""Weight of the squared change of the lowest foot's height, metres: who stands on the floor goes on standing."""

CONTACT = 100.0
"""Weight of the squared steps of feet that stood, metres: they do not slide."""

PASSES = 3
"""Times that a motion is moved and post-processed, since post-processing moves what has reached its place."""


@dataclass(frozen=True)
class Keyframe:
    """A joint that is somewhere at some time.

    Args:
        frame: of the whole motion at 30 frames/s, the past included.
        joint: its name, as in the skeleton.
        place: metres, z up; with a past in its world, else in a world whose origin is below the first pose of the motion,
            which looks along -y.
    """

    frame: int
    joint: str
    place: tuple[float, float, float]


@dataclass(frozen=True)
class Constraints:
    """What a motion has to meet.

    Args:
        path: points (x, y) in metres on the floor that the root passes at equal distances in time, from the first generated
            frame to the last; in between it moves in straight lines.
        keyframes: places of joints.
        future: a clip that the motion leads to: its last pose is the first of that clip, wherever it then is.
    """

    path: Sequence[Sequence[float]] | None = None
    keyframes: Sequence[Keyframe] = ()
    future: Motion | None = None

    def __bool__(self) -> bool:
        return self.path is not None or bool(self.keyframes) or self.future is not None

    def moved(self, x: float, y: float) -> Constraints:
        """The same with all places moved on the floor."""
        path = None if self.path is None else [[row[0] + x, row[1] + y] for row in self.path]
        keys = [
            replace(key, place=(key.place[0] + x, key.place[1] + y, key.place[2])) for key in self.keyframes
        ]
        return replace(self, path=path, keyframes=keys)

    def check(self, frames: int, num_past: int, skeleton: Skeleton) -> None:
        """Raise InputError where a motion of so many frames cannot meet them."""
        if self.path is not None:
            points = np.asarray(self.path, float)
            if (
                points.ndim != 2
                or points.shape[1] not in (2, 3)
                or len(points) < 2
                or not np.isfinite(points).all()
            ):
                raise InputError(
                    "The path cannot be used.",
                    expected="two points (x, y) in metres or more: [[0,0],[1,0],[2,1]]",
                )
        for key in self.keyframes:
            if key.joint not in skeleton.joint_names:
                raise InputError(f"There is no joint {key.joint}.", expected=", ".join(skeleton.joint_names))
            if not num_past <= key.frame < frames:
                raise InputError(
                    f"A keyframe at frame {key.frame} is not in the generated part.",
                    expected=f"{num_past} to {frames - 1}",
                )
            if len(key.place) != 3 or not np.isfinite(key.place).all():
                raise InputError(f"A keyframe's place is {key.place}.", expected="three numbers, metres")


def _down(places: np.ndarray) -> Tensor:
    """(..., 3) from z up to the poses' world, whose y points down."""
    return torch.from_numpy(
        np.stack([places[..., 0], -places[..., 2], places[..., 1]], axis=-1).astype(np.float32)
    )


class Steering:
    """Moves motions until they meet constraints.

    Args:
        vqvae: see the module.
        skeleton: of the pose vectors.
        offsets: (J, 3) of the figure, metres.
        steps: gradient steps.
        rate: of the latents, in their own standard deviations per step.

    Raises:
        ConfigError: another auto-encoder.
    """

    def __init__(
        self, vqvae: object, skeleton: Skeleton, offsets: np.ndarray, *, steps: int = 200, rate: float = 0.05
    ) -> None:
        if not isinstance(vqvae, ConvAutoEncoder):
            raise ConfigError(
                "Only generators on the auto-encoder `ours` take a path, keyframes or a future.",
                fix="module.network.variant=ours",
            )
        self.vqvae, self.skeleton, self.steps, self.rate = vqvae, skeleton, steps, rate
        self.offsets = torch.as_tensor(np.asarray(offsets, np.float32))

    @torch.inference_mode(False)
    def __call__(self, pose: Tensor, wanted: Constraints, num_past: int = 0) -> Tensor:
        """(B, T, 3 J + 3) pose vectors, heights counted from the floor, that meet the constraints as well as possible.

        Args:
            pose: generated motion.
            wanted: what it has to meet.
            num_past: frames at the start that stay.
        """
        wanted.check(pose.shape[1], num_past, self.skeleton)
        pose = pose.clone()
        path = None
        if (
            wanted.path is not None
        ):  # of the root translation: the pelvis stands at its rest position from there
            path = _line(wanted.path, pose.shape[1] - num_past)
            path -= self.offsets[0].numpy() * [1, 1, 0]
        if path is not None and num_past == 0:
            pose = _along(pose, path)
        start = pose[:, :1, -3:] * pose.new_tensor([1.0, 0.0, 1.0])
        forward, turn = face_forward(zero_start(pose, height="floor"))
        features = self.vqvae.features(network_input(forward))
        goals = _Goals(self, wanted, path, num_past, start, turn, features)
        steered = features + self._change(features, goals, num_past)
        root, place, _ = integrate(steered)
        local = rot.sixd_interleaved_to_matrix(steered[..., 6:-4].unflatten(-1, (-1, 6)))
        result = pose_of(torch.cat([root[:, :, None], local], dim=2), place)
        result = turn_world(result, turn.mT[:, None])
        axis_angles, translation = split_pose(result)
        result = join_pose(axis_angles, translation + start)
        result[:, :num_past] = pose[:, :num_past]
        return result.detach()

    def _change(self, features: Tensor, goals: _Goals, num_past: int) -> Tensor:
        """(B, T, 6 J + 4) change of the features by gradient steps of the latents."""
        count = features.shape[1]
        vqvae, missing = self.vqvae, -count % self.vqvae.factor
        padded = torch.cat([features, features[:, -1:].expand(-1, missing, -1)], dim=1)
        with torch.no_grad():
            latent = vqvae.encode_features(padded)
            before = vqvae.decode_features(latent)
            spread = latent.std((0, 1)).clamp_min(1e-3)
        since = torch.arange(1, count + 1, device=features.device) - num_past
        generated = (since / BLEND).clamp(0, 1)[:, None] if num_past else torch.ones(1).to(features)
        deviation = vqvae.standardizer.deviation
        shift = torch.zeros_like(latent, requires_grad=True)
        optimizer = torch.optim.Adam([shift], lr=self.rate)
        change = torch.zeros_like(features)
        with torch.enable_grad():
            for step in range(self.steps):
                optimizer.param_groups[0]["lr"] = self.rate * min(1.0, 2 * (1 - step / self.steps))
                raw = (vqvae.decode_features(latent + shift * spread) - before)[:, :count]
                change = _smooth(raw) * generated
                own = change / deviation
                stiff = (
                    STIFFNESS * own.square().mean((1, 2))
                    + SMOOTH * STIFFNESS * own.diff(dim=1).square().sum((1, 2)) / count
                )
                loss = (goals.error(features + change) + stiff).sum()
                optimizer.zero_grad()
                torch.autograd.backward([loss], inputs=[shift])
                optimizer.step()
        return change.detach()

    def joints(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Joints (B, T, J, 3) and root positions (B, T, 3) in the world, joints in the root's frame without heading."""
        root, place, _ = integrate(features)
        local = rot.sixd_interleaved_to_matrix(features[..., 6:-4].unflatten(-1, (-1, 6)))
        upright = rot.sixd_interleaved_to_matrix(features[..., :6])
        sides = []
        for first, at in ((root, place), (upright, place * place.new_tensor([0.0, 1.0, 0.0]))):
            matrices = torch.cat([first[:, :, None], local], dim=2)
            sides.append(forward_kinematics(self.skeleton.parents, matrices, self.offsets, at)[1])
        return sides[0], place, sides[1]


class _Goals:
    """Constraints in the world of the features, which begin at the origin facing forward."""

    def __init__(
        self,
        steering: Steering,
        wanted: Constraints,
        path: np.ndarray | None,
        num_past: int,
        start: Tensor,
        turn: Tensor,
        features: Tensor,
    ) -> None:
        self.steering, self.num_past = steering, num_past
        self.feet = list(steering.skeleton.index(*FEET))
        joints = steering.joints(features)[0]
        self.lowest = self._lowest(joints)
        self.stands = self._foot_steps(joints).norm(dim=-1, keepdim=True) * FPS < STILL
        into = turn.mT  # of row vectors

        def own(places: np.ndarray) -> Tensor:
            """(B, N, 3) of (N, 3) in the world of the clip, z up."""
            return (_down(places)[None] - start) @ into

        rest = steering.offsets[0]  # of the root, which is added in either world as it is
        self.path = None if path is None else own(path)[..., [0, 2]]
        self.frames = torch.tensor([key.frame for key in wanted.keyframes], dtype=torch.int64)
        self.columns = [steering.skeleton.joint_names.index(key.joint) for key in wanted.keyframes]
        self.places = None
        if wanted.keyframes:
            self.places = own(np.array([key.place for key in wanted.keyframes]) - rest.numpy()) + rest
        self.last = None
        if wanted.future is not None:
            pose = from_motion(wanted.future, steering.skeleton, height="floor")[None, :1]
            features = steering.vqvae.features(network_input(face_forward(pose)[0]))
            self.last = steering.joints(features)[2][:, 0]

    def error(self, features: Tensor) -> Tensor:
        """(B,) sum of squared distances, metres."""
        joints, place, own = self.steering.joints(features)
        total = HEIGHT * (self._lowest(joints) - self.lowest).square().mean(1)
        total = total + CONTACT * (self._foot_steps(joints) * self.stands).square().sum((-1, -2)).mean(1)
        if self.path is not None:
            total = total + 30 * (place[:, self.num_past :, [0, 2]] - self.path).square().sum(-1).mean(1)
        if self.places is not None:
            total = total + 100 * (joints[:, self.frames, self.columns] - self.places).square().sum(-1).mean(
                1
            )
        if self.last is not None:
            total = total + 30 * (own[:, -1] - self.last).square().sum(-1).mean(1)
        return total

    def _lowest(self, joints: Tensor) -> Tensor:
        """(B, T) height of the lowest ankle or toe of (B, T, J, 3), metres downwards."""
        return joints[:, :, self.feet, 1].amax(2)

    def _foot_steps(self, joints: Tensor) -> Tensor:
        """(B, T - 1, 4, 3) metres that ankles and toes move from frame to frame."""
        return joints[:, :, self.feet].diff(dim=1)


def _smooth(values: Tensor) -> Tensor:
    """(B, T, D) under a Gaussian of `SMOOTHING` frames along T; the ends are repeated."""
    reach = int(3 * SMOOTHING)
    times = torch.arange(-reach, reach + 1).to(values)
    kernel = torch.softmax(-0.5 * (times / SMOOTHING) ** 2, dim=0)
    wide = F.pad(values.mT, (reach, reach), mode="replicate")
    return F.conv1d(wide.flatten(0, 1)[:, None], kernel[None, None]).view_as(values.mT).mT


def _line(points: Sequence[Sequence[float]], frames: int) -> np.ndarray:
    """(frames, 3) places on straight lines between points (x, y), z = 0."""
    rows = np.asarray(points, float)
    times = np.linspace(0, len(rows) - 1, frames)
    columns = [np.interp(times, np.arange(len(rows)), rows[:, axis]) for axis in (0, 1)]
    return np.stack([*columns, np.zeros(frames)], axis=-1)


def _along(pose: Tensor, path: np.ndarray) -> Tensor:
    """Motions (B, T, D) moved to the start of a path (T, 3) and turned about it so that they are nearest to the path."""
    line = _down(path)[:, [0, 2]].double()
    own = pose[..., [-3, -1]].double()
    first, second = own - own[:, :1], line - line[0]
    # The angle of the least squares in the plane.
    angle = torch.atan2(
        (first[..., 1] * second[:, 0] - first[..., 0] * second[:, 1]).sum(1),
        (first * second).sum((1, 2)),
    )
    turn = rot.axis_angle_to_matrix(torch.stack([0 * angle, angle, 0 * angle], dim=-1)).float()
    pose = turn_world(pose, turn[:, None])
    shift = (line[0] - pose[:, 0, [-3, -1]].double()).float()
    axis_angles, translation = split_pose(pose)
    translation = translation + torch.stack([shift[:, 0], 0 * shift[:, 0], shift[:, 1]], dim=-1)[:, None]
    return join_pose(axis_angles, translation)


def path_error(clip: Motion, path: Sequence[Sequence[float]], num_past: int = 0) -> float:
    """Mean distance in metres of the pelvis (without its height) from where the path has it, over the generated frames."""
    line = _line(path, clip.num_frames - num_past)
    return float(np.linalg.norm(clip.joint_positions()[num_past:, 0, :2] - line[:, :2], axis=-1).mean())


def keyframe_errors(clip: Motion, keyframes: Sequence[Keyframe]) -> list[float]:
    """Distance in metres of every keyframe's joint from its place."""
    joints = clip.joint_positions()
    assert abs(clip.fps - FPS) < 1e-3
    return [
        float(
            np.linalg.norm(
                joints[key.frame, clip.skeleton.joint_names.index(key.joint)] - np.asarray(key.place)
            )
        )
        for key in keyframes
    ]
