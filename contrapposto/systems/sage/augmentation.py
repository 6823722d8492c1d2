"""Augmentation of motion for the tracker: mirrored, faster or slower, other proportions, lost devices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.nn.random import keyed_integers, keyed_normal, keyed_uniform
from contrapposto.skeleton import SMPL22, forward_kinematics
from contrapposto.systems.sage.head_frame import TRACKER_JOINTS
from contrapposto.systems.sage.joints import HEAD, NUM_JOINTS

MIRRORED = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20)
"""The joint of the other side."""
_LEGS, _ARMS = (1, 2, 4, 5, 7, 8, 10, 11), (16, 17, 18, 19, 20, 21)
_TRUNK = (3, 6, 9, 12, 13, 14, 15)


@dataclass(frozen=True)
class Augmentation:
    """How training motion is varied; every sample draws for itself.

    Args:
        mirror: probability of exchanging left and right.
        speed: the motion is played at a rate between 1 / (1 + speed) and 1 + speed.
        proportions: lengths of arms, legs and trunk vary by this share in both directions.
        height_error: the wearer's size is known up to this share.
        position_noise: of the devices, standard deviation in metres.
        lost_hands: probability that hands are lost for a while.
        lost_seconds: shortest and longest such while.
        extra_trackers: probability that some of the trackers on pelvis and ankles are there.
    """

    mirror: float = 0.5
    speed: float = 0.0
    proportions: float = 0.0
    height_error: float = 0.0
    position_noise: float = 0.0
    lost_hands: float = 0.3
    lost_seconds: tuple[float, float] = (0.1, 2.0)
    extra_trackers: float = 0.0


@dataclass(frozen=True)
class MotionBatch:
    """Motion of B sequences of N frames, padded at the end.

    Args:
        local: (B, N, 22, 3, 3) local rotations.
        offsets: (B, 1, 22, 3) metres, of the skeletons.
        devices: (B, N, 6, 18) device features of `TRACKER_JOINTS`.
        seen: (B, N, 6) bool.
        valid: (B, N) bool, frames that are no padding.
        positions: (B, N, 22, 3) metres.
    """

    local: Tensor
    offsets: Tensor
    devices: Tensor
    seen: Tensor
    valid: Tensor
    positions: Tensor


@torch.no_grad()
def augment(
    local: Tensor,
    translation: Tensor,
    lengths: Tensor,
    offsets: Tensor,
    sample_ids: Tensor,
    *,
    options: Augmentation,
    seed: int = 0,
) -> MotionBatch:
    """Vary motion and compute what devices measure of it.

    Args:
        local: (B, N + 1, 22, 3, 3) local rotations; the first frame only serves the first velocity.
        translation: (B, N + 1, 3) metres, root translation.
        lengths: (B,) frames that are no padding.
        offsets: (22, 3) metres, of the skeleton.
        sample_ids: (B,) keys of the random numbers.
        options: how much.
        seed: of the run.
    """
    draws = keyed_uniform(seed, 0, sample_ids, (8,), "augment").unbind(1)
    local, translation = _mirror(local, translation, draws[0] < options.mirror)
    if options.speed:
        rate = (1 + options.speed) ** (2 * draws[1] - 1)
        local, translation, lengths = _resample(local, translation, lengths, rate)
    factors = 1 + options.proportions * (2 * torch.stack(draws[2:5], dim=1) - 1)
    skeleton, translation = _proportions(offsets, translation, factors)
    rotations, positions = forward_kinematics(SMPL22.parents, local, skeleton, translation)
    joints = list(TRACKER_JOINTS)
    size = (1 + options.height_error * (2 * draws[5] - 1))[:, None, None, None]
    measured = size * positions[:, :, joints]
    if options.position_noise:
        shape = measured.shape[1:]
        measured = measured + options.position_noise * keyed_normal(seed, 0, sample_ids, shape, "noise")
    devices = _device_features(rotations[:, :, joints], measured)
    valid = torch.arange(1, local.shape[1], device=lengths.device) < lengths[:, None]
    seen = _seen(sample_ids, valid.shape[1], options, seed)
    return MotionBatch(local[:, 1:], skeleton, devices, seen, valid, positions[:, 1:])


def mirrored(local: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right exchanged: local rotations (..., 22, 3, 3) and root translations (..., 3)."""
    signs = local.new_tensor([-1.0, 1, 1])
    return local[..., list(MIRRORED), :, :] * signs[:, None] * signs, translation * signs


def _device_features(rotations: Tensor, positions: Tensor) -> Tensor:
    """As `features.sparse_features` with a leading batch dimension, for exact rotations: (B, N + 1, D, ...)."""
    turn = rotations[:, :-1].mT @ rotations[:, 1:]
    columns = [rot.matrix_to_sixd_columns(matrix) for matrix in (rotations[:, 1:], turn)]
    return torch.cat([*columns, positions[:, 1:], positions.diff(dim=1)], dim=-1)


def _mirror(local: Tensor, translation: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    other, other_translation = mirrored(local, translation)
    return (
        torch.where(chosen[:, None, None, None, None], other, local),
        torch.where(chosen[:, None, None], other_translation, translation),
    )


def _resample(
    local: Tensor, translation: Tensor, lengths: Tensor, rate: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Play each sequence `rate` (B,) times as fast; frames beyond its end become padding."""
    frames = torch.arange(local.shape[1], device=local.device)
    place = torch.minimum(frames * rate[:, None], (lengths[:, None] - 1).float())
    before = place.floor().long()
    share = (place - before)[..., None]
    after = torch.minimum(before + 1, lengths[:, None] - 1)
    row = torch.arange(len(local), device=local.device)[:, None]
    columns = rot.matrix_to_sixd_columns(local)
    between = torch.lerp(columns[row, before], columns[row, after], share[..., None])
    moved = torch.lerp(translation[row, before], translation[row, after], share)
    counts = torch.minimum(((lengths - 1) / rate).floor().long() + 1, lengths.new_tensor(local.shape[1]))
    return rot.sixd_columns_to_matrix(between), moved, counts


def _proportions(offsets: Tensor, translation: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Skeletons (B, 1, 22, 3) with legs, arms and trunk of other lengths but the same standing height of the head."""
    scales = factors.new_ones(len(factors), NUM_JOINTS)
    for group, joints in enumerate((_LEGS, _ARMS, _TRUNK)):
        scales[:, list(joints)] = factors[:, group, None]
    skeleton = offsets * scales[..., None]
    height = _standing_head(skeleton) / _standing_head(offsets)
    skeleton = skeleton / height[:, None, None]
    skeleton[:, 0] = offsets[0]
    legs = factors[:, 0] / height
    # The pelvis is at its rest offset plus the translation; the whole of it scales with the legs.
    translation = (translation + offsets[0]) * legs[:, None, None] - offsets[0]
    return skeleton[:, None], translation


def _standing_head(offsets: Tensor) -> Tensor:
    """Height of the head above the ankles of skeletons (..., 22, 3) at rest (y up)."""
    trunk = [3, 6, 9, 12, HEAD]
    return offsets[..., trunk, 1].sum(-1) - offsets[..., [1, 4, 7], 1].sum(-1)


def _seen(sample_ids: Tensor, frames: int, options: Augmentation, seed: int) -> Tensor:
    """(B, N, 6) bool."""
    count = len(sample_ids)
    draws = keyed_uniform(seed, 0, sample_ids, (6,), "lost").unbind(1)
    seen = torch.ones(count, frames, len(TRACKER_JOINTS), dtype=torch.bool, device=sample_ids.device)
    shortest, longest = options.lost_seconds
    length = 60 * (shortest + (longest - shortest) * draws[1])
    start = draws[2] * (frames + length) - length
    time = torch.arange(frames, device=sample_ids.device)
    lost = (time >= start[:, None]) & (time < (start + length)[:, None])
    lost = lost & (draws[0] < options.lost_hands)[:, None]
    # Left alone, right alone, or both with a probability of a third each.
    which = keyed_integers(seed, 0, sample_ids, (1,), 3, "hands")
    seen[..., 1] = ~(lost & (which != 0))
    seen[..., 2] = ~(lost & (which != 1))
    extra = (draws[3] < options.extra_trackers)[:, None]
    each = keyed_uniform(seed, 0, sample_ids, (len(TRACKER_JOINTS) - 3,), "extra") < 0.5
    seen[..., 3:] = (extra & each)[:, None]
    return seen
