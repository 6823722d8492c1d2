"""Clips in, pose videos out: one clip per batch, so that many spread over processes and devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from contrapposto.errors import ContrappostoError
from contrapposto.systems.scail_pose.estimators.interface import Person, PoseEstimator
from contrapposto.systems.scail_pose.palette import palettes_for
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.pipeline import Look
from contrapposto.systems.scail_pose.process import Settings, VideoJob, draw, process
from contrapposto.systems.scail_pose.reference import AlignOptions


class ScailPoseModule(pl.LightningModule):
    """Makes the pose video of each clip; nothing is trained here.

    Args:
        output: folder for the files; a clip's own folder in it where the job says so.
        estimator: who sees the people, or what makes one when the first clip comes.
        people: whom to draw: all, first, largest, central, or ids.
        outputs: see `Settings`.
        look: options of `Look`.
        align: options of `AlignOptions`; None leaves the camera as it is.
        retarget: see `Settings`.
        clean: repairs the motion, see `Settings`.
        original: the original's look and its slips: one person with the single palette, motion as it is estimated,
            its solver for the camera.
        strict: a clip that cannot be done ends everything; else its error is its report.
        progress: see `process`.
    """

    def __init__(
        self,
        output: str | Path,
        estimator: PoseEstimator | Callable[[], PoseEstimator],
        people: str | int | Sequence[int] = "all",
        outputs: Sequence[str] = ("video", "people"),
        look: Mapping[str, Any] | None = None,
        align: Mapping[str, Any] | None = None,
        retarget: Sequence[float] | None = None,
        clean: Callable[[ClipPoses], ClipPoses] | None = None,
        original: bool = False,
        strict: bool = True,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        super().__init__()
        self.output, self.strict, self.progress = Path(output), strict, progress
        self._estimator = estimator
        self.settings = _settings(people, outputs, look, align, retarget, clean, original)

    @property
    def estimator(self) -> PoseEstimator:
        """Who sees the people, made when first asked for."""
        if not hasattr(self._estimator, "people"):
            self._estimator = self._estimator()
        return self._estimator

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """A job stays as it is: it holds names of files."""
        return batch

    def predict_step(self, batch: tuple[VideoJob, str], batch_idx: int) -> dict[str, Any]:
        """Do a clip: a job, and the name of its folder in `output`, empty where it has none.

        Returns:
            Its report, see `process`, with `name` and `folder`; with `error` alone where it could not be done.
        """
        job, inside = batch
        folder = self.output / inside
        facts = {"name": job.name, "folder": str(folder)}
        try:
            return {**process(job, self.estimator, folder, self.settings, self.progress), **facts}
        except ContrappostoError as error:
            if self.strict:
                raise
            return {**facts, "error": str(error)}

    def draw(
        self, clip: ClipPoses, settings: Settings, reference: Sequence[Person] | None = None
    ) -> dict[str, Any]:
        """Write the pose video of people that are known already; see `draw` of the library."""
        return draw(clip, self.output, settings, reference, self.progress)


def _settings(
    people: str | int | Sequence[int],
    outputs: Sequence[str],
    look: Mapping[str, Any] | None,
    align: Mapping[str, Any] | None,
    retarget: Sequence[float] | None,
    clean: Callable[[ClipPoses], ClipPoses] | None,
    original: bool,
) -> Settings:
    drawn, fit = dict(look or {}), dict(align or {})
    if original:
        drawn |= {"wrap": True, "attach": False, "hide": False, "palettes": palettes_for(1)}
        fit |= {"original": True}
        people, clean = "first" if people == "all" else people, None
    return Settings(
        people=people,
        look=Look(**drawn),
        align=None if align is None else AlignOptions(**{k: _pair(v) for k, v in fit.items()}),
        retarget=None if retarget is None else (float(retarget[0]), float(retarget[1])),
        outputs=list(outputs),
        clean=clean,
    )


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
