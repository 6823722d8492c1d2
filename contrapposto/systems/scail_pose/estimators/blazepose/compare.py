"""Whether looks at bodies show one person, and where a person is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from contrapposto.systems.scail_pose.estimators.blazepose.body import BodyLandmarks, Detection

_LEAST_PRESENCE = 0.5
_SAME = 0.35  # of the trunk's length: landmarks nearer than that on average are one person's
_ALIKE = 0.3  # the same for a look and one in a mirror
_PAIRS = np.array([[7, 8], [11, 12], [23, 24], [25, 26], [27, 28]])  # ears, shoulders, hips, knees, ankles


def mean_of(first: BodyLandmarks, second: BodyLandmarks) -> BodyLandmarks:
    """The mean of two looks at one region."""
    means = {
        name: (getattr(first, name) + getattr(second, name)) / 2
        for name in ("pixels", "depth", "world", "visibility", "presence")
    }
    return replace(first, **means)


def same_body(first: BodyLandmarks, second: BodyLandmarks) -> bool:
    """Whether two sets of landmarks lie on one person."""
    weights = first.presence * second.presence
    apart = np.linalg.norm(first.pixels - second.pixels, axis=-1)
    trunk = max(
        np.linalg.norm(one.pixels[[11, 12]].mean(0) - one.pixels[[23, 24]].mean(0)) for one in (first, second)
    )
    return bool((weights * apart).sum() / max(weights.sum(), 1e-6) < _SAME * trunk)


def alike(body: BodyLandmarks, mirrored: BodyLandmarks) -> bool:
    """Whether a look and one in a mirror show one person, whichever side either takes for the left."""
    (first, sure), (second, _) = _middles(body), _middles(mirrored)
    apart = sure @ np.linalg.norm(first - second, axis=-1) / sure.sum()
    return bool(apart < _ALIKE * np.linalg.norm(first[1] - first[2]))


def _middles(body: BodyLandmarks) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (5, 2) between ears, shoulders, hips, knees and ankles, whichever side is the left; confidences (5,)."""
    return body.pixels[_PAIRS].mean(axis=1), body.confidence[_PAIRS].mean(axis=1)


def is_of(detection: Detection, body: BodyLandmarks) -> bool:
    """Whether a detection has hips and shoulders where a body has them."""
    hips, shoulders = body.pixels[[23, 24]].mean(axis=0), body.pixels[[11, 12]].mean(axis=0)
    apart = np.linalg.norm(detection.points[[0, 2]] - [hips, shoulders], axis=-1)
    return bool(apart.max() < _SAME * np.linalg.norm(hips - shoulders))


def share_inside(body: BodyLandmarks, other: BodyLandmarks) -> float:
    """How much of the box about a body's landmarks lies in another one's, in [0, 1]."""
    lows, highs = zip(*((one.pixels.min(axis=0), one.pixels.max(axis=0)) for one in (body, other)))
    shared = np.maximum(np.minimum(*highs) - np.maximum(*lows), 0).prod()
    return float(shared / max((highs[0] - lows[0]).prod(), 1e-6))


def box_of(body: BodyLandmarks, shape: tuple[int, ...]) -> np.ndarray:
    """(4,) xyxy pixels about the landmarks in the image, with room for the top of the head."""
    points = body.pixels[body.presence > _LEAST_PRESENCE]
    points = points if len(points) else body.pixels
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.05 * float((high - low).max())
    low, high = low - [margin, 2 * margin], high + margin
    limit = np.array([shape[1], shape[0]])
    return np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)]).astype(np.float32)
