"""The codes of motions as coloured cells along time: what a generator wrote, at a glance."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.motion import Label
from contrapposto.render.text import INK, draw_text
from contrapposto.render.video import write_png

_GROUND, _EMPTY, _RULE = (255, 255, 255), (238, 240, 243), (120, 126, 136)
_LEFT, _TOP, _BOTTOM, _LETTERS = 150, 34, 30, 14


def render_token_timeline(path: str | Path, tokens: np.ndarray, seconds: float, **options: Any) -> Path:
    """Write `draw_token_timeline` as a PNG; arguments and errors as there."""
    return write_png(path, draw_token_timeline(tokens, seconds, **options))


def draw_token_timeline(
    tokens: np.ndarray,
    seconds: float,
    *,
    labels: Sequence[Label] = (),
    titles: Sequence[str] | None = None,
    width: int = 1200,
) -> np.ndarray:
    """(H, W, 3) uint8: a band for each motion, a row of cells for each of its codebooks, the same colour for the same code.

    Args:
        tokens: (B, L, K) codes, -1 where there is none; at most 64 motions. They are spread evenly over the time.
        seconds: what the L tokens last.
        labels: what happens when, written along the top.
        titles: of the motions; `1`, `2`, ... where absent.
        width: of the image in pixels.

    Raises:
        InputError: no tokens, or too many motions.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 3 or not tokens.size or len(tokens) > 64 or not seconds > 0:
        raise InputError(
            f"Tokens of shape {tokens.shape} over {seconds} s cannot be drawn.",
            expected="(motions, tokens, codebooks), 1 to 64 motions, and a time above 0",
        )
    count, length, codebooks = tokens.shape
    cell = int(np.clip(480 // (count * codebooks), 4, 16))
    band = cell * codebooks + max(4, cell // 2)
    height = _TOP + count * band + _BOTTOM
    image = np.full((height, max(width, _LEFT + length + 20), 3), _GROUND, np.uint8)
    edges = _LEFT + np.round(np.arange(length + 1) * (image.shape[1] - _LEFT - 20) / length).astype(int)
    for index in range(count):
        top = _TOP + index * band
        name = titles[index] if titles is not None else str(index + 1)
        draw_text(image, name, (_LEFT - 6, top), size=_LETTERS if band > 18 else 10, anchor="right top")
        for book in range(codebooks):
            row = slice(top + book * cell, top + (book + 1) * cell)
            for position, code in enumerate(tokens[index, :, book].tolist()):
                gap = 1 if edges[position + 1] - edges[position] > 3 else 0
                image[row, edges[position] : edges[position + 1] - gap] = _color(code)
    _axis(image, edges, seconds, labels)
    return image


@lru_cache(maxsize=4096)
def _color(code: int) -> tuple[int, int, int]:
    """Neighbouring codes mean nothing: hues by the golden angle, lightness in three steps."""
    if code < 0:
        return _EMPTY
    red, green, blue = colorsys.hls_to_rgb(code * 0.6180339887 % 1, (0.42, 0.56, 0.70)[code % 3], 0.55)
    return round(255 * red), round(255 * green), round(255 * blue)


def _axis(image: np.ndarray, edges: np.ndarray, seconds: float, labels: Sequence[Label]) -> None:
    """Seconds below, labels above."""
    first, last, bottom = int(edges[0]), int(edges[-1]), image.shape[0] - _BOTTOM
    per_second = (last - first) / seconds
    image[bottom : bottom + 1, first:last] = _RULE
    step = next(
        s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600) if s * per_second > 45 or s == 3600
    )
    for time in np.arange(0, seconds + 1e-6, step):
        column = first + round(time * per_second)
        image[bottom : bottom + 5, column : column + 1] = _RULE
        draw_text(image, f"{time:g} s", (column, bottom + 6), size=_LETTERS, anchor="centre top")
    for label in labels:
        left, right = (
            first + round(time * per_second) for time in (max(label.start, 0), min(label.end, seconds))
        )
        if right - left < 2:
            continue
        image[_TOP - 7 : _TOP - 4, left + 1 : right - 1] = INK
        window = image[: _TOP - 7, left:right]
        draw_text(window, label.text, ((right - left) // 2, 2), size=_LETTERS, anchor="centre top")
