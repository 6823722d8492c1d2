"""Trained models by name or path: what every `Class.from_pretrained` reads. No Lightning is needed.

A model is found as

* a shipped model: `sage_student`, or with its data and experiment `sage_student/demo-sage_demo`;
* a folder that `contrapposto publish` wrote, or a run directory `runs/MODEL/TIME`;
* a checkpoint file in such a folder (`checkpoints/best.ckpt`, `best.safetensors`);
* `hub:OWNER/NAME`, a folder on the Hugging Face Hub (needs the package `huggingface_hub`).

The authors' own files are not read here: each system has a reader for them, which `from_pretrained` chooses by suffix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from contrapposto.checkpoints import load_checkpoint
from contrapposto.errors import ConfigError, InputError, MissingError, nearest
from contrapposto.outputs import note_model
from contrapposto.runs import ZOO, finished_runs, load_config, read_result


@dataclass(frozen=True)
class Pretrained:
    """A trained model as plain values and tensors.

    Args:
        model: name of the model, as in `model=`.
        options: the options that its training module was made with; a library class picks those that it needs.
        state: weights by the names that they had in the training module.
        checkpoint: everything that the file holds.
        data: name, source, licence and attribution of the training data.
        origin: the run directory or published folder.
        file: the checkpoint file.
    """

    model: str
    options: dict[str, Any]
    state: dict[str, Tensor]
    checkpoint: dict[str, Any]
    data: dict[str, Any]
    origin: Path
    file: Path

    def weights(self, prefix: str = "") -> dict[str, Tensor]:
        """Weights whose names begin with `prefix`, without it."""
        return {
            name.removeprefix(prefix): value for name, value in self.state.items() if name.startswith(prefix)
        }

    def load_into(self, network: nn.Module, prefix: str = "") -> None:
        """Load the weights below `prefix` into a network, which must fit exactly.

        Raises:
            InputError: names or shapes differ.
        """
        try:
            network.load_state_dict(self.weights(prefix))
        except RuntimeError as error:
            raise InputError(
                f"{self.file} does not fit {type(network).__name__}.",
                found=str(error).splitlines()[-1].strip(),
                expected=f"weights of a {self.model} with the options in {self.origin / 'config.yaml'}",
            ) from error


def load_pretrained(
    name_or_path: str | Path, models: Sequence[str] = (), *, experiment: str | None = None
) -> Pretrained:
    """Read a trained model; see the module for what `name_or_path` may be.

    Args:
        name_or_path: name of a shipped model, `hub:OWNER/NAME`, folder, or checkpoint file.
        models: names of the models that the caller can use; empty for any.
        experiment: chooses among several shipped models of one name.

    Raises:
        MissingError: there is no such model.
        ConfigError: it is a model of another kind.
        InputError: the file is damaged, or no checkpoint of this project.
    """
    file = find_checkpoint(name_or_path, experiment=experiment)
    checkpoint = load_checkpoint(file)
    state = checkpoint.get("state_dict")
    if not isinstance(state, Mapping):
        raise InputError(
            f"{file} is not a checkpoint of this project.", expected="a file that train.py or publish wrote"
        )
    origin = file.parent.parent
    config = load_config(origin)
    model = str(config.get("name"))
    if models and model not in models:
        raise ConfigError(
            f"{name_or_path} holds the model {model}, which cannot be used here.",
            expected=" or ".join(models),
        )
    options = dict(checkpoint.get("hyper_parameters") or {})
    data = dict((checkpoint.get("provenance") or {}).get("data") or {})
    if (origin / "result.json").is_file():
        data = {**data, **read_result(origin).data}
    note_model(model, file, str(data.get("licence", "")))
    return Pretrained(model, options, dict(state), checkpoint, data, origin, file)


def find_checkpoint(name_or_path: str | Path, *, experiment: str | None = None) -> Path:
    """The checkpoint file of a model, see `load_pretrained`.

    Raises:
        MissingError: there is none.
    """
    text = str(name_or_path)
    path = Path(download(text.removeprefix("hub:")) if text.startswith("hub:") else text)
    if path.is_file():
        return path
    if path.is_dir():
        if (path / "result.json").is_file():
            return read_result(path).checkpoint
        for name in ("best.ckpt", "last.ckpt", "best.safetensors"):
            if (path / "checkpoints" / name).is_file():
                return path / "checkpoints" / name
        raise MissingError(
            f"{path} holds no trained model.",
            expected="a run directory or a published model (checkpoints/...)",
        )
    model, _, variant = text.partition("/")
    shipped = [
        result
        for result in finished_runs(ZOO, model)
        if variant in ("", result.run.name) and experiment in (None, result.experiment)
    ]
    if not shipped:
        names = sorted(folder.name for folder in ZOO.glob("*/"))
        raise MissingError(
            f"There is no file, folder or shipped model {text}.",
            expected=f"a path, or one of {', '.join(names)}",
            fix=f"did you mean {nearest(model, names)}?",
        )
    return shipped[-1].checkpoint


def download(repository: str) -> str:
    """Download a published model from the Hugging Face Hub (or the server that HF_ENDPOINT names); returns its folder.

    Raises:
        MissingError: the package `huggingface_hub` is not installed, or there is no such model.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise MissingError(
            f"hub:{repository} needs the package huggingface_hub.", fix="pip install huggingface_hub"
        ) from error
    try:
        return str(snapshot_download(repository))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise MissingError(
            f"hub:{repository} cannot be downloaded.", found=str(error).splitlines()[0], expected="OWNER/NAME"
        ) from error
