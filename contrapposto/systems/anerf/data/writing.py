"""Writing avatar scenes: images are streamed, everything is checked, the folder appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation

from contrapposto.data.arrays import NpyWriter
from contrapposto.errors import InputError
from contrapposto.files import atomic_path, sha256, write_json
from contrapposto.systems.anerf.data.scene import (
    ARRAYS,
    IMAGE_ARRAYS,
    OPTIONAL,
    SCHEMA,
    VERSION,
    AvatarScene,
    check_shapes,
)
from contrapposto.systems.anerf.data.validate import mask_problems, value_problems


@dataclass(frozen=True, eq=False)
class Frame:
    """One image to be written.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) true where the person is.
        sampling_mask: (H, W) true where rays may be drawn; None: the mask, dilated (`dilate`).
    """

    image: np.ndarray
    mask: np.ndarray
    sampling_mask: np.ndarray | None = None


@dataclass(frozen=True)
class SceneMetadata:
    """What the manifest states beside the arrays.

    Args:
        recipe: name of the recipe that made the scene, and `options` of it.
        source, licence, attribution: texts that travel with the data.
        splits: name to image numbers; `train` where learning uses only these.
        metres_per_unit: length of one world unit; None where it is not known.
        ext_scale, pose_scale: the scales of A-NeRF's file (docs/specs/anerf.md, section 8.1).
        notes: what was noticed about the data, one sentence each.
        input_hash: of all that decides the content.
    """

    recipe: str
    source: str
    licence: str
    attribution: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, Sequence[int]] = field(default_factory=dict)
    metres_per_unit: float | None = None
    ext_scale: float = 0.001
    pose_scale: float = 1.0
    notes: Sequence[str] = ()
    input_hash: str = ""


def write_scene(
    path: str | Path,
    frames: Iterable[Frame],
    arrays: Mapping[str, np.ndarray],
    size: tuple[int, int],
    origin: SceneMetadata,
) -> AvatarScene:
    """Write a scene by one rename, replacing one that is there. Images are streamed, never all in memory.

    Args:
        path: the folder.
        frames: the N images in order.
        arrays: the other arrays of the module's list. May be absent: `bkgds` (white) and `bkgd_idxs` (0), `centers`
            (the middle), `kp_idxs`, `camera_idxs` and `cam_idxs` (0, 1, 2, ...), `betas` (0), `temp_val` (all poses
            are one take). `focals` may be (C,).
        size: height and width.
        origin: for the manifest.

    Raises:
        InputError: no images, images of another size, arrays that do not fit together, or values that cannot be used
            (see `value_problems`); nothing is left behind.
    """
    path = Path(path)
    with atomic_path(path, directory=True) as work:
        entries = _write_images(work, frames, size)
        count = entries["imgs"]["shape"][0]
        full = _complete(arrays, count, size)
        shaped = {name: np.lib.format.open_memmap(work / f"{name}.npy", mode="r") for name in IMAGE_ARRAYS}
        check_shapes({**full, **shaped}, size[0] * size[1], "The arrays of the scene do not fit together.")
        covered = np.array([np.count_nonzero(mask) for mask in shaped["masks"]])
        del shaped
        problems = mask_problems(covered, 1) + value_problems(full)
        if problems:
            raise InputError("The scene cannot be learnt from.", found="; ".join(problems[:4]))
        for name, array in full.items():
            np.save(work / f"{name}.npy", array, allow_pickle=False)
            entries[name] = {
                "dtype": array.dtype.str,
                "shape": list(array.shape),
                "sha256": sha256(work / f"{name}.npy"),
            }
        splits = {name: [int(i) for i in images] for name, images in origin.splits.items()}
        head = {"schema": SCHEMA, "version": VERSION, "height": size[0], "width": size[1]}
        write_json(work / "manifest.json", {**head, **asdict(origin), "splits": splits, "arrays": entries})
    return AvatarScene.open(path)


def camera_splits(
    learnt_cameras: Sequence[int], held_cameras: Sequence[int], learnt: int, poses: int
) -> dict[str, list[int]]:
    """Splits of images that stand camera by camera, each camera with all poses; empty ones are left out.

    Args:
        learnt_cameras, held_cameras: numbers of those that are learnt from, and of those that are not.
        learnt: the first so many poses are learnt (`train`, and `novel_view` from cameras that are held out).
        poses: of each camera; those after the learnt ones are `novel_pose`, from all cameras.
    """

    def images(cameras: Sequence[int], first: int, last: int) -> list[int]:
        return [camera * poses + pose for camera in cameras for pose in range(first, last)]

    splits = {
        "train": images(learnt_cameras, 0, learnt),
        "novel_view": images(held_cameras, 0, learnt),
        "novel_pose": images(sorted([*learnt_cameras, *held_cameras]), learnt, poses),
    }
    return {name: result for name, result in splits.items() if result}


def counted(
    frames: Iterable[Frame], total: int, progress: Callable[[str, int, int], None] | None
) -> Iterator[Frame]:
    """The same frames; `progress` is passed about each."""
    for number, frame in enumerate(frames):
        yield frame
        if progress:
            progress("images", number + 1, total)


def dilate(mask: np.ndarray, times: int = 2) -> np.ndarray:
    """(H, W) bool: a mask grown by a 5 x 5 square, `times` times: where rays are drawn.

    See docs/specs/anerf.md, section 8.1.
    """
    return binary_dilation(mask > 0, np.ones((5, 5), bool), iterations=times)


def continues(takes: Sequence[Any] | np.ndarray) -> np.ndarray:
    """(P,) bool: false for the first pose of each take, given the (P,) takes of poses in the order of time."""
    names = np.asarray(takes)
    same = names == np.roll(names, 1)
    same[:1] = False  # the list wraps round: before the first pose stands the last one
    return same


def temporal_validity(takes: Sequence[Any] | np.ndarray) -> np.ndarray:
    """(P,) float32: 1 where a pose and its two neighbours in the list belong to one take.

    See docs/specs/anerf.md, section 7.

    Args:
        takes: (P,) name or number of the take of every pose, in the order of time.
    """
    same = continues(takes)
    return (same & np.roll(same, -1)).astype(np.float32)


def _write_images(work: Path, frames: Iterable[Frame], size: tuple[int, int]) -> dict[str, Any]:
    pixels = size[0] * size[1]
    writers = {
        name: NpyWriter(work / f"{name}.npy", np.uint8, (pixels, 3 if name == "imgs" else 1))
        for name in IMAGE_ARRAYS
    }
    try:
        for number, frame in enumerate(frames):
            if frame.image.shape != (*size, 3) or frame.mask.shape != size or frame.image.dtype != np.uint8:
                raise InputError(
                    f"Image {number} does not fit the others.",
                    found=f"image {frame.image.dtype} {frame.image.shape}, mask {frame.mask.shape}",
                    expected=f"uint8 {(*size, 3)}, mask {size}",
                )
            sampling = dilate(frame.mask) if frame.sampling_mask is None else frame.sampling_mask > 0
            writers["imgs"].append(frame.image.reshape(1, pixels, 3))
            writers["masks"].append((frame.mask > 0).reshape(1, pixels, 1))
            writers["sampling_masks"].append(sampling.reshape(1, pixels, 1))
        if not writers["imgs"].rows:
            raise InputError("There are no images to store.")
        return {name: writer.close() for name, writer in writers.items()}
    finally:
        for writer in writers.values():
            writer.__exit__(None, None, None)


def _complete(arrays: Mapping[str, np.ndarray], count: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
    full = dict(arrays)
    full.setdefault("bkgds", np.full((1, size[0] * size[1], 3), 255, np.uint8))
    full.setdefault("bkgd_idxs", np.zeros(count, np.int64))
    for name in ("kp_idxs", "camera_idxs", "cam_idxs"):
        full.setdefault(name, np.arange(count))
    full.setdefault("betas", np.zeros((1, 10), np.float32))
    focals = np.asarray(full["focals"])
    full["focals"] = np.repeat(focals[:, None], 2, axis=1) if focals.ndim == 1 else focals
    middle = np.array([size[1] * 0.5, size[0] * 0.5], np.float32)
    full.setdefault("centers", np.tile(middle, (len(focals), 1)))
    if "temp_val" not in full:
        full["temp_val"] = temporal_validity(np.zeros(len(full["kp3d"])))
    kinds = {**ARRAYS, **OPTIONAL}
    return {
        name: np.ascontiguousarray(array, kinds[name][1] if name in kinds else None)
        for name, array in full.items()
    }
