"""Texture coordinates of the shipped body: MakeHuman's layout (`assets/body/texture_layout.py` took them)."""

from __future__ import annotations

import numpy as np

from contrapposto.files import ASSETS


def texture_layout() -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (T, 2), first right, then up, 0 to 1, and (F, 3) the coordinates of each of the body's faces."""
    with np.load(ASSETS / "body" / "texture_layout.npz") as file:
        coordinates = file["coordinates"] / 65535
        quads = file["quads"].astype(np.int64)
    return coordinates, np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], axis=1).reshape(-1, 3)
