"""The process that opens the files and does the work: one request a line on its input, answers a line on its output.

It stands apart from the server so that a job can be stopped at any moment, and so that a decoder which crashes on a
damaged file takes one job with it, not the service. Requests: `{"do": "look", ...}` and `{"do": "process", ...}`, see
`look` and `make`. Answers: `{"progress": share, "stage": word}` at times, and in the end `{"result": {...}}` or
`{"error": text, "fault": "input" or "service"}`.
"""

from __future__ import annotations

import io
import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from contrapposto.devices import using_device
from contrapposto.errors import ContrappostoError, InputError

Progress = Callable[[float, str], None]
_SHARES = {"people": (0.0, 0.8), "drawing": (0.8, 0.2)}
_estimators: dict[str, Any] = {}


def look(request: Mapping[str, Any]) -> dict[str, Any]:
    """What an upload is: `video` and `reference` (or null) are files; `side` and `seconds` the limits.

    Raises:
        InputError: not a video, not an image, or too large or long.
    """
    from contrapposto.video_file import VideoFile

    file = VideoFile.open(request["video"])
    side, longest = request["side"], request["seconds"]
    _check_side("The video", file.width, file.height, side)
    if file.seconds > longest:
        raise InputError(
            "The video is too long.", found=f"{file.seconds:.1f} s", expected=f"at most {longest:g} s"
        )
    attributes = {"width": file.width, "height": file.height, "fps": file.fps, "seconds": file.seconds}
    if request["reference"] is not None:
        _check_image(Path(request["reference"]), side)
    return attributes


def make(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Make a pose video: `video`, `reference` (or null) and `output` (a folder) are paths.

    The rest: `estimator` (options of `make_estimator`), `device`, `job` (options of `VideoJob`), `settings` (those of
    `Settings.from_options`; `outputs` may also have `driving`), and `frames`: `time`, or `count` for the original's choice.
    """
    from contrapposto.systems.scail_pose.jobs import VideoJob
    from contrapposto.systems.scail_pose.process import process
    from contrapposto.systems.scail_pose.service.counted import CountedJob
    from contrapposto.systems.scail_pose.service.preview import write_preview
    from contrapposto.systems.scail_pose.settings import Settings

    outputs = request["settings"]["outputs"]
    rest = [name for name in outputs if name != "driving"] or ["video"]
    settings = Settings.from_options(**{**request["settings"], "outputs": rest})
    kind, more = (CountedJob, {"fps": None}) if request["frames"] == "count" else (VideoJob, {})
    reference = request["reference"] if settings.align is not None else None
    job = kind(
        name="upload",
        video=Path(request["video"]),
        reference=None if reference is None else Path(reference),
        **{**request["job"], **more},
    )

    def report_progress(stage: str, done: int, total: int) -> None:
        start, share = _SHARES.get(stage, (0.0, 0.0))
        progress(start + share * min(done / max(total, 1), 1.0), stage)

    progress(0.0, "starting")
    output = Path(request["output"])
    with using_device(request["device"]):
        estimator = _estimator(request["estimator"])
        progress(0.0, "people")
        report = process(job, estimator, output, settings, report_progress)
    files = [*(_single_file(output / name) for name in report["files"]), "report.json"]
    if "driving" in outputs:
        files.append(write_preview(job, output / "driving.mp4", report["size"], report["frames"]).name)
    return {
        "files": files,
        "frames": report["frames"],
        "people": len(report["people"]),
        "warnings": report["warnings"],
    }


def _single_file(path: Path) -> str:
    """The name of a result; a folder becomes a zip file."""
    if not path.is_dir():
        return path.name
    archive = shutil.make_archive(str(path), "zip", path)
    shutil.rmtree(path)
    return Path(archive).name


def answer(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The last answer to a request, whatever happens."""
    return outcome(lambda: look(request) if request["do"] == "look" else make(request, progress))


def outcome(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` returns as the last answer to a request, or its error in words."""
    try:
        return {"result": work()}
    except ContrappostoError as error:
        return {"error": str(error), "fault": "input"}
    except Exception as error:  # the next request shall be served
        traceback.print_exc()
        kind = type(error).__name__
        return {
            "error": f"The service made an error of its own ({kind}); its log has more.",
            "fault": "service",
        }


Respond = Callable[[Mapping[str, Any], Progress], dict[str, Any]]


def main(respond: Respond = answer) -> None:
    """Serve requests until the input ends or SIGTERM comes.

    Args:
        respond: gives the last answer to a request; called in the main thread, one request after the other.
    """
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(1)
    )  # leaves every `with`: no encoder, no half file stays
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides when to stop
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        _say(answers, respond(request, _throttled(answers)))


def _listen(requests: queue.Queue[str]) -> None:
    for line in io.FileIO(0, closefd=False):  # without a buffer, whose lock would trouble the exit
        requests.put(line.decode())
    os.kill(os.getpid(), signal.SIGTERM)  # the server is gone


def _say(answers: IO[str], words: Mapping[str, Any]) -> None:
    answers.write(json.dumps(words) + "\n")
    answers.flush()


def _throttled(answers: IO[str], every: float = 0.2) -> Progress:
    """Tells of progress, a few times a second and when the stage changes."""
    last: list[Any] = [0.0, ""]

    def progress(share: float, stage: str) -> None:
        now = time.monotonic()
        if stage != last[1] or now - last[0] >= every:
            last[:] = now, stage
            _say(answers, {"progress": share, "stage": stage})

    return progress


def _estimator(options: Mapping[str, Any]) -> Any:
    from contrapposto.systems.scail_pose.estimators import make_estimator

    key = json.dumps(options, sort_keys=True)
    if key not in _estimators:
        _estimators[key] = make_estimator(**options)
    return _estimators[key]


def _check_image(path: Path, side: int) -> None:
    from PIL import Image

    try:
        with Image.open(path) as image:
            _check_side("The image", *image.size, side)
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            "The image cannot be read.", expected="a whole JPEG, PNG, WebP, TIFF or BMP file"
        ) from error


def _check_side(what: str, width: int, height: int, side: int) -> None:
    if max(width, height) > side:
        raise InputError(
            f"{what} is too large.", found=f"{width} x {height}", expected=f"sides of at most {side} pixels"
        )


if __name__ == "__main__":
    main()
