"""Where the person is: from a folder of images, or by the shipped segmentation network."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from contrapposto.errors import InputError, MissingError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_TALL = 350  # pixels
FREE = 0.1  # least share of the images that must show a pixel of the background
_ROOM = 1.35  # the network looks at a square this much larger than the joints


class PersonSegmenter:
    """MediaPipe's selfie segmentation (Apache-2.0), run by LiteRT on the CPU.

    Raises:
        MissingError: the network or LiteRT is not installed.
    """

    def __init__(self) -> None:
        from contrapposto.systems.scail_pose.estimators.blazepose.networks import Network

        self._network = Network("selfie_segmentation.tflite")

    def __call__(self, image: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """(H, W) bool: the person in an image (H, W, 3) uint8 whose joints are at pixels (J, 2)."""
        from PIL import Image

        box = _square(joints)
        size = self._network.size
        seen = Image.fromarray(image).transform(
            (size, size), Image.Transform.EXTENT, tuple(box), Image.Resampling.BILINEAR
        )
        share = self._network(np.asarray(seen, np.float32) / 255)[0][..., 0]
        height, width = image.shape[:2]
        left, top, right, bottom = box
        scale = np.array([size / (right - left), size / (bottom - top)])
        back = (-left * scale[0], -top * scale[1], (width - left) * scale[0], (height - top) * scale[1])
        whole = Image.fromarray(share).transform(
            (width, height), Image.Transform.EXTENT, back, Image.Resampling.BILINEAR
        )
        return np.asarray(whole) > 0.5


class MaskFolder:
    """Masks in a folder of images: bright where the person is (above half of the largest value).

    An image belongs to the frame whose number is the last one in its name, counted from the smallest such number.

    Raises:
        MissingError: no folder, or no images in it. InputError: names without numbers, or numbers twice.
    """

    def __init__(self, folder: Path) -> None:
        files = sorted(f for f in folder.glob("*") if f.suffix.lower() in SUFFIXES) if folder.is_dir() else []
        if not files:
            raise MissingError(
                f"There are no masks in {folder}.", expected=f"a folder of images ({', '.join(SUFFIXES)})"
            )
        numbers = [re.findall(r"\d+", file.stem) for file in files]
        if not all(numbers):
            bad = files[[bool(result) for result in numbers].index(False)]
            raise InputError(f"The name of the mask {bad.name} has no number.", expected="such as 000017.png")
        places = [int(result[-1]) for result in numbers]
        if len(set(places)) < len(places):
            raise InputError(f"Two masks in {folder} have the same number.")
        self.files = {place - min(places): file for place, file in zip(places, files)}

    def __len__(self) -> int:
        return max(self.files) + 1

    def __call__(self, frame: int, size: tuple[int, int]) -> np.ndarray:
        """(height, width) bool: the mask of a frame of that size before any scaling.

        Raises:
            InputError: there is none, it cannot be read, or it is of another size.
        """
        if frame not in self.files:
            raise InputError(f"Frame {frame} has no mask.", found=f"{len(self.files)} masks")
        return read_mask(self.files[frame], size)


def read_mask(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """(H, W) bool of an image: true where any channel is brighter than half of the image's brightest.

    Raises:
        InputError: it cannot be read, or has another (height, width) than `size`.
    """
    image = read_image(path, colour=False)
    if size is not None and image.shape != size:
        raise InputError(
            f"The mask {path.name} has another size than its image.",
            found=f"{image.shape[1]} x {image.shape[0]}",
            expected=f"{size[1]} x {size[0]}",
        )
    return image > max(int(image.max()) / 2, 0)


def read_image(path: Path, *, colour: bool = True) -> np.ndarray:
    """(H, W, 3) RGB or (H, W) brightest channel, uint8.

    Raises:
        InputError: it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # PIL meets damage with SyntaxError, struct.error and others
        raise InputError(f"The image {path} cannot be read.", found=str(error)) from error
    return pixels if colour else pixels.max(-1)


def scaled(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image uint8 at (height, width) `size`, by the mean over each new pixel."""
    from PIL import Image

    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BOX))


def fitting(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(height, width) of an image whose longer side is at most `longest`."""
    factor = min(longest / max(size), 1.0)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def longest_side(joints: np.ndarray, size: tuple[int, int], wanted: int | None) -> int:
    """Longer side of the images in pixels: `wanted`, or what makes a person about 350 pixels high, at most as it is.

    Only what the images show of the person counts: legs below their edge need no pixels.

    Args:
        joints: (F, J, 2) pixels of these images.
        size: (height, width) of the images as they are.
        wanted: None: by the person's size.
    """
    if wanted is not None:
        return wanted
    shown = np.clip(joints, 0, [size[1], size[0]])
    tall = float(np.median((shown.max(1) - shown.min(1)).max(-1)))
    return max(round(max(size) * min(_TALL / max(tall, 1.0), 1.0)), 16)


def median_background(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the median over images (K, H, W, 3) of each pixel where masks (K, H, W) are false.

    Pixels that fewer than a tenth of the images leave uncovered take the value of the nearest one that is not so: what the
    few show is rather a hole in a mask. White where all are covered.
    """
    from scipy.ndimage import distance_transform_edt

    order = np.sort(
        np.where(masks[..., None], 256, images.astype(np.int16)), axis=0
    )  # covered ones at the end
    count = (~masks).sum(0)
    free = count >= max(FREE * len(images), 1)
    if not free.any():
        return np.full(images.shape[1:], 255, np.uint8)
    middle = np.maximum(count - 1, 0) // 2
    median = np.take_along_axis(order, middle[None, ..., None], axis=0)[0]
    rows, columns = distance_transform_edt(~free, return_distances=False, return_indices=True)
    return median[rows, columns].astype(np.uint8)


def _square(joints: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom of a square about joints (J, 2)."""
    low, high = joints.min(0), joints.max(0)
    half = max(float((high - low).max()) * _ROOM / 2, 4.0)
    centre = (low + high) / 2
    return np.concatenate([centre - half, centre + half])
