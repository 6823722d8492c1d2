"""People of a clip as files: the suite's own npz, NLFPRED, and OpenPose's json (fact sheet, sections 11 and 17)."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.files import atomic_path, write_json
from contrapposto.models.scail_pose.camera import default_intrinsics
from contrapposto.models.scail_pose.estimators.interface import Person
from contrapposto.models.scail_pose.people import ClipPoses

FORMAT = "contrapposto.people.1"
# OpenPose's 25 body points <- the 134-point order; its mid hip, 8, is made of both hips.
_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, -1, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
_MID_HIP, _HIPS = 8, [8, 11]
_FACE, _LEFT, _RIGHT = slice(24, 92), slice(92, 113), slice(113, 134)
_COLUMNS = {"box": (4,), "score": (), "keypoints": (134, 2), "scores": (134,), "joints": (24, 3)}


def write_people(path: str | Path, clip: ClipPoses) -> Path:
    """Write everything about a clip's people as npz; `read_people` reads it back.

    Arrays: `frame`, `person` (N,) int32; `box` (N, 4), `keypoints` (N, 134, 2) pixels; `score` (N,), `scores`
    (N, 134); `joints` (N, 24, 3) millimetres, NaN where unknown; `intrinsics` (3, 3); `times` (T,) seconds; `size`
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
        arrays[name] = np.array(values, np.float32).reshape(-1, *shape)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return path


def read_people(path: str | Path) -> ClipPoses:
    """Read what `write_people` wrote.

    Raises:
        InputError: no such file, or not one of these.
    """
    arrays = _load(path)
    missing = [
        name
        for name in ("size", "fps", "intrinsics", "times", "frame", "person", *_COLUMNS)
        if name not in arrays
    ]
    if missing or str(arrays.get("format")) != FORMAT:
        raise InputError(
            f"{path} holds no people of a clip.", found=f"no {missing[0]}" if missing else "another format"
        )
    height, width = arrays["size"].tolist()
    frames: list[list[Person]] = [[] for _ in arrays["times"]]
    for row, number in enumerate(arrays["frame"]):
        values = [arrays[name][row] for name in _COLUMNS]
        frames[number].append(Person(int(arrays["person"][row]), values[0], float(values[1]), *values[2:]))
    return ClipPoses(height, width, float(arrays["fps"]), arrays["intrinsics"], frames, arrays["times"])


def write_nlfpred(path: str | Path, clip: ClipPoses) -> Path:
    """Write the joints alone as `{"joints3d_nonparam": [frame: (n, 24, 3) millimetres]}`: json, unknown joints null."""
    frames = [[_plain(person.joints) for person in frame] for frame in clip.frames]
    facts = {"height": clip.height, "width": clip.width, "fps": clip.fps}
    write_json(path, {"joints3d_nonparam": frames, **facts})
    return Path(path)


def read_nlfpred(
    path: str | Path, height: int | None = None, width: int | None = None, fps: float = 16.0
) -> ClipPoses:
    """Read joints of a clip: json as `write_nlfpred` has it, or npz with `joints3d_nonparam` (T, n, 24, 3).

    Keypoints are not in such a file: their scores are 0. People are numbered by their place in each frame.

    Args:
        path: of the file.
        height, width: of the picture in pixels, where the file does not say; the camera is the
            default one of 55 degrees.
        fps: where the file does not say.

    Raises:
        InputError: no such file, not one of these, or the size is not known.
    """
    if Path(path).suffix.lower() == ".json":
        content = _load_json(path)
    else:
        content = {key: value.tolist() for key, value in _load(path).items()}
    if not isinstance(content, dict) or "joints3d_nonparam" not in content:
        raise InputError(f"{path} holds no joints.", expected="joints3d_nonparam")
    height, width = content.get("height", height), content.get("width", width)
    if not height or not width:
        raise InputError(f"{path} does not say how large the picture is.", fix="give height and width")
    frames = []
    for number, people in enumerate(content["joints3d_nonparam"]):
        joints = np.array(people, np.float64).reshape(-1, 24, 3) if len(people) else np.zeros((0, 24, 3))
        joints[(joints == 0).all(-1)] = np.nan
        if joints.shape[1:] != (24, 3):
            raise InputError(f"{path}: frame {number}", found=str(joints.shape), expected="(n, 24, 3)")
        frames.append([_only_joints(i, one, height, width) for i, one in enumerate(joints)])
    intrinsics = default_intrinsics(int(height), int(width))
    return ClipPoses(int(height), int(width), float(content.get("fps", fps)), intrinsics, frames)


def write_openpose(folder: str | Path, clip: ClipPoses, name: str = "frame") -> Path:
    """Write `<name>_000000000000_keypoints.json` and so on: OpenPose's 25 body points, face and hands, in pixels."""
    folder = Path(folder)
    with atomic_path(folder, directory=True) as temporary:
        for number, people in enumerate(clip.frames):
            content = {"version": 1.3, "people": [_openpose_person(person) for person in people]}
            content |= {"canvas_width": clip.width, "canvas_height": clip.height}
            (temporary / f"{name}_{number:012d}_keypoints.json").write_text(
                json.dumps(content), encoding="utf-8"
            )
    return folder


def read_openpose(
    source: str | Path, height: int | None = None, width: int | None = None, fps: float = 16.0
) -> ClipPoses:
    """Read OpenPose's files of a folder in the order of their names, or one json list of such frames.

    18 or 25 body points; joints in space are not in such files and stay unknown. `person_id` is the id where it is
    given and not -1, else the place in the frame.

    Args:
        source: folder, or file.
        height, width: of the picture in pixels, where the files do not say; coordinates all within [0, 1] are taken
            for shares of them.
        fps: frames per second.

    Raises:
        InputError: no such files, or the size is not known.
    """
    source = Path(source)
    files = sorted(source.glob("*.json")) if source.is_dir() else [source]
    if not files:
        raise InputError(f"There are no json files in {source}.")
    contents = [_load_json(file) for file in files]
    frames = contents[0] if len(contents) == 1 and isinstance(contents[0], list) else contents
    if not all(isinstance(frame, dict) and isinstance(frame.get("people"), list) for frame in frames):
        raise InputError(f"{source} holds no OpenPose frames.", expected="objects with a list `people`")
    height = next((frame["canvas_height"] for frame in frames if "canvas_height" in frame), height)
    width = next((frame["canvas_width"] for frame in frames if "canvas_width" in frame), width)
    if not height or not width:
        raise InputError(f"{source} does not say how large the picture is.", fix="give height and width")
    size = np.array([width, height], np.float64)
    people = [[_read_person(i, one, size) for i, one in enumerate(frame["people"])] for frame in frames]
    return ClipPoses(int(height), int(width), fps, default_intrinsics(int(height), int(width)), people)


def _openpose_person(person: Person) -> dict[str, Any]:
    rows = np.concatenate([person.keypoints, person.scores[:, None]], axis=1).astype(np.float64)
    rows[rows[:, 2] <= 0] = 0
    body = rows[list(_BODY_25)]
    hips = rows[_HIPS]
    body[_MID_HIP] = [*hips[:, :2].mean(0), hips[:, 2].min()] if (hips[:, 2] > 0).all() else 0
    face = np.concatenate([rows[_FACE], np.zeros((2, 3))])  # OpenPose has the pupils as well
    parts = {"pose": body, "face": face, "hand_left": rows[_LEFT], "hand_right": rows[_RIGHT]}
    values = {f"{name}_keypoints_2d": part.round(4).ravel().tolist() for name, part in parts.items()}
    return {"person_id": [person.id], **values}


def _read_person(number: int, content: dict[str, Any], size: np.ndarray) -> Person:
    rows = np.zeros((134, 3))
    body = _triples(content, "pose")
    if len(body) == 25:
        kept = [slot for slot in range(25) if slot != _MID_HIP]
        rows[[_BODY_25[slot] for slot in kept]] = body[kept]
    elif len(body) == 18:
        rows[:18] = body
    elif len(body):
        raise InputError("Body of an OpenPose person", found=f"{len(body)} points", expected="18 or 25")
    for name, places in (("face", _FACE), ("hand_left", _LEFT), ("hand_right", _RIGHT)):
        part = _triples(content, name)[: places.stop - places.start]
        rows[places.start : places.start + len(part)] = part
    known = rows[:, 2] > 0
    if known.any() and rows[known, :2].max() <= 1:
        rows[:, :2] *= size
    ids = content.get("person_id", [-1])
    given = ids[0] if isinstance(ids, list) and ids else -1
    box = np.zeros(4)
    if known.any():
        box = np.concatenate([rows[known, :2].min(0), rows[known, :2].max(0)])
    score = float(rows[known, 2].mean()) if known.any() else 0.0
    joints = np.full((24, 3), np.nan)
    return Person(int(given) if given >= 0 else number, box, score, rows[:, :2], rows[:, 2], joints)


def _triples(content: dict[str, Any], name: str) -> np.ndarray:
    values = np.array(content.get(f"{name}_keypoints_2d") or [], np.float64)
    if values.size % 3 or not np.isfinite(values).all():
        raise InputError(f"{name}_keypoints_2d of an OpenPose person", expected="finite x, y, score in turn")
    return values.reshape(-1, 3)


def _only_joints(number: int, joints: np.ndarray, height: float, width: float) -> Person:
    nothing = np.zeros((134, 2), np.float32)
    box = np.array([0, 0, width, height], np.float32)
    return Person(number, box, 1.0, nothing, nothing[:, 0], joints.astype(np.float32))


def _plain(joints: np.ndarray) -> list[list[float | None]]:
    return [[float(value) if np.isfinite(value) else None for value in row] for row in joints.round(3)]


def _load(path: str | Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise InputError(f"{path} is not an npz file that can be read.", found=str(error)) from error


def _load_json(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a json file that can be read.", found=str(error)) from error
