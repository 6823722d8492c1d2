"""What can be seen of a clip without a network: jerk, sliding feet, hovering, sinking, and where it goes.

The figures of docs/posegpt.md and of model cards; every one is of a clip whose floor is z = 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from contrapposto.metrics.movement import LARGE, movements
from contrapposto.motion import Motion
from contrapposto.retarget.ground import sole_heights
from contrapposto.systems.posegpt.cleanup import CONTACT, body_height, runs
from contrapposto.systems.posegpt.poses import from_motion

NEAR = 0.03
"""Metres above the floor below which a sole counts as standing, for `slide`."""

FLIGHT = 0.6
"""Seconds that a jump or a stride may take; who is in the air for longer hovers."""


def clip_quality(clip: Motion) -> dict[str, float]:
    """Figures of one clip.

    Returns:
        `jerk`: mean third derivative of the joints, 100 m/s^3. `slide`: mean speed of soles near the floor, cm/s.
        `floating`: largest height in cm of the lowest point of body and soles, outside of flights. `sinking`: largest
        depth of a sole below the floor, cm. `turn` in degrees; `ahead`, `side` (to the left) and `drop` (downwards) of
        the root, metres, see `metrics.movement`.
    """
    heights, speeds = sole_heights(clip)
    joints = clip.joint_positions()[:, :22]
    jerk = (
        np.linalg.norm(np.diff(joints, n=3, axis=0), axis=-1).mean() * clip.fps**3
        if len(joints) > 3
        else np.nan
    )
    near = heights < NEAR
    lowest = np.minimum(heights.min(1), body_height(clip))
    standing = np.ones(len(lowest), bool)
    for start, end in runs(lowest > CONTACT):
        if (end - start) / clip.fps <= FLIGHT and (start > 0 or end < len(lowest)):
            standing[start:end] = False
    figures = {
        "jerk": float(jerk) / 100,
        "slide": 100 * float(speeds[near].mean()) if near.any() else float("nan"),
        "floating": 100 * float(max(lowest[standing].max(initial=0.0), 0.0)),
        "sinking": 100 * float(max(-heights.min(), 0.0)),
    }
    return {**figures, **clip_movement(clip)}


def clip_movement(clip: Motion) -> dict[str, float]:
    """`turn`, `ahead`, `side` and `drop` of a clip, see `clip_quality`."""
    from contrapposto.rotations import axis_angle_to_matrix

    pose = from_motion(clip.resample(30.0))
    root = axis_angle_to_matrix(pose[None, :, :3])
    values = movements(root, pose[None, :, -3:], torch.tensor([len(pose)]))
    return {name: float(value) for name, value in values.items()}


def mean_figures(clips: Iterable[Motion]) -> dict[str, float]:
    """Means of `clip_quality` over clips, with the worst `floating` and `sinking`."""
    rows = [clip_quality(clip) for clip in clips]
    figures = {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
    worst = {f"worst_{name}": max(row[name] for row in rows) for name in ("floating", "sinking")}
    return {**figures, **worst}


def kept_by_action(
    generated: Mapping[str, Sequence[Motion]], real: Mapping[str, Sequence[Motion]]
) -> dict[str, float]:
    """Slope of generated on real movements over actions, each the mean of its clips; actions that hardly move count not.

    Of drops, and of turns and side steps whose action names no side (a circle goes either way), the size counts alone.

    Args:
        generated, real: clips of the same length by action.

    Returns:
        By kind: `turn`, `back`, `side`, `drop`, `forward`; NaN where no action has such a movement.
    """
    means = []
    for clips in (generated, real):
        rows = {action: [_unsigned(action, clip_movement(clip)) for clip in clips[action]] for action in real}
        means.append(
            {
                action: {k: float(np.mean([row[k] for row in some])) for k in some[0]}
                for action, some in rows.items()
            }
        )
    kept = {}
    for kind in LARGE:
        name = "ahead" if kind in ("forward", "back") else kind
        pairs = [(means[0][action][name], means[1][action][name]) for action in real]
        chosen = [(pred, true) for pred, true in pairs if _large(kind, true)]
        square = sum(true * true for _, true in chosen)
        kept[kind] = sum(pred * true for pred, true in chosen) / square if square else float("nan")
    return kept


def _unsigned(action: str, movement: dict[str, float]) -> dict[str, float]:
    sided = {"left", "right"} & set(action.split())
    signed = {"ahead"} | ({"turn", "side"} if sided else set())
    return {name: value if name in signed else abs(value) for name, value in movement.items()}


def _large(kind: str, value: float) -> bool:
    if kind in ("forward", "back"):
        return (value if kind == "forward" else -value) > LARGE[kind]
    return abs(value) > LARGE[kind]
