"""predict.py task=scail_lifter_export: a trained lifter as an ONNX file."""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import DictConfig

from contrapposto.errors import InputError
from contrapposto.outputs import free_stem
from contrapposto.runs import Result, best_run, read_result

_MODEL = "scail_lifter"
_COPIED = ("licence", "source", "attribution")


class LifterExport:
    """Write the lifter of a run as `<output>/scail_lifter.onnx` and compare its joints with those of the suite.

    `input` is a checkpoint, a run directory, or `scail_lifter`: its best run is taken.

    Args:
        data, experiment: of the run, where no path is given.
    """

    def __init__(self, data: str = "demo", experiment: str | None = "scail_lifter_demo") -> None:
        self.data, self.experiment = data, experiment

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Export `source` into the folder `output`.

        Raises:
            InputError: it holds no lifter.
            MissingError: there is no such run, or the packages for export are missing.
        """
        from contrapposto.systems.scail_pose.lifter import NUM_POINTS, Lifter
        from contrapposto.systems.scail_pose.lifter_export import ExportedLifter, export_onnx

        metadata: dict[str, str] = {}
        if not source.is_file():
            result = self._run(config, source)
            source = result.checkpoint
            metadata = {key: str(result.data[key]) for key in _COPIED if key in result.data}
            metadata["checkpoint_sha256"] = result.checkpoint_sha256
        lifter = Lifter.from_pretrained(source, device="cpu")
        stem = free_stem(output / "scail_lifter", [".onnx"])
        path = export_onnx(lifter, stem.with_name(f"{stem.name}.onnx"), metadata)
        rays, scores = torch.randn(2, lifter.window, NUM_POINTS, 2), torch.rand(2, lifter.window, NUM_POINTS)
        with torch.inference_mode():
            error = (lifter(rays, scores) - ExportedLifter(path)(rays, scores)).norm(dim=-1).max()
        print(f"joints differ from the suite's by at most {1000 * float(error):.3g} mm")
        return [path]

    def _run(self, config: DictConfig, source: Path) -> Result:
        if (source / "result.json").is_file():
            return read_result(source)
        if str(source) != _MODEL:
            raise InputError(
                f"There is no lifter at {source}.",
                expected=f"a checkpoint, the directory of a finished run, or {_MODEL}",
            )
        return best_run(config.paths.runs, _MODEL, self.data, self.experiment)
