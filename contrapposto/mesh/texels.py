"""Which place of a surface each pixel of its texture shows, for painting textures."""

from __future__ import annotations

import numpy as np

_EDGE = 1e-9  # so that no pixel between two faces is lost to rounding


def texels(
    coordinates: np.ndarray, faces: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels of a texture that faces cover.

    Args:
        coordinates: (T, 2) texture coordinates, first right, then up, 0 to 1.
        faces: (F, 3) into them.
        size: pixels along each side of the texture.

    Returns:
        Pixels (N, 2) whose centres lie in a face, row and column from the top left; (N,) the face that each shows; (N, 3)
        shares of its corners.
    """
    corners = (coordinates * [size, -size] + [0, size] - 0.5)[faces]  # pixel centres are whole numbers
    low = np.clip(np.ceil(corners.min(1)), 0, size - 1).astype(np.int64)
    high = np.clip(np.floor(corners.max(1)), -1, size - 1).astype(np.int64)
    width, height = np.clip(high - low + 1, 0, None).T
    owner = np.repeat(np.arange(len(faces)), width * height)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(width * height) - width * height, width * height)
    points = low[owner] + np.stack([number % width[owner], number // width[owner]], axis=1)
    a, b, c = np.moveaxis(corners[owner], 1, 0)
    area = _cross(b - a, c - a)
    with np.errstate(divide="ignore", invalid="ignore"):
        second, third = _cross(points - a, c - a) / area, _cross(b - a, points - a) / area
    shares = np.stack([1 - second - third, second, third], axis=1)
    inside = np.flatnonzero((shares > -_EDGE).all(1))  # which is false for faces without an area
    _, first = np.unique(points[inside, 1] * size + points[inside, 0], return_index=True)
    chosen = inside[first]
    return points[chosen, ::-1], owner[chosen], shares[chosen]


def paint(colours: np.ndarray, pixels: np.ndarray, size: int) -> np.ndarray:
    """A texture (size, size, 3) uint8 of the colours (N, 3) uint8 of `pixels`; the others take the nearest one's.

    Faces that end beside an empty pixel thus keep their colour where a viewer filters the texture.
    """
    from scipy.ndimage import distance_transform_edt

    image = np.zeros((size, size, 3), np.uint8)
    empty = np.ones((size, size), bool)
    image[tuple(pixels.T)], empty[tuple(pixels.T)] = colours, False
    rows, columns = distance_transform_edt(empty, return_distances=False, return_indices=True)
    return image[rows, columns]


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
