"""People of a clip as files: our npz, NLFPRED and pose dicts (docs/specs/scail_pose.md, sections 11 and 17)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.checks import parsing
from contrapposto.errors import InputError
from contrapposto.files import atomic_path, write_json
from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.openpose import load_json, read_openpose
from contrapposto.systems.scail_pose.people import ClipPoses, pack_people

FORMAT = "contrapposto.people.1"
_POSE = ("candidate", "subset", "faces", "hands")
_COLUMNS = {"box": (4,), "score": (), "keypoints": (134, 2), "scores": (134,), "joints": (24, 3)}


def read_clip_people(path: str | Path, height: int | None = None, width: int | None = None) -> ClipPoses:
    """Read people from a file of any of these formats, or from a folder of OpenPose's files.

    Raises:
        InputError: none of them.
    """
    path = Path(path)
    if path.is_dir():
        return read_openpose(path, height, width)
    if path.suffix.lower() == ".npz":
        return read_people(path) if "format" in _load(path) else read_nlfpred(path, height, width)
    content = load_json(path)
    if isinstance(content, dict) and "joints3d_nonparam" in content:
        return read_nlfpred(path, height, width)
    reader = read_dwposes if isinstance(content, dict) and "poses" in content else read_openpose
    return reader(path, height, width)


def write_people(path: str | Path, clip: ClipPoses) -> Path:
    """Write everything about a clip's people as npz; `read_people` reads it back.

    Arrays: `frame`, `person` (N,) int32; `box` (N, 4), `keypoints` (N, 134, 2) pixels; `score` (N,), `scores`
    (N, 134); `joints` (N, J, 3) millimetres, NaN where unknown; `intrinsics` (3, 3); `times` (T,) seconds; `size`
    (2,) height and width; `fps`; `format`.
    """
    path = Path(path)
    rows = [(number, person) for number, frame in enumerate(clip.frames) for person in frame]
    arrays: dict[str, Any] = {
        "format": np.array(FORMAT),
        "size": np.array([clip.height, clip.width], np.int32),
        "fps": np.array(clip.fps),
        "intrinsics": np.asarray(clip.intrinsics, np.float64),
        "times": np.arange(len(clip.frames)) / clip.fps if clip.times is None else clip.times,
        "frame": np.array([number for number, _ in rows], np.int32),
        "person": np.array([person.id for _, person in rows], np.int32),
    }
    for name, shape in _COLUMNS.items():
        values = [getattr(person, name) for _, person in rows]
        arrays[name] = np.array(values, np.float32) if values else np.zeros((0, *shape), np.float32)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return path


def read_people(path: str | Path) -> ClipPoses:
    """Read what `write_people` wrote.

    Raises:
        InputError: no such file, or not one of these.
    """
    with parsing(path, "people of a clip, as this suite writes them"):
        arrays = _load(path)
        missing = [
            name
            for name in ("size", "fps", "intrinsics", "times", "frame", "person", *_COLUMNS)
            if name not in arrays
        ]
        if missing or str(arrays.get("format")) != FORMAT:
            raise InputError(
                f"{path} holds no people of a clip.",
                found=f"no {missing[0]}" if missing else "another format",
            )
        rows = len(arrays["frame"])
        for name, shape in _COLUMNS.items():
            expected = (*arrays[name].shape[1:2], 3) if name == "joints" else shape
            if arrays[name].shape != (rows, *expected):
                raise InputError(f"{path}: {name} does not fit.", found=str(arrays[name].shape))
        if rows and not 0 <= arrays["frame"].min() <= arrays["frame"].max() < len(arrays["times"]):
            raise InputError(
                f"{path} names frames that are not there.", found=f"{len(arrays['times'])} times"
            )
        height, width = (int(value) for value in arrays["size"])
        frames: list[list[Person]] = [[] for _ in arrays["times"]]
        for row, number in enumerate(arrays["frame"]):
            values = [arrays[name][row] for name in _COLUMNS]
            frames[number].append(
                Person(int(arrays["person"][row]), values[0], float(values[1]), *values[2:])
            )
        return ClipPoses(height, width, float(arrays["fps"]), arrays["intrinsics"], frames, arrays["times"])


def write_nlfpred(path: str | Path, clip: ClipPoses) -> Path:
    """Write the joints alone as `{"joints3d_nonparam": [frame: (n, 24, 3) millimetres]}`: json, unknown joints null."""
    frames = [[_plain(person.joints) for person in frame] for frame in clip.frames]
    attributes = {"height": clip.height, "width": clip.width, "fps": clip.fps}
    write_json(path, {"joints3d_nonparam": frames, **attributes})
    return Path(path)


def read_nlfpred(
    path: str | Path, height: int | None = None, width: int | None = None, fps: float = 16.0
) -> ClipPoses:
    """Read joints of a clip: json as `write_nlfpred` has it, or npz with `joints3d_nonparam` (T, n, 24, 3).

    Keypoints are not in such a file: their scores are 0. People are numbered by their place in each frame.

    Args:
        path: of the file.
        height, width: of the image in pixels, where the file does not state it; the camera is the
            default one of 55 degrees.
        fps: where the file does not say.

    Raises:
        InputError: no such file, not one of these, or the size is not known.
    """
    with parsing(path, "joints3d_nonparam: frames of (n, 24, 3)"):
        if Path(path).suffix.lower() == ".json":
            content = load_json(path)
        else:
            content = {key: value.tolist() for key, value in _load(path).items()}
        if not isinstance(content, dict) or "joints3d_nonparam" not in content:
            raise InputError(f"{path} holds no joints.", expected="joints3d_nonparam")
        height, width = content.get("height", height), content.get("width", width)
        if not height or not width:
            raise InputError(f"{path} does not say how large the image is.", fix="give height and width")
        return clip_of_nlfpred(
            content["joints3d_nonparam"], int(height), int(width), float(content.get("fps", fps))
        )


def clip_of_nlfpred(nested: Any, height: int, width: int, fps: float) -> ClipPoses:
    """Joints as lists of lists (see `read_nlfpred` for the nestings) as people before the default camera.

    Raises:
        InputError: a frame of another shape. ValueError: another nesting.
    """
    frames = []
    for number, people in enumerate(_frames_of(nested)):
        joints = np.array(people, np.float64) if len(people) else np.zeros((0, 24, 3))
        joints = joints[None] if joints.ndim == 2 else joints
        if joints.shape[1:] != (24, 3):
            raise InputError(f"Frame {number} of the joints", found=str(joints.shape), expected="(n, 24, 3)")
        joints[(joints == 0).all(-1)] = np.nan
        frames.append([_only_joints(i, one, height, width) for i, one in enumerate(joints)])
    return ClipPoses(height, width, fps, default_intrinsics(height, width), frames)


def _frames_of(nested: Any) -> list[Any]:
    """The frames of joints that are nested as frames, people, joints, or in batches of such (as in ComfyUI).

    Joints of one person only may lack the level of the people.
    """
    levels = _depth(nested)
    if levels == 5:
        return [frame for batch in nested for frame in batch]
    if levels in (3, 4) or not levels:
        return list(nested)
    raise ValueError(f"{levels} levels of lists; expected frames, people, 24 joints, 3 numbers")


def _depth(nested: Any) -> int:
    """Levels of lists above the numbers, along the first branch that has numbers; 0 if none has."""
    if not isinstance(nested, list):
        return 0
    if nested and not isinstance(nested[0], list):
        return 1
    return max((below + 1 for one in nested if (below := _depth(one))), default=0)


def write_dwposes(path: str | Path, clip: ClipPoses) -> Path:
    """Write the 2D poses as `{"poses": [pose dict per frame], "swap_hands": false}`: json, shares of the image.

    A pose dict is `{"bodies": {"candidate": (n, 24, 2), "subset": (n, 24)}, "faces": (n, 68, 2), "hands":
    (2n, 21, 2)}`, left and right hand of each person in turn, -1 where a point is not known.
    """
    poses = []
    for frame in clip.frames:
        pose = pack_people(frame, clip.height, clip.width)
        values = {name: getattr(pose, name).astype(float).round(6).tolist() for name in _POSE}
        bodies = {"candidate": values["candidate"], "subset": values["subset"]}
        poses.append({"bodies": bodies, "faces": values["faces"], "hands": values["hands"]})
    attributes = {"height": clip.height, "width": clip.width, "fps": clip.fps, "swap_hands": False}
    write_json(path, {"poses": poses, **attributes})
    return Path(path)


def read_dwposes(
    path: str | Path, height: int | None = None, width: int | None = None, fps: float = 16.0
) -> ClipPoses:
    """Read what `write_dwposes` writes; see `read_openpose` for the arguments.

    Pose dicts hold no scores: a known point gets 1. With `swap_hands` the right hand of each pair comes first.
    """
    with parsing(path, "an object with a list `poses` of pose dicts"):
        content = load_json(path)
        if not isinstance(content, dict) or not isinstance(content.get("poses"), list):
            raise InputError(f"{path} holds no pose dicts.", expected="an object with a list `poses`")
        height, width = content.get("height", height), content.get("width", width)
        if not height or not width:
            raise InputError(f"{path} does not say how large the image is.", fix="give height and width")
        size = np.array([width, height], np.float64)
        swapped = bool(content.get("swap_hands", False))
        frames = [_read_pose(path, i, pose, size, swapped) for i, pose in enumerate(content["poses"])]
        intrinsics = default_intrinsics(int(height), int(width))
        return ClipPoses(int(height), int(width), float(content.get("fps", fps)), intrinsics, frames)


def _read_pose(path: str | Path, frame: int, pose: Any, size: np.ndarray, swapped: bool) -> list[Person]:
    try:
        body = np.array(pose["bodies"]["candidate"], np.float64).reshape(-1, 24, 2)
        subset = np.array(pose["bodies"]["subset"], np.float64).reshape(-1, 24)
        faces = np.array(pose["faces"], np.float64).reshape(-1, 68, 2)
        hands = np.array(pose["hands"], np.float64).reshape(-1, 2, 21, 2)
        points = np.concatenate([body, faces, hands[:, int(swapped)], hands[:, 1 - int(swapped)]], axis=1)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: frame {frame} is no pose dict.", found=str(error)) from error
    scores = np.asarray((points >= 0).all(-1), np.float64)
    scores[:, :24] *= subset != -1
    people = []
    for number, (row, score) in enumerate(zip(points * size, scores)):
        known = row[score > 0]
        box = np.concatenate([known.min(0), known.max(0)]) if len(known) else np.zeros(4)
        people.append(Person(number, box, 1.0, row, score, np.full((24, 3), np.nan)))
    return people


def _only_joints(number: int, joints: np.ndarray, height: float, width: float) -> Person:
    nothing = np.zeros((134, 2), np.float32)
    box = np.array([0, 0, width, height], np.float32)
    return Person(number, box, 1.0, nothing, nothing[:, 0], joints.astype(np.float32))


def _plain(joints: np.ndarray) -> list[list[float | None]]:
    return [[float(value) if np.isfinite(value) else None for value in row] for row in joints.round(3)]


def _load(path: str | Path) -> dict[str, np.ndarray]:
    if not Path(path).is_file():
        raise InputError(f"There is no file {path}.")
    with parsing(path, "an npz file"), np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}
