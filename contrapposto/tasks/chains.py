"""predict.py pipeline=: several tasks after each other, each on what the ones before it have made.

A chain is a file in chain_configs: `chain` names stages in order, each with the task it runs and options of that
task; a value that begins with `@` is a file of an earlier stage (`@motion/*.npz`). `output/CLIP/NN_stage` is whole or
not there; CLIP is the name of the input. A stage is not run again as long as its options, its
checkpoint, its input files and the stages before it are the same.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from contrapposto.errors import ConfigError, ContrappostoError, InputError, MissingError
from contrapposto.files import atomic_path, write_json
from contrapposto.outputs import Outputs
from contrapposto.runs import best_run
from contrapposto.tasks.base import open_outputs, stated_reading
from contrapposto.tasks.checking import open_inputs
from contrapposto.tasks.predict import build_task, compose

RECORD = "stage.json"
_FORMAT = 1


@dataclass
class Stage:
    """One stage of a chain.

    Args:
        name: of the stage.
        task: of predict.py.
        folder: for what it makes.
        options: of the task, with `@` still in them.
        config: of predict.py with this task, without what comes from earlier stages.
        checkpoint: option that takes it, and the path; None for tasks without a network.
    """

    name: str
    task: str
    folder: Path
    options: dict[str, Any]
    config: DictConfig
    checkpoint: tuple[str, Path] | None


def run_chain(config: DictConfig) -> list[Path]:
    """Run all stages that are not done yet; everything that can be checked is checked first.

    Returns:
        The folders of the stages, and the overview.

    Raises:
        ConfigError, MissingError: an input, option or checkpoint that a stage will need is wrong or not there.
        ContrappostoError: a stage failed; it is named.
    """
    from contrapposto.devices import using_device  # imports torch, which --help does not need

    missing = [key for key in config.needs if not OmegaConf.select(config, key)]
    if missing:
        raise ConfigError(
            f"This pipeline needs {missing[0]}=.", expected=", ".join(f"{key}=" for key in config.needs)
        )
    stages = list(_stages(config))
    folders: dict[str, Path] = {stage.name: stage.folder for stage in stages}
    with (
        using_device(config.get("device"), print),
        open_outputs(config, "chain " + " ".join(folders), _folder(config)) as outputs,
        stated_reading(config),
    ):
        for folder in folders.values():
            outputs.claim(folder)
        outputs.claim(_folder(config) / "overview.png")
        for stage in stages:
            with _naming(stage.name):
                open_inputs(stage.config)
        key = ""
        for number, stage in enumerate(stages, start=1):
            title = f"[{number}/{len(stages)}] {stage.name} ({stage.task})"
            key = _key(stage, key)
            if _done(stage, key):
                print(f"{title}: done before, in {stage.folder}")
                continue
            print(f"{title}: {stage.folder}", flush=True)
            with _named(number, stage):
                _run(stage, folders, key)
            outputs.save()
        paths = list(folders.values())
        shown = _overview(config, folders)
    return [*paths, shown] if shown else paths


def _folder(config: DictConfig) -> Path:
    """`output/CLIP`: where the stages of this input lie."""
    for option in ("input", "video", "past", "source"):
        if config.get(option):
            return Path(config.output) / Path(str(config[option])).stem
    words = re.sub(r"\W+", "_", str(config.get("action") or "")).strip("_")
    return Path(config.output) / (words or "result")


def _stages(config: DictConfig) -> Iterator[Stage]:
    """The stages with their configurations and checkpoints.

    Raises:
        ConfigError, MissingError: see `run_chain`.
    """
    for number, (name, node) in enumerate(config.chain.items(), start=1):
        options: Any = OmegaConf.to_container(node.options, resolve=True)
        composed = compose([f"task={node.task}"])
        composed.paths, composed.device = config.paths, config.device
        try:
            composed = _merged(composed, options)
        except OmegaConfBaseException as error:
            text = str(error).splitlines()[0]
            raise ConfigError(f"Stage {name}: task={node.task} cannot be used like this: {text}") from None
        _check_options(str(name), composed)
        _check_files(str(name), options)
        chosen = _checkpoint(config, str(name), node, composed)
        folder = _folder(config) / f"{number:02d}_{name}"
        yield Stage(str(name), node.task, folder, options, composed, chosen)


def _merged(composed: DictConfig, options: Mapping[str, Any]) -> DictConfig:
    """A configuration with options laid over it; one that it does not know is an error."""
    merged = OmegaConf.merge(composed, OmegaConf.create(dict(options)))
    assert isinstance(merged, DictConfig)
    return merged


def _check_options(name: str, composed: DictConfig) -> None:
    """Options of a task that it does not know, or cannot use, must be named before the first stage runs."""
    with _naming(name):
        build_task(OmegaConf.to_container(composed.task, resolve=True))  # type: ignore[arg-type]


@contextmanager
def _naming(stage: str) -> Iterator[None]:
    """Put the stage's name in front of errors that are found before any stage runs."""
    try:
        yield
    except (ConfigError, InputError) as error:
        raise type(error)(
            f"Stage {stage}: {error.what}", found=error.found, expected=error.expected, fix=error.fix
        ) from None


def _check_files(name: str, options: Mapping[str, Any]) -> None:
    """Files that a user has named must be there before the first stage runs."""
    for option in ("input", "video", "target", "reference", "truth", "source"):
        value = options.get(option)
        if isinstance(value, str) and not value.startswith(("@", "udp:")) and not Path(value).exists():
            raise InputError(f"Stage {name}: there is no file {value}.", found=f"{option}={value}")


def _checkpoint(config: DictConfig, name: str, node: Any, composed: DictConfig) -> tuple[str, Path] | None:
    """The checkpoint of a stage: `ckpt.SYSTEM=`, else the best run by the rule that its task follows itself."""
    if "checkpoint" not in node:
        return None
    system, option = str(node.checkpoint.system), str(node.checkpoint.option)
    inputs = config.ckpt.get(system)
    if inputs:
        if not Path(inputs).exists():
            expected = "a checkpoint or a run directory"
            raise MissingError(f"Stage {name}: ckpt.{system}={inputs} does not exist.", expected=expected)
        return option, Path(inputs)
    task, chosen = composed.task, composed.task.get("model")
    models = [str(chosen)] if chosen else list(node.checkpoint.models)
    for model in models:
        try:
            shipped = model == models[-1]
            matches = best_run(config.paths.runs, model, task.data, task.experiment, shipped=shipped)
            return option, matches.checkpoint
        except MissingError as error:
            missing = error
    fix = f"{missing.fix}; or name one: ckpt.{system}=PATH"
    raise MissingError(f"Stage {name}: {missing.what}", found=missing.found, fix=fix)


def _key(stage: Stage, before: str) -> str:
    """What a stage's result depends on, as a hash: options, files of the user, checkpoint, all stages before."""
    files = [value for value in _strings(stage.options) if not value.startswith("@") and Path(value).exists()]
    files += [str(stage.checkpoint[1])] if stage.checkpoint else []
    stamps = [(file, Path(file).stat().st_size, Path(file).stat().st_mtime_ns) for file in files]
    metadata = [_FORMAT, stage.task, stage.options, stamps, before]
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(inner)


def _done(stage: Stage, key: str) -> bool:
    try:
        return bool(json.loads((stage.folder / RECORD).read_text(encoding="utf-8"))["key"] == key)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _run(stage: Stage, folders: Mapping[str, Path], key: str) -> None:
    options = {name: _filled(value, folders) for name, value in stage.options.items()}
    config = _merged(stage.config, options)
    if stage.checkpoint is not None:
        OmegaConf.update(config, stage.checkpoint[0], str(stage.checkpoint[1].absolute()))
    started = time.monotonic()
    task = build_task(OmegaConf.to_container(config.task, resolve=True))  # type: ignore[arg-type]
    with atomic_path(stage.folder, directory=True) as folder, _recorded(config, folder):
        created = task(config, Path(config.input or ""), folder)
        record = {
            "key": key,
            "task": stage.task,
            "options": options,
            "checkpoint": str(stage.checkpoint[1]) if stage.checkpoint else None,
            "seconds": round(time.monotonic() - started, 1),
            "files": [str(Path(path).relative_to(folder)) for path in created],
        }
        write_json(folder / RECORD, record)
    for path in created:
        print(f"  {stage.folder / Path(path).relative_to(folder)}")


def _recorded(config: DictConfig, folder: Path) -> Outputs:
    config.output = str(folder)
    return open_outputs(config)


def _filled(value: Any, folders: Mapping[str, Path]) -> Any:
    """A value with `@STAGE/PATTERN` replaced by the one file of an earlier stage that it means."""
    if isinstance(value, Mapping):
        return {name: _filled(inner, folders) for name, inner in value.items()}
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    name, _, pattern = value[1:].partition("/")
    matches = sorted(folders[name].glob(pattern)) if name in folders else []
    if len(matches) != 1:
        raise InputError(
            f"{value} is not one file.", found=", ".join(file.name for file in matches) or "nothing"
        )
    return str(matches[0])


class _named:
    """Name the stage in an error."""

    def __init__(self, number: int, stage: Stage) -> None:
        self.number, self.stage = number, stage

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ContrappostoError):
            stage = self.stage
            raise ContrappostoError(
                f"Stage {self.number}, {stage.name} (task={stage.task}), stopped: {error.what}",
                found=error.found,
                expected=error.expected,
                fix="; ".join(
                    part for part in (error.fix, "earlier stages are kept for the next attempt") if part
                ),
            ) from error


def _overview(config: DictConfig, folders: Mapping[str, Path]) -> Path | None:
    """Frames of what went in and came out, one row for each video."""
    from contrapposto.render.strip import video_sheet

    rows: dict[str, Path] = {}
    for title, value in config.overview.items():
        try:
            file = Path(_filled(str(value), folders))
        except InputError:  # a stage that was asked for no video
            continue
        if file.suffix.lower() in (".mp4", ".mov", ".mkv", ".webm", ".avi"):
            rows[str(title)] = file
    return video_sheet(_folder(config) / "overview.png", rows) if rows else None
