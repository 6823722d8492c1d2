"""`generate`: a labelled clip of one action, and `generate_sequence`: several of them in one clip."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.errors import InputError, nearest
from contrapposto.motion import Label, Motion
from contrapposto.synthetic import styles
from contrapposto.synthetic.performance import Performance
from contrapposto.synthetic.timeline import ACTIONS, bouts_of

STYLES: tuple[str, ...] = tuple(styles.STYLES)
LONGEST = 600.0  # seconds
_METADATA = {
    "source": "made by contrapposto.synthetic (keyframes and phase-based gaits; no recorded motion)",
    "licence": "CC0-1.0",
    "attribution": "",
}


def generate(
    action: str, *, style: str = "neutral", seconds: float = 4.0, seed: int = 0, fps: float = 60.0
) -> Motion:
    """Make a clip of one action.

    A gait is under way from the first frame to the last; a gesture is repeated as often as fits. The figure starts
    above the origin facing -y, on the ground z = 0.

    Args:
        action: one of `ACTIONS`.
        style: one of `STYLES`.
        seconds: length; the clip has round(seconds * fps) frames.
        seed: the same seed gives the same clip; another seed varies tempo, size, posture, asymmetry and drift.
        fps: frames per second, from 5 to 480.

    Returns:
        A `Motion` on SMPLH52 with one label that spans the clip.

    Raises:
        InputError: unknown action or style, or a length or frame rate out of range.
    """
    return generate_sequence([(action, seconds)], style=style, seed=seed, fps=fps)


def generate_sequence(
    actions: Sequence[tuple[str, float]], *, style: str = "neutral", seed: int = 0, fps: float = 60.0
) -> Motion:
    """Make a clip of several actions one after the other, on one path, without a cut between them.

    Args:
        actions: (action, seconds) in order. Walking starts from and ends in standing where a gesture is next to it.
        style: one of `STYLES`.
        seed: as in `generate`.
        fps: frames per second, from 5 to 480.

    Returns:
        A `Motion` on SMPLH52 with one label per action.

    Raises:
        InputError: no action, an unknown one, an unknown style, or a length or frame rate out of range.
    """
    ends = _check(actions, style, fps)
    frames = max(round(ends[-1] * fps), 1)
    every = math.ceil(100.0 / fps)
    figure = Performance(bouts_of(actions), styles.STYLES[style], seed, fps * every)
    local, translation = figure.frames(frames, every)
    names = [name for name, _ in actions]
    edges = [0.0, *(min(end, frames / fps) for end in ends[:-1]), frames / fps]
    return Motion(
        rotations=rot.matrix_to_axis_angle(torch.from_numpy(local)).numpy(),
        root_translation=translation,
        fps=fps,
        labels=tuple(Label(n, a, b) for n, a, b in zip(names, edges, edges[1:])),
        metadata={"name": " then ".join(names), "style": style, "seed": str(seed), **_METADATA},
    )


def _check(actions: Sequence[tuple[str, float]], style: str, fps: float) -> list[float]:
    if not actions:
        raise InputError("There is no action.", expected="at least one (action, seconds)")
    for name, _ in actions:
        if name not in ACTIONS:
            raise InputError(f"There is no action {name!r}.", fix=f"use {nearest(name, ACTIONS)}")
    if style not in styles.STYLES:
        raise InputError(f"There is no style {style!r}.", fix=f"use {nearest(style, STYLES)}")
    if not np.isfinite(fps) or not 5 <= fps <= 480:
        raise InputError(f"A clip cannot have {fps} frames/s.", expected="a number from 5 to 480")
    ends: list[float] = []
    for name, seconds in actions:
        if not np.isfinite(seconds) or seconds * fps < 1:
            raise InputError(f"{name!r} cannot last {seconds} s.", expected="at least one frame")
        ends.append((ends[-1] if ends else 0.0) + float(seconds))
    if ends[-1] > LONGEST:
        raise InputError(
            "The clip would be too long.",
            found=f"{ends[-1]:.0f} s",
            expected=f"at most {LONGEST:.0f} s",
            fix="make several clips",
        )
    return ends
