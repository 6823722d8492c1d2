"""ONNX files: a network written as one, and one run by ONNX Runtime. Nothing in such a file is executed as code."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from contrapposto.errors import InputError, MissingError
from contrapposto.files import atomic_path


def write_onnx(
    module: nn.Module,
    inputs: Sequence[Tensor],
    path: str | Path,
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    metadata: Mapping[str, str],
    dynamic_shapes: dict[str, Any] | None = None,
    int8: bool = False,
) -> Path:
    """Write a network as one file.

    Args:
        module: on the CPU.
        inputs: an example.
        path: to write.
        input_names, output_names: in the file.
        metadata: put into the file.
        dynamic_shapes: axes that stay free, see `torch.onnx.export`.
        int8: round the weights of the linear layers to 8 bits (not exact).

    Raises:
        MissingError: the packages for it are not installed.
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise MissingError(
            f"Export needs {', '.join(missing)}.", fix="pip install onnx onnxruntime onnxscript"
        )
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad(), atomic_path(path) as temporary, _quiet():
        module(*inputs)  # tables made at the first call would otherwise be made by the tracer
        program: Any = torch.onnx.export(
            module,
            tuple(inputs),
            dynamo=True,
            verbose=False,
            input_names=list(input_names),
            output_names=list(output_names),
            dynamic_shapes=dynamic_shapes,
        )
        # Among it the source paths of this machine, for every node.
        ClearMetadataAndDocStringPass()(program.model)
        program.model.metadata_props.update(metadata)
        program.save(temporary, external_data=False)
        if int8:
            _round_weights(temporary)
    return path


def open_onnx(path: str | Path, *, threads: int = 0, gpu: bool = False) -> Any:
    """An `onnxruntime.InferenceSession`.

    Args:
        path: the file.
        threads: of the runtime; 0 for as many as there are cores.
        gpu: run on a GPU where the runtime that is installed can.

    Raises:
        MissingError: no such file, or ONNX Runtime is not installed.
        InputError: the file cannot be read.
    """
    if not Path(path).is_file():
        raise MissingError(f"There is no file {path}.", expected="an ONNX network")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingError(f"{Path(path).name} needs ONNX Runtime.", fix="pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    providers = ["CUDAExecutionProvider"] if gpu else []
    providers = [name for name in providers if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(str(path), options, [*providers, "CPUExecutionProvider"])
    except Exception as error:  # the runtime has a dozen kinds, none of them public
        raise InputError(
            f"{path} is not an ONNX network that can be run.", found=str(error).splitlines()[0][:200]
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's advice to its developers from the user."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(level)


def _round_weights(path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    rounded = path.with_name(f"{path.name}.int8")
    quantize_dynamic(path, rounded, per_channel=True, weight_type=QuantType.QInt8)
    rounded.replace(path)
