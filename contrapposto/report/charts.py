"""Charts as inline SVG: lines over training steps, and one dot per clip. Colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

Points = Sequence[tuple[float, float]]

NUM_COLORS = 8  # of the style sheet, see page.css
_WIDTH, _HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 24, 22
_MOST_POINTS = 300
_WIDE = 20.0  # values that span more than this factor are shown on a logarithmic axis


def line_chart(series: Mapping[str, Points], title: str, unit: str = "") -> str:
    """Lines over steps, in the order of `series`; points without a finite value break the line and are counted.

    Args:
        series: label to (step, value).
        title, unit: written above.

    Returns:
        An `<svg>` element; a chart that states so where there is nothing finite to draw.
    """
    finite = {label: [p for p in points if all(map(math.isfinite, p))] for label, points in series.items()}
    lost = sum(map(len, series.values())) - sum(map(len, finite.values()))
    everything = [point for points in finite.values() for point in points]
    heading = f"{title}, {unit}" if unit else title
    heading += f" ({lost} not finite)" if lost else ""
    if not everything:
        return _frame(heading, '<text x="170" y="105" class="none">nothing finite to draw</text>')
    steps, values = [x for x, _ in everything], [y for _, y in everything]
    log = min(values) > 0 and max(values) > _WIDE * min(values)
    across = _Axis(min(steps), max(steps), _LEFT, _WIDTH - _RIGHT)
    up = _Axis(min(values), max(values), _HEIGHT - _BOTTOM, _TOP, log=log)
    parts = [_grid(across, up)]
    for index, (label, points) in enumerate(series.items()):
        if finite[label]:
            parts.append(_line(label, points, index, across, up, unit))
    return _frame(heading, "".join(parts))


def strip_chart(rows: Mapping[str, float], title: str, unit: str = "", *, index: int = 0) -> str:
    """One dot per clip along a line, and a mark at the mean; the dot's text names the clip.

    Args:
        rows: clip to a finite value.
        title, unit: written above.
        index: of the colour.
    """
    values = list(rows.values())
    across = _Axis(min(values), max(values), 14, _WIDTH - 14)
    mean = sum(values) / len(values)
    dots = []
    for number, (clip, value) in enumerate(rows.items()):
        height = 44 + 16 * ((number * 0.618034) % 1 - 0.5)  # spread so that equal ones are seen
        dots.append(
            f'<circle class="c{index % NUM_COLORS}" cx="{across(value):.1f}" cy="{height:.1f}" r="3">'
            f"<title>{escape(clip)}: {show(value)}</title></circle>"
        )
    x = across(mean)
    places = across.ticks(4)
    ticks = "".join(
        f'<text x="{across(tick):.1f}" y="74" class="tick middle">{label}</text>'
        for tick, label in zip(places, tick_labels(places))
    )
    body = (
        f'<line class="axis" x1="14" x2="{_WIDTH - 14}" y1="60" y2="60"/>{"".join(dots)}{ticks}'
        f'<line class="mean" x1="{x:.1f}" x2="{x:.1f}" y1="30" y2="60"><title>mean {show(mean)}</title></line>'
    )
    heading = f"{title}, {unit}" if unit else title
    return _frame(heading, body, height=80)


def show(value: float | None) -> str:
    """A number with four digits that count, thousands apart; a dash for what is missing."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size < 1e-3:
        return f"{value:.2e}"
    return f"{value:.{max(0, 3 - math.floor(math.log10(size)))}f}".rstrip("0").rstrip(".")


class _Axis:
    def __init__(self, low: float, high: float, start: float, stop: float, *, log: bool = False) -> None:
        self.log = log
        if not high > low:  # one value: a margin around it
            margin = abs(low) * 0.1 or 1.0
            low, high = (low / 1.1, high * 1.1) if log else (low - margin, high + margin)
        self.low, self.high, self.start, self.stop = low, high, start, stop

    def __call__(self, value: float) -> float:
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        share = ((math.log(value) if self.log else value) - low) / (high - low)
        return self.start + share * (self.stop - self.start)

    def ticks(self, most: int) -> list[float]:
        """Round numbers within the axis."""
        if self.log:
            low, high = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            tens = [10.0**power for power in range(low, high + 1, max(1, (high - low) // most + 1))]
            if len(tens) > 1:
                return tens
            return [self.low * (self.high / self.low) ** (k / (most - 1)) for k in range(most)]
        span = (self.high - self.low) / most
        size = 10.0 ** math.floor(math.log10(span))
        step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= span * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def _grid(across: _Axis, up: _Axis) -> str:
    parts = []
    ticks = up.ticks(4)
    for tick, label in zip(ticks, tick_labels(ticks)):
        y = up(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 3:.1f}" class="tick end">{label}</text>')
    ticks = across.ticks(4)
    for tick, label in zip(ticks, tick_labels(ticks)):
        parts.append(f'<text x="{across(tick):.1f}" y="{_HEIGHT - 6}" class="tick middle">{label}</text>')
    return "".join(parts)


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Labels with as many digits as tell the ticks of one axis apart; thousands as k, millions as M."""
    largest, smallest = max(map(abs, ticks), default=0.0), min(ticks, default=0.0)
    if smallest > 0 and largest >= 50 * smallest:  # of a logarithmic axis: each by itself
        return [label for tick in ticks for label in tick_labels([tick])]
    scale, suffix = (1e6, "M") if largest >= 1e6 else (1e3, "k") if largest >= 1e4 else (1.0, "")
    if 0 < largest < 1e-3:
        return next(
            labels for digits in range(8) if _exact(labels := [_power(t, digits) for t in ticks], ticks)
        )
    values = [tick / scale for tick in ticks]
    fixed = ([f"{value:.{digits}f}" for value in values] for digits in range(10))
    labels = next((texts for texts in fixed if _exact(texts, values)), [f"{value:.4g}" for value in values])
    return [f"{label}{suffix}" if float(label) else "0" for label in labels]


def _power(value: float, digits: int) -> str:
    """Such as 2.5e-4, and 0."""
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}" if value else "0"


def _exact(labels: Sequence[str], values: Sequence[float]) -> bool:
    """Whether labels are close to their values, and differ where the values do."""
    step = min(
        (abs(b - a) for a, b in pairwise(values) if a != b), default=max(map(abs, values), default=1.0)
    )
    close = all(abs(float(label) - value) <= 0.02 * step for label, value in zip(labels, values))
    return close and len(set(labels)) == len(set(values))


def _line(label: str, points: Points, index: int, across: _Axis, up: _Axis, unit: str) -> str:
    pieces: list[list[tuple[float, float]]] = [[]]
    for step, value in thinned(points):
        if math.isfinite(value):
            pieces[-1].append((across(step), up(value)))
        elif pieces[-1]:
            pieces.append([])
    color = f"c{index % NUM_COLORS}"
    dashed = " dashed" if index >= NUM_COLORS else ""
    last = next(value for _, value in reversed(points) if math.isfinite(value))
    title = f"<title>{escape(label)}: {show(last)} {escape(unit)} at the end</title>"
    drawn = []
    for piece in pieces:
        if len(piece) == 1:
            x, y = piece[0]
            drawn.append(f'<circle class="{color}" cx="{x:.1f}" cy="{y:.1f}" r="2.5">{title}</circle>')
        elif piece:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in piece)
            drawn.append(f'<polyline class="line {color}{dashed}" points="{path}">{title}</polyline>')
    return "".join(drawn)


def thinned(points: Points) -> list[tuple[float, float]]:
    """At most a few hundred points: of each stretch the smallest and the largest, so that no peak is lost."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    count = _MOST_POINTS // 2
    kept: list[tuple[float, float]] = []
    for number in range(count):
        stretch = points[number * len(points) // count : (number + 1) * len(points) // count]
        finite = [point for point in stretch if math.isfinite(point[1])]
        if not finite:
            kept.append(stretch[0])
            continue
        ends = {min(finite, key=lambda p: p[1]), max(finite, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept


def _frame(heading: str, body: str, *, height: int = _HEIGHT) -> str:
    label = escape(heading, quote=True)
    shown = label if len(heading) < 52 else escape(heading[:50]) + "…"
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">'
        f'<text x="4" y="14" class="heading">{shown}</text>{body}</svg>'
    )
