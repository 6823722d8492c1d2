"""Measuring on scenes whose truth is known: people, poses, and how well characters of other proportions are met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapposto.systems.scail_pose.bones import typical_lengths
from contrapposto.systems.scail_pose.extract import extract, read_image
from contrapposto.systems.scail_pose.framing import target_size
from contrapposto.systems.scail_pose.interface import PoseEstimator
from contrapposto.systems.scail_pose.jobs import VideoJob
from contrapposto.systems.scail_pose.matching import align_clip, match_people
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.proportions import reshape_clip
from contrapposto.systems.scail_pose.reference_people import reference_people
from contrapposto.systems.scail_pose.retime import retime
from contrapposto.systems.scail_pose.sides import steady_sides
from contrapposto.video_file import VideoFile
from lightning_modules.base import StageModule

_LIMBS = (
    (3, 6, 9, 12),
    (4,),
    (7,),
    (18,),
    (20,),
)  # trunk, thigh, shin, upper arm, forearm: joints at bones' ends
_NUM_VALUES = 5  # of a reference


class ScailPoseEvaluation(StageModule):
    """Sends scenes through the pipeline; nothing is trained.

    Validation and test steps return, of one scene: `raw_joints` and `clean_joints` (T, M, 24, 3) metres before the
    camera, before and after cleaning, NaN where unknown, a person having the same place along M in all frames;
    `true_joints` (T, N, 24, 3); `in_view` (T, N); `seen` (T, N, 24); `fps`; `clips`, `num_frames`; and `reference`: for
    each reference (NaN where the scene has none) the alignment's root mean square distance in pixels with the camera as
    it is, with the fitted camera, and with the bones' lengths of the reference as well, and by how many percent the
    limbs' shares of their total length differ from the reference's true ones, before and after that.

    Args:
        estimator: who sees the people, or what makes one when the first scene comes.
        clean: repairs the motion, from a clip to a clip.
        resolution: short and long side in pixels of what the estimator sees.
        references: how many there are.
    """

    def __init__(
        self,
        estimator: PoseEstimator | Callable[[], PoseEstimator],
        clean: Callable[[ClipPoses], ClipPoses],
        resolution: Sequence[int] = (512, 896),
        references: int = 3,
    ) -> None:
        super().__init__()
        self._estimator, self.clean, self.references = estimator, clean, references
        self.resolution = (int(resolution[0]), int(resolution[1]))

    @property
    def estimator(self) -> PoseEstimator:
        """Who sees the people, made when first asked for."""
        if not hasattr(self._estimator, "people"):
            self._estimator = self._estimator()
        return self._estimator

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        raw = self._people(batch["video"], batch["fps"])
        clean = self.clean(raw)
        count = min(len(raw.frames), len(batch["joints"]))
        return {
            "raw_joints": _joints(raw)[:count],
            "clean_joints": _joints(clean)[:count],
            "true_joints": batch["joints"][:count].double(),
            "in_view": batch["in_view"][:count],
            "seen": batch["seen"][:count],
            "fps": batch["fps"],
            "reference": self._references(clean, batch["references"]),
            "clips": [batch["name"]],
            "num_frames": [count],
        }

    def output_settings(self) -> dict[str, Any]:
        """The repairs of the motion."""
        return {"clean": ", ".join(f"{name} {value}" for name, value in vars(self.clean).items())}

    def _people(self, video: Path, fps: float) -> ClipPoses:
        file = VideoFile.open(video)
        height, width = target_size(file.height, file.width, self.resolution)
        job = VideoJob(video.stem, video, fps=fps)
        seen = extract(job.frames(file), self.estimator, height, width, file.fps)
        return retime(steady_sides(seen)[0], fps)

    def _references(self, clip: ClipPoses, references: Sequence[tuple[str, Path, np.ndarray]]) -> Tensor:
        if not references or not clip.ids:
            return torch.full((1, self.references * _NUM_VALUES), torch.nan, dtype=torch.float64)
        values = [self._reference(clip, image, joints) for _, image, joints in references]
        return torch.tensor([values], dtype=torch.float64).reshape(1, -1)

    def _reference(self, clip: ClipPoses, image: Path, joints: np.ndarray) -> list[float]:
        seen = reference_people(read_image(image), self.estimator, clip.height, clip.width)
        characters = match_people(clip, seen)
        reshaped, _ = reshape_clip(clip, characters)
        plain, long = (align_clip(one, characters)[0] for one in (clip, reshaped))
        if not plain or not long:
            return [float("nan")] * _NUM_VALUES
        number = next(iter(plain))
        limbs = [_limb_error(one.only([number]), joints) for one in (clip, reshaped)]
        return [plain[number].before, plain[number].after, long[number].after, *limbs]


def _joints(clip: ClipPoses) -> Tensor:
    """(T, M, 24, 3) metres, people by their ids."""
    places = {number: place for place, number in enumerate(clip.ids)}
    joints = np.full((len(clip.frames), len(places), 24, 3), np.nan)
    for frame, people in enumerate(clip.frames):
        for person in people:
            joints[frame, places[person.id]] = person.joints / 1000.0
    return torch.from_numpy(joints)


def _limb_error(clip: ClipPoses, reference: np.ndarray) -> float:
    """Percent by which the limbs' shares of their total differ from those of a reference's joints, on average."""
    shares = [_limbs(joints) for joints in (_joints(clip)[:, 0].numpy(), reference[None])]
    return float(100 * np.nanmean(np.abs(shares[0] / shares[1] - 1)))


def _limbs(joints: np.ndarray) -> np.ndarray:
    lengths = typical_lengths(np.asarray(joints, np.float64))[0]
    limbs = np.array([lengths[[joint - 1 for joint in ends]].sum() for ends in _LIMBS])
    return np.asarray(limbs / np.nansum(limbs))
