"""OpenPose's json files of keypoints: one object per frame with a list of people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.checks import parsing
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.people import ClipPoses

# OpenPose's 25 body points <- the 134-point order; its mid hip, 8, is made of both hips.
_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, -1, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
_MID_HIP, _HIPS = 8, [8, 11]
_FACE, _LEFT, _RIGHT = slice(24, 92), slice(92, 113), slice(113, 134)


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
        height, width: of the image in pixels, where the files do not say; coordinates all within [0, 1] are taken
            for shares of them.
        fps: frames per second.

    Raises:
        InputError: no such files, or the size is not known.
    """
    source = Path(source)
    files = sorted(source.glob("*.json")) if source.is_dir() else [source]
    if not files:
        raise InputError(f"There are no json files in {source}.")
    with parsing(source, "OpenPose's keypoints: objects with a list `people`"):
        contents = [load_json(file) for file in files]
        frames = contents[0] if len(contents) == 1 and isinstance(contents[0], list) else contents
        if not all(isinstance(frame, dict) and isinstance(frame.get("people"), list) for frame in frames):
            raise InputError(f"{source} holds no OpenPose frames.", expected="objects with a list `people`")
        height = next((frame["canvas_height"] for frame in frames if "canvas_height" in frame), height)
        width = next((frame["canvas_width"] for frame in frames if "canvas_width" in frame), width)
        if not height or not width:
            raise InputError(f"{source} does not say how large the image is.", fix="give height and width")
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
    number_in_file = ids[0] if isinstance(ids, list) and ids else -1
    box = np.zeros(4)
    if known.any():
        box = np.concatenate([rows[known, :2].min(0), rows[known, :2].max(0)])
    score = float(rows[known, 2].mean()) if known.any() else 0.0
    joints = np.full((24, 3), np.nan)
    return Person(
        int(number_in_file) if number_in_file >= 0 else number, box, score, rows[:, :2], rows[:, 2], joints
    )


def _triples(content: dict[str, Any], name: str) -> np.ndarray:
    values = np.array(content.get(f"{name}_keypoints_2d") or [], np.float64)
    if values.size % 3 or not np.isfinite(values).all():
        raise InputError(f"{name}_keypoints_2d of an OpenPose person", expected="finite x, y, score in turn")
    return values.reshape(-1, 3)


def load_json(path: str | Path) -> Any:
    """The content of a json file.

    Raises:
        InputError: no such file, or no json.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a json file that can be read.", found=str(error)) from error
