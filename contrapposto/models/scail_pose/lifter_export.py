"""A lifter as an ONNX file, and that file as a lifter.

Inputs: `rays` (B, T, 28, 2) and `scores` (B, T, 28), see `Lifter.forward`; T is fixed, B is not. Output: `joints`
(B, T, 24, 3), metres in camera space.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapposto.errors import InputError, MissingError
from contrapposto.files import atomic_path
from contrapposto.models.scail_pose.lifter import NUM_POINTS, Lifter


def export_onnx(lifter: Lifter, path: str | Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a lifter as one ONNX file.

    Args:
        lifter: on the CPU.
        path: to write.
        metadata: put into the file, such as the licence of the training data.

    Raises:
        MissingError: the packages for it are not installed.
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise MissingError(f"Export needs {', '.join(missing)}.", fix="pip install 'contrapposto[export]'")
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    inputs = (torch.zeros(2, lifter.window, NUM_POINTS, 2), torch.ones(2, lifter.window, NUM_POINTS))
    batch = torch.export.Dim("batch")
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the exporter's advice to its developers
    try:
        with torch.no_grad(), atomic_path(path) as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                lifter.eval(),
                inputs,
                dynamo=True,
                verbose=False,
                input_names=["rays", "scores"],
                output_names=["joints"],
                dynamic_shapes={"rays": {0: batch}, "scores": {0: batch}},
            )
            # Among it the source paths of this machine, for every node.
            ClearMetadataAndDocStringPass()(program.model)
            program.model.metadata_props.update({**(metadata or {}), "joints": "SMPL, 24", "unit": "metres"})
            program.save(temporary, external_data=False)
    finally:
        logging.disable(level)
    return path


class ExportedLifter:
    """An exported file with the interface of `Lifter`, needing ONNX Runtime alone.

    Args:
        path: a file of `export_onnx`.
        threads: of the runtime.

    Raises:
        MissingError: no such file, or ONNX Runtime is not installed.
        InputError: the file cannot be read, or is of something else.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        if not Path(path).is_file():
            raise MissingError(f"There is no file {path}.", expected="an exported lifter")
        if find_spec("onnxruntime") is None:
            raise MissingError("An exported lifter needs ONNX Runtime.", fix="pip install onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        except Exception as error:  # the runtime has a dozen kinds, none of them public
            raise InputError(f"{path} is no ONNX file that can be run.", found=str(error)[:200]) from error
        inputs = {value.name: value.shape for value in self._session.get_inputs()}
        if set(inputs) != {"rays", "scores"} or inputs["rays"][2:] != [NUM_POINTS, 2]:
            raise InputError(
                f"{path} holds no lifter.",
                found=", ".join(f"{name} {shape}" for name, shape in inputs.items()),
                expected=f"rays [B, T, {NUM_POINTS}, 2] and scores",
            )
        self.window = int(inputs["rays"][1])

    def __call__(self, rays: Tensor, scores: Tensor) -> Tensor:
        """See `Lifter.forward`."""
        given = {
            name: np.ascontiguousarray(value.numpy(), np.float32)
            for name, value in (("rays", rays), ("scores", scores))
        }
        return torch.from_numpy(self._session.run(None, given)[0])
