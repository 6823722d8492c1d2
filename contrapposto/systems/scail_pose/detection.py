"""Before and after the YOLOX person detector (docs/specs/scail_pose.md, section 3)."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from contrapposto.errors import InputError

PAD = 114


def letterbox(image: np.ndarray, size: tuple[int, int] = (640, 640)) -> tuple[np.ndarray, float]:
    """Image (H, W, 3) uint8 shrunk or enlarged into the top left of a grey canvas.

    Returns:
        (3, *size) float32 in 0..255, and the factor of the resize.
    """
    height, width = image.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    inner = (max(int(height * ratio), 1), max(int(width * ratio), 1))
    resized = functional.interpolate(planes, inner, mode="bilinear", align_corners=False)[0]
    canvas = np.full((3, *size), PAD, np.float32)
    canvas[:, : inner[0], : inner[1]] = resized.round().clamp(0, 255).numpy()
    return canvas, ratio


def decode_grid(raw: np.ndarray, size: tuple[int, int] = (640, 640), *, p6: bool = False) -> np.ndarray:
    """Raw output (B, cells, 5 + classes) with centres and sizes of boxes in pixels of the network's input."""
    cells, strides = [], []
    for stride in (8, 16, 32, 64) if p6 else (8, 16, 32):
        rows, columns = np.mgrid[: size[0] // stride, : size[1] // stride]
        cells.append(np.stack([columns, rows], -1).reshape(-1, 2))
        strides.append(np.full((rows.size, 1), stride))
    grid, stride_of = np.concatenate(cells), np.concatenate(strides)
    if raw.shape[1] != len(grid):
        raise InputError("detector output", found=f"{raw.shape[1]} cells", expected=f"{len(grid)} at {size}")
    decoded = raw.copy()
    decoded[..., :2] = (raw[..., :2] + grid) * stride_of
    decoded[..., 2:4] = np.exp(raw[..., 2:4]) * stride_of
    return decoded


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float = 0.45) -> np.ndarray:
    """Indices of the boxes (n, 4) xyxy that survive, best first; areas count the last pixel (the +1 rule)."""
    order = scores.argsort()[::-1]
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1)
    keep: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        keep.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.maximum(high - low + 1, 0).prod(axis=1)
        order = rest[shared / (areas[best] + areas[rest] - shared) <= threshold]
    return np.array(keep, np.int64)


def suppress_classes(
    boxes: np.ndarray, scores: np.ndarray, threshold: float = 0.45, least_score: float = 0.1
) -> np.ndarray:
    """Boxes (n, 4) with scores (n, classes) to rows (x1, y1, x2, y2, score, class), class by class."""
    rows = [np.zeros((0, 6), np.float32)]
    for number in range(scores.shape[1]):
        chosen = scores[:, number] > least_score
        kept_boxes, kept_scores = boxes[chosen], scores[chosen, number]
        keep = suppress(kept_boxes, kept_scores, threshold)
        label = np.full((len(keep), 1), number)
        rows.append(np.concatenate([kept_boxes[keep], kept_scores[keep, None], label], axis=1))
    return np.concatenate(rows)


def person_boxes(output: np.ndarray, ratio: float, least_score: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Network output (1, 8400, 85) to people: boxes (n, 4) xyxy in image pixels and scores (n,), best first."""
    cells = decode_grid(output)[0]
    centers, halves = cells[:, :2], cells[:, 2:4] / 2
    boxes = np.concatenate([centers - halves, centers + halves], axis=1) / ratio
    rows = suppress_classes(boxes, cells[:, 4:5] * cells[:, 5:])
    people = rows[(rows[:, 4] > least_score) & (rows[:, 5] == 0)]
    return people[:, :4], people[:, 4]
