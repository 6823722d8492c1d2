"""What a reconstruction or a generator keeps of large movements: turns, steps back and to the side, drops of the root.

A mean joint error hides their loss: most motion stands or walks forward. "Kept" is the slope of the predicted on the
true movement, by least squares through the origin, over the motions whose true movement is large: 1 is all, 0 nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

Kind = Literal["turn", "forward", "back", "side", "drop"]
LARGE: Mapping[str, float] = {"turn": 40.0, "forward": 0.4, "back": 0.4, "side": 0.4, "drop": 0.2}
"""Degrees, and metres: smaller true movements are not looked at."""


def movements(rotations: Tensor, positions: Tensor, lengths: Tensor) -> dict[str, Tensor]:
    """Signed movements (B,) of roots from the first frame to the last; the drop to the frame with the largest one.

    Args:
        rotations: (B, T, 3, 3) root rotations of a y-up or y-down figure whose first axis is its left.
        positions: (B, T, 3) of the root, metres, y the vertical.
        lengths: (B,) frames of each motion.

    Returns:
        `turn` in degrees; `ahead` along the first heading and `side`, metres; `drop`, metres, with the sign of y.
    """
    left = rotations[..., :, 0]
    heading = torch.atan2(left[..., 2], left[..., 0])
    step = heading.diff(dim=1)
    step = torch.atan2(step.sin(), step.cos())
    frames = torch.arange(rotations.shape[1], device=rotations.device)
    inside = frames < lengths[:, None]
    turn = torch.rad2deg((step * inside[:, 1:]).sum(1))
    rows = torch.arange(len(rotations), device=rotations.device)
    moved = positions[rows, lengths - 1] - positions[:, 0]
    cosine, sine = heading[:, 0].cos(), heading[:, 0].sin()
    side = cosine * moved[:, 0] + sine * moved[:, 2]
    ahead = sine * moved[:, 0] - cosine * moved[:, 2]
    vertical = torch.where(inside, positions[..., 1] - positions[:, :1, 1], 0)
    drop = vertical.gather(1, vertical.abs().argmax(1, keepdim=True))[:, 0]
    return {"turn": turn, "ahead": ahead, "side": side, "drop": drop}


def movement_pairs(
    pred_rotations: Tensor,
    pred_positions: Tensor,
    true_rotations: Tensor,
    true_positions: Tensor,
    lengths: Tensor,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Predicted and true movements of every kind, both (B,), 0 where the true one is not large."""
    pred = movements(pred_rotations, pred_positions, lengths)
    true = movements(true_rotations, true_positions, lengths)
    ahead, side = true["ahead"], true["side"]
    large = {
        "turn": true["turn"].abs() > LARGE["turn"],
        "forward": ahead > LARGE["forward"],
        "back": ahead < -LARGE["back"],
        "side": (side.abs() > LARGE["side"]) & (ahead.abs() < LARGE["forward"]),
        "drop": true["drop"].abs() > LARGE["drop"],
    }
    names = {"forward": "ahead", "back": "ahead"}
    return {
        kind: (pred[names.get(kind, kind)] * mask, true[names.get(kind, kind)] * mask)
        for kind, mask in large.items()
    }


def movement_kept_slopes(
    pred_rotations: Tensor,
    pred_positions: Tensor,
    true_rotations: Tensor,
    true_positions: Tensor,
    lengths: Tensor,
) -> dict[str, Tensor]:
    """Scalar slope of every kind; NaN where no true movement is large. Arguments of `movements`, for both sides."""
    pairs = movement_pairs(pred_rotations, pred_positions, true_rotations, true_positions, lengths)
    return {kind: (pred * true).sum() / true.square().sum() for kind, (pred, true) in pairs.items()}


class MovementKept(Metric):
    """Slope of predicted on true movements of one kind over all motions.

    Args:
        kind: `turn`, `forward`, `back`, `side` or `drop`.
        kwargs: torchmetrics' own.
    """

    full_state_update = False
    is_differentiable = False
    product: Tensor
    square: Tensor

    def __init__(self, kind: Kind, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kind not in LARGE:
            raise ValueError(f"kind: expected one of {', '.join(LARGE)}, got {kind!r}")
        self.kind = kind
        for name in ("product", "square"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(
        self,
        pred_rotations: Tensor,
        pred_joints: Tensor,
        true_rotations: Tensor,
        true_joints: Tensor,
        lengths: Tensor,
    ) -> None:
        """Add rotations (B, T, J, 3, 3) and joints (B, T, J, 3), the root first, of motions of (B,) frames."""
        pairs = movement_pairs(
            pred_rotations[:, :, 0],
            pred_joints[:, :, 0],
            true_rotations[:, :, 0],
            true_joints[:, :, 0],
            lengths,
        )
        pred, true = (value.detach().double() for value in pairs[self.kind])
        self.product += (pred * true).sum()
        self.square += true.square().sum()

    def compute(self) -> Tensor:
        """Scalar float32; NaN where no true movement is large."""
        return (self.product / self.square).float()


class ActionMovementKept(Metric):
    """Slope of generated on real movements of one kind over classes, each the mean of its motions.

    Generated motions have no true counterpart, only a class. Classes whose mean real movement is not large do not count.

    Args:
        kind: `turn`, `forward`, `back`, `side` or `drop`.
        unsigned: (A,) bool, classes whose movement may go either way (a circle): its size counts; drops always go down.
        kwargs: torchmetrics' own.
    """

    full_state_update = False
    is_differentiable = False
    pred: Tensor
    true: Tensor
    counts: Tensor
    unsigned: Tensor

    def __init__(self, kind: Kind, unsigned: Tensor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kind not in LARGE:
            raise ValueError(f"kind: expected one of {', '.join(LARGE)}, got {kind!r}")
        self.kind = kind
        self.register_buffer("unsigned", unsigned.bool() & (kind in ("turn", "side")), persistent=False)
        for name in ("pred", "true", "counts"):
            self.add_state(name, torch.zeros(len(unsigned), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pred: Mapping[str, Tensor], true: Mapping[str, Tensor], labels: Tensor) -> None:
        """Add movements (B,) by name, see `movements`, of motions with classes (B, A) of 0 and 1."""
        name = "ahead" if self.kind in ("forward", "back") else self.kind
        hot = labels.double()
        for total, values in ((self.pred, pred[name]), (self.true, true[name])):
            value = values.double()[:, None].expand_as(hot)
            if self.kind == "drop":
                value = value.abs()
            total += (torch.where(self.unsigned, value.abs(), value) * hot).sum(0)
        self.counts += hot.sum(0)

    def compute(self) -> Tensor:
        """Scalar float32; NaN where no class has a large movement."""
        pred, true = (total / self.counts for total in (self.pred, self.true))
        least = LARGE[self.kind]
        large = {"forward": true > least, "back": true < -least}.get(self.kind, true.abs() > least)
        return ((pred * true)[large].sum() / true[large].square().sum()).float()


class FootSlide(Metric):
    """Mean horizontal speed in cm/s of predicted feet where the true ones stand still; y is the vertical.

    Args:
        feet: indices of the joints.
        still: metres per second below which a true foot stands.
        kwargs: torchmetrics' own.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    sum: Tensor
    count: Tensor

    def __init__(self, feet: Sequence[int] = (7, 8, 10, 11), still: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.feet, self.still = list(feet), still
        self.add_state("sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, pred_joints: Tensor, true_joints: Tensor, fps: float, lengths: Tensor) -> None:
        """Add joints (B, T, J, 3), metres, of motions of (B,) frames."""
        inside = torch.arange(1, pred_joints.shape[1], device=lengths.device) < lengths[:, None]
        true = true_joints[:, :, self.feet].diff(dim=1).norm(dim=-1) * float(fps)
        pred = pred_joints[:, :, self.feet][..., [0, 2]].diff(dim=1).norm(dim=-1) * float(fps)
        standing = (true < self.still) & inside[..., None]
        self.sum += (pred[standing].detach().double() * 100).sum()
        self.count += standing.sum()

    def compute(self) -> Tensor:
        """Scalar float32; NaN where no foot stands."""
        return (self.sum / self.count).float()
