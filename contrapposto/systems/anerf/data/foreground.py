"""Better masks before a camera at rest: what differs from the background, near the person's bones.

The segmentation network sees small images of people that stand; caps, raised arms and people that lean it often loses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contrapposto.skeleton import SMPL24
from contrapposto.systems.anerf.data.masks import FREE, median_background
from contrapposto.systems.anerf.data.writing import Frame, dilate

_RADII = {"spine": 0.24, "neck": 0.2, "head": 0.24, "hip": 0.24, "collar": 0.2, "hand": 0.15}
_LIMB = 0.16
"""Metres around bones that belong to a person: with clothes, and with poses that are off by some centimetres."""
_CORE = {"spine": 0.1, "neck": 0.06, "hip": 0.06, "collar": 0.06, "shoulder": 0.05}
"""Metres around bones of the trunk that show nothing but the person, even where poses are off."""
_MEDIAN_OF = 40  # frames
_LEAST = 18.0
_NOISE = 5.0
_SAME = 1 / 3
_SHADOW = (0.5, 1.0, 0.06)
_SMALL = 0.02
_SEEN = 3
_COARSE = 4


@dataclass(frozen=True, eq=False)
class FlatFigure:
    """Where the bones of a person are in images.

    Args:
        joints: (F, 24, 2) pixels (column, row).
        metre: (F,) pixels that a metre has at the person's distance.
    """

    joints: np.ndarray
    metre: np.ndarray

    def near(self, frame: int, size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: pixels near enough to a bone to show the person."""
        return self._around(frame, size, _RADII, _LIMB)

    def inside(self, frame: int, size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: pixels so near to the bones of the trunk that they show the person for certain."""
        return self._around(frame, size, _CORE, 0.0)

    def _around(
        self, frame: int, size: tuple[int, int], radii: Mapping[str, float], usual: float
    ) -> np.ndarray:
        """(H, W) bool: pixels within a radius of the bones, by parts of their names, metres; `usual` of the others."""
        joints, metre = self.joints[frame], float(self.metre[frame])
        rows, columns = np.mgrid[: size[0] : _COARSE, : size[1] : _COARSE].astype(np.float32)
        points = np.stack([columns, rows], axis=-1)
        result = np.zeros(rows.shape, bool)
        for child, parent in enumerate(SMPL24.parents):
            if parent < 0:
                continue
            name = SMPL24.joint_names[child]
            share = next((value for part, value in radii.items() if part in name), usual)
            start, end = joints[parent].astype(np.float32), joints[child].astype(np.float32)
            if name == "head":
                end = end + 1.5 * (end - start)  # to the top of the skull
            result |= _distance(points, start, end) < share * metre
        return result.repeat(_COARSE, axis=0).repeat(_COARSE, axis=1)[: size[0], : size[1]]


def _distance(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Of points (..., 2) to the line from start to end, pixels."""
    along = end - start
    share = ((points - start) @ along) / max(float(along @ along), 1e-9)
    nearest = start + np.clip(share, 0, 1)[..., None] * along
    result: np.ndarray = np.linalg.norm(points - nearest, axis=-1)
    return result


@dataclass(frozen=True, eq=False)
class StillCamera:
    """The background of a camera at rest, and how much it varies.

    Args:
        background: (H, W, 3) uint8.
        seen: (H, W) bool: where several images show it.
        noise: usual difference of a pixel from it, of 255.
    """

    background: np.ndarray
    seen: np.ndarray
    noise: float

    @classmethod
    def of_frames(cls, images: np.ndarray, masks: np.ndarray) -> StillCamera:
        """From images (K, H, W, 3) uint8, and masks (K, H, W) of all that may be the person."""
        background = median_background(images, masks)
        free = ~masks
        usual = np.abs(images.astype(np.int16) - background).max(-1)[free]
        seen = free.sum(0) >= max(min(_SEEN, len(images)), FREE * len(images))
        return cls(background, seen, float(np.median(usual)) if usual.size else 0.0)

    @classmethod
    def behind(cls, frames: Sequence[tuple[int, Frame]], figure: FlatFigure) -> StillCamera:
        """From numbers of poses and the images and masks at them, and where the person's bones are."""
        masks = [dilate(frame.mask) | figure.near(number, frame.mask.shape) for number, frame in frames]
        return cls.of_frames(np.stack([frame.image for _, frame in frames]), np.stack(masks))

    def corrected(self, number: int, frame: Frame, figure: FlatFigure) -> Frame:
        """An image with its mask as `person` has it."""
        size = frame.mask.shape
        near, inside = figure.near(number, size), figure.inside(number, size)
        return Frame(frame.image, self.person(frame.image, near, frame.mask, inside))

    def person(
        self, image: np.ndarray, near: np.ndarray, known: np.ndarray, inside: np.ndarray | None = None
    ) -> np.ndarray:
        """(H, W) bool: the person.

        Args:
            image: (H, W, 3) uint8.
            near: (H, W) bool: where the person may be.
            known: (H, W) bool: where a network sees somebody.
            inside: (H, W) bool: where the person is for certain; skin may look like what is behind it, and where the
                person always stands nothing is known of the background.
        """
        from scipy import ndimage

        colour, plain = image.astype(np.float32), self.background.astype(np.float32)
        change, least = colour - plain, max(_LEAST, _NOISE * self.noise)
        # The mean of 3 x 3 pixels has less noise, and the pixel itself keeps the outline where it is.
        away = np.abs(ndimage.uniform_filter(change, (3, 3, 1))).max(-1)
        background = self.seen & (away < _SAME * least)  # the network is wrong there, whatever it sees
        differs = away > least
        differs &= np.abs(change).max(-1) > least / 2
        differs &= self.seen & ~_shadow(
            ndimage.uniform_filter(colour, (3, 3, 1)), ndimage.uniform_filter(plain, (3, 3, 1))
        )
        mask = near & (differs | (known & ~background))
        mask = mask if inside is None else mask | inside
        mask = ndimage.binary_opening(ndimage.binary_closing(mask, iterations=2), iterations=1)
        mask = ndimage.binary_fill_holes(mask)
        labels, count = ndimage.label(mask)
        if count > 1:
            sizes = ndimage.sum_labels(mask, labels, range(1, count + 1))
            mask = np.isin(labels, 1 + np.flatnonzero(sizes >= _SMALL * sizes.sum()))
        result: np.ndarray = mask
        return result


def some_of(count: int) -> set[int]:
    """At most 40 of `count` numbers, evenly spread: as many frames tell the background."""
    return set(np.linspace(0, count - 1, min(count, _MEDIAN_OF)).round().astype(int).tolist())


def background_of(frames: Iterable[Frame]) -> np.ndarray:
    """(H, W, 3) uint8: what images show beside their masks."""
    images, masks = zip(*((frame.image, dilate(frame.mask)) for frame in frames))  # edges are never exact
    return median_background(np.stack(images), np.stack(masks))


def _shadow(colour: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """(H, W) bool: darker than the background by the same factor in all channels."""
    low, high, spread = _SHADOW
    ratio = (colour + 1) / (plain + 1)
    mean = ratio.mean(-1)
    flat = np.ptp(ratio, axis=-1) < spread
    result: np.ndarray = flat & (mean > low) & (mean < high)
    return result
