"""Metrics of several people in a video: who is found, who is taken for whom, and how well their poses fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics import Metric

from contrapposto.metrics import functional as F

_NEVER = 1e6


def match_people(pred_joints: Tensor, true_joints: Tensor, reach: float = 0.5) -> Tensor:
    """Which predicted person is which true one: (T, N) int64 numbers of predictions, -1 for nobody.

    As multi-object tracking is judged (CLEAR MOT, Bernardin and Stiefelhagen 2008): whoever was a person's match stays
    it while near enough, the others are matched with the least total distance. Near is meant across the view, at the
    true distance, because a single camera sees depth badly.

    Args:
        pred_joints: (T, M, J, 3) metres before the camera, NaN where unknown. true_joints: (T, N, J, 3).
        reach: metres, mean over the joints, within which a prediction may be of a person.
    """
    pred, true = (joints.double().cpu().numpy() for joints in (pred_joints, true_joints))
    results = np.full(true.shape[:2], -1, np.int64)
    last = np.full(true.shape[1], -1, np.int64)
    for frame, (here, there) in enumerate(zip(pred, true)):
        cost = _across(here, there)
        cost[~(cost <= reach)] = _NEVER
        kept = [n for n, m in enumerate(last) if m >= 0 and cost[n, m] < _NEVER]
        results[frame, kept] = last[kept]
        rest = np.setdiff1d(np.arange(len(there)), kept)
        free = np.setdiff1d(np.arange(len(here)), last[kept])
        for row, column in zip(*linear_sum_assignment(cost[np.ix_(rest, free)])):
            if cost[rest[row], free[column]] < _NEVER:
                results[frame, rest[row]] = free[column]
        last = np.where(results[frame] >= 0, results[frame], last)
    return torch.from_numpy(results)


def _across(pred: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(N, M) mean distance of the joints across the view, metres; NaN where no joint is known of both."""
    with np.errstate(all="ignore"):
        rays, wanted = (joints[..., :2] / joints[..., 2:] for joints in (pred, true))
        apart = np.linalg.norm(rays[None] - wanted[:, None], axis=-1) * true[:, None, :, 2]
        known = np.isfinite(apart)
        return np.where(known, apart, 0).sum(-1) / np.where(known.any(-1), known.sum(-1), np.nan)


class PeopleInVideo(Metric):
    """Everything about the people of videos, over all videos together.

    `compute` returns: `mpjpe`, `pa_mpjpe` (cm, about the pelvis, of joints that are known) and `root` (cm, of the pelvis
    before the camera) of the people who are found; `pck` (percent of the joints of all true people within `radius`
    metres about the pelvis: who is not found is wrong) and `pck_seen` (the same of the joints that the image shows);
    `found` (percent of the true people in all frames), `false` (people who are not there, in percent of those who are),
    `switches` (times that a person gets another number, in all videos); `jitter` and `true_jitter` (m/s^3, of the same
    people in the same stretches of frames).

    Args:
        radius: of `pck`, metres.
        reach: see `match_people`.
        kwargs: torchmetrics' own.
    """

    full_state_update = False
    is_differentiable = False
    _NAMES = ("mpjpe", "pa_mpjpe", "root", "pck", "pck_seen", "found", "false", "jitter", "true_jitter")
    total: Tensor
    weight: Tensor
    switches: Tensor

    def __init__(self, radius: float = 0.15, reach: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.radius, self.reach = radius, reach
        size = len(self._NAMES)
        self.add_state("total", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("weight", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("switches", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        pred_joints: Tensor,
        true_joints: Tensor,
        in_view: Tensor,
        fps: float | Tensor = 1.0,
        seen: Tensor | None = None,
    ) -> None:
        """Add a video.

        Args:
            pred_joints: (T, M, J, 3) metres before the camera, joint 0 the pelvis, NaN where unknown; a person has the
                same place along M in all frames.
            true_joints: (T, N, J, 3).
            in_view: (T, N) bool; who is not in view need not be found, and may be.
            fps: frames per second.
            seen: (T, N, J) bool, which joints the image shows; all if None.
        """
        seen = torch.ones(true_joints.shape[:-1], dtype=torch.bool) if seen is None else seen
        match = match_people(pred_joints, true_joints, self.reach)
        for person in range(match.shape[1]):
            true, there = true_joints[:, person], in_view[:, person]
            self._add_person(pred_joints, true, there, match[:, person], fps)
            pred = self._matched(pred_joints, true, there, match[:, person])
            self._add_share(pred, true, there, seen[:, person])
        shown = torch.isfinite(pred_joints).all(-1).any(-1)
        self._sum("false", 100 * (shown.sum() - (match >= 0).sum()).double(), in_view.sum())

    def compute(self) -> dict[str, Tensor]:
        """The values by name; NaN where nothing was added."""
        values = self.total / self.weight
        return {**dict(zip(self._NAMES, values.unbind())), "switches": self.switches}

    def _add_person(
        self, pred_joints: Tensor, true: Tensor, in_view: Tensor, match: Tensor, fps: float | Tensor
    ) -> None:
        numbers = match[match >= 0]
        self.switches += (numbers.diff() != 0).sum()
        pred = self._matched(pred_joints, true, in_view, match)
        known = torch.isfinite(pred).all(-1)
        placed = known[:, 0]
        error = self._error(pred, true)[in_view]
        self._sum("found", 100 * known.any(-1).sum(), in_view.sum())
        self._sum("mpjpe", 100 * error[error.isfinite()].sum(), error.isfinite().sum())
        away = torch.linalg.vector_norm(pred - true, dim=-1)[placed, 0]
        self._sum("root", 100 * away.sum(), placed.sum())
        whole = known.all(-1)
        fitted = F.procrustes_align(pred[whole], true[whole]) if whole.any() else true[whole]
        apart = F.position_error(fitted, true[whole])
        self._sum("pa_mpjpe", 100 * apart.sum(), torch.tensor(apart.numel()))
        for name, joints in (
            ("jitter", pred),
            ("true_jitter", torch.where(known[..., None], true, torch.nan)),
        ):
            jerks = F.jerk(joints, fps)
            self._sum(name, jerks[jerks.isfinite()].sum(), jerks.isfinite().sum())

    def _add_share(self, pred: Tensor, true: Tensor, in_view: Tensor, seen: Tensor) -> None:
        right = self._error(pred, true) <= self.radius
        for name, counts in (
            ("pck", in_view[:, None].expand_as(right)),
            ("pck_seen", in_view[:, None] & seen),
        ):
            self._sum(name, 100 * (right & counts).sum(), counts.sum())

    @staticmethod
    def _matched(pred_joints: Tensor, true: Tensor, in_view: Tensor, match: Tensor) -> Tensor:
        """(T, J, 3) of what is matched with a person, NaN where nobody is or the person is out of view."""
        if not pred_joints.shape[1]:
            return torch.full_like(true, torch.nan)
        pred = pred_joints[torch.arange(len(true)), match.clamp_min(0)]
        return torch.where(((match >= 0) & in_view)[:, None, None], pred, torch.nan)

    @staticmethod
    def _error(pred: Tensor, true: Tensor) -> Tensor:
        return F.position_error(pred - pred[:, :1], true - true[:, :1])

    def _sum(self, name: str, value: Tensor, weight: Tensor) -> None:
        place = self._NAMES.index(name)
        self.total[place] += value.to(self.total)
        self.weight[place] += weight.to(self.weight)


class NamedMeans(Metric):
    """Means of numbers that have names; NaN does not count.

    Args:
        names: of the K numbers.
        kwargs: torchmetrics' own.
    """

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self, names: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names = list(names)
        self.add_state("total", torch.zeros(len(names), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("weight", torch.zeros(len(names), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, values: Tensor) -> None:
        """Add numbers (..., K)."""
        rows = values.reshape(-1, len(self.names)).to(self.total)
        self.total += rows.nan_to_num(0.0).sum(0)
        self.weight += rows.isfinite().sum(0)

    def compute(self) -> dict[str, Tensor]:
        """The means by name; NaN where nothing was added."""
        return dict(zip(self.names, (self.total / self.weight).unbind()))
