"""Where the parts of a target lie on the source: for figures of other proportions that stand with their arms out.

The applier knows a target by the places of its points in the unit cube alone. Where a person has hips, a figurine may
have arms; so a target is asked for where its parts lie on the source. Some points of the outlines tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import binary_closing
from torch import Tensor

from contrapposto.mesh.operators import face_centroids
from contrapposto.mesh.surface_sampling import sample_surface
from contrapposto.mesh.template import Template

_CELLS = 96  # of the outline, along the longest side
_SAMPLES = 60_000
_FALLS = ((1, 3), (3, 5))  # (columns, cells): an outline that falls so much within so few is an armpit's
_SHORTEST = 0.1  # of the width: less that sticks out is no arm
_ROBE = 0.1  # of the shoulders' height: lower than this is no crotch
_CROTCH = 0.45
_SHINS = 0.15  # of the height
_FEW = 3  # points of a row
_BRIM = 0.3  # shares of the height: what is deeper than this at its tip is no arm


@dataclass(frozen=True)
class FigureLandmarks:
    """Places on a figure seen from the front, in the units of its vertices.

    Args:
        points: (16, 2), x to the figure's left and y up: tips and roots of both arms, soles, hips, sides of belly and
            head, crotch, chest, neck, top.
        depths: 10, 50 and 90 % of the surface lie behind these z.
    """

    points: np.ndarray
    depths: np.ndarray

    def scaled(self, centre: np.ndarray, side: float) -> FigureLandmarks:
        """Of the same figure after (vertices - centre) / side."""
        return FigureLandmarks((self.points - centre[:2]) / side, (self.depths - centre[2]) / side)


@dataclass(frozen=True)
class _Arm:
    """In cells: (column, row) of tip and root, and the thickness at the root."""

    tip: tuple[float, float]
    root: tuple[float, float]
    thickness: float


def figure_landmarks(vertices: np.ndarray, faces: np.ndarray) -> FigureLandmarks | None:
    """Find the parts of a figure that stands upright (y up), faces z, and holds its arms away from the body.

    Args:
        vertices: (V, 3) in any units.
        faces: (F, 3).

    Returns:
        None where the outline is not that of such a figure.
    """
    points, _ = sample_surface(vertices, faces, _SAMPLES, np.random.default_rng(0))
    low = points[:, :2].min(axis=0)
    cell = float(np.ptp(points[:, :2], axis=0).max()) / _CELLS
    cells = (points[:, :2] - low) / cell
    outline = _outline(cells)
    right, left = _arm(outline), _arm(outline[::-1])
    if right is None or left is None or min(right.root[0], left.root[0]) < _SHORTEST * len(outline):
        return None
    places = _places(cells, points[:, 2], outline, right, left)
    landmarks = FigureLandmarks(places * cell + low, np.quantile(points[:, 2], (0.1, 0.5, 0.9)))
    return landmarks if _plausible(points, outline, landmarks) else None


def _plausible(points: np.ndarray, outline: np.ndarray, landmarks: FigureLandmarks) -> bool:
    """Whether an outline's landmarks are a figure's: wings, ears and legs of animals look alike from the front.

    The limits lie between 22 humanoids and 12 animals, each from several sides.
    """
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    height = float(size[1])
    (tip_right, root_right, tip_left, root_left), places = (
        landmarks.points[:4],
        (landmarks.points - low[:2]) / height,
    )
    mirrored = outline[::-1]
    symmetry = (outline & mirrored).sum() / (outline | mirrored).sum()
    arm = (points[:, 0] < root_right[0]) | (points[:, 0] > root_left[0])
    depth = float(np.subtract(*np.quantile(points[arm, 2], (0.95, 0.05)))) / height if arm.any() else np.inf
    length = float(root_right[0] - tip_right[0] + tip_left[0] - root_left[0]) / 2 / height
    crotch, chest, neck = places[12:15, 1]
    return bool(
        symmetry >= 0.8
        and size[2] <= 0.95 * height
        and 0.45 <= size[0] / height <= 1.5
        and 0.15 <= length <= 0.6
        and depth <= 0.6
        and _tip_depth(points, landmarks) / height <= _BRIM
        and places[[0, 2], 1].mean() >= 0.3
        and crotch < chest
        and crotch <= 0.5
        and neck <= 0.93
    )


def _tip_depth(points: np.ndarray, landmarks: FigureLandmarks) -> float:
    """Extent along z around the tips of the arms: a hat's brim, which is a disc, is far deeper than a hand."""
    depths = []
    for tip, root in (landmarks.points[:2], landmarks.points[2:4]):
        along = (points[:, 0] - tip[0]) / (root[0] - tip[0])
        near = (along < 0.4) & (np.abs(points[:, 1] - tip[1]) < 0.1 * np.ptp(points[:, 1]))
        depths.append(float(np.subtract(*np.quantile(points[near, 2], (0.95, 0.05)))) if near.any() else 0.0)
    return min(depths)


def aligned_centroids(source: Template, target: Template) -> Tensor | None:
    """Centroids (F, 3) float64 of a target's faces, put to where these parts lie on the source, in its normalised units.

    Returns:
        None where one of the two is not a figure as `figure_landmarks` expects it.
    """
    known, own = (figure_landmarks(one.solver.vertices.numpy(), one.clean.faces) for one in (source, target))
    if known is None or own is None:
        return None
    centroids = face_centroids(target.solver.vertices, target.solver.faces).numpy()
    return torch.from_numpy(carried(centroids, own, known))


def carried(points: np.ndarray, own: FigureLandmarks, known: FigureLandmarks) -> np.ndarray:
    """Points (N, 3) of one figure to where these parts lie on another, whose landmarks are `known`."""
    moves = RBFInterpolator(own.points, known.points - own.points, kernel="linear")
    scale = np.ptp(known.depths) / max(float(np.ptp(own.depths)), 1e-6)
    depth = (points[:, 2:] - own.depths[1]) * scale + known.depths[1]
    return np.concatenate([points[:, :2] + moves(points[:, :2]), depth], axis=1)


def _outline(cells: np.ndarray) -> np.ndarray:
    """Points (N, 2) in cells to what they cover of the front view: (columns, rows) bool, small gaps closed."""
    index = np.floor(cells).astype(int)
    grid = np.zeros(index.max(axis=0) + 9, bool)
    grid[index[:, 0] + 4, index[:, 1] + 4] = True
    return binary_closing(grid, iterations=2)[4:-4, 4:-4]


def _runs(column: np.ndarray) -> list[tuple[int, int]]:
    """Covered rows of a column, from below: first and last + 1 of each run."""
    steps = np.diff(np.concatenate([[0], column.astype(int), [0]]))
    return list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist()))


def _arm(outline: np.ndarray) -> _Arm | None:
    """The arm at the first columns: followed inwards until its lower edge falls down the body's side.

    Of several parts that reach as far out the lowest counts: a hat's brim is no arm.
    """
    middle = len(outline) // 2
    start = max(2, middle // 12)  # the very tip is thin
    if middle <= start or not outline[start].any():
        return None
    tip = last = _runs(outline[start])[0]
    edge: list[int] = []
    for column in range(start, middle):
        joined = [run for run in _runs(outline[column]) if run[0] < last[1] and run[1] > last[0]]
        if not joined:
            return None
        edge.append(joined[0][0])
        if any(len(edge) > back and edge[-1 - back] - edge[-1] >= fall for back, fall in _FALLS):
            return _Arm((0.5, sum(tip) / 2), (column + 0.5, sum(last) / 2), last[1] - last[0])
        # What joins from above (a head, a hat) does not make the arm thicker.
        last = (joined[0][0], min(joined[0][1], last[1] + 1))
    return None


def _crotch(cells: np.ndarray, depths: np.ndarray) -> float:
    """Lowest row with something between the legs: points on the middle line, not behind the legs as a cape or a tail is.

    The outline does not tell: legs that almost touch are one in it, and so are legs before a cape.
    """
    across, up = np.abs(cells[:, 0] - cells[:, 0].max() / 2), cells[:, 1]
    shins = (up < _SHINS * up.max()) & (across > 1)
    if not shins.any():
        return 0.0
    between = (across < 1) & (depths > np.median(depths[shins]))
    rows = np.flatnonzero(np.bincount(up[between].astype(int)) >= _FEW)
    return float(rows[0]) if len(rows) else 0.0


def _places(
    cells: np.ndarray, depths: np.ndarray, outline: np.ndarray, right: _Arm, left: _Arm
) -> np.ndarray:
    """(16, 2) landmarks in cells, of points (N, 2) in cells with their z (N,)."""
    width = len(outline)
    middle = width / 2
    shoulder = (right.root[1] + left.root[1]) / 2
    thickness = (right.thickness + left.thickness) / 2
    neck, chest = shoulder + thickness / 2, shoulder - thickness / 2
    top = float(np.flatnonzero(outline.any(axis=0))[-1]) + 1
    crotch = _crotch(cells, depths)
    if crotch < _ROBE * shoulder:
        crotch = _CROTCH * shoulder
    across, up = np.abs(cells[:, 0] - middle), cells[:, 1]
    leg = float(np.median(across[up < max(crotch, 2) / 2]))
    belly = float(
        np.quantile(across[(up >= crotch) & (up <= neck) & (across < middle - right.root[0])], 0.95)
    )
    head = float(np.quantile(across[up > min(neck, top - 2)], 0.95))
    pairs = ((leg, 0), (leg, crotch), (belly, (crotch + chest) / 2), (head, (neck + top) / 2))
    return np.array(
        [
            right.tip,
            right.root,
            *((width - column, row) for column, row in (left.tip, left.root)),
            *((middle + sign * aside, height) for aside, height in pairs for sign in (-1, 1)),
            *((middle, height) for height in (crotch, chest, neck, top)),
        ]
    )
