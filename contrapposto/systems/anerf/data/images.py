"""Whole images of a scene, cut to the person: what splat avatars learn from, and what every avatar is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from torch import Tensor

from contrapposto.errors import InputError
from contrapposto.systems.anerf.cameras import project
from contrapposto.systems.anerf.data.scene import AvatarScene

_LEAST_COVERED = 0.3  # of the median share of joints
ALIGN = 4
"""Sides and corners of crops are multiples of it, so that they can be halved twice."""


def clean_image(scene: AvatarScene, image: int) -> np.ndarray:
    """(H, W, 3) uint8: the image as it is where the person is, its clean background elsewhere.

    A mask is hard and an image is not: pixels at the outline show the person in part. The mask is therefore grown by one
    pixel. (`where(mask, image, background)` has a jagged outline, against which a perfect image scores 33 to 36 dB.)
    """
    person = binary_dilation(scene.mask(image), np.ones((3, 3), bool))
    return np.where(person[..., None], scene.image(image), scene.background(image))


def shows_person(scene: AvatarScene, images: np.ndarray) -> np.ndarray:
    """(N,) bool: whether the masks of images (N,) show the person where the poses are.

    A mask that misses the person teaches that nobody is there. Left out are images without a mask, and those whose mask
    covers a far smaller share of the joints than others do.
    """
    shares = np.array([_covered(scene, int(image)) for image in images])
    any_mask = np.array([bool(scene.masks[image].any()) for image in images])
    return any_mask & (shares >= _LEAST_COVERED * (np.median(shares[any_mask]) if any_mask.any() else 0.0))


def _covered(scene: AvatarScene, image: int) -> float:
    """Share of the joints in the image that the mask covers; 1 where there are none."""
    mask = scene.mask(image)
    pixels = np.floor(_joints(scene, image)).astype(int)
    inside = pixels[((pixels >= 0) & (pixels < mask.shape[::-1])).all(1)]
    return float(mask[inside[:, 1], inside[:, 0]].mean()) if len(inside) else 1.0


def _joints(scene: AvatarScene, image: int) -> np.ndarray:
    """(J, 2) pixels of the joints that are before the camera."""
    camera, pose = scene.camera_index(image), scene.pose_index(image)
    arrays = (scene.kp3d[pose], scene.c2ws[camera], scene.focals[camera], scene.centers[camera])
    points, matrix, focal, centre = (torch.from_numpy(np.array(array)) for array in arrays)
    pixels = project(points, matrix, focal, centre).numpy()
    return pixels[np.isfinite(pixels).all(1)]


@dataclass(frozen=True)
class ImageOptions:
    """How images are cut.

    Args:
        margin: pixels around the mask and the projected joints.
        loaded: keep the cut images in memory where they take at most so many MiB.
    """

    margin: int = 8
    loaded: int = 2048


class ImageSampler:
    """Images of training in a random order, each once per round: a function of the seed and the step.

    Args:
        scene: the data.
        options: how images are cut.
        seed: of the order.
        images: their numbers; those that do not show the person are left out, see `shows_person`.
        rank, world_size: this process and how many there are: each takes other images.

    Attributes:
        images: numbers of those that show the person.
        left_out: how many do not.

    Raises:
        InputError: no image shows the person.
    """

    def __init__(
        self,
        scene: AvatarScene,
        options: ImageOptions,
        *,
        seed: int,
        images: np.ndarray,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.scene, self.options, self.seed = scene, options, seed
        self.rank, self.world_size = rank, world_size
        self.images = images[shows_person(scene, images)]
        self.left_out = len(images) - len(self.images)
        if not len(self.images):
            raise InputError(
                "No image of training shows the person.",
                found=f"{len(images)} images in {scene.path} with masks that are empty or lie elsewhere",
                expected="masks that cover the person where the poses are",
                fix="prepare the scene again with masks=FOLDER",
            )
        height, width = scene.hw
        small = len(self.images) * height * width * 4 <= options.loaded * 2**20
        self._kept: dict[int, dict[str, Tensor]] | None = {} if small else None
        self._order: tuple[int, np.ndarray] = (-1, self.images)

    def batch(self, step: int) -> dict[str, Any]:
        """The image of a step, see `crop`; with `step`."""
        place = step * self.world_size + self.rank
        turn, number = divmod(place, len(self.images))
        if self._order[0] != turn:
            self._order = turn, np.random.default_rng([self.seed, turn]).permutation(self.images)
        return {**self.crop(int(self._order[1][number])), "step": step}

    def crop(self, image: int) -> dict[str, Tensor]:
        """An image cut to the person.

        Returns:
            `image` (h, w, 3) and `background` (h, w, 3) uint8, `mask` (h, w) bool; the camera: `camera_to_world` (4, 4),
            `focal` and `centre` (2,) of the crop; `bone_to_world` (24, 4, 4) and `joints` (24, 3) of the pose as the
            scene has it; numbers `pose` and `camera`.
        """
        if self._kept is None:
            return self._crop(image)
        if image not in self._kept:
            self._kept[image] = self._crop(image)
        return self._kept[image]

    def _crop(self, image: int) -> dict[str, Tensor]:
        scene = self.scene
        mask, camera, pose = scene.mask(image), scene.camera_index(image), scene.pose_index(image)
        left, top, right, bottom = self._box(mask, image)
        part = slice(top, bottom), slice(left, right)
        arrays = {
            "image": clean_image(scene, image)[part],
            "background": scene.background(image)[part],
            "mask": mask[part],
            "camera_to_world": scene.c2ws[camera],
            "focal": scene.focals[camera],
            "centre": scene.centers[camera] - np.array([left, top], np.float32),
            "bone_to_world": np.linalg.inv(scene.skts[pose].astype(np.float64)).astype(np.float32),
            "joints": scene.kp3d[pose],
        }
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        return {**tensors, "pose": torch.tensor(pose), "camera": torch.tensor(camera)}

    def _box(self, mask: np.ndarray, image: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom around the mask and the joints of the pose."""
        height, width = mask.shape
        joints = _joints(self.scene, image)
        rows, columns = np.nonzero(mask)
        seen = np.stack([columns, rows], axis=1)
        low = np.floor(np.concatenate([joints, seen]).min(0)).astype(int) - self.options.margin
        high = np.ceil(np.concatenate([joints, seen]).max(0)).astype(int) + self.options.margin + 1
        limit = np.array([width, height]) // ALIGN * ALIGN
        low = np.clip(low, 0, limit - ALIGN) // ALIGN * ALIGN
        high = np.clip(-(-high // ALIGN) * ALIGN, low + ALIGN, limit)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])
