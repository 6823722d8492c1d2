"""Post-processing of generated clips: a little smoothing, a floor under the feet, feet that stay where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import convolve1d

from contrapposto import rotations as rot
from contrapposto.errors import ConfigError
from contrapposto.motion import Motion
from contrapposto.retarget.ground import sole_heights
from contrapposto.skeleton import SMPLH52

BODY_RADIUS = 0.08
"""Metres around the joints that are no feet: what touches the floor when a figure lies or stands on its hands."""

CONTACT = 0.02
"""Metres above the floor up to which something touches it."""

LEAP = 0.1
"""Metres that soles rise in a jump; what stays below hovers."""

GRAVITY = 9.81

SETTLE = 2.0
"""Frames (standard deviation) over which corrections of the height are smoothed."""


@dataclass(frozen=True)
class Cleanup:
    """What is done to a generated clip; its floor is z = 0.

    Args:
        smooth: standard deviation in frames of the Gaussian over rotations and root; 0 for none.
        ground: no sole goes below the floor, none of a standing figure hovers, and nobody flies longer than `flight`.
        flight: seconds.
        plant_feet: hold feet that stand in their place, see `planting`.

    Raises:
        ConfigError: a negative number.
    """

    smooth: float = 1.5
    ground: bool = True
    flight: float = 0.6
    plant_feet: bool = True

    def __post_init__(self) -> None:
        for name in ("smooth", "flight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}.", expected="0 or more")

    def __call__(self, clip: Motion, num_past: int = 0) -> Motion:
        """A clip on a skeleton of the SMPL family, cleaned up but for its first `num_past` frames."""
        from contrapposto.systems.posegpt.planting import planted

        result = smoothed(clip, self.smooth, num_past)
        if self.ground:
            result = grounded(result, self.flight, num_past)
        return planted(result, num_past) if self.plant_feet else result

    def describe(self) -> str:
        """In words, for tables and metadata: `smoothing of 1.5 frames, grounded`."""
        parts = [f"smoothing of {self.smooth:g} frame{'s' * (self.smooth != 1)}"] * (self.smooth > 0)
        parts += ["grounded"] * self.ground + ["feet planted"] * self.plant_feet
        return ", ".join(parts) or "none"


def smoothed(clip: Motion, deviation: float, num_past: int = 0) -> Motion:
    """Rotations and root translation under a Gaussian of so many frames; the first `num_past` frames stay."""
    if deviation <= 0 or clip.num_frames < 3:
        return clip
    sixd = rot.matrix_to_sixd_interleaved(clip.local_matrices()).numpy()
    mixed = torch.from_numpy(gaussian(sixd, deviation).astype(np.float32))
    rotations = rot.matrix_to_axis_angle(rot.sixd_interleaved_to_matrix(mixed)).numpy()
    translation = gaussian(clip.root_translation, deviation)
    rotations[:num_past], translation[:num_past] = clip.rotations[:num_past], clip.root_translation[:num_past]
    return replace(clip, rotations=rotations, root_translation=translation.astype(np.float32))


def grounded(clip: Motion, flight: float = 0.6, num_past: int = 0) -> Motion:
    """Raised and lowered so that the lowest sole stands on the floor, but in flights of up to so many seconds.

    Of a jump that takes longer, up to twice as long, a lower one is left.
    Where something else than a foot touches the floor, as in a handstand, soles are only kept from going below it.
    """
    soles = sole_heights(clip)[0].min(1)
    lift = -soles
    body = body_height(clip)
    lies = (body < CONTACT) & (body < soles)
    lift[lies] = np.maximum(lift[lies], 0)
    for start, end in runs((soles > CONTACT) & ~lies):
        seconds, inside = (end - start) / clip.fps, start > 0 and end < len(soles)
        if seconds <= flight and (start > 0 or end < len(soles)):
            lift[start:end] = np.nan
        elif seconds <= 2 * flight and inside and soles[start:end].max() > LEAP:
            arc = _arc(soles[start:end], flight - 2.5 * SETTLE / clip.fps, clip.fps)
            lift[start:end] += np.minimum(soles[start:end], arc)
    lift[:num_past] = 0
    known = np.isfinite(lift)
    frames = np.arange(len(lift))
    lift = np.interp(frames, frames[known], lift[known])
    lift = gaussian(lift[:, None], SETTLE)[:, 0]
    lift[:num_past] = 0
    lift[num_past:] = np.maximum(lift, -soles)[num_past:]
    shift = np.outer(lift, [0, 0, 1])
    return replace(clip, root_translation=(clip.root_translation + shift).astype(np.float32))


def _arc(soles: np.ndarray, flight: float, fps: float) -> np.ndarray:
    """(F,) metres above the floor of a free fall of so many seconds around the highest of the heights (F,)."""
    times = (np.arange(len(soles)) - int(soles.argmax())) / fps
    arc: np.ndarray = np.maximum(GRAVITY / 2 * ((max(flight, 0) / 2) ** 2 - times**2), 0)
    return arc


def body_height(clip: Motion) -> np.ndarray:
    """(F,) height in metres of the lowest point of the body without the feet, about."""
    joints = clip.to_skeleton(SMPLH52).joint_positions()[:, :22]
    feet = SMPLH52.index("left_ankle", "right_ankle", "left_foot", "right_foot")
    lowest: np.ndarray = np.delete(joints, feet, axis=1)[..., 2].min(1) - BODY_RADIUS
    return lowest


def runs(mask: np.ndarray) -> Iterator[tuple[int, int]]:
    """First frame of every stretch of true values of (F,), and the frame after its last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return zip(edges[::2].tolist(), edges[1::2].tolist())


def gaussian(values: np.ndarray, deviation: float) -> np.ndarray:
    """(F, ...) under a Gaussian along the first axis; the ends continue by their point reflection."""
    reach = min(int(3 * deviation + 1), len(values) - 1)
    if reach < 1:
        return values
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    padding = [(reach, reach)] + [(0, 0)] * (values.ndim - 1)
    wide = np.pad(values, padding, mode="reflect", reflect_type="odd")
    result: np.ndarray = convolve1d(wide, kernel / kernel.sum(), axis=0)[reach : len(wide) - reach]
    return result
