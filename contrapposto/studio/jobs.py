"""The jobs of the page: commands that run one after the other in a process of their own, and what the page shows of them."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contrapposto.errors import ContrappostoError
from contrapposto.studio import commands
from contrapposto.studio.commands import Steps
from contrapposto.systems.scail_pose.service.limits import MIB, Limits
from contrapposto.systems.scail_pose.service.process import WorkerLost, WorkerProcess

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
try:
    import gradio as gr
except ImportError as error:  # pragma: no cover
    MISSING: ImportError | None = error
else:
    MISSING = None

LIMITS = Limits(upload=64 * MIB, seconds=20.0, output_side=896, waiting=16, job_seconds=600.0, keep=3600.0)
"""What the page takes on; `seconds` is the longest motion or stretch of a video."""
WORKER = (sys.executable, "-m", "contrapposto.studio.worker")
_DOWNLOADS = (".glb", ".bvh", ".npz", ".mp4", ".html", ".csv", ".json")


class Studio:
    """Runs what the page asks for, one job after the other, in a process of its own.

    Args:
        folder: for uploads and results.
        limits: see `LIMITS`.
        device: of all commands, see `contrapposto.devices`.
    """

    def __init__(self, folder: Path, limits: Limits = LIMITS, device: str = "auto") -> None:
        self.folder, self.limits = folder, limits
        self.options = [] if device == "auto" else [f"device={device}"]
        self.worker = WorkerProcess(WORKER)

    async def run(self, make: Callable[[Path], Steps], progress: Callable[..., Any]) -> tuple[Any, ...]:
        """Values of the result area: model, video, downloads, commands.

        Args:
            make: the commands of a job, given its folder.
            progress: called with a share and a stage.

        Raises:
            gr.Error: in words for the person who asked.
        """
        self.tidy()
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir(parents=True, mode=0o700)
        try:
            steps = [[*step, *self.options] for step in make(folder)]
            answer = await self.worker.ask({"steps": steps}, progress, self.limits.job_seconds)
        except ContrappostoError as error:
            answer = {"error": str(error)}
        except TimeoutError:
            answer = {"error": f"It took longer than {self.limits.job_seconds:g} seconds and was stopped."}
        except WorkerLost:
            answer = {
                "error": "The process that worked on it ended: the files may be damaged, or memory was short."
            }
        if "error" in answer:
            shutil.rmtree(folder, ignore_errors=True)
            raise gr.Error(_words(answer["error"], folder), duration=None, print_exception=False)
        return self._results(answer["result"]["files"], steps, folder)

    def tidy(self) -> None:
        """Remove what is older than the limits allow."""
        for job in self.folder.glob("*"):
            if job.name != "examples" and time.time() - job.stat().st_mtime > self.limits.keep:
                shutil.rmtree(job, ignore_errors=True)

    @staticmethod
    def _results(files: list[list[str]], steps: Steps, folder: Path) -> tuple[Any, ...]:
        results = folder / "results"
        paths = [path for step in files for path in map(Path, step) if path.is_relative_to(results)]
        model, video = (next((str(p) for p in paths if p.suffix == end), None) for end in (".glb", ".mp4"))
        downloads = [str(path) for path in paths if path.suffix in _DOWNLOADS]
        return (
            gr.update(value=model),
            gr.update(value=video, visible=video is not None),
            gr.update(value=downloads, visible=True),
            gr.update(value=commands.shown(steps, folder), visible=True),
        )


def _words(error: str, folder: Path) -> str:
    """An error without the names of this machine's folders."""
    return error.replace(f"{folder}/inputs/", "").replace(str(folder), "the job's folder")
