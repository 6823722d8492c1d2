"""Rays drawn from a scene as a pure function of (seed, step): the batches of A-NeRF.

See docs/specs/anerf.md, section 8.2.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapposto.data.windows import keyed_generator, shuffled_passes
from contrapposto.errors import ConfigError, InputError
from contrapposto.systems.anerf.cameras import cylinder_box, pixel_rays
from contrapposto.systems.anerf.data.scene import AvatarScene

_PIXELS = 2  # stream of random numbers, beside those of windows


@dataclass(frozen=True)
class RayOptions:
    """How pixels are drawn.

    Args:
        images_per_step, rays_per_step: images of a step, and rays of all of them together (`N_sample_images`, `N_rand`).
        near_rays: of the rays of an image, this many are drawn in the person's box outside the sampling mask; below 1:
            the probability of one such ray (`P_nms`).
        near_scale: the box is the bounding cylinder's, this much larger.
        patch: side of square patches that are drawn in place of single pixels; 1 for pixels.
        mask_target: the target shows the clean background wherever the person is not (`mask_image`).
    """

    images_per_step: int = 256
    rays_per_step: int = 3072
    near_rays: float = 0.0
    near_scale: float = 1.3
    patch: int = 1
    mask_target: bool = False


class RaySampler:
    """Batches of rays of a scene.

    Images come in passes over all of them in random order, cut into steps without regard to the ends of passes. The
    pixels of an image are drawn without replacement among those of its sampling mask (with replacement where it has
    fewer than are asked for).

    Args:
        scene: the data.
        options: how pixels are drawn.
        seed: of the run.
        images: numbers of the images to learn from; all if None. Those whose sampling mask is empty are ignored.
        rank, world_size: this process gets its share of every step; all shares together are the step of one process.
        device: where batches are made. Pixels are kept on a GPU where they take at most half of its free memory.

    Attributes:
        images: (K,) int64 the images that are drawn.
        codes: (N,) int64 frame code of every image: codes are numbered over the images that are drawn; -1 elsewhere.
        num_codes: how many there are.

    Raises:
        ConfigError: rays do not divide into images, patches or processes. InputError: no image has a pixel to draw.
    """

    def __init__(
        self,
        scene: AvatarScene,
        options: RayOptions | None = None,
        *,
        seed: int = 0,
        images: Sequence[int] | np.ndarray | None = None,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.scene, self.seed, self.rank, self.world_size = scene, seed, rank, world_size
        self.options = options = options or RayOptions()
        self.device = torch.device(device)
        self.rays_per_image = _rays_per_image(options, world_size)
        chosen = np.arange(scene.num_images) if images is None else np.asarray(images, np.int64)
        self.images = np.array([i for i in chosen if _shows(scene.sampling_masks[i])], np.int64)
        if not len(self.images):
            raise InputError(
                f"No image of {scene.path.name} shows the person.",
                found=f"{len(chosen)} images, all with empty sampling masks",
            )
        self._boxes = self._near_boxes() if options.near_rays else {}
        self._known: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._known_bytes = 0
        used = np.unique(scene.cam_idxs[self.images])
        self.num_codes = len(used)
        place = np.searchsorted(used, scene.cam_idxs).clip(max=len(used) - 1)
        self.codes = np.where(used[place] == scene.cam_idxs, place, -1)
        self._home = self._pixel_home()
        self._arrays = {name: self._resident(name) for name in _READ}

    def batch(self, step: int) -> dict[str, Any]:
        """The rays of one step, flattened over images; see `at` for the entries.

        Beside those: `ray_ids` (R,) int64, numbers of the rays in the step over all processes: the key for the noise of
        a ray; `step`, a plain int.
        """
        images, pixels = self.draw(step)
        share = len(images) // self.world_size
        mine = slice(self.rank * share, (self.rank + 1) * share)
        batch: dict[str, Any] = self.at(images[mine].repeat(pixels.shape[1]), pixels[mine].reshape(-1))
        first = self.rank * share * pixels.shape[1]
        batch["ray_ids"] = torch.arange(first, first + len(batch["kp_idx"]), device=self.device)
        batch["step"] = step
        return batch

    def draw(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Images (M,), sorted, and flat pixels (M, rays per image), sorted, of a step over all processes."""
        count = self.options.images_per_step
        samples = np.arange(step * count, (step + 1) * count, dtype=np.int64)
        images = np.sort(self.images[shuffled_passes(self.seed, samples, len(self.images))])
        generator = keyed_generator(self.seed, _PIXELS, step)
        return images, np.stack([self._pixels(int(image), generator) for image in images])

    def at(self, images: np.ndarray, pixels: np.ndarray) -> dict[str, Tensor]:
        """What flat pixels (R,) of images (R,) hold.

        Returns:
            `rays` (2, R, 3) origins and directions (depth 1, no unit vectors), `target_s` (R, 3) in [0, 1], `fgs` (R, 1)
            mask, `bgs` (R, 3) background in [0, 1], `kp_idx` (R,) pose, `cam_idxs` (R,) frame code (-1 for the mean
            code), `camera_idx` (R,) row of the cameras, `image_idx` and `pixel_idx` (R,), `temp_val` (R,). Of the U
            different poses, in growing order: `poses` (U,), `kp3d` (U, 24, 3), `bones` (U, 24, 3), `skts`
            (U, 24, 4, 4), `cyls` (U, 5); `pose_row` (R,) is each ray's row among them.
        """
        scene, arrays, height, width = self.scene, self._arrays, *self.scene.hw
        pose, camera = scene.kp_idxs[images], scene.camera_idxs[images]
        poses, row = np.unique(pose, return_inverse=True)
        numbers = {
            "kp_idx": pose,
            "cam_idxs": self.codes[images],
            "camera_idx": camera,
            "image_idx": images,
            "pixel_idx": pixels,
            "poses": poses,
            "pose_row": row,
        }
        batch = {
            name: torch.from_numpy(value.astype(np.int64)).to(self.device) for name, value in numbers.items()
        }
        place = torch.from_numpy(images * (height * width) + pixels).to(self._home)
        back = torch.from_numpy(scene.bkgd_idxs[images] * (height * width) + pixels).to(self._home)
        shown = {"target_s": ("imgs", place), "fgs": ("masks", place), "bgs": ("bkgds", back)}
        for name, (array, index) in shown.items():
            values = arrays[array].index_select(0, index).to(self.device).float()
            batch[name] = values if name == "fgs" else values / 255
        if self.options.mask_target:
            batch["target_s"] = torch.where(batch["fgs"] > 0, batch["target_s"], batch["bgs"])
        which = batch["camera_idx"]
        matrices, focals, centres = (arrays[name][which] for name in ("c2ws", "focals", "centers"))
        batch["rays"] = torch.stack(pixel_rays(batch["pixel_idx"], width, height, focals, matrices, centres))
        batch["temp_val"] = arrays["temp_val"][batch["kp_idx"]]
        for name in ("kp3d", "bones", "skts", "cyls"):
            batch[name] = arrays[name][batch["poses"]]
        return batch

    def _pixels(self, image: int, generator: np.random.Generator) -> np.ndarray:
        """(rays per image,) sorted flat pixels."""
        options, inside = self.options, self._places("inside", image)
        count = self.rays_per_image // options.patch**2
        chosen = _choose(generator, inside, count)
        if options.patch > 1:
            return self._patches(chosen)
        if options.near_rays and len(outside := self._places("near", image)):
            near = options.near_rays
            swapped = int(near) if near >= 1 else int(generator.random() < near)
            others = _choose(generator, outside, swapped)
            chosen = np.concatenate([generator.permutation(chosen)[swapped:], others])
        return np.sort(chosen).astype(np.int64)

    def _patches(self, corners: np.ndarray) -> np.ndarray:
        """Pixels of the squares whose upper left corners are given, moved into the image where they leave it."""
        (height, width), side = self.scene.hw, self.options.patch
        row = np.minimum(corners // width, height - side)[:, None, None] + np.arange(side)[:, None]
        column = np.minimum(corners % width, width - side)[:, None, None] + np.arange(side)
        return np.sort((row * width + column).reshape(-1)).astype(np.int64)

    def _places(self, kind: str, image: int) -> np.ndarray:
        """Flat pixels of an image `inside` of its sampling mask, or `near` it; those used last are kept."""
        result = self._known.pop((kind, image), None)
        if result is None:
            mask = self.scene.sampling_masks[image].reshape(self.scene.hw) > 0
            if kind == "near":
                (left, top), (right, bottom) = self._boxes[image]
                free = np.zeros_like(mask)
                free[top:bottom, left:right] = ~mask[top:bottom, left:right]
                mask = free
            result = np.flatnonzero(mask).astype(np.int32)
            self._known_bytes += result.nbytes
        self._known[kind, image] = result
        while self._known_bytes > _KEPT_BYTES and len(self._known) > 1:
            self._known_bytes -= self._known.popitem(last=False)[1].nbytes
        return result

    def _near_boxes(self) -> dict[int, tuple[list[int], list[int]]]:
        """Half-open boxes (x, y) around the person in every image."""
        scene, (height, width) = self.scene, self.scene.hw
        camera, pose = scene.camera_idxs[self.images], scene.kp_idxs[self.images]
        cylinders, matrices, focals, centres = (
            torch.from_numpy(np.asarray(array))
            for array in (scene.cyls[pose], scene.c2ws[camera], scene.focals[camera], scene.centers[camera])
        )
        box = cylinder_box(
            cylinders, matrices, focals, height, width, centre=centres, scale=self.options.near_scale
        )
        corners = zip(self.images.tolist(), box.low.tolist(), box.high.tolist())
        return {image: (low, high) for image, low, high in corners}

    def _pixel_home(self) -> torch.device:
        if self.device.type != "cuda":
            return self.device
        needed = sum(getattr(self.scene, name).nbytes for name in _IMAGES)
        fits = needed <= torch.cuda.mem_get_info(self.device)[0] / 2
        return self.device if fits else torch.device("cpu")

    def _resident(self, name: str) -> Tensor:
        array = torch.from_numpy(np.asarray(getattr(self.scene, name)))
        return array.flatten(0, 1).to(self._home) if name in _IMAGES else array.to(self.device)


_KEPT_BYTES = 2**29  # of pixel numbers: enough for some thousand images
_IMAGES = ("imgs", "masks", "bkgds")
_READ = (*_IMAGES, "c2ws", "focals", "centers", "temp_val", "kp3d", "bones", "skts", "cyls")


def _shows(mask: np.ndarray) -> bool:
    """Whether a flat mask has a pixel. People stand in the middle: little of a mapped file is read."""
    parts = np.array_split(mask, 16)
    return any(bool(part.any()) for part in [*parts[8:], *parts[7::-1]])


def _rays_per_image(options: RayOptions, world_size: int) -> int:
    images, rays, patch = options.images_per_step, options.rays_per_step, options.patch
    if min(images, rays, patch) < 1 or rays % (images * patch**2) or images % world_size:
        raise ConfigError(
            f"{rays} rays cannot be divided among {images} images.",
            found=f"patches of {patch} x {patch} pixels, {world_size} processes",
            expected="as many rays in every image, whole patches, as many images in every process",
            fix=f"rays_per_step={max(rays // (images * patch**2), 1) * images * patch**2}",
        )
    count = rays // images
    if options.near_rays < 0 or options.near_rays > count or (options.near_rays and patch > 1):
        raise ConfigError(
            f"near_rays is {options.near_rays}.",
            expected=f"0 to {count}, the rays of an image, and no patches",
        )
    return count


def _choose(generator: np.random.Generator, pixels: np.ndarray, count: int) -> np.ndarray:
    places = generator.choice(len(pixels), count, replace=count > len(pixels), shuffle=False)
    return pixels[places]
