"""One clip from its file to its pose video (docs/specs/scail_pose.md, sections 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.files import write_json
from contrapposto.systems.scail_pose.background import BackgroundWatch
from contrapposto.systems.scail_pose.camera_path import CameraPath, camera_path
from contrapposto.systems.scail_pose.cropping import CropWatch, crop_warning, reference_warning
from contrapposto.systems.scail_pose.exports import EXPORTS, write_exports
from contrapposto.systems.scail_pose.extract import extract, read_image
from contrapposto.systems.scail_pose.flat import with_limbs
from contrapposto.systems.scail_pose.framing import target_size
from contrapposto.systems.scail_pose.interchange import write_dwposes, write_nlfpred, write_people
from contrapposto.systems.scail_pose.interface import Person, PoseEstimator
from contrapposto.systems.scail_pose.jobs import VideoJob
from contrapposto.systems.scail_pose.matching import align_clip, match_people
from contrapposto.systems.scail_pose.openpose import write_openpose
from contrapposto.systems.scail_pose.outputs import (
    REFERENCE_MASK,
    VIDEOS,
    write_frames,
    write_reference_mask,
)
from contrapposto.systems.scail_pose.people import ClipPoses, choose_people
from contrapposto.systems.scail_pose.pipeline import ClipDrawer
from contrapposto.systems.scail_pose.proportions import describe_ratios, reshape_clip
from contrapposto.systems.scail_pose.reference import Alignment
from contrapposto.systems.scail_pose.reference_people import reference_people
from contrapposto.systems.scail_pose.report import (
    Clock,
    describe_alignment,
    describe_people,
    model_warnings,
    unlike_warnings,
)
from contrapposto.systems.scail_pose.retime import retime, times_at
from contrapposto.systems.scail_pose.settings import Settings
from contrapposto.systems.scail_pose.sides import steady_sides
from contrapposto.systems.scail_pose.world import at_times, in_world
from contrapposto.video_file import VideoFile
from contrapposto.video_log import ReadLog

Progress = Callable[[str, int, int], None]


def process(
    job: VideoJob,
    estimator: PoseEstimator,
    folder: Path,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make the pose video of a clip and what else is asked for, with `report.json`.

    Args:
        job: the clip.
        estimator: sees the people.
        folder: for the files; made where needed.
        settings: see there.
        progress: called with stage, frames done, and frames in all.

    Returns:
        The report: files, size, frames, people, alignments, warnings, seconds of the stages.

    Raises:
        InputError: a file that cannot be read, or nobody in the whole clip.
        ConfigError: `start` is behind the end of the video.
    """
    settings = settings or Settings()
    clock = Clock()
    file = VideoFile.open(job.video)
    job.check_start(file)
    image = None if job.reference is None or settings.align is None else read_image(job.reference)
    shape = image.shape[:2] if job.upright == "reference" and image is not None else (file.height, file.width)
    size = target_size(shape[0], shape[1], job.resolution)
    background = BackgroundWatch() if settings.world else None
    seen, warnings = _people_of(job, file, estimator, size, background, progress)
    clock.lap("people")
    clip, exchanged = repair(seen, job, settings)
    path = None if background is None else camera_of(background, seen, job)
    clip = clip.only(choose_people(clip, settings.people))
    reference = None
    if image is not None:
        reference = reference_people(image, estimator, *size, job.reference_fit)
        if job.reference_fit == "cover":
            warnings += reference_warning(reference, image.shape, size)
    clock.lap("reference")
    result = draw(clip, folder, settings, reference, path, progress)
    clock.lap("drawing")
    report = {
        "video": job.video.name,
        "reference": None if image is None else Path(str(job.reference)).name,
        "input": {
            "height": file.height,
            "width": file.width,
            "fps": round(file.fps, 3),
            "seconds": round(file.seconds, 3),
        },
        "frames_looked_at": len(seen.frames),
        "sides_exchanged": {str(number): count for number, count in exchanged.items()},
        "seconds": clock.laps,
        **result,
        "warnings": warnings + result["warnings"],
    }
    write_json(folder / "report.json", report)
    return report


def _people_of(
    job: VideoJob,
    file: VideoFile,
    estimator: PoseEstimator,
    size: tuple[int, int],
    background: BackgroundWatch | None,
    progress: Progress | None,
) -> tuple[ClipPoses, list[str]]:
    """Everybody in a video, and what went wrong on the way."""
    count, log = job.count(file), ReadLog()
    watch = CropWatch((file.height, file.width), size, job.fit, count)
    clip = extract(
        watch.watch(job.frames(file, log)),
        estimator,
        *size,
        file.fps,
        fit=job.fit,
        background=background,
        progress=None if progress is None else lambda n: progress("people", n, count),
    )
    return clip, log.warnings + crop_warning(watch.most_cut(estimator))


def repair(seen: ClipPoses, job: VideoJob, settings: Settings) -> tuple[ClipPoses, dict[int, int]]:
    """The people of a video at the frame rate of the pose video, repaired as the settings say.

    Returns:
        The clip, and in how many frames of each person left and right were exchanged.
    """
    clip, exchanged = steady_sides(seen) if settings.sides else (seen, {})
    clip = clip if job.fps is None else retime(clip, job.fps)
    clip = replace(clip, fps=job.out_fps)
    return (clip if settings.clean is None else settings.clean(clip)), exchanged


def camera_of(background: BackgroundWatch, seen: ClipPoses, job: VideoJob) -> CameraPath:
    """How the camera of a clip moves, at the times of the frames that `repair` returns."""
    path = camera_path(background.tracks(seen.frames), len(seen.frames), seen.intrinsics)
    if job.fps is None:
        return path
    times = np.arange(len(seen.frames)) / seen.fps if seen.times is None else np.asarray(seen.times)
    return at_times(path, times, times_at(times, job.fps))


def draw(
    clip: ClipPoses,
    folder: Path,
    settings: Settings | None = None,
    reference: Sequence[Person] | None = None,
    path: CameraPath | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the pose video of people that are known already, and what else is asked for.

    Args:
        clip: the people to draw. Those whose joints in space are not known get flat limbs, see `with_limbs`.
        folder: for the files.
        settings: see there; `people` and `clean` are not applied.
        reference: people of the reference from left to right; None: not aligned.
        path: of the camera; None: it stands still.
        progress: see `process`.

    Raises:
        InputError: nobody in the whole clip.
    """
    settings = settings or Settings()
    if not clip.ids:
        raise InputError(
            "There is nobody in the whole clip.",
            found=f"{len(clip.frames)} frames without a person",
            fix="look at the video: is a person at least a sixth of the image high?",
        )
    clip, warnings = with_limbs(clip)
    alignments: dict[int, Alignment] = {}
    ratios: dict[int, np.ndarray] = {}
    characters: dict[int, Person] = {}
    if reference is not None and settings.align is not None:
        characters = match_people(clip, reference)
        if settings.retarget is not None:
            clip, ratios = reshape_clip(clip, characters, settings.retarget)
        alignments, failures = align_clip(clip, characters, settings.align)
        warnings += failures
    drawer = ClipDrawer(clip, settings.look, alignments, settings.device)
    total = len(clip.frames)
    world, camera = (clip, {}) if path is None else in_world(clip, path)
    paths = _write_data(folder, clip, settings, world)
    if characters and "scail2" in settings.outputs:
        paths.append(write_reference_mask(folder / REFERENCE_MASK, clip, characters, settings.device))
    paths += write_frames(
        folder,
        drawer,
        (clip.height, clip.width),
        drawer.depths,
        outputs=[name for name in settings.outputs if name in VIDEOS],
        name="rendered_aligned" if alignments else "rendered",
        fps=clip.fps,
        numbers=clip.ids,
        progress=None if progress is None else lambda n: progress("drawing", n, total),
    )
    return {
        "files": [path.name for path in paths],
        "size": [clip.height, clip.width],
        "fps": clip.fps,
        "frames": total,
        **({"camera": camera} if path is not None else {}),
        "frames_with_nobody": sum(not frame for frame in clip.frames),
        "people": describe_people(clip),
        "alignments": {str(number): describe_alignment(one, clip) for number, one in alignments.items()},
        "proportions": {str(number): describe_ratios(one) for number, one in ratios.items()},
        "warnings": warnings + unlike_warnings(alignments, clip) + model_warnings(clip),
    }


def _write_data(folder: Path, clip: ClipPoses, settings: Settings, world: ClipPoses) -> list[Path]:
    writers = {
        "people": lambda: write_people(folder / "motion.npz", clip),
        "nlfpred": lambda: write_nlfpred(folder / "nlfpred.json", clip),
        "dwposes": lambda: write_dwposes(folder / "dwposes.json", clip),
        "openpose": lambda: write_openpose(folder / "openpose", clip),
    }
    paths = [write() for name, write in writers.items() if name in settings.outputs]
    exports = tuple(name for name in EXPORTS if name in settings.outputs)
    return paths + write_exports(folder, world, exports, settings.look.figure)
