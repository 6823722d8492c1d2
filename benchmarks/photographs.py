"""People whom the embedded estimator finds in photographs and in single frames of videos, annotated by hand.

    python -m benchmarks.photographs FOLDER...
    python -m benchmarks.photographs FOLDER... --network heavy --weights pretrained_weights
    python -m benchmarks.photographs FOLDER... --dark

The folders (and those below them) hold the images and videos of `photographs.yaml`, which states where they come from;
missing ones are left out. Found: a box overlaps the annotated one by 0.3 of their union. PCK: percent of the annotated
points within a tenth of the box's longer side, of the people found and of all. `--dark`: at 6 percent of the
brightness, with noise of one grey level.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.optimize import linear_sum_assignment

from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.estimators.blazepose.body import overlap
from contrapposto.systems.scail_pose.extract import read_image
from contrapposto.systems.scail_pose.framing import frame_image, frame_transform, target_size
from contrapposto.systems.scail_pose.interface import PoseEstimator

ANNOTATIONS = Path(__file__).with_suffix(".yaml")
MINIMUM, TOLERANCE = 0.3, 0.1
_RIGHT = {"shoulder": 2, "elbow": 3, "wrist": 4, "hip": 8, "knee": 9, "ankle": 10}
MEANS = {"nose": [0], "head": [0, 14, 15, 16, 17], "shoulders": [2, 5], "hips": [8, 11]}
MEANS |= {f"right_{part}": [row] for part, row in _RIGHT.items()}
MEANS |= {f"left_{part}": [row + 3] for part, row in _RIGHT.items()}
PAIRS = {"ankles": [10, 13], "knees": [9, 12], "wrists": [4, 7]}


@dataclass(frozen=True)
class Judged:
    """An annotated person.

    Attributes:
        kinds: `dark`, `touching`, `back`, `cut` and so on.
        height: of the box in pixels.
        seen: whether somebody is seen there.
        right: for each point whether it is in place.
    """

    kinds: frozenset[str]
    height: float
    seen: bool
    right: list[bool]


def judge(truth: dict[str, Any], keypoints: np.ndarray | None) -> Judged:
    """An annotated person against the keypoints (134, 2) in the image of whoever is seen there, if anybody is."""
    box = np.array(truth["box"], float)
    reach = TOLERANCE * (box[2:] - box[:2]).max()
    right: list[bool] = []
    for name, place in truth["points"].items():
        known = np.array(place, float).reshape(-1, 2)
        if keypoints is None:
            right += [False] * len(known)
        elif name in MEANS:
            right.append(bool(np.linalg.norm(keypoints[MEANS[name]].mean(axis=0) - known[0]) <= reach))
        else:  # two points whose side is not known, or one of them
            away = np.linalg.norm(keypoints[PAIRS[name]][:, None] - known, axis=-1)
            rows, columns = linear_sum_assignment(away)
            right += [bool(one <= reach) for one in away[rows, columns]]
    return Judged(frozenset(truth["kinds"]), float(box[3] - box[1]), keypoints is not None, right)


def judge_image(
    image: np.ndarray, truths: Sequence[dict[str, Any]], ignored: Sequence[Any], estimator: PoseEstimator
) -> tuple[list[Judged], int]:
    """The annotated people of an image, and how many others are seen who are not there."""
    height, width = target_size(*image.shape[:2])
    scale, shift = frame_transform(*image.shape[:2], height, width, "pad")
    frame = frame_image(image, height, width, "pad")
    seen = next(iter(estimator.people([frame], default_intrinsics(height, width))))
    boxes = [(person.box - np.tile(shift, 2)) / np.tile(scale, 2) for person in seen]
    points = [(person.keypoints - shift) / scale for person in seen]
    shared = np.array([[overlap(np.array(one["box"], float), box) for box in boxes] for one in truths])
    rows, columns = linear_sum_assignment(-shared.reshape(len(truths), len(boxes)))
    match = {row: column for row, column in zip(rows, columns) if shared[row, column] >= MINIMUM}
    judged = [judge(one, points[match[n]] if n in match else None) for n, one in enumerate(truths)]
    others = [box for n, box in enumerate(boxes) if n not in match.values()]
    return judged, sum(not any(_inside(box, np.array(place)) for place in ignored) for box in others)


def _inside(box: np.ndarray, place: np.ndarray) -> bool:
    """Whether more than half of a box lies in another one."""
    shared = np.maximum(np.minimum(box[2:], place[2:]) - np.maximum(box[:2], place[:2]), 0).prod()
    return bool(shared > 0.5 * (box[2:] - box[:2]).prod())


def read_frame(path: Path, frame: int | None) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image, or of a frame of a video."""
    if frame is None:
        return read_image(path)
    import cv2

    video = cv2.VideoCapture(str(path))
    for _ in range(frame):
        video.grab()
    return np.ascontiguousarray(video.read()[1][..., ::-1])


def darkened(image: np.ndarray) -> np.ndarray:
    """An image at 6 percent of its brightness, with noise."""
    noise = np.random.default_rng(0).normal(0, 1, image.shape)
    return (0.06 * image + noise).clip(0, 255).round().astype(np.uint8)


def line(name: str, people: Sequence[Judged]) -> str:
    """What is printed of some of the people."""
    seen = [one for one in people if one.seen]
    share, whole = (100 * np.mean([ok for one in some for ok in one.right]) for some in (seen, people))
    return f"{name:12s} found {len(seen):3d} of {len(people):3d}  PCK of the found {share:.1f}  of all {whole:.1f}"


def main() -> None:
    """Print a line for all, and one for each kind of people."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--network", default="full", choices=("full", "heavy"))
    parser.add_argument("--weights", default="pretrained_weights")
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    files = {path.name: path for folder in options.folders for path in sorted(folder.rglob("*"))}
    network = {"network": options.network, "weights": options.weights}
    estimator = make_estimator("blazepose", hands=False, face=False, most=12, **network)
    people, false = list[Judged](), 0
    for entry in yaml.safe_load(ANNOTATIONS.read_text(encoding="utf-8")):
        if entry["file"] not in files:
            print(f"{entry['file']} is not there.")
            continue
        image = read_frame(files[entry["file"]], entry.get("frame"))
        image = darkened(image) if options.dark else image
        judged, others = judge_image(image, entry["people"], entry.get("ignore", []), estimator)
        people, false = people + judged, false + others
    print(line("all", people))
    print(line("150 px high", [one for one in people if one.height >= 150]))
    for kind in ("dark", "touching", "back", "cut"):
        print(line(kind, [one for one in people if kind in one.kinds]))
    print(f"seen where nobody is: {false}")


if __name__ == "__main__":
    main()
