"""Small text on images: titles, captions, time. Set in DejaVu Sans (comes with matplotlib), else Pillow's font."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

INK = (44, 49, 58)


def draw_text(
    image: np.ndarray,
    text: str,
    place: tuple[int, int],
    *,
    size: int,
    anchor: str = "left top",
    dot: Sequence[float] | None = None,
    color: Sequence[int] = INK,
) -> None:
    """Write one line into an image, on a soft light plate so that it is read on any ground.

    Args:
        image: (H, W, 3) uint8, changed in place.
        text: one line; shortened with an ellipsis when the image is too narrow for it.
        place: column and row of the anchor in pixels.
        size: height of the letters' box in pixels.
        anchor: `left`, `centre` or `right`, and `top` or `bottom`.
        dot: sRGB colour in [0, 1] of a dot before the text, the key to a figure's colour.
        color: of the letters, 0 to 255.
    """
    if not text:
        return
    height, width = image.shape[:2]
    shown = _fitted(text, size, width - 2 * size - (size if dot is not None else 0))
    share, added = _label(shown, size, None if dot is None else tuple(dot), tuple(color))
    rows, columns = share.shape[:2]
    horizontal, vertical = anchor.split()
    left = place[0] - {"left": 0, "centre": columns // 2, "right": columns}[horizontal]
    top = place[1] - (0 if vertical == "top" else rows)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + columns, width), min(top + rows, height)
    if x0 >= x1 or y0 >= y1:
        return
    window = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    image[y0:y1, x0:x1] = image[y0:y1, x0:x1] * share[window] + added[window]


@lru_cache(maxsize=64)
def _label(
    text: str, size: int, dot: tuple[float, ...] | None, color: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """What stays of the image below (H, W, 1), from 0 to 1, and what comes to it (H, W, 3), rounding included."""
    plate, ink = _sprite(text, size, dot is not None)
    share, added = (1 - plate)[..., None], (255 * plate)[..., None] * np.ones(3, np.float32)
    layers = [(ink, np.asarray(color, np.float32))]
    if dot is not None:
        spot = _dot(plate.shape[0], size)
        spot = np.pad(spot, ((0, 0), (0, max(plate.shape[1] - spot.shape[1], 0))))[:, : plate.shape[1]]
        layers.insert(0, (spot, np.asarray(dot, np.float32) * 255))
    for cover, shade in layers:
        share = share * (1 - cover)[..., None]
        added = added * (1 - cover)[..., None] + shade * cover[..., None]
    return share, added + np.float32(0.5)


@lru_cache(maxsize=256)
def _sprite(text: str, size: int, with_dot: bool) -> tuple[np.ndarray, np.ndarray]:
    """Coverage (H, W) in [0, 1] of the plate and of the letters."""
    from PIL import Image, ImageDraw

    font = _font(size)
    ascent, descent = font.getmetrics()
    pad_x, pad_y = round(size * 0.45), round(size * 0.22)
    indent = pad_x + (round(size * 0.85) if with_dot else 0)
    columns = indent + int(np.ceil(font.getlength(text))) + pad_x
    rows = ascent + descent + 2 * pad_y
    letters = Image.new("L", (columns, rows))
    ImageDraw.Draw(letters).text((indent, pad_y), text, fill=255, font=font)
    return _plate(columns, rows), np.asarray(letters, np.float32) / 255


@lru_cache(maxsize=256)
def _plate(columns: int, rows: int) -> np.ndarray:
    """Coverage (H, W) of a plate with round ends."""
    from PIL import Image, ImageDraw

    fine = Image.new("L", (4 * columns, 4 * rows))  # drawn four times as large for smooth corners
    ImageDraw.Draw(fine).rounded_rectangle(
        (0, 0, 4 * columns - 1, 4 * rows - 1), radius=4 * rows // 3, fill=255
    )
    plate = fine.resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(plate, np.float32) / 255 * 0.55


@lru_cache(maxsize=32)
def _dot(rows: int, size: int) -> np.ndarray:
    columns = round(size * 1.3)
    y, x = np.mgrid[:rows, :columns] + 0.5
    distance = np.hypot(x - size * 0.75, y - rows / 2)
    return np.clip(size * 0.27 - distance + 0.5, 0, 1).astype(np.float32)


@lru_cache(maxsize=256)
def _fitted(text: str, size: int, width: int) -> str:
    text = " ".join(text.split())
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


@lru_cache(maxsize=16)
def _font(size: int) -> Any:
    from PIL import ImageFont

    spec = importlib.util.find_spec("matplotlib")
    if spec is not None and spec.origin:
        path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)
