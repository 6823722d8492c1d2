"""A lifter as an ONNX file, and that file as a lifter.

Inputs: `rays` (B, T, 28, 2) and `scores` (B, T, 28), see `Lifter.forward`; T is fixed, B is not. Output: `joints`
(B, T, 24, 3), metres in camera space.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrapposto.errors import InputError
from contrapposto.onnx_files import open_onnx, write_onnx
from contrapposto.systems.scail_pose.lifter import NUM_POINTS, Lifter


def export_onnx(lifter: Lifter, path: str | Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a lifter as one ONNX file.

    Args:
        lifter: on the CPU.
        path: to write.
        metadata: put into the file, such as the licence of the training data.

    Raises:
        MissingError: the packages for it are not installed.
    """
    batch = torch.export.Dim("batch")
    return write_onnx(
        lifter.eval(),
        (torch.zeros(2, lifter.window, NUM_POINTS, 2), torch.ones(2, lifter.window, NUM_POINTS)),
        path,
        input_names=["rays", "scores"],
        output_names=["joints"],
        metadata={**(metadata or {}), "joints": "SMPL, 24", "unit": "metres"},
        dynamic_shapes={"rays": {0: batch}, "scores": {0: batch}},
    )


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
        self._session = open_onnx(path, threads=threads)
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
        inputs = {
            name: np.ascontiguousarray(value.numpy(), np.float32)
            for name, value in (("rays", rays), ("scores", scores))
        }
        return torch.from_numpy(self._session.run(None, inputs)[0])
