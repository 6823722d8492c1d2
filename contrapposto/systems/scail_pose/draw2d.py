"""Keypoints painted on black images with OpenCV's shapes, as the original (docs/specs/scail_pose.md, section 7.3)."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np

from contrapposto.systems.scail_pose.wholebody import WholeBodyPose

Color = tuple[float, float, float]
EPSILON = 0.01  # pixels: what is not further from the left and upper edge is missing
STICK = 4
DIM = 0.6

# fmt: off
COLORS: tuple[Color, ...] = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255),
    (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)
FEET = ((13, 18), (13, 19), (13, 20), (10, 21), (10, 22), (10, 23))
FEET_COLORS: tuple[Color, ...] = (
    (100, 0, 215), (80, 0, 235), (60, 0, 255), (0, 235, 150), (0, 215, 170), (0, 195, 190),
)
# fmt: on
CHEEKS = range(13, 17)
CHEEK_JOINTS = (0, 14, 15, 16, 17)
FINGERS = tuple((0 if i == 0 else first + i, first + i + 1) for first in range(0, 20, 4) for i in range(4))
SHOWN_FACE = (*range(17, 27), *range(36, 68))


def line_width(height: int, width: int) -> int:
    """Thickness of fingers and radius of dots in pixels, 1 or 2, by the size of the image."""
    return min(max(int(min(height, width) / 300), 1), 2)


def draw_body(
    canvas: np.ndarray,
    points: np.ndarray,
    subset: np.ndarray,
    *,
    limbs: Iterable[int] = range(len(LIMBS)),
    joints: Iterable[int] = range(18),
    feet: bool = False,
) -> None:
    """Limbs as dimmed ellipses, then joints as dots, painted into `canvas` (H, W, 3) uint8.

    Args:
        canvas: to paint into.
        points: (18 or 24, 2) divided by the width and height of the canvas.
        subset: (18 or 24,) -1 where a joint is missing.
        limbs: numbers of limbs, of `LIMBS`. joints: of dots.
        feet: toes and heels as well.
    """
    import cv2

    height, width = canvas.shape[:2]
    pixels = points * np.array([width, height])
    drawn = [(LIMBS[number], COLORS[number]) for number in limbs]
    for pair, color in [*drawn, *(zip(FEET, FEET_COLORS) if feet else ())]:
        if min(subset[list(pair)]) != -1:
            polygon = _ellipse(*pixels[list(pair)])
            cv2.fillConvexPoly(canvas, polygon, tuple(int(part * DIM) for part in color))
    for number in joints:
        if subset[number] != -1:
            cv2.circle(canvas, _pixel(pixels[number]), STICK, COLORS[number], -1)
    for (_, toe), color in zip(FEET, FEET_COLORS) if feet else ():
        if subset[toe] != -1:
            cv2.circle(canvas, _pixel(pixels[toe]), STICK, color, -1)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def _ellipse(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Outline of a limb as the polygon of one degree steps that OpenCV makes."""
    import cv2

    centre, across = (start + end) / 2, start - end
    angle = int(np.degrees(np.arctan2(across[1], across[0])))
    axes = (int(np.hypot(*across) / 2), STICK)
    return np.asarray(cv2.ellipse2Poly(_pixel(centre), axes, angle, 0, 360, 1))


def draw_hands(
    canvas: np.ndarray,
    hands: np.ndarray,
    *,
    thickness: int | None = None,
    dot: int | None = None,
    by_side: bool = False,
) -> None:
    """Fingers in rainbow colours and blue joints, painted into `canvas` (H, W, 3) uint8.

    Args:
        canvas: to paint into.
        hands: (n, 21, 2) divided by the width and height of the canvas; negative where missing.
        thickness: of fingers in pixels. dot: radius of joints. None: by the size of the canvas.
        by_side: other colours for the first half of the hands than for the second.
    """
    height, width = canvas.shape[:2]
    thickness = line_width(height, width) if thickness is None else thickness
    dot = thickness if dot is None else dot
    for number, hand in enumerate(hands):
        style = 0 if not by_side else 1 if number < len(hands) / 2 else 2
        _draw_hand(canvas, (hand * np.array([width, height])).astype(int), style, thickness, dot)


def _draw_hand(canvas: np.ndarray, points: np.ndarray, style: int, thickness: int, dot: int) -> None:
    import cv2

    fingers, joints = _hand_colors(style)
    seen: list[bool] = np.all(points > EPSILON, axis=-1).tolist()
    places = [tuple(point) for point in points.tolist()]
    for (a, b), color in zip(FINGERS, fingers):
        if seen[a] and seen[b]:
            cv2.line(canvas, places[a], places[b], color, thickness)
    for place, known in zip(places, seen):
        if known:
            cv2.circle(canvas, place, dot, joints, -1)


@lru_cache(maxsize=3)
def _hand_colors(style: int) -> tuple[list[Color], Color]:
    """Colours of the 20 finger bones and of the joints: 0 rainbow, 1 and 2 the two sides of the other variant."""
    parts = [number / len(FINGERS) for number in range(len(FINGERS))]
    hsv, joints = {
        0: ([(part, 1.0, 1.0) for part in parts], (0, 0, 255)),
        1: ([((0.3 + 0.8 * part) % 1, 0.8, 1.0) for part in parts], (100, 100, 255)),
        2: ([(0.8 * part, 0.9, 0.9) for part in parts], (245, 100, 100)),
    }[style]
    colors = [colorsys.hsv_to_rgb(*color) for color in hsv]
    return [(255 * red, 255 * green, 255 * blue) for red, green, blue in colors], joints


def draw_face(
    canvas: np.ndarray,
    face: np.ndarray,
    *,
    landmarks: Sequence[int] = SHOWN_FACE,
    radius: int | None = None,
) -> None:
    """White dots at landmarks of a face, painted into `canvas` (H, W, 3) uint8.

    Args:
        canvas: to paint into.
        face: (68, 2) divided by the width and height of the canvas; negative where missing.
        landmarks: which; by default brows, eyes and mouth.
        radius: in pixels; None: by the size of the canvas.
    """
    import cv2

    height, width = canvas.shape[:2]
    radius = line_width(height, width) if radius is None else radius
    points = (face[list(landmarks)] * np.array([width, height])).astype(int)
    for place in points[(points > EPSILON).all(-1)].tolist():
        cv2.circle(canvas, place, radius, (255, 255, 255), -1)


def draw_overlay(
    pose: WholeBodyPose,
    height: int,
    width: int,
    *,
    cheeks: bool = True,
    hands: bool = True,
    face: bool = True,
    wrap: bool = False,
) -> np.ndarray:
    """What is laid over the capsules: cheeks, hands and faces of all people of a frame.

    Args:
        pose: hands are pairs, one person after the other.
        height, width: of the image in pixels.
        cheeks, hands, face: what to draw.
        wrap: add the images of people in 8 bits as the original does; else the brighter one wins.

    Returns:
        (height, width, 3) uint8.
    """

    def paint(canvas: np.ndarray, number: int) -> None:
        if cheeks:
            draw_body(canvas, pose.candidate[number], pose.subset[number], limbs=CHEEKS, joints=CHEEK_JOINTS)
        if hands:
            draw_hands(canvas, pose.hands[2 * number : 2 * number + 2])
        if face:
            draw_face(canvas, pose.faces[number])

    return _paint_people(len(pose.subset), height, width, paint, wrap)


def draw_pose(pose: WholeBodyPose, height: int, width: int, *, wrap: bool = False) -> np.ndarray:
    """All keypoints of a frame as a 2D skeleton, hands coloured by side; see `draw_overlay`."""

    def paint(canvas: np.ndarray, number: int) -> None:
        draw_body(canvas, pose.candidate[number], pose.subset[number], feet=True)
        draw_hands(canvas, pose.hands[2 * number : 2 * number + 2], thickness=2, dot=4, by_side=True)
        draw_face(canvas, pose.faces[number], landmarks=range(68))

    return _paint_people(len(pose.subset), height, width, paint, wrap)


def _paint_people(
    count: int, height: int, width: int, paint: Callable[[np.ndarray, int], None], wrap: bool
) -> np.ndarray:
    total = np.zeros((height, width, 3), np.uint8)
    for number in range(count):
        canvas = np.zeros_like(total) if number else total
        paint(canvas, number)
        if number:
            (np.add if wrap else np.maximum)(total, canvas, out=total)
    return total


def compose(rgba: np.ndarray, overlay: np.ndarray) -> np.ndarray:
    """Overlay (H, W, 3) laid over the colours of an image (H, W, 4), channel by channel wherever it is not zero.

    Returns:
        (H, W, 3) uint8.
    """
    import cv2

    colors = cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)
    height, width = overlay.shape[:2]
    flat = overlay.reshape(height, 3 * width)  # every channel is its own mask
    cv2.copyTo(flat, flat, colors.reshape(height, 3 * width))
    return colors


def stretch(image: np.ndarray, vertical: float, horizontal: float) -> np.ndarray:
    """Image (H, W, 3) uint8 stretched about its centre, its size kept: cropped, or black around it."""
    import cv2

    height, width = image.shape[:2]
    sizes = max(int(height * vertical), 1), max(int(width * horizontal), 1)
    resized = cv2.resize(image, sizes[::-1], interpolation=cv2.INTER_LINEAR)
    result = np.zeros_like(image)
    inner, outer = [], []
    for new, old in zip(sizes, (height, width)):
        length, cut, pad = min(new, old), max(new - old, 0) // 2, max(old - new, 0) // 2
        inner.append(slice(cut, cut + length))
        outer.append(slice(pad, pad + length))
    result[tuple(outer)] = resized[tuple(inner)]
    return result
