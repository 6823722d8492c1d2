"""A-NeRF's training file (HDF5): read, checked, written (docs/specs/anerf.md, section 8.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from contrapposto.checks import parsing
from contrapposto.errors import InputError, MissingError
from contrapposto.files import atomic_path
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.data.validate import mask_problems, value_problems
from contrapposto.systems.anerf.data.views import takes_of_paths
from contrapposto.systems.anerf.data.writing import Frame, temporal_validity

REQUIRED = (
    *("img_shape", "imgs", "masks", "sampling_masks"),
    *("kp3d", "bones", "skts", "cyls", "rest_pose", "c2ws", "focals"),
)
CHUNK = 64 * 64
_POSES = ("kp3d", "bones", "skts", "cyls", "rest_pose", "betas", "gt_kp3d", "gt_bones")


def write_h5(path: str | Path, scene: AvatarScene, *, chunk: int = CHUNK) -> Path:
    """A scene as a training file. Cameras are repeated for every image, as its readers expect.

    Args:
        path: the file.
        scene: the data.
        chunk: pixels of a chunk of `imgs`, `masks` and `bkgds`; smaller images are one chunk each (the original's
            writer fails there).

    Raises:
        InputError: the disk is full or the folder cannot be written to.
    """
    path = Path(path)
    height, width = scene.hw
    camera = scene.camera_idxs
    focals = scene.focals[camera]
    small: dict[str, np.ndarray] = {
        "bkgd_idxs": scene.bkgd_idxs,
        "kp_idxs": scene.kp_idxs,
        "cam_idxs": scene.cam_idxs,
        "img_pose_indices": np.arange(scene.num_images),
        "c2ws": scene.c2ws[camera],
        "focals": focals[:, 0] if (focals[:, 0] == focals[:, 1]).all() else focals,
        **{name: getattr(scene, name) for name in _POSES if getattr(scene, name) is not None},
    }
    if not np.allclose(scene.centers, [width * 0.5, height * 0.5], atol=1e-6):
        small["centers"] = scene.centers[camera]
    small |= {f"{name}_idxs": scene.split(name) for name in ("train", "val") if name in scene.splits}
    paths = scene.img_paths
    if paths is None:
        paths = np.array([f"images/{i:06d}.png".encode() for i in range(scene.num_images)])
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("img_shape", data=np.array([scene.num_images, height, width, 3], np.int32))
        for name in ("imgs", "masks", "bkgds", "sampling_masks"):
            _write_images(file, name, getattr(scene, name), height * width if name[0] == "s" else chunk)
        for name, array in small.items():
            file.create_dataset(name, data=np.asarray(array), chunks=array.shape, compression="gzip")
        file.create_dataset("img_paths", data=np.asarray(paths))
        for name in ("ext_scale", "pose_scale"):
            file.create_dataset(name, data=np.float64(scene.manifest[name]))
    return path


class TrainingFile:
    """An open training file. Open one with `open_h5`, which checks it.

    Attributes:
        size: height and width.
        num_images: N.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        shape = [int(value) for value in file["img_shape"][()]]
        self.num_images, self.size = shape[0], (shape[1], shape[2])

    def frames(self) -> Iterator[Frame]:
        """The images in order."""
        with parsing(self._file.filename, "the layout of docs/anerf_data.md"):
            for number in range(self.num_images):
                parts = [self._file[name][number] for name in ("imgs", "masks", "sampling_masks")]
                image, mask, sampling = (part.reshape(*self.size, -1) for part in parts)
                yield Frame(image, mask[..., 0], sampling[..., 0])

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays of a scene but the images.

        Poses are those of `kp_idxs` where it has one entry per image, else number i modulo P. Cameras that are equal
        become one. Frame codes are one per image where every image has its own pose, else the file's `cam_idxs`, or
        number i divided by P.
        """
        with parsing(self._file.filename, "the layout of docs/anerf_data.md"):
            file, count = self._file, self.num_images
            result: dict[str, np.ndarray] = {
                name: np.asarray(file[name], np.float32) for name in _POSES if name in file
            }
            poses = len(result["kp3d"])
            pose = _image_index(file, "kp_idxs", count, poses)
            pose = np.arange(count) % poses if pose is None else pose
            result |= {"kp_idxs": pose, **self._cameras(poses)}
            code = _image_index(file, "cam_idxs", count, None)
            if poses == count:
                code = np.arange(count)
            result["cam_idxs"] = np.arange(count) // poses if code is None else code
            if "bkgds" in file:
                result["bkgds"] = file["bkgds"][()]
                result["bkgd_idxs"] = (
                    file["bkgd_idxs"][()] if "bkgd_idxs" in file else np.zeros(count, np.int64)
                )
            if "betas" in result and len(result["betas"]) not in (1, poses):
                result["betas"] = result["betas"].mean(0, keepdims=True)
            if "img_paths" in file:
                result["img_paths"] = np.array([bytes(path) for path in file["img_paths"][()]], np.bytes_)
                names = [result["img_paths"][i].decode(errors="replace") for i in _first_images(pose, poses)]
                result["temp_val"] = temporal_validity(takes_of_paths(names))
            return result

    def _cameras(self, poses: int) -> dict[str, np.ndarray]:
        file, count = self._file, self.num_images
        matrices, focals = np.asarray(file["c2ws"], np.float32), np.asarray(file["focals"], np.float32)
        focals = np.repeat(focals[:, None], 2, 1) if focals.ndim == 1 else focals
        middle = np.array([[self.size[1] * 0.5, self.size[0] * 0.5]], np.float32)
        centres = np.asarray(file["centers"], np.float32) if "centers" in file else middle
        camera = camera_of_image(file, count, poses)
        rows = np.concatenate(
            [
                part[np.zeros(count, np.int64) if len(part) == 1 else camera].reshape(count, -1)
                for part in (matrices, focals, centres)
            ],
            axis=1,
        )
        _, first, back = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rows = rows[first[order]]
        return {
            "camera_idxs": np.argsort(order)[back.reshape(-1)],
            "c2ws": rows[:, :16].reshape(-1, 4, 4),
            "focals": rows[:, 16:18],
            "centers": rows[:, 18:],
        }

    def splits(self) -> dict[str, list[int]]:
        """`train` and `val`, where the file has `train_idxs` and `val_idxs`."""
        with parsing(self._file.filename, "the layout of docs/anerf_data.md"):
            result = {}
            for name in ("train", "val"):
                key = f"{name}_idxs"
                if key in self._file:
                    index = self._file[key][()]
                    result[name] = [int(i) for i in np.ravel(index) if 0 <= i < self.num_images]
            return {name: images for name, images in result.items() if images}

    def scale(self, name: str) -> float | None:
        """`ext_scale` or `pose_scale`; None where it is not there."""
        with parsing(self._file.filename, "the layout of docs/anerf_data.md"):
            return float(self._file[name][()]) if name in self._file else None


@contextmanager
def open_h5(path: str | Path) -> Iterator[TrainingFile]:
    """Open a training file for reading.

    Raises:
        MissingError: there is none. InputError: it is no HDF5 file, or `validate_h5` finds something.
    """
    result = validate_h5(path)
    if result:
        more = f"; and {len(result) - 4} more" if len(result) > 4 else ""
        raise InputError(
            f"{path} cannot be used as an A-NeRF training file.",
            found="; ".join(result[:4]) + more,
            expected="the layout of docs/anerf_data.md",
        )
    with opened_h5(path) as file:
        with parsing(path, "the layout of docs/anerf_data.md"):
            opened = TrainingFile(file)
        yield opened


def validate_h5(path: str | Path) -> list[str]:
    """What is wrong with a training file, one sentence each; none if all is well.

    Raises:
        MissingError: there is no such file. InputError: it is no HDF5 file.
    """
    with opened_h5(path) as file:
        try:
            missing = [name for name in REQUIRED if name not in file]
            if missing:
                return [f"{name} is missing" for name in missing]
            return _image_problems(file) or [*_value_problems(file), *_index_problems(file)]
        except Exception as error:  # h5py meets damage with whatever breaks first
            return [f"an entry cannot be read: {error}"]


def camera_of_image(file: Mapping[str, Any], count: int, poses: int) -> np.ndarray:
    """(N,) row of `c2ws` of every image: its own, that of `img_pose_indices`, or number i divided by P."""
    rows = len(file["c2ws"])
    if rows == count:
        return np.arange(count)
    index = _image_index(file, "img_pose_indices", count, rows)
    return np.arange(count) // poses if index is None else index


def _image_problems(file: h5py.File) -> list[str]:
    shape = np.ravel(file["img_shape"][()]).tolist()
    if len(shape) != 4 or min(shape) < 1 or shape[3] != 3:
        return [f"img_shape is {shape}, expected [N, H, W, 3]"]
    pixels = shape[1] * shape[2]
    wanted = {"imgs": (shape[0], pixels, 3), "masks": (shape[0], pixels, 1)}
    wanted["sampling_masks"] = wanted["masks"]
    if "bkgds" in file:
        wanted["bkgds"] = (*file["bkgds"].shape[:1], pixels, 3)
    result = []
    for name, expected in wanted.items():
        data = file[name]
        if data.shape != expected or data.dtype != np.uint8:
            result.append(f"{name} is {data.dtype} {data.shape}, img_shape asks for uint8 {expected}")
    if result:
        return result
    for name in ("masks", "sampling_masks"):
        covered, largest = np.zeros(shape[0], np.int64), 0
        for number in range(shape[0]):
            mask = file[name][number]
            covered[number], largest = np.count_nonzero(mask), max(largest, int(mask.max()))
        result += [problem.replace("masks", name, 1) for problem in mask_problems(covered, largest)]
    return result


def _value_problems(file: h5py.File) -> list[str]:
    names = ("kp3d", "bones", "skts", "cyls", "rest_pose", "c2ws", "focals", "centers")
    return value_problems({name: file[name][()] for name in names if name in file})


def _index_problems(file: h5py.File) -> list[str]:
    count, poses = int(file["img_shape"][0]), len(file["kp3d"])
    cameras, result = len(file["c2ws"]), []
    for name in ("focals", "centers"):
        if name in file and len(file[name]) not in (1, cameras):
            result.append(f"{name} has {len(file[name])} rows, c2ws has {cameras}")
    if poses != count and _image_index(file, "kp_idxs", count, poses) is None and count % poses:
        result.append(
            f"{count} images and {poses} poses, and no kp_idxs that states which image shows which pose"
        )
    if cameras != count:
        index = _image_index(file, "img_pose_indices", count, cameras)
        if index is None and (count % poses or count // poses != cameras):
            result.append(
                f"{count} images and {cameras} cameras, and no img_pose_indices that states which image has which"
            )
    if "bkgds" in file and "bkgd_idxs" in file:
        index, rows = np.ravel(file["bkgd_idxs"][()]), len(file["bkgds"])
        if len(index) != count or index.min() < 0 or index.max() >= rows:
            result.append(f"bkgd_idxs has {len(index)} entries up to {index.max()} for {rows} backgrounds")
    return result


def _image_index(file: Mapping[str, Any], name: str, count: int, rows: int | None) -> np.ndarray | None:
    """An index array with an entry per image into `rows` rows; None where the file has none such."""
    if name not in file:
        return None
    index = np.asarray(file[name])
    if index.shape != (count,) or index.dtype.kind not in "iu" or index.min() < 0:
        return None
    return None if rows is not None and index.max() >= rows else index.astype(np.int64)


def _first_images(pose: np.ndarray, poses: int) -> np.ndarray:
    """(P,) an image of every pose; image 0 for poses that none shows."""
    first = np.zeros(poses, np.int64)
    first[pose[::-1]] = np.arange(len(pose))[::-1]
    return first


def _write_images(file: h5py.File, name: str, array: np.ndarray, chunk: int) -> None:
    pixels = array.shape[1]
    data = file.create_dataset(
        name,
        array.shape,
        array.dtype,
        chunks=(1, min(chunk, pixels), array.shape[2]),
        compression="gzip",
    )
    for number, image in enumerate(array):
        data[number] = image


@contextmanager
def opened_h5(path: str | Path) -> Iterator[h5py.File]:
    """An HDF5 file, open for reading.

    Raises:
        MissingError: there is no such file. InputError: it is no HDF5 file.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"There is no file {path}.", fix="raw=FILE.h5")
    try:
        file = h5py.File(path, "r")
    except Exception as error:  # h5py meets damage with whatever breaks first
        raise InputError(f"{path} is not an HDF5 file, or it is cut off.", found=str(error)) from error
    with file:
        yield file
