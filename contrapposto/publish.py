"""Finished runs as folders to pass on: contrapposto publish runs/MODEL/TIME ... output=zoo [bits=8]

`zoo/<model>/<data>-<experiment>/` holds what predict and evaluate read of a run: `config.yaml`, `result.json`, the weights
in half precision or in 8 bits (`checkpoints/best.safetensors`), the model card `README.md`, and `index.json` with the hashes
of all of them.
Upload the folder anywhere as it is; `contrapposto fetch ADDRESS/<model>/<data>-<experiment> sha256=HASH` downloads
it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from contrapposto.errors import ConfigError, ContrappostoError
from contrapposto.files import atomic_path, sha256, write_json
from contrapposto.models import CLASSES, load
from contrapposto.portable import save_portable
from contrapposto.runs import Result, load_config, read_result

# Of training, and of no use to those who only use the model.
_LEFT_OUT = {
    "loops",
    "callbacks",
    "optimizer_states",
    "lr_schedulers",
    "current_model_state",
    "averaging_state",
}
WEIGHTS = "checkpoints/best.safetensors"
CARD = "README.md"
FILES = ("config.yaml", "result.json", CARD, WEIGHTS)
INDEX = "index.json"


def publish(run: Path, zoo: Path, bits: int = 16) -> Path:
    """Write `zoo/<model>/<data>-<experiment>` from a finished run; an older one there is replaced.

    Args:
        run: its folder.
        zoo: where published models lie.
        bits: of a number of the weights: 16, or 8 for large matrices, with a scale for every row.

    Raises:
        ConfigError: the folder is no finished run, or the model cannot be built without other files of this machine.
    """
    if not (run / "result.json").is_file():
        raise ConfigError(f"{run} is no finished run.", expected="a folder with result.json")
    from contrapposto.checkpoints import load_checkpoint

    result = read_result(run)
    checkpoint = load_checkpoint(result.checkpoint)
    content = {key: value for key, value in checkpoint.items() if key not in _LEFT_OUT}
    content["provenance"] = {"data": checkpoint.get("provenance", {}).get("data", {})}
    content["hyper_parameters"] = _without_checkpoints(checkpoint["hyper_parameters"])
    folder = zoo / result.model / "-".join(filter(None, (result.data["name"], result.experiment)))
    with atomic_path(folder, directory=True) as temporary:
        (temporary / "checkpoints").mkdir()
        save_portable(temporary / WEIGHTS, content, eight_bits=bits == 8)
        config = _portable_config(load_config(run), content["hyper_parameters"], _place(run))
        (temporary / "config.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
        metadata = json.loads((run / "result.json").read_text(encoding="utf-8"))
        metadata.update(checkpoint=WEIGHTS, checkpoint_sha256=sha256(temporary / WEIGHTS))
        write_json(temporary / "result.json", metadata)
        (temporary / CARD).write_text(card(run, result, temporary / WEIGHTS, bits), encoding="utf-8")
        write_json(temporary / INDEX, {name: sha256(temporary / name) for name in FILES})
        _prove(temporary, result.model, _place(run))
    return folder


def _without_checkpoints(options: Any) -> Any:
    """Hyper-parameters without the files of earlier stages, whose weights the checkpoint holds.

    Raises:
        ConfigError: another absolute path is left.
    """
    if isinstance(options, dict):
        return {key: _without_checkpoints(value) for key, value in options.items()}
    if isinstance(options, str) and options.endswith(".ckpt"):
        return None
    if isinstance(options, str) and options.startswith("/"):
        raise ConfigError(
            f"The model needs {options}, a file of this machine.", fix="train with a shipped one"
        )
    return options


def _place(run: Path) -> str:
    """The folder that a run's own paths are relative to: the one with `runs/MODEL/TIME` in it."""
    return str(run.resolve().parents[2])


def _portable_config(saved: DictConfig, options: Any, place: str) -> DictConfig:
    """The run's configuration with the module's options spelled out and the places of this machine taken out."""
    raw: Any = OmegaConf.to_container(saved, resolve=False)
    options_typed = [str(option) for option in raw.get("overrides") or []]
    raw["overrides"] = [o.replace(f"{place}/", "") for o in options_typed if not o.startswith("paths.")]
    raw["module"] = {"_target_": raw["module"]["_target_"], **options}
    raw["paths"] = {"runs": "runs", "stores": "stores", "run": None}
    for key in ("logger", "init_from", "resume", "resumed"):
        raw.pop(key, None)
    return OmegaConf.create(raw)


def _prove(folder: Path, model: str, place: str) -> None:
    """Load the model as a user will; then look for places of this machine.

    Raises:
        ConfigError: a file names a folder of this machine.
        ContrappostoError: the model cannot be loaded.
    """
    if model in CLASSES:
        load(folder)
    text = "\n".join((folder / name).read_text(encoding="utf-8") for name in FILES if name != WEIGHTS)
    for folder_name in {str(Path.home()), str(Path.cwd()), place} - {"/"}:
        if f"{folder_name}/" in text:
            raise ConfigError(
                f"The published files name {folder_name}.", fix="train with paths relative to the checkout"
            )


def card(run: Path, result: Result, weights: Path, bits: int = 16) -> str:
    """The model card: a Hugging Face header, then what it is, data and licence, command, figures, limits."""
    provenance = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["best"]
    data = result.data
    # where a run was resumed, its first command states all options
    parts = [*provenance.get("earlier", []), provenance]
    words = [str(word) for word in parts[0]["command"] if not str(word).startswith("paths.")]
    command = " ".join(["python", *words]).replace(f"{_place(run)}/", "")
    precision = "half precision" if bits == 16 else "8 bits"
    minutes = sum(part.get("seconds", 0) for part in parts) / 60
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in sorted(metrics["metrics"].items()))
    return f"""{_header(result, metrics["metrics"])}
# {result.model}, trained on {data["name"]}

{provenance.get("parameters", 0):,} weights in {precision}, {weights.stat().st_size / 2**20:.1f} MiB.
{_usage(result.model)}
| | |
|---|---|
| data | {data.get("source", "")} |
| licence of the data | {data.get("licence", "")} |
| attribution | {data.get("attribution", "")} |
| command | `{command}` |
| code | commit {str(provenance["git"].get("commit"))[:12]}, contrapposto {provenance["versions"]["contrapposto"]} |
| training | {metrics["step"]} steps, {minutes:.0f} minutes, {provenance["device"]["type"]}, seed {provenance["seed"]} |
| SHA-256 | `{sha256(weights)}` |

Validation, at the best step ({result.monitor}):

| metric | value |
|---|---|
{rows}

**Limits.** The model knows the movements and bodies of its data and few others. Do not judge the method by it, and do
not use it where an error could harm anybody.
"""


def _header(result: Result, metrics: dict[str, float]) -> str:
    """The YAML header that the Hugging Face Hub reads."""
    import yaml

    values = [{"type": name, "value": round(float(value), 6)} for name, value in sorted(metrics.items())]
    entry = {
        "task": {"type": "other", "name": result.model},
        "dataset": {"type": result.data["name"], "name": result.data["name"], "split": "validation"},
        "metrics": values,
    }
    header = {
        "library_name": "contrapposto",
        "license": "other",
        "license_name": str(result.data.get("licence") or "unknown"),
        "tags": ["contrapposto", "human-motion", result.model.partition("_")[0]],
        "model-index": [{"name": result.model, "results": [entry]}],
    }
    return "---\n" + yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=1000) + "---\n"


def _usage(model: str) -> str:
    if model not in CLASSES:
        return ""
    module, _, name = CLASSES[model].rpartition(".")
    return f"""
```python
from {module} import {name}

model = {name}.from_pretrained("FOLDER")  # this folder, or hub:OWNER/NAME
```
"""


def main(arguments: list[str] | None = None) -> int:
    """Publish the named runs."""
    words = sys.argv[1:] if arguments is None else arguments
    runs = [Path(word) for word in words if "=" not in word]
    options = dict(word.split("=", 1) for word in words if "=" in word)
    if not runs or set(options) - {"output", "bits"} or options.get("bits", "16") not in ("8", "16"):
        print(__doc__)
        return 2
    try:
        for run in runs:
            folder = publish(run, Path(options.get("output", "zoo")), int(options.get("bits", 16)))
            size = sum((folder / name).stat().st_size for name in FILES)
            print(f"{folder}  {size / 2**20:.2f} MiB  sha256={sha256(folder / INDEX)}")
    except ContrappostoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
