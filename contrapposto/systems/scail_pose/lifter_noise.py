"""The errors of keypoint networks, on keypoints that are known: what a lifter reads while it learns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from contrapposto.systems.scail_pose.lifter_data import MIRRORED, NECK, SHOULDERS, Keys, Views

# Keypoints that are hidden together: arms, hands, legs, feet, the face.
_LIMBS = (
    *((3, 4, 26, 27), (6, 7, 24, 25), (4, 26, 27), (7, 24, 25), (9, 10, 21, 22, 23), (12, 13, 18, 19, 20)),
    *(
        (10, 21, 22, 23),
        (13, 18, 19, 20),
        (14, 15, 16, 17, 0),
        (8, 9, 10, 11, 12, 13, 18, 19, 20, 21, 22, 23),
    ),
)
# Keypoints that change sides together: everything, arms, legs.
_SWAPS = (
    tuple(range(28)),
    (2, 3, 4, 5, 6, 7, 24, 25, 26, 27),
    (8, 9, 10, 11, 12, 13, 18, 19, 20, 21, 22, 23),
)
# How blurred networks see a keypoint, relative to wrists: faces are sharp, hips and ears are not.
_BLUR = (
    *(0.5, 1.0, 1.1, 1.0, 1.0, 1.1, 1.0, 1.0, 1.4, 1.1, 1.1, 1.4, 1.1, 1.1),
    *(0.5, 0.5, 0.8, 0.8, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 1.1, 1.1, 1.1, 1.1),
)


@dataclass(frozen=True)
class NoiseOptions:
    """What a keypoint network gets wrong.

    Args:
        jitter: typical error over the figure's height; it grows up to eightfold where a keypoint is hard to see.
        hidden: probability that a group of keypoints is hidden for part of the time.
        swapped: probability that left and right change places for part of the time.
        lost: probability that a sure keypoint is missing in a frame.
        outlier: probability that a keypoint is far off in a frame.
        absent: probability that a network has no feet, no knuckles, no ears at all; of each.
    """

    jitter: float = 0.006
    hidden: float = 0.5
    swapped: float = 0.1
    lost: float = 0.02
    outlier: float = 0.01
    absent: float = 0.15


def see(views: Views, keys: Keys, options: NoiseOptions | None = None) -> tuple[Tensor, Tensor]:
    """What a keypoint network returns: rays (B, T, 28, 2) and scores (B, T, 28) in [0, 1]; 0 where it found nothing."""
    options = options or NoiseOptions()
    frames, count = views.rays.shape[1:3]
    hard = _difficulty(views, keys, options)
    rays = _swapped(views.rays, keys, options)
    blur = options.jitter * (0.6 * keys.normal("blur")).exp()[:, None] * torch.tensor(_BLUR)
    scale = views.unit[:, :, None, None] * (blur[:, None] * (1 + 7 * hard.square()))[..., None]
    rays = rays + scale * _errors(keys, frames, count)
    far = keys.uniform("outlier", frames, count) < options.outlier * (1 + 4 * hard)
    leap = 0.2 * views.unit[:, :, None, None] * keys.normal("leap", frames, count, 2)
    rays = torch.where(far[..., None], rays + leap, rays)
    scores = _scores(views, hard, keys, options)
    scores[:, :, NECK] = scores[:, :, SHOULDERS].amin(-1)
    return rays * (scores > 0)[..., None], scores


def _span(keys: Keys, name: str, frames: int, groups: int) -> Tensor:
    """(B, T, groups) bool: one stretch of time for each group."""
    start = keys.uniform(f"{name} start", groups, low=-0.5, high=1.0)
    length = keys.uniform(f"{name} length", groups, low=0.1, high=1.5)
    now = (torch.arange(frames) / frames)[None, :, None]
    return (now >= start[:, None]) & (now < (start + length)[:, None])


def _difficulty(views: Views, keys: Keys, options: NoiseOptions) -> Tensor:
    """(B, T, 28) in [0, 1]: how hard each keypoint is to see."""
    frames, count = views.rays.shape[1:3]
    hard = keys.uniform("hard", 1, count, high=0.35).expand(-1, frames, -1).clone()
    hidden = keys.uniform("hidden", len(_LIMBS)) < 1 - (1 - options.hidden) ** (1 / len(_LIMBS))
    while_hidden = _span(keys, "hidden", frames, len(_LIMBS)) & hidden[:, None]
    degree = keys.uniform("degree", len(_LIMBS), low=0.4, high=1.0)
    for number, limb in enumerate(_LIMBS):
        worse = torch.where(while_hidden[..., number], degree[:, None, number], 0.0)[..., None]
        hard[..., limb] = torch.maximum(hard[..., limb], worse)
    # Beyond the border a network may guess, badly.
    return torch.where(views.seen, hard, hard.clamp_min(0.8))


def _swapped(rays: Tensor, keys: Keys, options: NoiseOptions) -> Tensor:
    chosen = keys.uniform("swap", len(_SWAPS)) < 1 - (1 - options.swapped) ** (1 / len(_SWAPS))
    wrong = _span(keys, "swap", rays.shape[1], len(_SWAPS)) & chosen[:, None]
    for number, group in enumerate(_SWAPS):
        member = torch.zeros(len(MIRRORED), dtype=torch.bool)
        member[list(group)] = True
        rays = torch.where((wrong[..., number, None] & member)[..., None], rays[:, :, MIRRORED], rays)
    return rays


def _errors(keys: Keys, frames: int, count: int) -> Tensor:
    """(B, T, 28, 2) of unit variance: half of it from frame to frame, half slowly wandering."""
    quick = keys.normal("quick", frames, count, 2)
    pace = keys.uniform("pace", 1, count, 2, high=0.3) * torch.arange(frames)[:, None, None]
    slow = keys.normal("slow", 1, count, 2) * pace.cos() + keys.normal("slower", 1, count, 2) * pace.sin()
    return math.sqrt(0.5) * (quick + slow)


def _scores(views: Views, hard: Tensor, keys: Keys, options: NoiseOptions) -> Tensor:
    frames, count = views.rays.shape[1:3]
    sure = 0.97 - 0.75 * hard + 0.05 * keys.normal("score", frames, count)
    # Networks are calibrated differently.
    scores = sure.clamp(0.02, 1) ** keys.uniform("power", low=0.5, high=2.0)[:, None, None]
    scores = scores * keys.uniform("top", low=0.8, high=1.0)[:, None, None]
    # What is hard is either guessed or left out, by the network.
    shy = keys.uniform("shy")[:, None, None]
    missing = (hard > 0.5) & (keys.uniform("missing", 1, count) < shy)
    missing |= ~views.seen & (keys.uniform("beyond", 1, 1) < 0.7)
    missing |= keys.uniform("lost", frames, count) < options.lost
    for name, group in (
        ("feet", range(18, 24)),
        ("knuckles", range(24, 28)),
        ("ears", (14, 15, 16, 17)),
    ):
        missing[:, :, list(group)] |= (keys.uniform(name) < options.absent)[:, None, None]
    return torch.where(missing, 0.0, scores)
