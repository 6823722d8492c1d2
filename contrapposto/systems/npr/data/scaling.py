"""Scaling each pose by itself, as the official animals are; and the choice of some poses of many."""

from __future__ import annotations

import numpy as np

from contrapposto.errors import ConfigError
from contrapposto.mesh.operators import unit_cube

PCA_SCALE = 0.35


def scaled(poses: np.ndarray, normalize: str) -> np.ndarray:
    """Poses (N, V, 3), each by itself: `none`, `unit_cube` or `centroid_pca` (docs/specs/npr.md, section 7.3).

    Raises:
        ConfigError: another name.
    """
    if normalize == "none":
        return poses
    if normalize == "unit_cube":
        sides = [unit_cube(pose) for pose in poses]
        return np.stack([(pose - centre) / side for pose, (centre, side) in zip(poses, sides)])
    if normalize == "centroid_pca":
        centred = poses - poses.mean(1, keepdims=True)
        largest = [np.linalg.svd(pose, compute_uv=False)[0] / np.sqrt(len(pose)) for pose in centred]
        return centred * (PCA_SCALE / np.maximum(largest, 1e-12))[:, None, None]
    raise ConfigError(
        "Unknown scaling of poses.", found=f"normalize={normalize}", expected="none, unit_cube, centroid_pca"
    )


def drawn(count: int, wanted: int, seed: int, identity: str) -> np.ndarray:
    """At most `wanted` of `count` numbers, ascending; a function of the seed and the identity's name."""
    key = [seed, *identity.encode()]
    order = np.random.default_rng(key).permutation(count)
    return np.sort(order[:wanted])
