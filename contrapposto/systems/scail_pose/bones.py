"""Bones that keep their length: a person's size and proportions, the same in all frames."""

from __future__ import annotations

import numpy as np

from contrapposto.skeleton import SMPLH52

PARENTS = (*SMPLH52.parents[:22], 20, 21)  # of the 24 SMPL joints
BONES = tuple((PARENTS[joint], joint) for joint in range(1, 24))
_FIRST, _SECOND = (np.array(ends) for ends in zip(*BONES))
_MIRROR = {1: 2, 4: 5, 7: 8, 10: 11, 13: 14, 16: 17, 18: 19, 20: 21, 22: 23}
_LIMB_ENDS = (4, 5, 7, 8, 18, 19, 20, 21)
_WIDTHS = ((16, 17), (1, 2))
_SHORTEST, _NARROWEST = 0.6, 0.8  # of the typical length
_ROUNDS = 3
_CHUNK = 512  # frames that are solved at a time


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    """Lengths (..., 23) of the bones of joints (..., 24, 3), that of joint 1 first; NaN where an end is not known."""
    return np.linalg.norm(joints[..., _SECOND, :] - joints[..., _FIRST, :], axis=-1)


def typical_lengths(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths that fit all frames, when in each frame the person may be seen as if nearer or farther than it is.

    Args:
        joints: (T, 24, 3) in camera space.

    Returns:
        Lengths (23,), left and right alike, NaN where a bone is never seen; and the factors (T,) by which each
        frame's joints are to be multiplied, which leaves the image as it is. NaN where no bone is seen.
    """
    lengths = bone_lengths(joints)
    scale = np.ones(len(joints))
    typical = np.full(len(BONES), np.nan)
    with np.errstate(all="ignore"):
        for _ in range(_ROUNDS):
            typical = _alike(_median(lengths * scale[:, None], axis=0))
            # Long bones say more about the size: a median weighted by length.
            scale = _weighted_median(typical / lengths, typical)
            scale /= _median(scale, axis=0)
    return typical, scale


def implausible(joints: np.ndarray) -> np.ndarray:
    """Joints (T, 24) at the ends of limbs, shoulders and hips whose length no body has in one frame only.

    Args:
        joints: (T, 24, 3) of one person in camera space, NaN where unknown.
    """
    typical, scale = typical_lengths(joints)
    scaled = joints * np.where(np.isfinite(scale), scale, 1.0)[:, None, None]
    wrong = np.zeros(joints.shape[:2], bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = bone_lengths(scaled) / typical
        for joint in _LIMB_ENDS:
            ratio = ratios[:, joint - 1]
            wrong[:, joint] |= (ratio < _SHORTEST) | (ratio > 1 / _SHORTEST)
        for left, right in _WIDTHS:
            width = np.linalg.norm(scaled[:, left] - scaled[:, right], axis=-1)
            narrow = (
                width < _NARROWEST * np.nanmedian(width) if np.isfinite(width).any() else wrong[:, 0] & False
            )
            wrong[:, [left, right]] |= narrow[:, None]
    return wrong


def hold_lengths(
    joints: np.ndarray, lengths: np.ndarray, *, along: float = 80.0, across: float = 8.0, iterations: int = 20
) -> np.ndarray:
    """The nearest joints whose bones have given lengths.

    "Near" counts moves along the ray of a joint, of which the image shows little, less than moves across it.

    Args:
        joints: (T, 24, 3) in camera space; NaN stays NaN.
        lengths: (23,), NaN for a bone that may have any.
        along, across: how far a joint may easily move, same unit as the joints.
        iterations: of Newton's method.
    """
    if len(joints) > _CHUNK:
        parts = np.array_split(joints, -(-len(joints) // _CHUNK))
        held_parts = [
            hold_lengths(part, lengths, along=along, across=across, iterations=iterations) for part in parts
        ]
        return np.concatenate(held_parts)
    known = np.isfinite(joints).all(axis=-1)
    held = known[:, _FIRST] & known[:, _SECOND] & np.isfinite(lengths)
    place = np.where(known[..., None], joints, 0.0).astype(np.float64)
    rays = place / np.maximum(np.linalg.norm(place, axis=-1, keepdims=True), 1e-9)
    easy = across**2 * np.eye(3) + (along**2 - across**2) * rays[..., :, None] * rays[..., None, :]
    goal = np.nan_to_num(lengths)
    for _ in range(iterations):
        apart = place[:, _SECOND] - place[:, _FIRST]
        long = np.maximum(np.linalg.norm(apart, axis=-1), 1e-9)
        toward = np.where(held[..., None], apart / long[..., None], 0.0)
        slopes = np.zeros((len(place), 24, len(BONES), 3))
        rows = np.arange(len(BONES))
        slopes[:, _SECOND, rows], slopes[:, _FIRST, rows] = toward, -toward
        eased = slopes @ easy
        flat, flat_eased = (
            x.transpose(0, 2, 1, 3).reshape(len(place), len(BONES), 72) for x in (slopes, eased)
        )
        system = flat_eased @ flat.transpose(0, 2, 1)
        free = np.where(held, 1e-6, 1.0) * across**2
        system[:, rows, rows] += free
        # A bone that is much too long or short turns while it changes: not all of that at once.
        missing = np.where(held, np.clip(goal - long, -0.5 * long, 0.5 * goal), 0.0)
        force = np.linalg.solve(system, missing[..., None])
        place += (force[:, None, :, 0] @ flat_eased)[:, 0].reshape(place.shape)
    return np.where(known[..., None], place, np.nan)


def _alike(lengths: np.ndarray) -> np.ndarray:
    """Left and right with their mean, or with the one that is known."""
    alike = lengths.copy()
    for left, right in _MIRROR.items():
        pair = lengths[[left - 1, right - 1]]
        known = pair[np.isfinite(pair)]
        if len(known):
            alike[[left - 1, right - 1]] = known.mean()
    return alike


def _median(values: np.ndarray, axis: int) -> np.ndarray:
    """Median without NaN; NaN where there is nothing else."""
    known = np.isfinite(values).any(axis=axis)
    some = np.where(np.expand_dims(known, axis), values, 0.0)
    return np.where(known, np.nanmedian(some, axis=axis), np.nan)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(T,) medians of the rows of (T, n), each column with its weight; NaN are left out."""
    medians = np.full(len(values), np.nan)
    for row, line in enumerate(values):
        known = np.isfinite(line)
        if known.any():
            order = np.argsort(line[known])
            total = np.cumsum(weights[known][order])
            medians[row] = line[known][order][np.searchsorted(total, total[-1] / 2)]
    return medians
