"""Colours of limbs: the original's three palettes, and more of the kind for any number of people."""

from __future__ import annotations

import colorsys

Palette = tuple[tuple[int, int, int], ...]

# fmt: off
SINGLE: Palette = (
    (255, 0, 0), (0, 255, 255), (255, 85, 0), (255, 170, 0), (0, 170, 255), (0, 85, 255), (180, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 0, 255), (85, 0, 255), (170, 0, 255), (150, 150, 150),
)
PALE: Palette = (
    (255, 150, 150), (180, 230, 240), (255, 180, 140), (255, 215, 150), (160, 200, 255), (100, 120, 255),
    (200, 255, 100), (100, 255, 100), (140, 255, 180), (120, 140, 255), (180, 90, 255), (190, 120, 255),
    (210, 210, 210),
)
STRONG: Palette = (
    (255, 20, 20), (0, 230, 255), (255, 60, 0), (255, 110, 0), (0, 130, 255), (0, 70, 255), (160, 255, 40),
    (0, 255, 50), (0, 255, 100), (0, 0, 255), (80, 0, 255), (160, 0, 255), (130, 130, 130),
)
# fmt: on

# (share of white mixed in, brightness) of the third person and those after; hues say which limb it is, so they stay
# until these are used up, and then turn.
_TONES = ((0.0, 0.55), (0.35, 1.0), (0.4, 0.65), (0.0, 0.8), (0.7, 0.8), (0.2, 0.4))
_TURN = 0.09


def palettes_for(count: int, base: Palette = SINGLE) -> list[Palette]:
    """A palette for each of `count` people, told apart by how pale and how dark they are.

    One person has the base. Two of the default base have the original's pale and strong palettes, and everybody
    after them further tones; so do all people of another base.
    """
    if count <= 1:
        return [base]
    first = [PALE, STRONG] if base == SINGLE else [base]
    return [*first, *(_toned(base, number) for number in range(count - len(first)))][:count]


def person_color(number: int) -> tuple[int, int, int]:
    """A colour (r, g, b) in 0..255 for a person in masks: hues a golden section apart, all of full brightness."""
    parts = colorsys.hsv_to_rgb((number * 0.618034) % 1, 1.0 if number % 2 == 0 else 0.75, 1.0)
    return _bytes(parts)


def _toned(base: Palette, number: int) -> Palette:
    white, bright = _TONES[number % len(_TONES)]
    turn = _TURN * (number // len(_TONES))
    colors = []
    for color in base:
        hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in color))
        parts = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
        colors.append(_bytes([(part * (1 - white) + white) * bright for part in parts]))
    return tuple(colors)


def _bytes(parts: tuple[float, ...] | list[float]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * min(max(part, 0.0), 1.0)) for part in parts)
    return red, green, blue
