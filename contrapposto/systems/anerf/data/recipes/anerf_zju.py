"""ZJU-MoCap, and Human3.6M in its layout: calibrated cameras, SMPL parameters, masks; metres.

See docs/specs/anerf.md, section 8.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import binary_erosion, map_coordinates

from contrapposto import rotations as rot
from contrapposto.body import load_body
from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.files import sha256
from contrapposto.pickles import read_object_npy
from contrapposto.systems.anerf.data.image_files import ImageFiles
from contrapposto.systems.anerf.data.masks import read_image
from contrapposto.systems.anerf.data.poses import WORLD_AXES, pose_arrays, world_bones
from contrapposto.systems.anerf.data.prepare import Plan, Progress
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.data.writing import (
    Frame,
    SceneMetadata,
    camera_splits,
    counted,
    dilate,
    temporal_validity,
    write_scene,
)

MASK_FOLDERS = ("mask", "mask_cihp")
_PARAMETERS = ("new_params", "params")
_NEEDED = ("poses", "Rh", "Th")


@dataclass(frozen=True)
class Views:
    """Cameras of a capture.

    Args:
        intrinsics: (C, 3, 3) pixels.
        distortion: (C, 5) k1, k2, p1, p2, k3.
        world_to_camera: (C, 4, 4) metres, OpenCV axes; the world is z up.
    """

    intrinsics: np.ndarray
    distortion: np.ndarray
    world_to_camera: np.ndarray


def plan(
    raw: Path | None,
    *,
    train_views: Sequence[int] = (0, 6, 12, 18),
    novel_views: Sequence[int] = (),
    frames: int = 300,
    every: int = 1,
    start: int = 0,
    novel_frames: int = 0,
    body: str | None = None,
    size: int = 512,
    licence: str = "unknown: see the terms of the data set",
) -> Plan:
    """See the module. The splits are `train`, `novel_view` and `novel_pose` (frames after those that are learnt).

    Args:
        raw: folder of a subject: `annots.npy`, `params` or `new_params`, `mask` and/or `mask_cihp`, images.
        train_views, novel_views: camera numbers.
        frames: to learn from; with `every`, every so many-th from `start`.
        every, start: see `frames`.
        novel_frames: further frames, held out.
        body: SMPL file, whose rest joints have the parameters' shape; None: the shipped body's.
        size: longer side of the images in pixels, at most.
        licence: of the data, for the manifest.
    """
    if raw is None or not raw.is_dir():
        raise MissingError("The folder of a subject is needed.", found=f"raw={raw}", fix="raw=CoreView_313")
    cameras = [*train_views, *novel_views]
    if not train_views or len(set(cameras)) < len(cameras) or frames < 1 or every < 1 or start < 0:
        raise ConfigError(
            "These views and frames cannot be taken.", found=f"views {cameras}, frames {frames}"
        )
    annotations = _annotations(raw)
    views = read_views(annotations["cams"])
    if max(cameras) >= len(views.intrinsics) or min(cameras) < 0:
        raise InputError(
            "A camera is not there.", found=str(cameras), expected=f"0 to {len(views.intrinsics) - 1}"
        )
    parameters = _parameter_files(raw)
    count = min(len(annotations["ims"]), len(parameters))
    numbers = list(range(start, count, every))[: frames + novel_frames]
    if not numbers:
        raise InputError("There are no frames.", found=f"{count} with parameters, start {start}")
    learnt = min(frames, len(numbers))
    images = [_image_of(raw, annotations["ims"][n], camera) for camera in cameras for n in numbers]
    files = ImageFiles(images, [_masks(raw, image) for image in images], longest=size)
    total = len(numbers)
    options = {
        "train_views": list(train_views),
        "novel_views": list(novel_views),
        "numbers": numbers,
        "size": size,
    }
    origin = SceneMetadata(
        recipe="anerf_zju",
        source=raw.name,
        licence=licence,
        options={**options, "body": None if body is None else sha256(body)},
        splits=camera_splits(range(len(train_views)), range(len(train_views), len(cameras)), learnt, total),
        metres_per_unit=1.0,
        input_hash=" ".join(
            [sha256(raw / "annots.npy"), *(sha256(parameters[n]) for n in numbers), *files.digest()]
        ),
    )

    def make(output: Path, origin: SceneMetadata, progress: Progress | None) -> AvatarScene:
        arrays = _poses([read_object_npy(parameters[n]) for n in numbers], parameters, body)
        chosen = Views(views.intrinsics[cameras], views.distortion[cameras], views.world_to_camera[cameras])
        arrays |= _cameras(chosen, files)
        index = np.arange(len(cameras)).repeat(total)
        arrays |= {name: index for name in ("camera_idxs", "cam_idxs", "bkgd_idxs")}
        arrays["kp_idxs"] = np.tile(np.arange(total), len(cameras))
        arrays["temp_val"] = temporal_validity(np.zeros(total))
        straight = _Straight(files.images, files.masks, longest=size, views=chosen, camera=index)
        arrays["bkgds"] = np.stack(
            [straight.background(np.flatnonzero(index == c).tolist()) for c in range(len(cameras))]
        ).reshape(len(cameras), -1, 3)
        return write_scene(
            output, counted(straight.frames(), len(images), progress), arrays, files.size(), origin
        )

    return Plan(origin, make)


def read_views(cams: Mapping[str, Any]) -> Views:
    """The cameras of `annots.npy`: lists `K`, `D`, `R`, and `T` in millimetres.

    Raises:
        InputError: one is missing, or of another shape.
    """
    shapes = {"K": (3, 3), "R": (3, 3), "T": (3,)}
    missing = [name for name in (*shapes, "D") if name not in cams]
    if missing:
        raise InputError("The cameras of annots.npy are not complete.", found=f"no {', '.join(missing)}")
    try:
        result = {
            name: np.asarray(cams[name], np.float64).reshape(-1, *shape) for name, shape in shapes.items()
        }
        distortion = np.asarray(cams["D"], np.float64).reshape(len(result["K"]), -1)
    except (ValueError, TypeError) as error:
        raise InputError("The cameras of annots.npy cannot be read.", found=str(error)) from error
    if len({len(part) for part in result.values()}) > 1 or distortion.shape[1] not in (4, 5):
        raise InputError(
            "The cameras of annots.npy do not fit together.",
            found=str({n: p.shape for n, p in result.items()}),
        )
    full = np.zeros((len(distortion), 5))
    full[:, : distortion.shape[1]] = distortion
    matrix = np.tile(np.eye(4), (len(full), 1, 1))
    matrix[:, :3, :3], matrix[:, :3, 3] = result["R"], result["T"] / 1000
    return Views(result["K"], full, matrix)


def straighten(image: np.ndarray, intrinsics: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """An image (H, W, C) as a camera without distortion sees it (Brown's model; bilinear, 0 outside).

    Args:
        image: uint8.
        intrinsics: (3, 3).
        distortion: (5,) k1, k2, p1, p2, k3.
    """
    if not distortion.any():
        return image
    row, column = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64)
    x = (column - intrinsics[0, 2]) / intrinsics[0, 0]
    y = (row - intrinsics[1, 2]) / intrinsics[1, 1]
    bent_x, bent_y = distort(x, y, distortion)
    place = np.stack(
        [bent_y * intrinsics[1, 1] + intrinsics[1, 2], bent_x * intrinsics[0, 0] + intrinsics[0, 2]]
    )
    parts = [map_coordinates(image[..., c].astype(np.float32), place, order=1) for c in range(image.shape[2])]
    return np.round(np.stack(parts, axis=-1)).clip(0, 255).astype(np.uint8)


def distort(x: np.ndarray, y: np.ndarray, distortion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the lens moves points of the plane at depth 1 (Brown 1966): radial k1, k2, k3, tangential p1, p2."""
    k1, k2, p1, p2, k3 = distortion
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


@dataclass(frozen=True)
class _Straight(ImageFiles):
    """Images without distortion; `camera` (N,) states whose each is."""

    views: Views | None = None
    camera: np.ndarray | None = None

    def frame(self, number: int) -> Frame:
        """See `ImageFiles`."""
        assert self.views is not None and self.camera is not None
        camera = self.camera[number]
        lens = (self.views.intrinsics[camera], self.views.distortion[camera])
        image = straighten(read_image(self.images[number]), *lens)
        mask = straighten(self.mask(number)[..., None].astype(np.uint8) * 255, *lens)[..., 0] > 127
        frame = self.prepared(image, mask, self.images[number].name)
        # the published rule: grown, without the uncertain band along the outline
        band = dilate(frame.mask, 1) & ~binary_erosion(frame.mask, np.ones((5, 5), bool))
        return Frame(frame.image, frame.mask, dilate(frame.mask, 3) & ~band)


def _annotations(raw: Path) -> dict[str, Any]:
    result = read_object_npy(raw / "annots.npy")
    if not isinstance(result, dict) or "cams" not in result or "ims" not in result:
        raise InputError(
            f"{raw / 'annots.npy'} is not understood.", expected="a dictionary with cams and ims"
        )
    return result


def _parameter_files(raw: Path) -> list[Path]:
    """Files of SMPL parameters in the order of their numbers, one per frame."""
    for name in _PARAMETERS:
        files = [f for f in (raw / name).glob("*.npy") if re.fullmatch(r"\d+", f.stem)]
        if files:
            return sorted(files, key=lambda file: int(file.stem))
    raise MissingError(
        f"{raw} has no SMPL parameters.", expected=" or ".join(f"{n}/0.npy, ..." for n in _PARAMETERS)
    )


def _image_of(raw: Path, entry: Any, camera: int) -> Path:
    try:
        path = raw / str(entry["ims"][camera])
    except (KeyError, IndexError, TypeError) as error:
        raise InputError("A frame of annots.npy does not list its images.", found=repr(error)) from error
    if not path.is_file():
        raise MissingError(f"The image {path} is not there.")
    return path


def _masks(raw: Path, image: Path) -> list[Path]:
    name = image.relative_to(raw).with_suffix(".png")
    result = [raw / folder / name for folder in MASK_FOLDERS if (raw / folder / name).is_file()]
    if not result:
        raise MissingError(f"The image {image} has no mask.", expected=f"{raw / MASK_FOLDERS[0] / name}")
    return result


def _poses(
    entries: Sequence[Mapping[str, Any]], files: Sequence[Path], body: str | None
) -> dict[str, np.ndarray]:
    """SMPL parameters with a global rotation and shift as poses in A-NeRF's world."""
    for entry, file in zip(entries, files):
        if not isinstance(entry, dict) or any(name not in entry for name in _NEEDED):
            raise InputError(f"{file} lacks SMPL parameters.", expected=", ".join(_NEEDED))
    columns = {name: np.stack([np.ravel(e[name]).astype(np.float64) for e in entries]) for name in _NEEDED}
    if [part.shape[1] for part in columns.values()] != [72, 3, 3]:
        raise InputError("SMPL parameters have other lengths.", expected="poses 72, Rh 3, Th 3")
    betas = (
        np.stack([np.ravel(e["shapes"])[:10] for e in entries])
        if all("shapes" in e for e in entries)
        else None
    )
    shape = None if body is None or betas is None else torch.from_numpy(betas.mean(0, keepdims=True)).float()
    rest = load_body("smpl", path=body).rest_joints(shape)[0].double().numpy()
    turn = rot.axis_angle_to_matrix(torch.from_numpy(columns["Rh"]))
    rotations = columns["poses"].reshape(-1, 24, 3).copy()
    first = rot.axis_angle_to_matrix(torch.from_numpy(rotations[:, 0].copy()))
    rotations[:, 0] = rot.matrix_to_axis_angle(turn @ first).numpy()
    root = turn.numpy() @ rest[0] + columns["Th"]
    arrays = pose_arrays(world_bones(rotations), rest - rest[0], root @ WORLD_AXES.T)
    arrays["rest_pose"] = rest - rest[0]
    if betas is not None and betas.shape[1] == 10:
        arrays["betas"] = betas
    return arrays


def _cameras(views: Views, files: ImageFiles) -> dict[str, np.ndarray]:
    height, width = files.source_size()
    ratio = np.array(files.size()[::-1]) / np.array([width, height])
    inverse = np.linalg.inv(views.world_to_camera)
    matrix = inverse.copy()
    matrix[:, :3] = WORLD_AXES @ inverse[:, :3]
    matrix[:, :3, 1:3] *= -1  # from OpenCV's axes to NeRF's
    return {
        "c2ws": matrix,
        "focals": views.intrinsics[:, [0, 1], [0, 1]] * ratio,
        "centers": views.intrinsics[:, :2, 2] * ratio,
    }
