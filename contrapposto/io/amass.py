"""AMASS npz files: the SMPL family's motion, read without unpickling and written with labels.

Layouts by the width of `poses`: 66 (SMPL, 22 joints), 72 (SMPL, 24), 156 (SMPL-H), 165 (SMPL-X "stageii"); the other
names and layouts of `contrapposto.io.pose_arrays` are read as well.
Our own files add two members, `contrapposto_labels` and `contrapposto_metadata`, JSON in a text array; other programs
ignore them.
"""

from __future__ import annotations

import json
import pickletools
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from contrapposto.checks import MAX_BYTES, check_file, check_text, naming, note, shorten
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.io.pose_arrays import (
    LAYOUTS,
    ORIGIN_TRANSLATION,
    TRANSLATION,
    USED,
    about_origin,
    read_poses,
)
from contrapposto.io.pose_units import (
    PERIOD_KEYS,
    RATE_KEYS,
    SCALE_KEYS,
    TIME_KEYS,
    frame_rate,
    in_radians,
)
from contrapposto.motion import Label, Motion
from contrapposto.progress import late
from contrapposto.skeleton import SKELETONS, Skeleton

_METADATA = "contrapposto_metadata"
GENDERS = ("neutral", "male", "female")
_USED = {*USED, "betas", "gender", "contrapposto_labels", "contrapposto_metadata"}
_USED |= {*RATE_KEYS, *PERIOD_KEYS, *TIME_KEYS, *SCALE_KEYS}


def read_amass(path: str | Path, *, fps: float | None = None) -> Motion:
    """Read an AMASS npz file into a clip on the skeleton of its layout.

    Members used: `poses` (F, 66 | 72 | 156 | 165) radians or what `contrapposto.io.pose_arrays` knows in place of it,
    `trans` (F, 3) metres, a frame rate (`contrapposto.io.pose_units`), and if present `betas` (S,) and `gender`. Further
    short text members (`source`, `label`, ...) become metadata. Nothing is ever unpickled; a pickled `gender` is recognised
    by looking at its text.

    Args:
        path: the file.
        fps: the frame rate, where the file states none or a wrong one.

    Raises:
        InputError: not an npz file, a damaged one, or members that are missing, of a wrong shape or not finite.
    """
    path = check_file(path, "AMASS .npz")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(
            f"{path} is not an npz file.",
            found=str(error),
            expected="a zip archive of arrays",
            fix="download it again",
        ) from error
    with archive, naming(path):
        return motion_of_archive(archive, fps)


def motion_of_archive(archive: zipfile.ZipFile, fps: float | None = None) -> Motion:
    """The clip in an open archive of arrays; see `read_amass`."""
    return _motion(_Members(archive), fps)


def write_amass(path: str | Path, motion: Motion) -> Path:
    """Write a clip as an AMASS npz file, atomically; labels and metadata are kept.

    Raises:
        InputError: the clip is not on a skeleton of the SMPL family, or the file cannot be written.
    """
    path = Path(path)
    skeleton = motion.skeleton
    layout = LAYOUTS.get(3 * skeleton.num_joints)
    if layout is None or layout.joint_names != skeleton.joint_names:
        raise InputError(
            f"A clip on the skeleton {skeleton.name} does not fit into an AMASS file.",
            expected=f"one of {', '.join(SKELETONS)}",
            fix="map it first: contrapposto.retarget.to_smpl(motion)",
        )
    labels = [{"text": label.text, "start": label.start, "end": label.end} for label in motion.labels]
    arrays: dict[str, Any] = {
        "poses": motion.rotations.reshape(motion.num_frames, -1),
        "trans": motion.root_translation,
        "betas": motion.betas,
        "gender": np.array(motion.gender),
        # The two spellings of AMASS: of its SMPL-H and of its SMPL-X files.
        "mocap_frame_rate" if skeleton.name == "smplx55" else "mocap_framerate": np.array(float(motion.fps)),
    }
    if labels:
        arrays["contrapposto_labels"] = np.array(json.dumps(labels, ensure_ascii=False))
    arrays[_METADATA] = np.array(json.dumps(dict(motion.metadata), ensure_ascii=False))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    return path


def written_here(path: str | Path) -> bool:
    """Whether an npz file was written by `write_amass`, so that z is up in it whatever the figure does."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{_METADATA}.npy" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


class _Counted:
    """A file that is read from its begin to its end; reports how far, once that takes long."""

    def __init__(self, file: IO[bytes], title: str, size: int) -> None:
        self._file, self._size, self._done, self._step = file, size, 0, late(title)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._done += len(data)
        self._step(self._done, self._size)
        return data


class _Members:
    """The arrays of an npz archive, each read when it is asked for."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

    @property
    def names(self) -> list[str]:
        return list(self._infos)

    def size(self, name: str) -> int:
        """Unpacked bytes that the archive's directory states; reading never goes beyond them."""
        return self._infos[name].file_size

    def array(self, name: str) -> np.ndarray:
        """Read one array; arrays of Python objects are refused."""
        info = self._infos[name]
        if info.file_size > MAX_BYTES:
            raise InputError(f"Member {name} is too large.", found=f"{info.file_size} bytes unpacked")
        try:
            with self._archive.open(info) as file:
                _check_claim(name, file, info.file_size)
            with self._archive.open(info) as file:
                counted: Any = _Counted(file, f"unpacking {name}, bytes", info.file_size)
                values = np.lib.format.read_array(counted, allow_pickle=False)
            if values.dtype.kind == "U":
                check_text(values)
            return values
        except InputError:
            raise
        except (
            Exception
        ) as error:  # foreign bytes: zlib, zipfile and NumPy's header parser raise a dozen types
            raise InputError(
                f"Member {name} cannot be read.",
                found=f"{type(error).__name__}: {error}",
                expected="a plain array of numbers or text",
                fix="download the file again; arrays of Python objects are refused because reading them runs code",
            ) from error

    def raw(self, name: str) -> bytes:
        """The member's bytes (at most 64 KiB), for looking at what must not be unpickled."""
        try:
            with self._archive.open(self._infos[name]) as file:
                return file.read(65536)
        except Exception:  # as above; whatever it is, it tells nothing about the gender
            return b""


def _check_claim(name: str, file: Any, size: int) -> None:
    """Refuse a header that claims more data than the member holds, before memory is taken for it."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    claimed = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
    if not dtype.hasobject and (claimed > size or claimed < 0):
        raise InputError(
            f"Member {name} claims more than it holds.",
            found=f"shape {shape} in {size} bytes",
            fix="download it again",
        )


def _motion(members: _Members, fps: float | None) -> Motion:
    poses = read_poses(members.names, lambda name: _numbers(members, name))
    rate = fps if fps is not None else frame_rate(members.names, lambda name: _exact(members, name))
    if poses is None or rate is None:
        raise InputError(
            "This is not a motion file." if poses is None else "The file states no frame rate.",
            found=f"members {shorten(', '.join(members.names), 300)}",
            expected="poses, trans and a frame rate (mocap_framerate, fps, ...)",
            fix=_what_else(members) if poses is None else "state it: fps=30",
        )
    skeleton, rotations = poses[0], in_radians(poses[1])
    labels, metadata = _own(members)
    gender, gender_note = _gender(members)
    metadata = {**_texts(members), **metadata, **({"gender_note": gender_note} if gender_note else {})}
    return Motion(
        rotations=rotations,
        root_translation=_translation(members, skeleton, rotations),
        fps=rate,
        skeleton=skeleton,
        betas=_betas(members),
        gender=gender,
        labels=labels,
        metadata=metadata,
    )


def _what_else(members: _Members) -> str:
    """What to do with arrays that hold no poses under a known name."""
    if {"joints", "joints3d", "positions", "keypoints3d", "joint_positions"} & set(members.names):
        return "positions of joints hold no rotations: np.save them as .npy, (T, 22, 3), and use task=people_motion"
    if "motion" in members.names:
        return (
            "of Motion-X (322 numbers a frame): np.savez(name, root_orient=m[:, :3], pose_body=m[:, 3:66], "
            "pose_hand=m[:, 66:156], trans=m[:, 309:312], fps=30)"
        )
    return "leave it out: AMASS ships a shape.npz without motion in each subject's folder"


def _translation(members: _Members, skeleton: Skeleton, rotations: np.ndarray) -> np.ndarray:
    frames, names = len(rotations), members.names
    name = next((name for name in (*TRANSLATION, *ORIGIN_TRANSLATION) if name in names), None)
    if name is None:
        note("the file has no translation (trans): the figure stays in its place")
        return np.zeros((frames, 3), np.float32)
    values = _numbers(members, name)
    if values.ndim == 3 and 1 in values.shape[:2]:  # with a batch of one
        values = values.reshape(-1, values.shape[2])
    if values.shape != (frames, 3):
        raise InputError(
            "The arrays do not have the shapes of AMASS.",
            found=f"{frames} poses, {name} {values.shape}",
            expected=f"{name} ({frames}, 3)",
        )
    scale = next((_exact(members, key).ravel() for key in SCALE_KEYS if key in names), np.ones(1))
    if scale.size != 1 or not scale[0] > 0:
        raise InputError("The scale of the path is not one positive number.", found=f"shape {scale.shape}")
    values = values / scale.astype(np.float32)
    return about_origin(rotations[:, 0], values, skeleton) if name in ORIGIN_TRANSLATION else values


def _exact(members: _Members, name: str) -> np.ndarray:
    """Numbers in double precision, also of text."""
    values = members.array(name)
    if values.dtype.kind in "US":
        try:
            return values.astype(np.float64)
        except ValueError:
            pass
    _check_numeric(name, values)
    return values.astype(np.float64)


def _check_numeric(name: str, values: np.ndarray) -> None:
    if values.dtype.kind not in "fiu":
        raise InputError(f"Member {name} is not numeric.", found=f"type {values.dtype}", expected="numbers")


def _numbers(members: _Members, name: str) -> np.ndarray:
    values = members.array(name)
    _check_numeric(name, values)
    with np.errstate(over="ignore"):  # too large for float32: becomes infinite and is refused as not finite
        return values.astype(np.float32 if values.ndim else np.float64)


def _betas(members: _Members) -> np.ndarray:
    if "betas" not in members.names:
        return np.zeros(0, np.float32)
    betas = _numbers(members, "betas")
    if betas.ndim == 2 and len(betas):  # one row, or the same row for every frame
        betas = betas[0]
    if betas.ndim != 1:
        raise InputError("betas is not a list of numbers.", found=f"shape {betas.shape}", expected="(S,)")
    return betas


def _gender(members: _Members) -> tuple[str, str]:
    """The gender and a note; text, bytes and pickled text are understood, anything else means neutral."""
    if "gender" not in members.names:
        return "neutral", ""
    try:
        values = members.array("gender")
        matches = [
            value.decode("latin-1") if isinstance(value, bytes) else str(value)
            for value in values.ravel()[:1]
        ]
    except InputError:
        matches = _pickled_texts(members.raw("gender"))
    known = {text.strip().lower() for text in matches} & set(GENDERS)
    if len(known) == 1:
        return known.pop(), ""
    return "neutral", "the file's gender could not be read; neutral was assumed"


def _pickled_texts(data: bytes) -> list[str]:
    """Short texts inside a pickled array, by listing the pickle's instructions without following any of them."""
    start = data.find(b"\n") + 1  # the array header ends with a newline, the pickle follows
    texts: list[str] = []
    try:
        for _, argument, _ in pickletools.genops(data[start:]):
            if isinstance(argument, bytes):
                argument = argument.decode("latin-1")
            if isinstance(argument, str):
                texts.append(argument)
    except Exception:  # not a pickle at all: what was found so far is all there is
        pass
    return texts


def _texts(members: _Members) -> dict[str, str]:
    """Short single texts among the members that have no meaning of their own."""
    result = {}
    for name in members.names:
        if name in _USED or members.size(name) > 16384:
            continue
        try:
            values = members.array(name)
        except InputError:
            continue
        if values.ndim == 0 and values.dtype.kind == "U":
            result[name] = str(values)
    return result


def _own(members: _Members) -> tuple[tuple[Label, ...], dict[str, str]]:
    """Labels and metadata of a file that `write_amass` wrote."""
    labels = _json(members, "contrapposto_labels") or []
    metadata = _json(members, "contrapposto_metadata") or {}
    try:
        spans = tuple(Label(str(item["text"]), float(item["start"]), float(item["end"])) for item in labels)
        return spans, {str(key): str(value) for key, value in metadata.items()}
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(
            "The labels or the metadata are malformed.",
            found=f"{type(error).__name__}: {error}",
            expected="a list of {text, start, end} and an object of texts",
        ) from error


def _json(members: _Members, name: str) -> Any:
    if name not in members.names:
        return None
    try:
        return json.loads(str(members.array(name)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"Member {name} is not JSON.", found=str(error)) from error
