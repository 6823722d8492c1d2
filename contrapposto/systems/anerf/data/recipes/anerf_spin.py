"""Folders of frames with SPIN's output: Mixamo, Human3.6M, MonoPerfCap, MPI-INF-3DHP, others.

See docs/specs/anerf.md, section 8.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from contrapposto.body import load_body
from contrapposto.errors import ConfigError, InputError, MissingError, nearest
from contrapposto.files import sha256
from contrapposto.systems.anerf.cameras import camera_from_translation
from contrapposto.systems.anerf.data.image_files import ImageFiles, masks_beside, resolve
from contrapposto.systems.anerf.data.masks import read_image, scaled
from contrapposto.systems.anerf.data.people import read_entries, rest_of, rotations_of, weak_cameras_of
from contrapposto.systems.anerf.data.poses import pose_arrays, unit_scale
from contrapposto.systems.anerf.data.prepare import Plan, Progress
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.data.views import share_poses, takes_of_paths, view_map
from contrapposto.systems.anerf.data.writing import (
    Frame,
    SceneMetadata,
    counted,
    temporal_validity,
    write_scene,
)

CHAIRS = ("Sitting", "Eating", "Phoning", "Smoking")
HELD_OUT_ACTIONS = ("Greeting-", "Walking-", "Posing-")
_MID_HIP = 8  # of OpenPose's joints, the first 25 of SPIN's 49
_FULL_HEIGHT = 1002  # of some of Human3.6M's cameras


@dataclass(frozen=True)
class Kind:
    """What differs between the data sets.

    Args:
        image_part, mask_part: folder names in the paths of images and of their masks.
        background: `white` (images are masked onto white), `file`, `median` per folder, or `chairs` (Human3.6M).
        gaps: whether a take ends where a frame number is left out.
        depth: the cameras' translations are divided by it.
    """

    image_part: str = "images"
    mask_part: str = "masks"
    background: str = "median"
    gaps: bool = True
    depth: float = 1.0


KINDS = {
    "plain": Kind(),
    "mixamo": Kind(background="white"),
    "h36m": Kind("imageSequence", "Mask", "chairs", gaps=False),
    "perfcap": Kind(background="file", depth=1.05),
    "3dhp": Kind("imageSequence", "FGmasks"),
}


def plan(
    raw: Path | None,
    *,
    kind: str = "plain",
    poses: str | None = None,
    background: str | None = None,
    image_part: str | None = None,
    mask_part: str | None = None,
    focal: float | None = None,
    body: str | None = None,
    size: int = 512,
    held_out: int = 0,
    views: int = 1,
    average_views: bool = True,
    licence: str = "unknown: see the terms of the data set",
) -> Plan:
    """See the module.

    Args:
        raw: the folder with the images and their masks.
        kind: one of `KINDS`.
        poses: SPIN's output (npz, pickle or HDF5): `img_path` (N,), `pred_rot_mat` (N, 24, 3, 3), `pred_cam` or
            `pred_camera` (N, 3), `bbox_params` (N, 3), and optionally `pred_betas` (N, 10), `joints` (N, 49, 3) and
            `pose_3d` (N, 17, 3).
        background: an image, for the kind `perfcap`.
        image_part, mask_part: in place of the kind's.
        focal: imposed on all cameras by rescaling the depth, pixels.
        body: SMPL file whose rest joints are taken with `pred_betas`; None: the shipped body's.
        size: longer side of the images in pixels, at most.
        held_out: so many images at the end are the split `novel_pose` (MonoPerfCap: 230 Weipeng, 327 Nadia); of
            Human3.6M the published actions are.
        views: uncalibrated cameras whose images share poses, in the order of actions, cameras, frames.
        average_views: shared poses are the mean over the views, else those of the first.
        licence: of the data, for the manifest.
    """
    chosen = _kind(kind, image_part, mask_part)
    if raw is None or poses is None or not raw.is_dir():
        raise MissingError(
            "A folder of images and SPIN's output are needed.",
            found=f"raw={raw} poses={poses}",
            fix=f"python prepare.py data=anerf_{'spin' if kind == 'plain' else kind} raw=FOLDER poses=SPIN.npz",
        )
    if chosen.background == "file" and background is None:
        raise MissingError("The image of the background is needed.", fix="data.options.background=FILE.png")
    source = Path(poses)
    entries = read_entries(source)
    names = [str(n.decode() if isinstance(n, bytes) else n) for n in np.ravel(entries.get("img_path", []))]
    rotations = rotations_of(source, entries)
    if len(names) != len(rotations):
        raise InputError(
            f"{source.name} does not say which images its poses are of.",
            found=f"{len(names)} entries img_path, {len(rotations)} poses",
        )
    images = resolve(raw, names)
    names = [image.relative_to(raw).as_posix() for image in images]
    masks = masks_beside(raw, images, chosen.image_part, chosen.mask_part)
    tall = kind == "h36m" and read_image(images[0]).shape[0] == _FULL_HEIGHT
    files = ImageFiles(images, masks, crop=1 if tall else 0, longest=size)
    rest = _rest(source, entries, body)
    scale = unit_scale(rest - rest[0])
    origin = SceneMetadata(
        recipe="anerf_spin",
        source=f"{raw.name} ({kind}), poses by SPIN ({source.name})",
        licence=licence,
        options={"kind": kind, "focal": focal, "size": size, "views": views, "average_views": average_views},
        splits=_splits(kind, names, held_out),
        metres_per_unit=1 / scale,
        pose_scale=scale,
        input_hash=" ".join([sha256(source), *files.digest()]),
    )

    def make(output: Path, origin: SceneMetadata, progress: Progress | None) -> AvatarScene:
        arrays = _poses(entries, rotations, rest, scale)
        arrays |= _cameras(source, entries, files, scale / chosen.depth, focal)
        takes = takes_of_paths(names, gaps=chosen.gaps)
        arrays["temp_val"] = temporal_validity(takes)
        arrays["img_paths"] = np.array([name.encode() for name in names], np.bytes_)
        if views > 1:
            arrays |= _shared(arrays, _actions(names), views, average_views, arrays["rest_pose"])
        arrays |= _backgrounds(chosen, files, names, background)
        frames = counted(_painted(files, chosen.background == "white"), len(images), progress)
        return write_scene(output, frames, arrays, files.size(), origin)

    return Plan(origin, make)


def _kind(kind: str, image_part: str | None, mask_part: str | None) -> Kind:
    if kind not in KINDS:
        raise ConfigError(
            f"There is no kind {kind!r}.", expected=", ".join(KINDS), fix=f"try {nearest(kind, KINDS)}"
        )
    result = KINDS[kind]
    return Kind(
        image_part or result.image_part,
        mask_part or result.mask_part,
        result.background,
        result.gaps,
        result.depth,
    )


def _rest(source: Path, entries: Mapping[str, np.ndarray], body: str | None) -> np.ndarray:
    """Rest joints in metres: with a body file, the mean over the frames' shapes."""
    if body is None:
        return rest_of(source, entries)
    betas = entries.get("pred_betas")
    shape = (
        None
        if betas is None
        else torch.from_numpy(np.asarray(betas, np.float32).reshape(-1, betas.shape[-1]))
    )
    return load_body("smpl", path=body).rest_joints(shape).double().mean(0).numpy()


def _poses(
    entries: Mapping[str, np.ndarray], rotations: np.ndarray, rest: np.ndarray, scale: float
) -> dict[str, np.ndarray]:
    count = len(rotations)
    joints = entries.get("joints")
    root = np.broadcast_to(rest[0], (count, 3))
    if joints is not None and joints.size == count * 49 * 3:
        root = np.asarray(joints, np.float64).reshape(count, 49, 3)[:, _MID_HIP]
    arrays = pose_arrays(rotations, (rest - rest[0]) * scale, root * scale)
    arrays["rest_pose"] = (rest - rest[0]) * scale
    betas = entries.get("pred_betas")
    if betas is not None and betas.size == count * 10:
        arrays["betas"] = np.asarray(betas).reshape(count, 10)
    truth = entries.get("pose_3d")
    if truth is not None and truth.shape == (count, 17, 3):
        arrays["gt_kp3d"] = truth
    return arrays


def _cameras(
    source: Path,
    entries: Mapping[str, np.ndarray],
    files: ImageFiles,
    scale: float,
    focal: float | None,
) -> dict[str, np.ndarray]:
    """A camera for every image, which moves while the figure stays, as SPIN sees it."""
    height, width = files.source_size()
    result = weak_cameras_of(source, entries, len(files.images), (height, width), focal)
    ratio = np.array(files.size()[::-1]) / np.array([width, height - 2 * files.crop])
    return {
        "c2ws": camera_from_translation(result[:, 1:], scale),
        "focals": result[:, :1] * ratio,
    }


def _backgrounds(
    kind: Kind, files: ImageFiles, names: Sequence[str], background: str | None
) -> dict[str, np.ndarray]:
    """`bkgds` and `bkgd_idxs`; nothing where white is meant."""
    if kind.background == "white":
        return {}
    if kind.background == "file":
        image = scaled(read_image(Path(str(background))), files.size())
        return {"bkgds": image.reshape(1, -1, 3), "bkgd_idxs": np.zeros(len(names), np.int64)}
    folders = [
        PurePosixPath(name).parent.name if kind.background == "chairs" else str(PurePosixPath(name).parent)
        for name in names
    ]
    keys = [(kind.background == "chairs" and _chair(name), folder) for name, folder in zip(names, folders)]
    order = sorted(set(keys))  # Human3.6M: the cameras without chairs first
    index = np.array([order.index(key) for key in keys])
    images = [
        files.background(
            np.flatnonzero(index == number).tolist(), mean=kind.background == "chairs" and not key[0]
        )
        for number, key in enumerate(order)
    ]
    return {"bkgds": np.stack(images).reshape(len(images), -1, 3), "bkgd_idxs": index}


def _chair(name: str) -> bool:
    return any(part.startswith(CHAIRS) for part in PurePosixPath(name).parts)


def _actions(names: Sequence[str]) -> list[str]:
    """The action of each image: Human3.6M's paths are SUBJECT/ACTION/imageSequence/CAMERA/file."""
    return [PurePosixPath(name).parts[-4] if len(PurePosixPath(name).parts) > 3 else "" for name in names]


def _splits(kind: str, names: Sequence[str], held_out: int) -> dict[str, list[int]]:
    count = len(names)
    if kind == "h36m":
        actions = _actions(names)
        single = any(PurePosixPath(name).parts[0].endswith("c") for name in names)
        held = {
            i
            for i, action in enumerate(actions)
            if (action.endswith("-1") if single else action.startswith(HELD_OUT_ACTIONS))
        }
    else:
        held = set(range(max(count - held_out, 0), count))
    if len(held) == count:
        raise InputError("All images would be held out.", found=f"{len(held)} of {count}")
    splits = {"train": [i for i in range(count) if i not in held], "novel_pose": sorted(held)}
    return {name: images for name, images in splits.items() if images}


def _shared(
    arrays: Mapping[str, np.ndarray], actions: Sequence[str], views: int, average: bool, rest: np.ndarray
) -> dict[str, np.ndarray]:
    pose_of_image, _ = view_map(actions, views)
    bones = share_poses(
        np.asarray(arrays["bones"], np.float64), pose_of_image, average=average, rotations=True
    )
    return {**pose_arrays(bones, rest, arrays["kp3d"][:, 0]), "shared_idxs": pose_of_image}


def _painted(files: ImageFiles, white: bool) -> Iterator[Frame]:
    for frame in files.frames():
        yield Frame(np.where(frame.mask[..., None], frame.image, 255), frame.mask) if white else frame
