"""Lists of image files with their masks, as frames of a scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from contrapposto.errors import InputError, MissingError
from contrapposto.files import sha256
from contrapposto.systems.anerf.data.masks import fitting, median_background, read_image, read_mask, scaled
from contrapposto.systems.anerf.data.writing import Frame, dilate

_MEDIAN_OF = 40


@dataclass(frozen=True)
class ImageFiles:
    """N images of one size and their masks.

    Args:
        images, masks: files; several masks of an image are joined.
        crop: rows cut off at the top and at the bottom.
        longest: longer side at most, pixels.
    """

    images: Sequence[Path]
    masks: Sequence[Sequence[Path]]
    crop: int = 0
    longest: int = 512

    def source_size(self) -> tuple[int, int]:
        """Height and width of the files."""
        height, width = read_image(self.images[0]).shape[:2]
        return height, width

    def size(self) -> tuple[int, int]:
        """Height and width after cropping and scaling."""
        height, width = self.source_size()
        return fitting((height - 2 * self.crop, width), self.longest)

    def frame(self, number: int) -> Frame:
        """One of them.

        Raises:
            InputError: it or its mask cannot be read, or is of another size than the first.
        """
        return self.prepared(read_image(self.images[number]), self.mask(number), self.images[number].name)

    def mask(self, number: int) -> np.ndarray:
        """(H, W) bool as in the files."""
        parts = [read_mask(path) for path in self.masks[number]]
        return np.logical_or.reduce(parts)

    def prepared(self, image: np.ndarray, mask: np.ndarray, name: str) -> Frame:
        """An image and its mask, cropped and scaled."""
        if image.shape[:2] != mask.shape:
            raise InputError(
                f"The mask of {name} has another size than the image.",
                found=f"{mask.shape[1]} x {mask.shape[0]}",
                expected=f"{image.shape[1]} x {image.shape[0]}",
            )
        rows = slice(self.crop, image.shape[0] - self.crop)
        image, mask = image[rows], mask[rows]
        size = fitting(image.shape[:2], self.longest)
        return Frame(scaled(image, size), scaled(mask.astype(np.uint8) * 255, size) > 127)

    def frames(self) -> Iterator[Frame]:
        """All of them."""
        for number in range(len(self.images)):
            yield self.frame(number)

    def background(self, numbers: Sequence[int], *, mean: bool = False) -> np.ndarray:
        """(H, W, 3) uint8: median or mean of what some images of one camera show beside the person."""
        wanted = np.unique(np.linspace(0, len(numbers) - 1, _MEDIAN_OF).round().astype(int))
        frames = [self.frame(numbers[place]) for place in wanted]
        images, masks = np.stack([f.image for f in frames]), np.stack([dilate(f.mask) for f in frames])
        if not mean:
            return median_background(images, masks)
        free = (~masks).sum(0)[..., None]
        total = np.where(masks[..., None], 0, images.astype(np.float64)).sum(0)
        return np.where(free > 0, np.round(total / np.maximum(free, 1)), 255).astype(np.uint8)

    def digest(self) -> list[str]:
        """Hashes of all files."""
        return [sha256(path) for path in (*self.images, *(mask for masks in self.masks for mask in masks))]


def resolve(folder: Path, names: Sequence[str]) -> list[Path]:
    """The files of a list that was written elsewhere: the longest ending of each path that exists in the folder.

    Raises:
        MissingError: one is not there.
    """
    result = []
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        parts = parts[1:] if parts and parts[0] == "/" else parts
        options = (folder.joinpath(*parts[start:]) for start in range(len(parts)))
        path = next((option for option in options if option.is_file()), None)
        if path is None:
            raise MissingError(f"The image {name} is not in {folder}.")
        result.append(path)
    return result


def masks_beside(folder: Path, images: Sequence[Path], image_part: str, mask_part: str) -> list[list[Path]]:
    """The mask of each image: the same path with one folder's name changed; the suffix may be .png.

    Raises:
        MissingError: one is not there.
    """
    result = []
    for image in images:
        parts = image.relative_to(folder).parts
        if image_part not in parts:
            raise MissingError(f"{image} lies in no folder {image_part}.", fix="data.options.image_part=NAME")
        place = folder.joinpath(*(mask_part if part == image_part else part for part in parts))
        path = next(
            (p for p in (place, place.with_suffix(".png"), place.with_suffix(".jpg")) if p.is_file()), None
        )
        if path is None:
            raise MissingError(f"The image {image} has no mask.", expected=str(place))
        result.append([path])
    return result
