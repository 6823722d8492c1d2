"""Colours as images have them (sRGB), and as glTF wants those of vertices and materials (linear); IEC 61966-2-1."""

from __future__ import annotations

import numpy as np


def linear_of_srgb(values: np.ndarray) -> np.ndarray:
    """Values from 0 to 1, any shape, without an alpha."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_of_linear(values: np.ndarray) -> np.ndarray:
    """Values from 0 to 1, any shape, without an alpha."""
    return np.where(
        values <= 0.0031308, 12.92 * values, 1.055 * np.maximum(values, 1e-9) ** (1 / 2.4) - 0.055
    )
