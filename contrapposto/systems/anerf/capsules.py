"""Capsules around the bones: where along a ray the body can be (docs/specs/anerf.md, section 14).

Samples outside of all capsules skip the network: nothing is there. The distance from a ray's points to a bone is convex
in depth, so each capsule is met in one interval, which has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from contrapposto.systems.anerf.kinematics import NUM_JOINTS, PARENTS, joints_of

LEAVES = tuple(joint for joint in range(NUM_JOINTS) if joint not in PARENTS)
"""Joints that end a limb: feet, head, hands. Flesh goes on beyond them."""
NUM_SEGMENTS = NUM_JOINTS - 1


class Segments(NamedTuple):
    """Bones as lines from `start` to `end`, (..., 23, 3) each; the bone of joint j is number j - 1."""

    start: Tensor
    end: Tensor


class Cells(Protocol):
    """Cells of which some are empty: an `OccupancyGrid`."""

    def holds(self, points: Tensor) -> Tensor:
        """(N,) bool whether points (N, 3) lie in occupied cells."""
        ...


@dataclass(frozen=True)
class Capsules:
    """What the renderer takes for empty.

    Args:
        radii: (23,) world units around the bones.
        share_coarse: the fine network's densities also say where the fine samples go: the coarse network is skipped.
        occupancy: of the one pose that is rendered: what lies outside of its cells is taken for empty too.
        stop: transmittance of a ray from which on, in evaluation with `share_coarse`, nothing more is computed.
    """

    radii: Tensor
    share_coarse: bool = False
    occupancy: Cells | None = None
    stop: float = 0.0


def bone_segments(world_to_bone: Tensor) -> Segments:
    """Bones of poses (..., J, 4, 4), those of limbs' ends made longer by their own length."""
    joints = joints_of(world_to_bone)
    start, end = joints[..., list(PARENTS[1:]), :], joints[..., 1:, :]
    beyond = end.new_tensor([1.0 + (joint in LEAVES) for joint in range(1, NUM_JOINTS)])
    return Segments(start, start + (end - start) * beyond[:, None])


def capsule_intervals(
    origins: Tensor, directions: Tensor, segments: Segments, radii: Tensor
) -> tuple[Tensor, Tensor]:
    """Depths (R, 23) at which rays (R, 3) enter and leave the capsules of segments (R, 23, 3).

    Infinity and minus infinity where they miss; negative behind the origin.
    """
    direction = directions[:, None]
    axis = segments.end - segments.start
    from_start, from_end = origins[:, None] - segments.start, origins[:, None] - segments.end
    squared = radii.square()
    lows, highs = [], []
    for offset in (from_start, from_end):
        low, high = _quadratic(direction, offset, squared)
        lows.append(low)
        highs.append(high)
    length = axis.square().sum(-1, keepdim=True).clamp_min(1e-12)
    along_d, along_o = (direction * axis).sum(-1, True) / length, (from_start * axis).sum(-1, True) / length
    low, high = _quadratic(direction - along_d * axis, from_start - along_o * axis, squared)
    # The part between the ends: 0 <= along_o + t along_d <= 1.
    speed = torch.where(along_d.abs() < 1e-9, torch.full_like(along_d, 1e-9), along_d)[..., 0]
    first, second = -along_o[..., 0] / speed, (1 - along_o[..., 0]) / speed
    low = torch.maximum(low, torch.minimum(first, second))
    high = torch.minimum(high, torch.maximum(first, second))
    empty = low >= high
    lows.append(low.masked_fill(empty, torch.inf))
    highs.append(high.masked_fill(empty, -torch.inf))
    return torch.stack(lows).amin(0), torch.stack(highs).amax(0)


def _quadratic(direction: Tensor, offset: Tensor, squared: Tensor) -> tuple[Tensor, Tensor]:
    """Interval of t with |offset + t direction|^2 <= squared; inf, -inf where there is none."""
    a = direction.square().sum(-1).clamp_min(1e-12)
    b = (direction * offset).sum(-1)
    inside = b.square() - a * (offset.square().sum(-1) - squared)
    root = inside.clamp_min(0).sqrt()
    empty = inside < 0
    return (
        ((-b - root) / a).masked_fill(empty, torch.inf),
        ((-b + root) / a).masked_fill(empty, -torch.inf),
    )


def inside_any(depths: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """(R, S) whether depths (R, S) lie in one of the intervals (R, K)."""
    inside = torch.zeros_like(depths, dtype=torch.bool)
    for k in range(low.shape[1]):  # (R, S) at a time: (R, S, K) would not stay in the cache
        inside |= (depths >= low[:, k, None]) & (depths <= high[:, k, None])
    return inside


def segment_distance(points: Tensor, segments: Segments) -> Tensor:
    """(..., 23) distances of points (..., 3) to segments (..., 23, 3)."""
    axis, offset = segments.end - segments.start, points[..., None, :] - segments.start
    share = (offset * axis).sum(-1) / axis.square().sum(-1).clamp_min(1e-12)
    return torch.linalg.vector_norm(offset - share.clamp(0, 1)[..., None] * axis, dim=-1)


def clipped(
    origins: Tensor, directions: Tensor, segments: Segments, entry: Tensor, leave: Tensor, radii: Tensor
) -> tuple[Tensor, Tensor]:
    """Depths (R, 23) inside of capsules and cylinder."""
    low, high = capsule_intervals(origins, directions, segments, radii)
    return torch.maximum(low, entry[:, None]), torch.minimum(high, leave[:, None])


@dataclass(frozen=True)
class Kept:
    """Where on R rays something may be.

    Args:
        origins, directions: (R, 3) in the world.
        spans: (R, 23) depths of entry and exit of capsules.
        capsules: of the caller; None where they are the model's own.
    """

    origins: Tensor
    directions: Tensor
    spans: tuple[Tensor, Tensor]
    capsules: Capsules | None

    @property
    def stop(self) -> float:
        """See `Capsules`."""
        return 0.0 if self.capsules is None else self.capsules.stop

    def mask(self, depths: Tensor) -> Tensor:
        """(R, S) bool of depths (R, S)."""
        mask = inside_any(depths, *self.spans)
        if self.capsules is None or self.capsules.occupancy is None:
            return mask
        flat = mask.flatten().nonzero().squeeze(1)
        ray = flat.div(depths.shape[1], rounding_mode="floor")
        points = torch.addcmul(self.origins[ray], depths.flatten()[flat, None], self.directions[ray])
        held = self.capsules.occupancy.holds(points)
        return torch.zeros_like(mask).flatten().index_copy(0, flat, held).view_as(mask)
