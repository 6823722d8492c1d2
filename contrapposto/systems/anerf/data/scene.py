"""The avatar scene: frames, masks, cameras and poses of one person, as uncompressed memory-mapped arrays.

A scene is a folder with `manifest.json` and one `.npy` file per array. Names and meanings are those of A-NeRF's
training file (docs/specs/anerf.md, section 8.1), so that the two convert into each other without loss; images are
flattened to (N, H W, C). N images, P poses, B backgrounds, C cameras:

* `imgs` (N, HW, 3) uint8 RGB; `masks` and `sampling_masks` (N, HW, 1) uint8 0 or 1; `bkgds` (B, HW, 3) uint8;
* `bkgd_idxs`, `kp_idxs`, `camera_idxs`, `cam_idxs` (N,) int64: background, pose, camera and frame code of an image;
* `kp3d` (P, 24, 3), `bones` (P, 24, 3) axis-angles, `skts` (P, 24, 4, 4) world to bone, `cyls` (P, 5),
  `betas` (P or 1, 10), `temp_val` (P,), `rest_pose` (24, 3): float32;
* `c2ws` (C, 4, 4) NeRF camera to world, `focals` (C, 2) pixels, `centers` (C, 2) principal points: float32;
* optional `gt_kp3d` (P, 24 or 17, 3), `gt_bones` (P, 24, 3), `img_paths` (N,) bytes, and `shared_idxs` (P,) int64:
  poses with equal numbers are one pose seen by several uncalibrated cameras (docs/specs/anerf.md, section 6).

World axes: x right, y down, z forward; up is -y. The manifest states how many metres one unit is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError, MissingError, nearest

SCHEMA = "contrapposto-avatar-scene"
VERSION = 1
IMAGE_ARRAYS = ("imgs", "masks", "sampling_masks")
ARRAYS: dict[str, tuple[tuple[str | int, ...], str]] = {
    "imgs": (("N", "HW", 3), "uint8"),
    "masks": (("N", "HW", 1), "uint8"),
    "sampling_masks": (("N", "HW", 1), "uint8"),
    "bkgds": (("B", "HW", 3), "uint8"),
    "bkgd_idxs": (("N",), "int64"),
    "kp_idxs": (("N",), "int64"),
    "camera_idxs": (("N",), "int64"),
    "cam_idxs": (("N",), "int64"),
    "kp3d": (("P", 24, 3), "float32"),
    "bones": (("P", 24, 3), "float32"),
    "skts": (("P", 24, 4, 4), "float32"),
    "cyls": (("P", 5), "float32"),
    "betas": (("S", 10), "float32"),
    "temp_val": (("P",), "float32"),
    "rest_pose": ((24, 3), "float32"),
    "c2ws": (("C", 4, 4), "float32"),
    "focals": (("C", 2), "float32"),
    "centers": (("C", 2), "float32"),
}
"""Shapes and types of the arrays that every scene has."""
OPTIONAL: dict[str, tuple[tuple[str | int, ...], str]] = {
    "gt_kp3d": (("P", "G", 3), "float32"),
    "gt_bones": (("P", 24, 3), "float32"),
    "shared_idxs": (("P",), "int64"),
}


class AvatarScene:
    """Arrays of one scene, memory-mapped. Open one with `AvatarScene.open`.

    Every array of the module's list is an attribute under its own name (`scene.imgs`, `scene.kp3d`, ...); the optional
    ones are None where the scene lacks them. They are copy-on-write maps: writing to one never reaches the file.

    Attributes:
        path: the folder.
        manifest: the manifest.
    """

    imgs: np.ndarray
    masks: np.ndarray
    sampling_masks: np.ndarray
    bkgds: np.ndarray
    bkgd_idxs: np.ndarray
    kp_idxs: np.ndarray
    camera_idxs: np.ndarray
    cam_idxs: np.ndarray
    kp3d: np.ndarray
    bones: np.ndarray
    skts: np.ndarray
    cyls: np.ndarray
    betas: np.ndarray
    temp_val: np.ndarray
    rest_pose: np.ndarray
    c2ws: np.ndarray
    focals: np.ndarray
    centers: np.ndarray
    gt_kp3d: np.ndarray | None
    gt_bones: np.ndarray | None
    shared_idxs: np.ndarray | None
    img_paths: np.ndarray | None

    def __init__(self, path: Path, manifest: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self.path, self.manifest = path, manifest
        for name in (*ARRAYS, *OPTIONAL, "img_paths"):
            setattr(self, name, arrays.get(name))

    @classmethod
    def open(cls, path: str | Path) -> AvatarScene:
        """Open a scene.

        Raises:
            MissingError: there is none. InputError: it is damaged, of another kind, or of another version.
        """
        path = Path(path)
        manifest = read_manifest(path)
        arrays = {name: _map(path, name) for name in manifest["arrays"]}
        check_shapes(arrays, manifest["height"] * manifest["width"], f"The avatar scene {path} is damaged.")
        return cls(path, manifest, arrays)

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        return self.manifest["height"], self.manifest["width"]

    @property
    def num_images(self) -> int:
        """N."""
        return len(self.imgs)

    @property
    def num_poses(self) -> int:
        """P."""
        return len(self.kp3d)

    @property
    def num_cameras(self) -> int:
        """C: rows of `c2ws`, `focals` and `centers`."""
        return len(self.c2ws)

    @property
    def metres_per_unit(self) -> float | None:
        """Length of one world unit; None where it is not known."""
        return self.manifest["metres_per_unit"]

    def pose_index(self, image: Any) -> Any:
        """Pose(s) of image(s): a number for a number, (K,) for (K,)."""
        return _plain(self.kp_idxs[image])

    def camera_index(self, image: Any) -> Any:
        """Camera(s), as rows of `c2ws`, of image(s): a number for a number, (K,) for (K,)."""
        return _plain(self.camera_idxs[image])

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits; `all` is always there."""
        return ("all", *self.manifest["splits"])

    def split(self, name: str) -> np.ndarray:
        """(K,) int64 image numbers of a split; `all`, and `train` where the scene names none, are all images.

        Raises:
            InputError: no such split.
        """
        known = self.manifest["splits"]
        if name == "all" or (name == "train" and name not in known):
            return np.arange(self.num_images)
        if name not in known:
            raise InputError(
                f"The scene {self.path.name} has no split {name!r}.",
                found=", ".join(self.splits),
                fix=f"try {nearest(name, self.splits)}",
            )
        return np.asarray(known[name], np.int64)

    def image(self, number: int) -> np.ndarray:
        """(H, W, 3) uint8 of an image."""
        return self.imgs[number].reshape(*self.hw, 3)

    def mask(self, number: int) -> np.ndarray:
        """(H, W) bool foreground of an image."""
        return self.masks[number].reshape(self.hw) > 0

    def background(self, number: int) -> np.ndarray:
        """(H, W, 3) uint8 clean background of an image."""
        return self.bkgds[self.bkgd_idxs[number]].reshape(*self.hw, 3)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over the hashes of the arrays and the splits: equal content, equal hash."""
        metadata = {key: self.manifest[key] for key in ("version", "arrays", "splits", "height", "width")}
        return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the scene in a folder.

    Raises:
        MissingError: there is none. InputError: it cannot be read, or is of another kind or version.
    """
    file = path / "manifest.json"
    if not file.is_file():
        raise MissingError(f"There is no avatar scene at {path}.", fix="python prepare.py data=anerf_scene")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        schema, version = manifest["schema"], manifest["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, f"manifest.json cannot be read: {error!r}") from error
    if (schema, version) != (SCHEMA, VERSION):
        raise InputError(
            f"{path} is not an avatar scene of this release.",
            found=f"{schema} version {version}",
            expected=f"{SCHEMA} version {VERSION}",
            fix="prepare one: python prepare.py data=anerf_scene",
        )
    needed = ("arrays", "height", "width", "splits", "metres_per_unit")
    missing = [key for key in needed if key not in manifest]
    if missing:
        raise _damaged(path, f"manifest.json lacks {', '.join(missing)}")
    try:
        _check_values(manifest)
    except (TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"manifest.json has an entry that cannot be used: {error}") from error
    return manifest


def _check_values(manifest: Mapping[str, Any]) -> None:
    """Refuse what JSON can say and a scene cannot: it would break later, where nothing tells why."""
    if not all(isinstance(manifest[key], int) and manifest[key] > 0 for key in ("height", "width")):
        raise ValueError(f"{manifest['height']} x {manifest['width']} pixels")
    strange = [name for name in manifest["arrays"] if name not in (*ARRAYS, *OPTIONAL, "img_paths")]
    if strange:
        raise ValueError(f"an array {strange[0]!r}")
    for name, images in manifest["splits"].items():
        if not all(isinstance(image, int) for image in images):
            raise ValueError(f"the split {name}")
    if not isinstance(manifest["metres_per_unit"], int | float | None):
        raise TypeError(f"metres_per_unit {manifest['metres_per_unit']!r}")


def check_shapes(arrays: Mapping[str, np.ndarray], pixels: int, what: str) -> None:
    """Refuse arrays whose shapes or types contradict the module's list or each other, or indices without a row.

    Raises:
        InputError: `what`, with the first array that does not fit.
    """
    sizes: dict[str, int] = {"HW": pixels}
    for name, (shape, dtype) in {**ARRAYS, **OPTIONAL}.items():
        if name not in arrays:
            if name in ARRAYS:
                raise InputError(what, found=f"there is no {name}")
            continue
        array = arrays[name]
        fits = array.ndim == len(shape) and all(
            size == (sizes.setdefault(axis, size) if isinstance(axis, str) else axis)
            for axis, size in zip(shape, array.shape)
        )
        if not fits or array.dtype != dtype:
            named = tuple(sizes.get(axis, axis) if isinstance(axis, str) else axis for axis in shape)
            raise InputError(
                what,
                found=f"{name} is {array.dtype} {array.shape}",
                expected=f"{dtype} ({', '.join(map(str, named))})",
            )
    for name, rows in (("bkgd_idxs", sizes["B"]), ("kp_idxs", sizes["P"]), ("camera_idxs", sizes["C"])):
        index = arrays[name]
        if len(index) and (index.min() < 0 or index.max() >= rows):
            raise InputError(
                what, found=f"{name} goes from {index.min()} to {index.max()}", expected=f"0 to {rows - 1}"
            )


def _map(path: Path, name: str) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path / f"{name}.npy", mmap_mode="c", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is an archive")
    except Exception as error:  # NumPy evaluates the header, which raises whatever is wrong with it
        raise _damaged(path, f"{name}.npy cannot be read: {error}") from error
    return array


def _plain(value: Any) -> Any:
    return int(value) if np.ndim(value) == 0 else np.asarray(value)


def _damaged(path: Path, result: str) -> InputError:
    return InputError(
        f"The avatar scene {path} is damaged.",
        found=result,
        fix="delete the folder and run prepare.py again",
    )
