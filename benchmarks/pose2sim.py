"""The person of Pose2Sim's demo, seen by one camera at a time, against the triangulation of all four.

    python -m benchmarks.pose2sim FOLDER
    python -m benchmarks.pose2sim FOLDER --network heavy --weights pretrained_weights

FOLDER holds `cam01.mp4` to `cam04.mp4` (BSD-3-Clause, PyPI pose2sim), `cameras.json` (K, R, t of each) and
`triangulated_openpose18_16fps.npz`. `pck`: percent of the keypoints of shoulders, hips and limbs within a tenth of
the box's longer side; `limbs`: millimetres of elbows, wrists, knees and ankles about the middle of the hips, with one
scale for the clip; before and after sides are decided over the track and the clip is cleaned.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.systems.scail_pose.clean import Clean
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.extract import extract
from contrapposto.systems.scail_pose.framing import frame_transform, target_size
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.jobs import VideoJob
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.retime import retime
from contrapposto.systems.scail_pose.sides import steady_sides
from contrapposto.video_file import VideoFile

FPS, SIZE = 16.0, (896, 512)
LIMBS = {"elb": (18, 19), "wri": (20, 21), "kne": (4, 5), "ank": (7, 8)}  # joints, left and right
KEYPOINTS = {"sho": (5, 2), "elb": (6, 3), "wri": (7, 4), "hip": (11, 8), "kne": (12, 9), "ank": (13, 10)}


def seen_by(video: Path, options: dict[str, Any]) -> tuple[ClipPoses, tuple[int, int]]:
    """The people of a video at 16 frames/s as the network states them, and the video's height and width."""
    file = VideoFile.open(video)
    estimator = make_estimator("blazepose", hands=False, face=False, **options)
    size = target_size(file.height, file.width, SIZE[::-1])
    job = VideoJob(video.stem, video, fps=FPS)
    return extract(job.frames(file), estimator, *size, file.fps), (file.height, file.width)


def persons(clip: ClipPoses) -> list[Person | None]:
    """Whoever is largest and longest in view, frame by frame: somebody watches in the background."""
    heights = {k: 0.0 for k in clip.ids}
    for person in (person for frame in clip.frames for person in frame):
        heights[person.id] += float(person.box[3] - person.box[1])
    number = max(heights, key=lambda k: heights[k])
    return [next((p for p in frame if p.id == number), None) for frame in clip.frames]


class Truth:
    """Triangulated points before one camera.

    Args:
        folder: see the module.
        camera: its name.
    """

    def __init__(self, folder: Path, camera: str) -> None:
        with np.load(folder / "triangulated_openpose18_16fps.npz") as file:
            world, names = file["joints"].astype(float), [str(name) for name in file["names"]]
        known = json.loads((folder / "cameras.json").read_text(encoding="utf-8"))["cameras"][camera]
        turn, shift, lens = (np.array(known[key], float) for key in ("R", "t", "K"))
        places = world @ turn.T + shift.ravel()
        pixels = places @ lens.T
        self.count = len(world)
        self._places = dict(zip(names, 1000 * places.swapaxes(0, 1)))
        self._pixels = dict(zip(names, (pixels[..., :2] / pixels[..., 2:]).swapaxes(0, 1)))

    def limbs(self) -> np.ndarray:
        """(T, 8, 3) millimetres about the middle of the hips."""
        hips = (self._places["lhip"] + self._places["rhip"]) / 2
        return (
            np.stack([self._places[side + part] for part in LIMBS for side in "lr"], axis=1) - hips[:, None]
        )

    def pixels(self) -> np.ndarray:
        """(T, 12, 2) of the video."""
        return np.stack([self._pixels[side + part] for part in KEYPOINTS for side in "lr"], axis=1)


def limb_errors(clip: ClipPoses, truth: Truth) -> np.ndarray:
    """(T, 8) millimetres; NaN where somebody or a joint is not known."""
    joints = [joint for pair in LIMBS.values() for joint in pair]
    places = np.full((truth.count, 8, 3), np.nan)
    for frame, person in enumerate(persons(clip)[: truth.count]):
        if person is not None:
            places[frame] = person.joints[joints] - person.joints[[1, 2]].mean(axis=0)
    true = truth.limbs()
    both = np.isfinite(places).all(axis=-1)
    scale = (places[both] * true[both]).sum() / (places[both] ** 2).sum()
    return np.asarray(np.linalg.norm(scale * places - true, axis=-1))


def pck(clip: ClipPoses, truth: Truth, size: tuple[int, int]) -> float:
    """Percent of the keypoints; who is not seen has none."""
    points = [point for pair in KEYPOINTS.values() for point in pair]
    scale, shift = frame_transform(*size, clip.height, clip.width)
    right = np.zeros((truth.count, len(points)))
    for frame, (person, true) in enumerate(zip(persons(clip), truth.pixels())):
        if person is not None:
            away = np.linalg.norm((person.keypoints[points] - shift) / scale - true, axis=-1)
            right[frame] = away <= 0.1 * np.ptp(true, axis=0).max()
    return float(100 * right.mean())


def main() -> None:
    """Print a line for each camera."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--network", default="full", choices=("full", "heavy"))
    parser.add_argument("--weights", default="pretrained_weights")
    options = parser.parse_args()
    for video in sorted(options.folder.glob("cam*.mp4")):
        seen, size = seen_by(video, {"network": options.network, "weights": options.weights})
        truth = Truth(options.folder, video.stem)
        after = Clean()(retime(steady_sides(seen)[0], FPS))
        line = video.stem
        for name, clip in (("before", seen), ("after", after)):
            errors = limb_errors(clip, truth)
            known = errors[np.isfinite(errors)]
            line += f"  {name}: pck {pck(clip, truth, size):.1f} limbs {known.mean():.0f} p90 {np.percentile(known, 90):.0f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
