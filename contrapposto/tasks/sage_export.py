"""predict.py task=sage_export: a trained tracker as an ONNX file, or as a prepared one that starts at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig

from contrapposto.errors import ConfigError, InputError, nearest
from contrapposto.outputs import free_stem
from contrapposto.runs import best_run, read_result

if TYPE_CHECKING:
    from contrapposto.systems.sage.export import Exportable

MODELS = ("tracker", "sage_refiner", "sage_student")
FORMATS = ("onnx", "prepared")
_PASSED_ON = ("licence", "source", "attribution")


class SageExport:
    """Write the tracker of a run as `<output>/<model>.onnx` and compare its poses with those of the suite.

    `input` is a checkpoint, a run directory, or the name of a model: its best run is taken.

    Args:
        data, experiment: of the run, where a model is named.
        steps: of the samplers; those of the training where None. The student has none.
        int8: round the weights to 8 bits: smaller and faster, not exact.
        format: `onnx`, or `prepared`: SAGE's packed or 8-bit weights, for `task=sage_track task.checkpoint=FILE`.
    """

    def __init__(
        self,
        data: str = "demo",
        experiment: str | None = "sage_demo",
        steps: int | None = None,
        int8: bool = False,
        format: str = "onnx",
    ) -> None:
        if format not in FORMATS:
            raise ConfigError(f"task.format={format} cannot be used.", expected=nearest(format, FORMATS))
        self.data, self.experiment, self.steps, self.int8 = data, experiment, steps, int8
        self.format = format

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Export `source` into the folder `output`.

        Raises:
            ConfigError: it is no tracker.
            MissingError: there is no such run, or the packages for export are missing.
        """
        from contrapposto.systems.sage.methods import load_tracker

        checkpoint = source
        if not source.exists():
            if source.name not in MODELS:
                near = nearest(source.name, MODELS)
                raise InputError(f"There is neither a file nor a model {source}.", expected=near)
            checkpoint = best_run(config.paths.runs, source.name, self.data, self.experiment).checkpoint
        if self.format == "prepared":
            return [self._prepared(checkpoint, output)]
        from contrapposto.systems.sage.export import Exportable, export_onnx

        tracker = load_tracker(checkpoint, device="cpu")
        if not isinstance(tracker, Exportable):
            raise ConfigError(f"{checkpoint} cannot be exported.", expected=f"a run of {' or '.join(MODELS)}")
        run = checkpoint if checkpoint.is_dir() else checkpoint.parent.parent
        result = read_result(run)
        metadata = {key: str(result.data[key]) for key in _PASSED_ON if key in result.data}
        metadata["checkpoint_sha256"] = result.checkpoint_sha256
        stem = free_stem(output / result.model, [".onnx"])
        path = stem.with_name(f"{stem.name}.onnx")
        export_onnx(tracker, path, steps=self.steps, int8=self.int8, metadata=metadata)
        print(f"joints differ from the suite's by at most {1000 * self._difference(tracker, path):.3g} mm")
        return [path]

    def _prepared(self, checkpoint: Path, output: Path) -> Path:
        from contrapposto.pretrained import load_pretrained
        from contrapposto.systems.sage.fast import prepare_tracker
        from contrapposto.systems.sage.official import is_official
        from contrapposto.systems.sage.prepared_file import save_prepared
        from contrapposto.systems.sage.tracker import SageTracker

        tracker = SageTracker.from_pretrained(checkpoint, device="cpu")
        options, licence = {}, "of the authors' weights"
        if not is_official(checkpoint):
            trained = load_pretrained(checkpoint)
            options, licence = trained.options, str(trained.data.get("licence", ""))
        stem = free_stem(output / "sage_refiner", [".safetensors"])
        path = stem.with_name(f"{stem.name}.safetensors")
        ready = prepare_tracker(tracker, steps=self.steps, linears="int8" if self.int8 else "packed")
        save_prepared(ready, path, options=options, finishing=tracker.finishing, licence=licence)
        return path

    def _difference(self, tracker: Exportable, path: Path) -> float:
        """Largest distance in metres over a second of a synthetic clip."""
        from contrapposto.synthetic import generate
        from contrapposto.systems.sage.export import ExportedStream
        from contrapposto.systems.sage.features import sage_features
        from contrapposto.systems.sage.finishing import Finishing
        from contrapposto.systems.sage.tracker import SageTracker

        sparse = sage_features(generate("walk", seconds=1.0, seed=0))["sparse"]
        tracker.finishing = Finishing.none()  # it is no part of the file
        if isinstance(tracker, SageTracker):
            tracker.seed = None  # the exported samplers start from zero
            tracker.steps = self.steps or tracker.steps
        stream, expected = ExportedStream(path), tracker.track(sparse).joints
        joints = torch.cat([stream.push(frame).joints for frame in sparse])
        return float(torch.linalg.vector_norm(joints - expected, dim=-1).max())
