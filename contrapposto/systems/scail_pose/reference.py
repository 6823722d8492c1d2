"""A driving person laid over the reference character by another camera (docs/specs/scail_pose.md, section 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contrapposto.errors import ConfigError, InputError
from contrapposto.systems.scail_pose import validate as check
from contrapposto.systems.scail_pose.align import fit_camera
from contrapposto.systems.scail_pose.camera import project, smpl_to_slots
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.people import pack_people
from contrapposto.systems.scail_pose.retarget import face_scale
from contrapposto.systems.scail_pose.wholebody import THRESHOLD

MODES = ("auto", "feet", "body", "both")
_NECK, _UPPER, _LOWER = 1, (0, 2, 3, 5, 6), (9, 10, 12, 13)
_NOSE_TIP = 30
_FACE = slice(24, 92)


@dataclass(frozen=True)
class AlignOptions:
    """How the camera is fitted.

    Attributes:
        mode: `feet` uses neck, knees and ankles; `body` head, neck, shoulders and elbows; `both` all of them; `auto`
            is feet where the reference shows all four, else body.
        scale_bounds: of the zoom. aspect_bounds: of the vertical stretch against the horizontal one; (1, 1) keeps
            proportions. Half bodies against whole ones need wider ones, as (0.2, 5).
        face_bounds: of the size of the face.
        original: the camera where the original's iterative solver stops, which may be far from the best one, and
            sizes of faces as the original takes them, in coordinates divided by the sides of the image and with
            missing landmarks among them; else the best camera, and sizes in pixels over landmarks seen in both.
    """

    mode: str = "auto"
    scale_bounds: tuple[float, float] = (0.7, 1.4)
    aspect_bounds: tuple[float, float] = (0.8, 1.15)
    face_bounds: tuple[float, float] = (0.8, 1.5)
    original: bool = False

    def __post_init__(self) -> None:
        check.choice("align.mode", self.mode, MODES)
        for name in ("scale_bounds", "aspect_bounds", "face_bounds"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(
                    f"align.{name}=[{low:g},{high:g}] cannot be used.", expected="0 < low <= high"
                )


@dataclass(frozen=True)
class Alignment:
    """What aligns one person.

    Attributes:
        intrinsics: (3, 3) the fitted camera, pixels.
        face: factor of the face's size.
        mode: feet, body or both.
        before, after: root mean square distance in pixels between skeleton and reference, neither weighted.
    """

    intrinsics: np.ndarray
    face: float
    mode: str
    before: float
    after: float


def align(
    driver: Person,
    reference: Person,
    intrinsics: np.ndarray,
    height: int,
    width: int,
    options: AlignOptions = AlignOptions(),
) -> Alignment:
    """The camera that lays a driver's skeleton over the keypoints of a reference of the same image size.

    Raises:
        InputError: fewer than two points are known of both.
    """
    slots = np.nan_to_num(smpl_to_slots(driver.joints))[:14]
    target = reference.keypoints[:14].astype(np.float64)
    known = (reference.scores[:14] > THRESHOLD) & (slots.sum(-1) != 0) & (slots[:, 2] > 0)
    mode, chosen, weights = _points(known, options)
    if len(chosen) < 2:
        raise InputError(
            "The reference cannot be aligned with.",
            found=f"{len(chosen)} points known of both it and the driving person",
            expected="at least 2 of head, neck, shoulders and elbows, or of knees and ankles",
        )
    points, aims = slots[chosen], target[chosen]
    if options.original:
        fitted = _fit_iteratively(
            points, reference.keypoints[chosen], intrinsics, weights, height, width, options
        )
    else:
        bounds = {"scale_bounds": options.scale_bounds, "aspect_bounds": options.aspect_bounds}
        fitted = fit_camera(points, aims, intrinsics, weights, **bounds).intrinsics
    before, after = (_residual(points, aims, matrix) for matrix in (intrinsics, fitted))
    return Alignment(fitted, _face(reference, driver, height, width, options), mode, before, after)


def _fit_iteratively(
    points: np.ndarray,
    target: np.ndarray,
    intrinsics: np.ndarray,
    weights: np.ndarray,
    height: int,
    width: int,
    options: AlignOptions,
) -> np.ndarray:
    """The original's way: L-BFGS-B with finite differences, which at times stops long before the optimum.

    Where it stops depends on roundings, so the target goes through normalised coordinates as there.
    """
    from scipy.optimize import minimize

    x, y, z = points.astype(np.float64).T
    u, v = (
        (target[:, i] / np.float32(side)).astype(np.float64) * side for i, side in enumerate((width, height))
    )
    (fx, cx), (fy, cy) = intrinsics[0, [0, 2]], intrinsics[1, [1, 2]]

    def cost(values: np.ndarray) -> float:
        scale, aspect, right, down = values
        away = (fx * scale * x / z + cx + right - u) ** 2 + (fy * scale * aspect * y / z + cy + down - v) ** 2
        return float(weights[0] * away[0] + weights[-1] * away[1:].sum())

    bounds = [options.scale_bounds, options.aspect_bounds, (-width, width), (-height, height)]
    scale, aspect, right, down = minimize(cost, [1.0, 1.0, 0.0, 0.0], bounds=bounds).x
    fitted = np.array(intrinsics, np.float64)
    fitted[[0, 1], [0, 1]] *= [scale, scale * aspect]
    fitted[:2, 2] += [right, down]
    return fitted


def _points(known: np.ndarray, options: AlignOptions) -> tuple[str, list[int], np.ndarray]:
    """Mode, slots and their weights; the neck comes first where it is known."""
    mode = options.mode
    if mode == "auto":
        mode = "feet" if known[list(_LOWER)].all() else "body"
    rest = {"feet": _LOWER, "body": _UPPER, "both": _UPPER + _LOWER}[mode]
    first, others = (1.0, 4.0) if mode == "feet" else (8.0, 1.0)
    chosen = [slot for slot in (_NECK, *rest) if known[slot]]
    return mode, chosen, np.array([first if slot == _NECK else others for slot in chosen])


def _residual(points: np.ndarray, target: np.ndarray, intrinsics: np.ndarray) -> float:
    away = project(points, intrinsics)[:, :2] - target
    return float(np.sqrt((away**2).sum(-1).mean()))


def _face(reference: Person, driver: Person, height: int, width: int, options: AlignOptions) -> float:
    if options.original:
        faces = [pack_people([person], height, width).faces[0] for person in (reference, driver)]
        return face_scale(faces[0], faces[1], options.face_bounds)
    seen = (reference.scores[_FACE] > THRESHOLD) & (driver.scores[_FACE] > THRESHOLD)
    if not seen[_NOSE_TIP] or seen.sum() < 2:
        return 1.0
    sizes = [
        np.linalg.norm(person.keypoints[_FACE][seen] - person.keypoints[_FACE][_NOSE_TIP], axis=-1).mean()
        for person in (reference, driver)
    ]
    return float(np.clip(sizes[0] / sizes[1], *options.face_bounds)) if sizes[1] > 1e-3 else 1.0
