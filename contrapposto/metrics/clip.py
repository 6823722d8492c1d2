"""Metrics of motion clips.

`update` takes one clip (T, J, ...) or a batch (B, T, J, ...) with `lengths` (B,) where clips are padded. Each
clip is averaged over its frames, then the mean over clips is taken regardless of length, as published figures
are (docs/specs/sage.md, section 5); `weighting="frame"` weights clips by their number of frames instead. Sums over
processes are exact: nothing depends on how the clips are spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from contrapposto.metrics import functional as F
from contrapposto.rotations import axis_angle_to_matrix, matrix_to_axis_angle

# Joints of the 22-joint body (docs/specs/sage.md, section 5). "body" is every joint but the root.
JOINT_GROUPS: dict[str, tuple[int, ...]] = {
    "all": tuple(range(22)),
    "body": tuple(range(1, 22)),
    "root": (0,),
    "upper": (3, 6, 9, *range(12, 22)),
    "lower": (0, 1, 2, 4, 5, 7, 8, 10, 11),
    "hands": (20, 21),
    "feet": (7, 8, 10, 11),
}
Joints = str | Sequence[int] | None
Lengths = Tensor | Sequence[int] | None


class ClipMetric(Metric):
    """Mean over clips of the mean over frames.

    Args:
        weighting: `clip` (every clip counts once) or `frame` (by number of frames).
        kwargs: torchmetrics' own.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    total: Tensor
    weight: Tensor

    def __init__(self, *, weighting: Literal["clip", "frame"] = "clip", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if weighting not in ("clip", "frame"):
            raise ValueError(f"weighting: expected clip or frame, got {weighting!r}")
        self.weighting = weighting
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("weight", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def _add(self, values: Tensor, batched: bool, lengths: Lengths, lost: int = 0) -> None:
        """Add values (B, T - lost) or (T - lost,); a clip too short to have any is left out."""
        values = values if batched else values[None]
        frames = values.shape[1]
        if lengths is None:
            count = torch.full((len(values),), frames, device=values.device)
        else:
            count = torch.as_tensor(lengths, device=values.device).reshape(-1) - lost
            if len(count) != len(values) or int(count.max()) > frames:
                results = torch.as_tensor(lengths).tolist()
                raise ValueError(
                    f"lengths {results} do not fit {len(values)} clips of {frames + lost} frames"
                )
        valid = torch.arange(frames, device=values.device) < count[:, None]
        # Not a product with the mask: padding may hold anything, also NaN.
        sums = torch.where(valid, values, 0).sum(1)
        count = count.clamp_min(0)
        if self.weighting == "frame":
            self.total += sums.sum()
            self.weight += count.sum()
        else:
            self.total += (sums / count.clamp_min(1)).sum()
            self.weight += (count > 0).sum()

    def compute(self) -> Tensor:
        """The mean so far; NaN where nothing was added."""
        return self.total / self.weight


class _JointMetric(ClipMetric):
    def __init__(self, joints: Joints = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.joints = _group(joints)

    def _chosen(self, values: Tensor, dim: int) -> Tensor:
        if self.joints is None:
            return values
        return values.index_select(dim, torch.tensor(self.joints, device=values.device))


class MPJPE(_JointMetric):
    """Mean joint position error, cm.

    Args:
        joints: a name of `JOINT_GROUPS`, indices, or None for all that are given.
        kwargs: see `ClipMetric`.
    """

    def update(self, pred_joints: Tensor, true_joints: Tensor, lengths: Lengths = None) -> None:
        """Add clips: (T, J, 3) or (B, T, J, 3) metres."""
        batched = _batched(pred_joints, 3, "pred_joints")
        error = self._chosen(F.position_error(pred_joints, true_joints), -1)
        self._add(100 * error.mean(-1), batched, lengths)


class PAMPJPE(_JointMetric):
    """Mean joint position error after each frame's pose is moved, turned and scaled onto the truth, cm.

    Args:
        joints: which joints are aligned and compared; see `MPJPE`.
        kwargs: see `ClipMetric`.
    """

    def update(self, pred_joints: Tensor, true_joints: Tensor, lengths: Lengths = None) -> None:
        """Add clips: (T, J, 3) or (B, T, J, 3) metres."""
        batched = _batched(pred_joints, 3, "pred_joints")
        pred, true = (self._chosen(joints, -2) for joints in (pred_joints, true_joints))
        if lengths is not None:
            # Padding may hold anything; the SVD refuses what is not finite.
            pred, true = pred.nan_to_num(0, 0, 0), true.nan_to_num(0, 0, 0)
        error = F.position_error(F.procrustes_align(pred, true), true)
        self._add(100 * error.mean(-1), batched, lengths)


class MPJVE(_JointMetric):
    """Mean joint velocity error, cm/s; a clip has one velocity fewer than frames.

    Args:
        joints: see `MPJPE`.
        kwargs: see `ClipMetric`.
    """

    def update(
        self, pred_joints: Tensor, true_joints: Tensor, fps: float | Tensor, lengths: Lengths = None
    ) -> None:
        """Add clips: (T, J, 3) or (B, T, J, 3) metres; `fps` one number, or one per clip."""
        batched = _batched(pred_joints, 3, "pred_joints")
        error = self._chosen(F.velocity_error(pred_joints, true_joints, fps), -1)
        self._add(100 * error.mean(-1), batched, lengths, lost=1)


class Jitter(_JointMetric):
    """Mean norm of the third derivative of joint positions, m/s^3 (papers print hundreds of m/s^3).

    Args:
        joints: see `MPJPE`.
        kwargs: see `ClipMetric`.
    """

    def update(self, joints: Tensor, fps: float | Tensor, lengths: Lengths = None) -> None:
        """Add clips: (T, J, 3) or (B, T, J, 3) metres, of the prediction or of the truth."""
        batched = _batched(joints, 3, "joints")
        self._add(self._chosen(F.jerk(joints, fps), -1).mean(-1), batched, lengths, lost=3)


class MPJRE(_JointMetric):
    """Mean joint rotation error, degrees.

    Args:
        kind: `component`, the mean absolute component of the difference of axis-angles that SAGE and its line
            of work publish, or `geodesic`, the angle between the rotations.
        joints: see `MPJPE`; every joint but the root by default, as published.
        kwargs: see `ClipMetric`.
    """

    def __init__(
        self, kind: Literal["component", "geodesic"] = "component", joints: Joints = "body", **kwargs: Any
    ) -> None:
        super().__init__(joints, **kwargs)
        if kind not in ("component", "geodesic"):
            raise ValueError(f"kind: expected component or geodesic, got {kind!r}")
        self.kind = kind

    def update(self, pred_rotations: Tensor, true_rotations: Tensor, lengths: Lengths = None) -> None:
        """Add clips of local rotations: matrices (B, T, J, 3, 3) or axis-angles (B, T, J, 3), B optional.

        Axis-angles that exceed half a turn are compared as they are (as the original does) by `component`.
        """
        matrices = pred_rotations.shape[-2:] == (3, 3)
        batched = _batched(pred_rotations, 4 if matrices else 3, "pred_rotations")
        dim = -3 if matrices else -2
        pred, true = (self._chosen(values, dim) for values in (pred_rotations, true_rotations))
        if self.kind == "geodesic":
            pred, true = (x if matrices else axis_angle_to_matrix(x) for x in (pred, true))
            error = F.rotation_error(pred, true)
        else:
            pred, true = (matrix_to_axis_angle(x) if matrices else x for x in (pred, true))
            error = F.axis_angle_component_error(pred, true)
        self._add(torch.rad2deg(error).mean(-1), batched, lengths)


class FootSkate(_JointMetric):
    """Mean sliding speed of feet near the floor, cm/s; see `functional.foot_skate`.

    Args:
        joints: the foot points; ankles and toes of the 22-joint body by default.
        floor: height of the floor, metres.
        height: metres over the floor from which a point counts as lifted. Joints lie inside the foot: allow
            for it.
        kwargs: see `ClipMetric`.
    """

    def __init__(
        self, joints: Joints = "feet", floor: float = 0.0, height: float = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(joints, **kwargs)
        self.floor, self.height = floor, height

    def update(self, joints: Tensor, fps: float | Tensor, lengths: Lengths = None) -> None:
        """Add clips: (T, J, 3) or (B, T, J, 3) metres, z up."""
        batched = _batched(joints, 3, "joints")
        feet = self._chosen(joints, -2)
        speed = F.foot_skate(feet, fps, floor=self.floor, height=self.height)
        self._add(100 * speed.mean(-1), batched, lengths, lost=1)


class FloorPenetration(_JointMetric):
    """Mean depth of the lowest point below the floor, cm; frames without contact count as 0.

    Args:
        joints: see `MPJPE`.
        floor: height of the floor, metres.
        kwargs: see `ClipMetric`.
    """

    def __init__(self, joints: Joints = None, floor: float = 0.0, **kwargs: Any) -> None:
        super().__init__(joints, **kwargs)
        self.floor = floor

    def update(self, points: Tensor, lengths: Lengths = None) -> None:
        """Add clips of joints or vertices: (T, P, 3) or (B, T, P, 3) metres, z up."""
        batched = _batched(points, 3, "points")
        depth = F.floor_penetration(self._chosen(points, -2), floor=self.floor)
        self._add(100 * depth, batched, lengths)


def _group(joints: Joints) -> list[int] | None:
    if joints is None:
        return None
    if isinstance(joints, str):
        if joints not in JOINT_GROUPS:
            raise ValueError(f"joints: expected one of {', '.join(JOINT_GROUPS)}, got {joints!r}")
        return list(JOINT_GROUPS[joints])
    return [int(joint) for joint in joints]


def _batched(values: Tensor, clip_dims: int, name: str) -> bool:
    if values.ndim not in (clip_dims, clip_dims + 1):
        raise ValueError(
            f"{name}: expected {clip_dims} dimensions or {clip_dims + 1}, got {tuple(values.shape)}"
        )
    return values.ndim == clip_dims + 1
