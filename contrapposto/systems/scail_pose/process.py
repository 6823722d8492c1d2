"""One clip from its file to its pose video (fact sheet, sections 1 and 2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.files import write_json
from contrapposto.io.video import VideoFile, at_rate
from contrapposto.systems.scail_pose.camera import project
from contrapposto.systems.scail_pose.estimators.interface import Person, PoseEstimator
from contrapposto.systems.scail_pose.extract import extract, extract_reference, read_image
from contrapposto.systems.scail_pose.framing import target_size
from contrapposto.systems.scail_pose.interchange import write_dwposes, write_nlfpred, write_people
from contrapposto.systems.scail_pose.matching import align_clip, match_people
from contrapposto.systems.scail_pose.openpose import write_openpose
from contrapposto.systems.scail_pose.outputs import (
    FPS,
    REFERENCE_MASK,
    VIDEOS,
    check_videos,
    write_frames,
    write_reference_mask,
)
from contrapposto.systems.scail_pose.people import ClipPoses, choose_people
from contrapposto.systems.scail_pose.pipeline import ClipDrawer, Look
from contrapposto.systems.scail_pose.proportions import describe_ratios, reshape_clip
from contrapposto.systems.scail_pose.reference import Alignment, AlignOptions
from contrapposto.systems.scail_pose.retime import retime

MODEL_FRAMES = 81
_UNLIKE = 0.1  # of the longer side: a fit this far off is told
_CUT = 0.15  # share of a person's joints beyond the picture
DATA_FILES = ("people", "nlfpred", "dwposes", "openpose")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class VideoJob:
    """A clip to be done.

    Attributes:
        name: of the clip, and of its folder where there are several.
        video: file.
        reference: image of the character; None: not aligned.
        resolution: short and long side of the pose video in pixels.
        fps: of the pose video; None keeps every frame, and plays them at 16 per second as the original does.
        fit, reference_fit: `cover` or `pad`, see `frame_image`.
        start: seconds to leave out. seconds: no more than this.
        upright: by whom the pose video is lying or upright: `video` or `reference`.
    """

    name: str
    video: Path
    reference: Path | None = None
    resolution: tuple[int, int] = (512, 896)
    fps: float | None = FPS
    fit: str = "cover"
    reference_fit: str = "cover"
    start: float = 0.0
    seconds: float | None = None
    upright: str = "video"

    def frames(self, file: VideoFile) -> Iterator[tuple[float, np.ndarray]]:
        """Seconds since the beginning of the part, and the frame, at no more than `fps`."""
        part = _part(file.frames(), self.start, self.seconds)
        return part if self.fps is None else at_rate(part, self.fps)

    @property
    def out_fps(self) -> float:
        """Frames per second of the pose video."""
        return FPS if self.fps is None else self.fps


@dataclass(frozen=True)
class Settings:
    """What is made of a clip.

    Attributes:
        people: whom to draw, see `choose_people`.
        look: see `Look`.
        align: see `AlignOptions`; None leaves the camera as it is even where there is a reference.
        retarget: bones take the reference's lengths, with ratios within these bounds; None leaves them as they are.
        outputs: of `VIDEOS` and `DATA_FILES`.
        clean: what repairs the motion, from a clip to a clip; None draws what the estimator said.
        device: of the renderer, see `CapsuleRenderer`.
    """

    people: str | int | Sequence[int] = "all"
    look: Look = field(default_factory=Look)
    align: AlignOptions | None = field(default_factory=AlignOptions)
    retarget: tuple[float, float] | None = None
    outputs: Sequence[str] = ("video", "people")
    clean: Callable[[ClipPoses], ClipPoses] | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        check_videos([name for name in self.outputs if name not in DATA_FILES])


def process(
    job: VideoJob,
    estimator: PoseEstimator,
    folder: Path,
    settings: Settings = Settings(),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make the pose video of a clip and what else is asked for, with `report.json`.

    Args:
        job: the clip.
        estimator: who sees the people.
        folder: for the files; made where needed.
        settings: see there.
        progress: called with stage, frames done, and frames in all.

    Returns:
        The report: files, size, frames, people, alignments, warnings, seconds of the stages.

    Raises:
        InputError: a file that cannot be read, or nobody in the whole clip.
    """
    clock = _Clock()
    file = VideoFile.open(job.video)
    image = None if job.reference is None or settings.align is None else read_image(job.reference)
    shape = image.shape[:2] if job.upright == "reference" and image is not None else (file.height, file.width)
    height, width = target_size(shape[0], shape[1], job.resolution)
    count = max(round((job.seconds or file.seconds) * min(file.fps, job.fps or file.fps)), 1)
    tell = progress or (lambda stage, done, total: None)
    seen = extract(
        job.frames(file),
        estimator,
        height,
        width,
        file.fps,
        fit=job.fit,
        progress=lambda n: tell("people", n, count),
    )
    clock.lap("people")
    clip = seen if job.fps is None else retime(seen, job.fps)
    clip = replace(clip, fps=job.out_fps)
    clip = clip if settings.clean is None else settings.clean(clip)
    clip = clip.only(choose_people(clip, settings.people))
    reference = [] if image is None else extract_reference(image, estimator, height, width, job.reference_fit)
    result = draw(clip, folder, settings, None if image is None else reference, progress=progress)
    clock.lap("drawing")
    if image is not None and job.reference_fit == "cover":
        result["warnings"] = _cut_off(reference, clip, image.shape) + result["warnings"]
    report = {
        "video": job.video.name,
        "reference": None if image is None else Path(str(job.reference)).name,
        "input": {"height": file.height, "width": file.width, "fps": round(file.fps, 3)},
        "frames_looked_at": len(seen.frames),
        "seconds": clock.laps,
        **result,
    }
    write_json(folder / "report.json", report)
    return report


def draw(
    clip: ClipPoses,
    folder: Path,
    settings: Settings = Settings(),
    reference: Sequence[Person] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the pose video of people that are known already, and what else is asked for.

    Args:
        clip: the people to draw.
        folder: for the files.
        settings: see there; `people` and `clean` are not applied.
        reference: people of the reference from left to right; None: not aligned.
        progress: see `process`.

    Raises:
        InputError: nobody in the whole clip.
    """
    if not clip.ids:
        raise InputError(
            "There is nobody in the whole clip.",
            found=f"{len(clip.frames)} frames without a person",
            fix="look at the video: is a person at least a sixth of the picture high?",
        )
    options = settings.align
    alignments: dict[int, Alignment] = {}
    warnings: list[str] = []
    ratios: dict[int, np.ndarray] = {}
    characters: dict[int, Person] = {}
    if reference is not None and options is not None:
        characters = match_people(clip, reference)
        if settings.retarget is not None:
            clip, ratios = reshape_clip(clip, characters, settings.retarget)
        alignments, warnings = align_clip(clip, characters, options)
    drawer = ClipDrawer(clip, settings.look, alignments, settings.device)
    total = len(clip.frames)
    paths = _write_data(folder, clip, settings.outputs)
    if characters and "scail2" in settings.outputs:
        paths.append(write_reference_mask(folder / REFERENCE_MASK, clip, characters, settings.device))
    paths += write_frames(
        folder,
        drawer,
        (clip.height, clip.width),
        drawer.depths,
        outputs=[name for name in settings.outputs if name in VIDEOS],
        name="rendered" if reference is None else "rendered_aligned",
        fps=clip.fps,
        numbers=clip.ids,
        progress=None if progress is None else lambda n: progress("drawing", n, total),
    )
    return {
        "files": [path.name for path in paths],
        "size": [clip.height, clip.width],
        "fps": clip.fps,
        "frames": total,
        "frames_with_nobody": sum(not frame for frame in clip.frames),
        "people": _describe_people(clip),
        "alignments": {str(number): _describe(found, clip) for number, found in alignments.items()},
        "proportions": {str(number): describe_ratios(found) for number, found in ratios.items()},
        "warnings": warnings + _unlike(alignments, clip) + _warnings(clip),
    }


def _write_data(folder: Path, clip: ClipPoses, outputs: Sequence[str]) -> list[Path]:
    paths = []
    if "people" in outputs:
        paths.append(write_people(folder / "motion.npz", clip))
    if "nlfpred" in outputs:
        paths.append(write_nlfpred(folder / "nlfpred.json", clip))
    if "dwposes" in outputs:
        paths.append(write_dwposes(folder / "dwposes.json", clip))
    if "openpose" in outputs:
        paths.append(write_openpose(folder / "openpose", clip))
    return paths


def _describe(alignment: Alignment, clip: ClipPoses) -> dict[str, Any]:
    zoom = alignment.intrinsics[[0, 1], [0, 1]] / np.asarray(clip.intrinsics)[[0, 1], [0, 1]]
    return {
        "points": alignment.mode,
        "scale": round(float(zoom[0]), 4),
        "aspect": round(float(zoom[1] / zoom[0]), 4),
        "face": round(alignment.face, 4),
        "pixels_before": round(alignment.before, 2),
        "pixels_after": round(alignment.after, 2),
    }


def _describe_people(clip: ClipPoses) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for number in clip.ids:
        views = [frame for frame in clip.frames if any(person.id == number for person in frame)]
        persons = [next(person for person in frame if person.id == number) for frame in views]
        facts[str(number)] = {
            "frames": len(persons),
            "score": round(float(np.mean([person.score for person in persons])), 3),
        }
    return facts


def _unlike(alignments: Mapping[int, Alignment], clip: ClipPoses) -> list[str]:
    """People whom no camera brings near the reference: its pose is another one than theirs when they first appear."""
    limit = _UNLIKE * max(clip.height, clip.width)
    return [
        f"person {number} stays {found.after:.0f} pixels from the reference, whose pose is another one, and may leave "
        "the picture; take a reference in the video's first pose, or other points (align.mode)"
        for number, found in alignments.items()
        if found.after > limit
    ]


def _cut_off(reference: Sequence[Person], clip: ClipPoses, shape: Sequence[int]) -> list[str]:
    """People of the reference who reach beyond the part of it that covers the video's picture."""
    across = int(shape[1] * clip.height > shape[0] * clip.width)  # cut left and right, else above and below
    axis, size = (0, clip.width) if across else (1, clip.height)
    places = [
        project(person.joints[person.valid], np.asarray(clip.intrinsics))[:, axis] for person in reference
    ]
    beyond = [float(((at < 0) | (at > size)).mean()) if len(at) else 0.0 for at in places]
    if max(beyond, default=0.0) < _CUT:
        return []
    return [
        "the reference has another shape than the video and is cut where somebody is; data.reference_fit=pad shows "
        "all of it, data.upright=reference takes its orientation"
    ]


def _warnings(clip: ClipPoses) -> list[str]:
    words = []
    if len(clip.frames) != MODEL_FRAMES:
        words.append(f"{len(clip.frames)} frames: the video model was trained on {MODEL_FRAMES}")
    if clip.height % 32 or clip.width % 32:
        words.append(f"{clip.width} x {clip.height}: the video model wants multiples of 32")
    return words


def _part(
    frames: Iterator[tuple[float, np.ndarray]], start: float, seconds: float | None
) -> Iterator[tuple[float, np.ndarray]]:
    for when, image in frames:
        if seconds is not None and when >= start + seconds:
            return
        if when >= start:
            yield when - start, image


class _Clock:
    """Seconds of stages."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = round(now - self._last, 3), now
