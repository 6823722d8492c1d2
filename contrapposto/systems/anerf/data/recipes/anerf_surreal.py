"""A figure rendered with SURREAL for A-NeRF: images, segmentations and `metadata.pkl`.

See docs/specs/anerf.md, section 8.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.files import sha256
from contrapposto.pickles import read_pickle
from contrapposto.systems.anerf.cameras import cylinder_box
from contrapposto.systems.anerf.data.masks import fitting, read_image, scaled
from contrapposto.systems.anerf.data.poses import pose_arrays
from contrapposto.systems.anerf.data.prepare import Plan, Progress
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.data.writing import (
    Frame,
    SceneMetadata,
    counted,
    dilate,
    temporal_validity,
    write_scene,
)
from contrapposto.systems.anerf.kinematics import REST_POSE, UNIT_SCALE, bone_lengths, bounding_cylinder

_GLOBAL = np.diag([1.0, -1.0, -1.0])
_NEEDED = ("focal", "cams", "joints3D", "poses")
_FIT = 0.15  # of the figure's size: joints by bones and joints of the file may differ by this on average


def plan(
    raw: Path | None,
    *,
    train_cameras: Sequence[int] | None = None,
    size: int = 512,
    licence: str = "unknown: see the terms of the data set",
) -> Plan:
    """See the module. The splits are `train` and `novel_view`.

    Args:
        raw: folder with `metadata.pkl` (`focal` pixels, `cams` (C, 4, 4) to the world, `joints3D` (P, 24, 3), `poses`
            (P, 72)); in it or in folders below it C P images (.png), camera by camera, and as many `*segm.mat` files.
        train_cameras: cameras to learn from (published: 0, 3, 6); None: all.
        size: longer side of the images in pixels, at most.
        licence: of the data, for the manifest.
    """
    if raw is None or not (raw / "metadata.pkl").is_file():
        raise MissingError("A folder with metadata.pkl is needed.", found=f"raw={raw}", fix="raw=FOLDER")
    annotations = _metadata(raw / "metadata.pkl")
    cameras, poses = len(annotations["cams"]), len(annotations["joints3D"])
    images, segments = sorted(raw.rglob("*.png")), sorted(raw.rglob("*segm.mat"))
    if not len(images) == len(segments) == cameras * poses:
        raise InputError(
            f"The images of {raw} do not fit its metadata.",
            found=f"{len(images)} images, {len(segments)} segmentations",
            expected=f"{cameras} cameras times {poses} poses",
        )
    learnt = list(range(cameras)) if train_cameras is None else list(train_cameras)
    if not learnt or any(not 0 <= camera < cameras for camera in learnt):
        raise ConfigError(f"These cameras are not there: {learnt}.", expected=f"some of 0 to {cameras - 1}")
    held = [camera for camera in range(cameras) if camera not in learnt]
    splits = {"train": learnt, "novel_view": held}
    origin = SceneMetadata(
        recipe="anerf_surreal",
        source=raw.name,
        licence=licence,
        options={"train_cameras": learnt, "size": size},
        splits={n: [c * poses + p for c in part for p in range(poses)] for n, part in splits.items() if part},
        pose_scale=UNIT_SCALE,
        input_hash=" ".join(sha256(path) for path in (raw / "metadata.pkl", *images, *segments)),
    )

    def make(output: Path, origin: SceneMetadata, progress: Progress | None) -> AvatarScene:
        source = read_image(images[0]).shape[:2]
        shape = fitting(source, size)
        arrays = surreal_arrays(annotations, np.array(shape[::-1]) / np.array(source[::-1]))
        frames = counted(_frames(images, segments, arrays, shape), len(images), progress)
        return write_scene(output, frames, arrays, shape, origin)

    return Plan(origin, make)


def surreal_arrays(metadata: Mapping[str, np.ndarray], ratio: np.ndarray) -> dict[str, np.ndarray]:
    """All arrays but the images.

    Lengths are scaled so that the figure's mean bone is that of the built-in rest pose; the file's joints take the
    place of those that the bones give.

    Args:
        metadata: see `plan`.
        ratio: (2,) by which width and height of the images were scaled.

    Raises:
        InputError: no reading of the root's rotation makes bones and joints agree.
    """
    joints = np.asarray(metadata["joints3D"], np.float64) @ _GLOBAL
    cameras, poses = len(metadata["cams"]), len(joints)
    rest = REST_POSE * UNIT_SCALE
    scale = float(bone_lengths(torch.from_numpy(rest)).mean() / bone_lengths(torch.from_numpy(joints)).mean())
    joints = joints * scale
    bones = _upright(np.asarray(metadata["poses"], np.float64).reshape(poses, 24, 3), rest, joints)
    arrays = pose_arrays(bones, rest, joints[:, 0])
    turn = arrays["skts"][..., :3, :3].astype(np.float64)
    arrays["skts"] = arrays["skts"].copy()
    arrays["skts"][..., :3, 3] = -(turn @ joints[..., None])[..., 0]
    arrays["kp3d"] = joints
    arrays["cyls"] = bounding_cylinder(torch.from_numpy(joints)).numpy()
    matrices = np.asarray(metadata["cams"], np.float64).copy()
    matrices[:, :3] = _GLOBAL @ matrices[:, :3]
    matrices[:, :3, 3] *= scale
    focal = np.broadcast_to(np.asarray(metadata["focal"], np.float64).reshape(-1, 1), (cameras, 1))
    index = np.arange(cameras).repeat(poses)
    return {
        **arrays,
        "rest_pose": rest,
        "c2ws": matrices,
        "focals": focal * ratio,
        "camera_idxs": index,
        "cam_idxs": index,
        "kp_idxs": np.tile(np.arange(poses), cameras),
        "temp_val": temporal_validity(np.arange(poses)),
    }


def _upright(bones: np.ndarray, rest: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """The bones (P, 24, 3) with the root turned by 90 degrees about x so that they give the joints."""
    first = rot.axis_angle_to_matrix(torch.from_numpy(bones[:, 0].copy())).numpy()
    best, least = bones, np.inf
    for degrees in (90, -90, 180, 0):
        quarter = rot.axis_angle_to_matrix(
            torch.tensor([np.radians(degrees), 0, 0], dtype=torch.float64)
        ).numpy()
        turned = bones.copy()
        turned[:, 0] = rot.matrix_to_axis_angle(torch.from_numpy(quarter @ first)).numpy()
        result = pose_arrays(turned, rest, joints[:, 0])["kp3d"]
        error = float(np.linalg.norm(result - joints, axis=-1).mean())
        if error < least:
            best, least = turned, error
    size = float(np.ptp(joints, axis=1).max())
    if least > _FIT * size:
        raise InputError(
            "The poses and the joints of metadata.pkl do not agree.",
            found=f"{least / size:.0%} of the figure's size apart on average",
            expected="SMPL axis-angles whose joints are joints3D",
        )
    return best


def _metadata(path: Path) -> dict[str, np.ndarray]:
    content: Any = read_pickle(path)
    missing = [name for name in _NEEDED if not isinstance(content, dict) or name not in content]
    if missing:
        raise InputError(f"{path} is not complete.", found=f"no {', '.join(missing)}")
    try:
        result = {name: np.asarray(content[name], np.float64) for name in _NEEDED}
        result["cams"] = result["cams"].reshape(-1, 4, 4)
        result["joints3D"] = result["joints3D"].reshape(-1, 24, 3)
        result["poses"] = result["poses"].reshape(len(result["joints3D"]), 72)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} has arrays of other shapes.", found=str(error)) from error
    if result["focal"].size not in (1, len(result["cams"])):
        raise InputError(
            f"{path} has {result['focal'].size} focal lengths for {len(result['cams'])} cameras."
        )
    return result


def _frames(
    images: Sequence[Path], segments: Sequence[Path], arrays: Mapping[str, np.ndarray], size: tuple[int, int]
) -> Iterator[Frame]:
    """Images on white; rays are drawn in the dilated mask inside the box of the cylinder."""
    for number, (image, segment) in enumerate(zip(images, segments)):
        pixels, mask = scaled(read_image(image), size), _segment(segment)
        mask = scaled(mask.astype(np.uint8) * 255, size) > 127
        camera, pose = arrays["camera_idxs"][number], arrays["kp_idxs"][number]
        box = cylinder_box(
            torch.from_numpy(np.asarray(arrays["cyls"][pose])),
            torch.from_numpy(arrays["c2ws"][camera]),
            torch.from_numpy(arrays["focals"][camera]),
            *size,
        )
        inside = np.zeros(size, bool)
        (left, top), (right, bottom) = box.low.tolist(), box.high.tolist()
        inside[top:bottom, left:right] = True
        yield Frame(np.where(mask[..., None], pixels, 255), mask, dilate(mask) & inside)


def _segment(path: Path) -> np.ndarray:
    """(H, W) bool: the first plane of numbers in a .mat file, true where it is not zero."""
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except (OSError, ValueError, NotImplementedError, TypeError) as error:
        raise InputError(f"{path} is not a .mat file that can be read.", found=str(error)) from error
    planes = [value for name, value in content.items() if not name.startswith("__") and np.ndim(value) == 2]
    if not planes:
        raise InputError(f"{path} has no segmentation in it.")
    return np.asarray(planes[0]) > 0
