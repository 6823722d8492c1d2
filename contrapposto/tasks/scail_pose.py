"""predict.py task=scail_pose: everybody in videos as pose videos, aligned with a reference character."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from contrapposto.errors import ConfigError, InputError
from contrapposto.progress import Lines


class ScailPose:
    """Make pose videos; see configs/task/scail_pose.yaml for the options.

    Args:
        data: options of the data module.
        module: the module's class and options.
        trainer: options of Lightning's trainer.
        figure: json file of a stick figure, for joints of other skeletons.
        turn: degrees by which the camera walks around a motion file.
    """

    needs_input = False

    def __init__(
        self,
        data: Mapping[str, Any],
        module: Mapping[str, Any],
        trainer: Mapping[str, Any],
        figure: str | None = None,
        turn: float = 0.0,
    ) -> None:
        self.data, self.module, self.trainer = dict(data), dict(module), dict(trainer)
        self.figure, self.turn = figure, turn

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Make the pose videos of `video=` (or `input=`) into files in `output`."""
        from hydra.utils import instantiate

        given = config.video or config.input
        if not given:
            raise ConfigError("No video given.", expected="video=FILE or a folder")
        if _holds_motion(Path(given)):
            return self._draw(Path(given), config, output)
        data = instantiate(self.data, video=given, reference=config.reference)
        single = len(data.jobs) == 1
        module = instantiate(self.module, output=output, strict=single, progress=Lines())
        reports = self._predict(module, data)
        failed = [report for report in reports if "error" in report]
        for report in reports:
            _tell(report)
        if failed and len(failed) == len(reports):
            raise InputError(f"None of {len(reports)} videos could be done.", found=failed[0]["error"])
        return [
            Path(report["folder"]) / name
            for report in reports
            for name in [*report.get("files", []), "report.json"]
            if "error" not in report
        ]

    def _draw(self, source: Path, config: DictConfig, output: Path) -> list[Path]:
        """Motion that is known already: people of a clip, keypoints, joints of any skeleton, or a motion file."""
        from hydra.utils import instantiate

        from contrapposto.systems.scail_pose.extract import extract_reference, read_image
        from contrapposto.systems.scail_pose.sources import read_source

        module = instantiate(self.module, output=output)
        height, width = self.data["resolution"]  # lying, like most
        figure = None if self.figure is None else Path(self.figure)
        clip, settings = read_source(source, height, width, module.settings, figure=figure, turn=self.turn)
        reference = None
        if config.reference and settings.align is not None:
            image, fit = read_image(config.reference), self.data["reference_fit"]
            reference = extract_reference(image, module.estimator, clip.height, clip.width, fit)
        report = module.draw(clip, settings, reference)
        _tell({"name": source.stem, "seconds": {}, **report})
        return [output / name for name in report["files"]]

    def _predict(self, module: Any, data: Any) -> list[dict[str, Any]]:
        import pytorch_lightning as pl

        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = pl.Trainer(
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                **self.trainer,
            )
            found = trainer.predict(module, datamodule=data)
        return list(found or [])


def _holds_motion(path: Path) -> bool:
    """Whether a path is a file of people, keypoints, joints or motion, or a folder of OpenPose's files."""
    if path.is_dir():
        return any(path.glob("*.json")) and not (path / "driving.mp4").exists()
    return path.suffix.lower() in (".json", ".npz", ".bvh", ".amc")


def _tell(report: dict[str, Any]) -> None:
    name = report["name"]
    if "error" in report:
        print(f"{name}: NOT DONE. {report['error']}")
        return
    taken = sum(report["seconds"].values())
    rate = f", {report['frames'] / taken:.1f} frames/s" if taken else ""
    print(f"{name}: {report['frames']} frames, {len(report['people'])} people{rate}")
    for number, found in report["alignments"].items():
        print(
            f"  person {number}: {found['pixels_before']:.0f} pixels from the reference before, "
            f"{found['pixels_after']:.0f} after"
        )
    for words in report["warnings"]:
        print(f"  note: {words}")
