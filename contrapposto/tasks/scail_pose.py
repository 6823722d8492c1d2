"""contrapposto predict task=scail_pose: everybody in videos as pose videos, aligned with a reference character."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from contrapposto.errors import ConfigError, InputError
from contrapposto.options import build, check_options, locate
from contrapposto.outputs import adopt, free_folder
from contrapposto.progress import Lines
from contrapposto.systems.scail_pose import validate as check
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.extractor import PoseExtractor
from contrapposto.systems.scail_pose.jobs import VideoJob, find_jobs
from contrapposto.systems.scail_pose.settings import Settings, result_names
from contrapposto.tasks.base import READING

_MAX_PROCESSES = 256


class ScailPose:
    """Make pose videos; see scail_pose.yaml for the options.

    Args:
        data: options of `VideoJob`.
        module: `estimator`, what makes the estimator, and the options of `Settings.from_options`.
        processes: videos that are processed at a time.
        figure: JSON file of a stick figure, for joints of other skeletons.
        turn: degrees by which the camera walks around a motion file.
    """

    needs_input = False

    def __init__(
        self,
        data: Mapping[str, Any],
        module: Mapping[str, Any],
        processes: int = 1,
        figure: str | None = None,
        turn: float = 0.0,
    ) -> None:
        self.data, self.module, self.processes = dict(data), dict(module), processes
        self.figure, self.turn = figure, turn

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Make the pose videos of `video=` (or `input=`) into files in `output`.

        Raises:
            ConfigError: no video, or an option that cannot be used.
            InputError: a video could not be processed; with several, the others are done first.
        """
        video = config.video or config.input
        if not video:
            raise ConfigError("No video given.", expected="video=FILE or a folder")
        processes = round(check.number("processes", self.processes, 1, _MAX_PROCESSES))
        options = dict(self.module)
        estimator = _estimator(options.pop("estimator"))
        settings = Settings.from_options(**options)
        make = partial(PoseExtractor, estimator, settings)
        names = result_names(settings.outputs)
        if holds_motion(Path(video)):
            _check_reading(Path(video), config)
            folder = free_folder(output, names, Path(video).stem)
            return self._redraw(make(Lines()), Path(video), config, folder)
        jobs = find_jobs(video, config.reference, **{**self.data, **_reading(config)})
        if len(jobs) == 1:
            output = free_folder(output, names, jobs[0][0].name)
            reports = [{**make(Lines())(jobs[0][0], output), "name": jobs[0][0].name, "folder": str(output)}]
            print_report(reports[0])
        else:
            work = [(job, free_folder(output / inside, names, inside)) for job, inside in jobs]
            reports = list(_process_all(make, work, processes))
        adopt(_files(reports))  # written by other processes, perhaps
        _check_failures(reports)
        return _files(reports)

    def _redraw(self, extractor: PoseExtractor, source: Path, config: DictConfig, output: Path) -> list[Path]:
        """Draw motion that is known already: people of a clip, keypoints, joints of any skeleton, or a motion file."""
        report = extractor.redraw(
            source,
            output,
            resolution=self.data["resolution"],
            reference=config.reference,
            reference_fit=self.data["reference_fit"],
            figure=self.figure,
            turn=self.turn,
        )
        print_report({"name": source.stem, **report})
        return [output / name for name in [*report["files"], "report.json"]]


def _estimator(options: Mapping[str, Any]) -> Callable[[], Any]:
    """What makes the estimator: `make_estimator` with options, or the class or function that `_target_` names."""
    node = {"_target_": f"{make_estimator.__module__}.make_estimator", **options}
    check_options(locate(node["_target_"]), options, "task.module.estimator.")
    return partial(build, node, "task.module.estimator.")


def _reading(config: Mapping[str, Any]) -> dict[str, Any]:
    """The one option of motion files that a video has too: `fps`, the pose video's.

    Raises:
        ConfigError: another one is stated.
    """
    stated = {name: config[name] for name in READING if config.get(name) is not None}
    if others := [name for name in stated if name != "fps"]:
        raise ConfigError(f"{others[0]}= is about motion files, and this is a video.", fix="leave it out")
    return stated


def _check_reading(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse the options of motion files where the file is none; what it holds is read as it is."""
    stated = next((name for name in READING if config.get(name) is not None), None)
    if stated is not None and (path.is_dir() or path.suffix.lower() == ".json"):
        raise ConfigError(
            f"{stated}= is about motion files (.bvh .amc .npz), and {path.name} holds people.",
            fix="leave it out",
        )


def holds_motion(path: Path) -> bool:
    """Whether a path is a file of people, keypoints, joints or motion, or a folder of OpenPose's files."""
    if path.is_dir():
        return any(path.glob("*.json")) and not (path / "driving.mp4").exists()
    return path.suffix.lower() in (".json", ".npz", ".bvh", ".amc")


def print_report(report: Mapping[str, Any]) -> None:
    """Print what became of a clip."""
    name = report["name"]
    if "error" in report:
        print(f"{name}: FAILED. {report['error']}")
        return
    seconds = sum(report["seconds"].values())
    rate = f", {report['frames'] / seconds:.1f} frames/s" if seconds else ""
    print(f"{name}: {report['frames']} frames, {len(report['people'])} people{rate}")
    for number, alignment in report["alignments"].items():
        print(
            f"  person {number}: {alignment['pixels_before']:.0f} pixels from the reference before, "
            f"{alignment['pixels_after']:.0f} after"
        )
    for warning in report["warnings"]:
        print(f"  warning: {warning}")


def _process_all(
    make: Callable[..., PoseExtractor], work: Sequence[tuple[VideoJob, Path]], processes: int
) -> Iterator[dict[str, Any]]:
    """Reports of the jobs in their order, each printed as it comes; an extractor is made once per process."""
    if processes == 1:
        extractor = make(Lines())
        for job, folder in work:
            yield _printed(extractor.try_job(job, folder))
        return
    import torch

    context = get_context("spawn")
    processes = min(processes, len(work))
    threads = max(torch.get_num_threads() // processes, 1)
    with ProcessPoolExecutor(processes, context, _start_worker, (make, threads)) as pool:
        for report in pool.map(_process_one, *zip(*work)):
            yield _printed(report)


def _printed(report: dict[str, Any]) -> dict[str, Any]:
    print_report(report)
    return report


_extractor: PoseExtractor | None = None  # of a worker process


def _start_worker(make: Callable[..., PoseExtractor], threads: int) -> None:
    import torch

    global _extractor
    torch.set_num_threads(threads)
    _extractor = make()


def _process_one(job: VideoJob, folder: Path) -> dict[str, Any]:
    assert _extractor is not None
    return _extractor.try_job(job, folder)


def _files(reports: Sequence[Mapping[str, Any]]) -> list[Path]:
    return [
        Path(report["folder"]) / name
        for report in reports
        if "error" not in report
        for name in [*report["files"], "report.json"]
    ]


def _check_failures(reports: Sequence[Mapping[str, Any]]) -> None:
    failed = [report for report in reports if "error" in report]
    if failed:
        done = len(reports) - len(failed)
        raise InputError(
            f"{len(failed)} of {len(reports)} videos failed.",
            found=f"{failed[0]['name']}: {failed[0]['error'].splitlines()[0]}",
            fix=f"see the messages above; the other {done} are done" if done else "see the messages above",
        )
