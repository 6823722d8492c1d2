"""People whom the crop to the pose video's shape cuts off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.framing import cut_share, frame_image, frame_transform
from contrapposto.systems.scail_pose.interface import Person, PoseEstimator
from contrapposto.systems.scail_pose.wholebody import THRESHOLD

_LEAST_CUT = 0.03  # of the image's longer direction: less is not worth a look
_LONG_SIDE = 640  # pixels of a look at a whole frame
_LOOKS = 4  # at a clip
_CUT = 0.15  # share of a person's keypoints beyond the crop
_BODY = 24  # keypoints of the body and the feet


class CropWatch:
    """Keeps some whole frames of a clip while it is read, to look at what the crop leaves out.

    Args:
        size: height and width of the video's frames in pixels.
        target: height and width of the pose video.
        fit: see `frame_image`; only `cover` cuts.
        count: frames that are expected.
    """

    def __init__(self, size: tuple[int, int], target: tuple[int, int], fit: str, count: int) -> None:
        self.size, self.target = size, target
        self.active = fit == "cover" and cut_share(*size, target) > _LEAST_CUT
        self._every = max(count // _LOOKS, 1)
        self._kept: list[np.ndarray] = []

    def watch(self, frames: Iterator[tuple[float, np.ndarray]]) -> Iterator[tuple[float, np.ndarray]]:
        """Pass frames on."""
        for number, (time, image) in enumerate(frames):
            if self.active and number % self._every == 0 and len(self._kept) < _LOOKS:
                scale = _LONG_SIDE / max(image.shape[:2])
                height, width = (max(round(side * scale), 1) for side in image.shape[:2])
                self._kept.append(frame_image(image, height, width))
            yield time, image

    def most_cut(self, estimator: PoseEstimator) -> int:
        """The largest number of people in one of the frames kept of whom the crop cuts off a good part."""
        return max((self._count_cut(image, estimator) for image in self._kept), default=0)

    def _count_cut(self, image: np.ndarray, estimator: PoseEstimator) -> int:
        height, width = image.shape[:2]
        people = next(iter(estimator.people([image], default_intrinsics(height, width))), [])
        scale, shift = frame_transform(height, width, *self.target)
        return sum(
            cut_part(person.keypoints * scale + shift, person.scores, image.shape, self.target) > _CUT
            for person in people
        )


def cut_part(keypoints: np.ndarray, scores: np.ndarray, shape: Sequence[int], target: Sequence[int]) -> float:
    """Share of a person's known body keypoints that a crop cuts off.

    Args:
        keypoints: (134, 2) in pixels of the crop. scores: (134,).
        shape: height and width of the image, in any unit. target: those of the crop in pixels.
    """
    axis = (
        0 if shape[1] * target[0] > shape[0] * target[1] else 1
    )  # the crop cuts left and right, or above and below
    known = keypoints[:_BODY][scores[:_BODY] > THRESHOLD, axis]
    return float(((known < 0) | (known > target[1 - axis])).mean()) if len(known) else 0.0


def crop_warning(count: int) -> list[str]:
    """What to say of people whom the crop of the video cuts."""
    if not count:
        return []
    people = "a person" if count == 1 else f"{count} people"
    return [
        f"the crop to the pose video's shape cuts {people}: data.resolution=video keeps the shape of the video, "
        "data.fit=pad shows all of it with black beside it"
    ]


def reference_warning(reference: Sequence[Person], shape: Sequence[int], target: Sequence[int]) -> list[str]:
    """What to say of people of the reference whom its crop cuts; `shape` and `target` as in `cut_part`."""
    same = cut_share(shape[0], shape[1], target) < _LEAST_CUT
    if same or not any(cut_part(p.keypoints, p.scores, shape, target) > _CUT for p in reference):
        return []
    return [
        "the reference has another shape than the video and is cropped where somebody is; data.reference_fit=pad shows "
        "all of it, data.upright=reference takes its orientation"
    ]
