"""Everybody in a video as a pose video: the object to use from Python, and behind every command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from contrapposto.errors import ContrappostoError
from contrapposto.files import write_json
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.estimators.lifted import LiftedEstimator
from contrapposto.systems.scail_pose.extract import extract, read_image
from contrapposto.systems.scail_pose.framing import target_size
from contrapposto.systems.scail_pose.interface import PoseEstimator
from contrapposto.systems.scail_pose.jobs import VideoJob
from contrapposto.systems.scail_pose.known_motion import read_source
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.process import Progress, draw, process, repair
from contrapposto.systems.scail_pose.reference_people import reference_people
from contrapposto.systems.scail_pose.settings import Settings
from contrapposto.video_file import VideoFile

_ESTIMATORS = ("blazepose", "auto", "files")


class PoseExtractor:
    """Finds the people of videos and draws them.

    Args:
        estimator: sees the people, or makes what does when it is first needed.
        settings: what is made of a clip.
        progress: called with stage, frames done, and frames in all.
    """

    def __init__(
        self,
        estimator: PoseEstimator | Callable[[], PoseEstimator],
        settings: Settings | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._estimator, self.settings, self.progress = estimator, settings or Settings(), progress

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = "blazepose", *, settings: Settings | None = None, **options: Any
    ) -> PoseExtractor:
        """An extractor by the name or the place of its networks.

        Args:
            name_or_path: `blazepose`: the networks that ship with the package. A folder with YOLOX, DWPose and NLF as
                the original lays them out (`auto` and `files` look in `pretrained_weights`). Or a lifter, which finds
                the joints in space from BlazePose's keypoints: an exported `.onnx` file, or anything that
                `Lifter.from_pretrained` takes.
            settings: what is made of a clip; the motion is cleaned by default.
            options: of `make_estimator`.

        Raises:
            MissingError: no such file or folder, or a package is missing.
            InputError: a file of something else.
        """
        from contrapposto.systems.scail_pose.clean import Clean
        from contrapposto.systems.scail_pose.pipeline import Look

        name, path = str(name_or_path), Path(name_or_path)
        if name in _ESTIMATORS:
            options = {"estimator": name, **options}
        elif path.is_dir() and any(path.glob("DWPose/*.onnx")):
            options = {"estimator": "files", "weights": path, **options}
        else:
            options = {"lifter": name_or_path, **options}
        usual = Settings(look=Look(attach=True), clean=Clean())
        return cls(make_estimator(**options), usual if settings is None else settings)

    @property
    def estimator(self) -> PoseEstimator:
        """What sees the people; made when first asked for."""
        if not hasattr(self._estimator, "people"):
            self._estimator = self._estimator()
        return self._estimator

    def people(self, video: str | Path, **options: Any) -> ClipPoses:
        """The people of a video, their motion cleaned as the settings say.

        Args:
            video: file.
            options: see `VideoJob`.

        Raises:
            InputError: a file that cannot be read.
        """
        job = VideoJob(Path(video).stem, Path(video), **options)
        file = VideoFile.open(job.video)
        job.check_start(file)
        size = target_size(file.height, file.width, job.resolution)
        clip = extract(job.frames(file), self.estimator, *size, file.fps, fit=job.fit)
        return repair(clip, job, self.settings)[0]

    def __call__(self, job: VideoJob, folder: str | Path) -> dict[str, Any]:
        """Make the pose video of a job into a folder; see `process` for the report and the errors."""
        return process(job, self.estimator, Path(folder), self.settings, self.progress)

    def try_job(self, job: VideoJob, folder: str | Path) -> dict[str, Any]:
        """Like calling it, with `name` and `folder`; the report of a job that fails has its `error` instead."""
        labels = {"name": job.name, "folder": str(folder)}
        try:
            return {**self(job, folder), **labels}
        except ContrappostoError as error:
            return {**labels, "error": str(error)}

    def redraw(
        self,
        source: str | Path,
        folder: str | Path,
        *,
        resolution: Sequence[int] = (512, 896),
        reference: str | Path | None = None,
        reference_fit: str = "cover",
        figure: str | Path | None = None,
        turn: float = 0.0,
    ) -> dict[str, Any]:
        """Draw motion that is known already; see `read_source` for what it may be and for `figure` and `turn`.

        Args:
            source: file or folder.
            folder: for the pose video and `report.json`.
            resolution: short and long side in pixels where the file does not state a size; landscape.
            reference, reference_fit: image of the character, see `VideoJob`.

        Returns:
            The report, see `draw`.

        Raises:
            InputError: nothing that can be read, or nobody in it.
            ConfigError: an option that cannot be used.
        """
        source, folder = Path(source), Path(folder)
        height, width = target_size(1, 2, resolution)
        figure = None if figure is None else Path(figure)
        clip, settings = read_source(
            source, height, width, self.settings, figure=figure, turn=turn, lift=self._lift
        )
        characters = None
        if reference is not None and settings.align is not None:
            image = read_image(reference)
            characters = reference_people(image, self.estimator, clip.height, clip.width, reference_fit)
        name = None if reference is None else Path(reference).name
        report: dict[str, Any] = {"source": source.name, "reference": name, "seconds": {}}
        report |= draw(clip, folder, settings, characters, progress=self.progress)
        if self.settings.world:
            report["warnings"].append("world=true needs the video: how the camera moved is not known here")
        write_json(folder / "report.json", report)
        return report

    def _lift(self, clip: ClipPoses) -> ClipPoses:
        """The clip with joints by the lifter, if there is one and no joint is known."""
        known = any(person.valid.any() for frame in clip.frames for person in frame)
        if known or not isinstance(self.estimator, LiftedEstimator):
            return clip
        joints = self.estimator.body.estimate([], clip.frames, clip.intrinsics)
        frames = [
            [replace(person, joints=one) for person, one in zip(people, here)]
            for people, here in zip(clip.frames, joints)
        ]
        return replace(clip, frames=frames)
