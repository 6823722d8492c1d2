"""Crops for the whole-body network (docs/specs/scail_pose.md, section 4.1)."""

from __future__ import annotations

import numpy as np

PADDING = 1.25
_MEAN, _STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


def box_center_scale(box: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Middle (2,) of a box (4,) xyxy and the size (2,) of its crop, pixels.

    Args:
        box: xyxy pixels.
        size: (w, h) of the network's input, whose proportions the crop takes.
    """
    center = (box[:2] + box[2:]) / 2
    width, height = (box[2:] - box[:2]) * PADDING
    aspect = size[0] / size[1]
    scale = (width, width / aspect) if width > height * aspect else (height * aspect, height)
    return center, np.array(scale)


def crop_matrix(
    center: np.ndarray,
    scale: np.ndarray,
    size: tuple[int, int],
    *,
    degrees: float = 0.0,
    inverse: bool = False,
) -> np.ndarray:
    """Affine map (2, 3) from image pixels to those of the crop, or back with `inverse`."""
    angle = np.deg2rad(degrees)
    up = np.array([np.sin(angle), -np.cos(angle)]) * scale[0] / 2
    source = _corners(center, center + up)
    middle = np.array(size) / 2
    target = _corners(middle, middle - np.array([0, size[0] / 2]))
    if inverse:
        source, target = target, source
    return np.linalg.solve(np.concatenate([source, np.ones((3, 1))], axis=1), target).T


def whole_body_crop(
    image: np.ndarray, box: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the network sees of a person.

    Args:
        image: (H, W, 3) uint8. The public weights are used with blue first while the mean and deviation are red first;
            both must stay so.
        box: (4,) xyxy pixels.
        size: (w, h) of the network's input.

    Returns:
        Crop (h, w, 3) float64, normalised; its middle (2,) and size (2,) in the image's pixels.
    """
    import cv2

    center, scale = box_center_scale(box, size)
    seen = cv2.warpAffine(image, crop_matrix(center, scale, size), size, flags=cv2.INTER_LINEAR)
    return (seen - _MEAN) / _STD, center, scale


def _corners(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The two points and a third one, a quarter turn about the second."""
    away = first - second
    return np.stack([first, second, second + np.array([-away[1], away[0]])])
