"""The configuration of a task or chain from `key=value` arguments, and running it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from contrapposto.errors import ConfigError, nearest
from contrapposto.options import build, locate, parse_value
from contrapposto.tasks.base import READING, open_outputs, stated_reading
from contrapposto.tasks.checking import open_inputs
from contrapposto.tasks.retarget import check_rig, on_rig

TASKS = Path(__file__).parent / "configs"
CHAINS = Path(__file__).parent / "chain_configs"
_PLACES = "input output target source past future truth reference motion scene target_rig ckpt".split()
ENTRY_POINTS = "contrapposto.tasks"  # classes of other packages, by the name after task=


def task_names() -> list[str]:
    """All tasks: those of this package, and those that other packages register as entry points."""
    return sorted({file.stem for file in TASKS.glob("*.yaml")} | {entry.name for entry in _registered()})


def chain_names() -> list[str]:
    """All chains of tasks."""
    return sorted(file.stem for file in CHAINS.glob("*.yaml"))


def _registered() -> Any:
    return entry_points(group=ENTRY_POINTS)


def compose(arguments: Sequence[str]) -> DictConfig:
    """The configuration that arguments `key=value` describe.

    `task=` or `pipeline=` chooses a file; every other argument sets an option that the file has, or one of `input`,
    `output`, `overwrite` (replace files that this command did not write), `device` (where networks run, see
    `contrapposto.devices`), `paths`, `target_rig` (a rigged character that takes every motion of the result),
    `body.backend` (`smplx`: that package poses the bodies), and for motion files those of
    `contrapposto.tasks.base.READING`. A leading `+` adds an option that is not listed.

    Raises:
        ConfigError: an argument that is not `key=value`, an unknown task, chain or option.
    """
    pairs = [_pair(argument) for argument in arguments]
    config = OmegaConf.create(
        {
            "input": None,
            "output": "out",
            "overwrite": False,
            "device": "auto",
            "target_rig": None,
            **dict.fromkeys(READING),
            "task": None,
            "chain": None,
            "body": {"backend": None},
            "paths": {"runs": "runs", "stores": "stores"},
        }
    )
    for key, text in pairs:
        if key == "task":
            config = _merge(config, _task(text))
        elif key == "pipeline":
            config = _merge(config, OmegaConf.load(_file("pipeline", text, CHAINS, chain_names())))
    known = _keys(config)
    for key, text in pairs:
        if key in ("task", "pipeline"):
            continue
        name = key.lstrip("+")
        if f"task.{name}" in known and (name not in known or name == "clip"):
            name = f"task.{name}"
        if not key.startswith("+") and name not in known and not _open(config, name):
            raise ConfigError(f"There is no option {name}.", expected=nearest(name, known))
        try:
            OmegaConf.update(config, name, _value(name, text), force_add=True)
        except OmegaConfBaseException as error:
            raise ConfigError(f"{name}={text} cannot be used: {str(error).splitlines()[0]}") from None
    return config


def _pair(argument: str) -> tuple[str, str]:
    key, equals, value = argument.partition("=")
    if not equals or not key.lstrip("+").replace(".", "").replace("_", "").isalnum():
        raise ConfigError(f"{argument!r} is not an option.", expected="key=value")
    return key, value


def _value(name: str, text: str) -> Any:
    """What a text states; the name of a file or folder stays one, also where it is a number."""
    value = parse_value(text)
    if name not in _PLACES or value is None:
        return value
    if isinstance(value, (list, dict)):
        raise ConfigError(
            f"{name}= takes one file or folder.", found=text, fix="put the files into one folder and name it"
        )
    return text if isinstance(value, (bool, int, float)) else value


def _merge(first: DictConfig, second: Any) -> DictConfig:
    merged = OmegaConf.merge(first, second)
    assert isinstance(merged, DictConfig)
    return merged


def _file(group: str, name: str, folder: Path, names: Sequence[str]) -> Path:
    if name not in names:
        raise ConfigError(f"There is no {group} {name!r}.", expected=nearest(name, names))
    return folder / f"{name}.yaml"


def _task(name: str) -> Any:
    for entry in _registered():
        if entry.name == name:
            return OmegaConf.create({"task": {"_target_": entry.value.replace(":", ".")}})
    return OmegaConf.load(_file("task", name, TASKS, task_names()))


def _open(config: DictConfig, name: str) -> bool:
    """Whether a new option may be added here: the task's signature, or its mapping `options`, decides later."""
    if name.startswith("task.options."):
        return True
    key = name.removeprefix("task.")
    return name.startswith("task.") and "." not in key and config.task is not None


def _keys(config: Any, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for key in config:
        keys.append(f"{prefix}{key}")
        node = config._get_node(key)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            keys += _keys(node, f"{prefix}{key}.")
    return keys


def predict(config: DictConfig) -> list[Path]:
    """Run the configured task, or the chain of tasks that `pipeline=` names, and print what was written.

    Raises:
        ConfigError: no task is chosen, or an option cannot be used.
        ContrappostoError: whatever the task raises.
    """
    from contrapposto.body import using_backend

    if config.chain is not None and config.task is not None:
        raise ConfigError("pipeline= names the tasks itself.", fix="leave task= out")
    if config.chain is None and config.task is None:
        raise ConfigError("No task chosen.", expected=f"task= one of {', '.join(task_names())}")
    with using_backend(OmegaConf.select(config, "body.backend")):
        paths = run_task(config) if config.chain is None else _run_chain(config)
    for path in paths:
        print(path)
    return paths


def _run_chain(config: DictConfig) -> list[Path]:
    from contrapposto.tasks.chains import run_chain

    return run_chain(config)


def run_task(config: DictConfig) -> list[Path]:
    """Run one task; see `predict`. No file is replaced that an earlier run of the same command did not write."""
    from contrapposto.devices import using_device  # imports torch, which --help does not need

    options: Any = OmegaConf.to_container(config.task, resolve=True)
    if not config.input and getattr(locate(options["_target_"]), "needs_input", True):
        raise ConfigError("No input given.", expected="input=FILE")
    task = build_task(options)
    rig = check_rig(config.target_rig) if config.get("target_rig") else None
    with using_device(config.get("device"), print), open_outputs(config), stated_reading(config):
        open_inputs(config)
        paths = list(task(config, Path(config.input or ""), Path(config.output)))
        return paths if rig is None else [*paths, *on_rig(paths, rig)]


def build_task(options: dict[str, Any]) -> Any:
    """The task of plain options; tasks with `_recursive_: false` build what stands inside of them themselves."""
    if options.get("_recursive_", True):
        return build(options, "task.")
    kind = locate(str(options["_target_"]))
    return kind(**{name: value for name, value in options.items() if not name.startswith("_")})


def print_help(arguments: Sequence[str]) -> None:
    """The tasks and chains with an example each; or the options of the one that is named."""
    for argument in arguments:
        group, _, name = argument.partition("=")
        if group in ("task", "pipeline"):
            folder, names = (TASKS, task_names()) if group == "task" else (CHAINS, chain_names())
            print(_file(group, name, folder, names).read_text(encoding="utf-8"), end="")
            return
    print("Use a trained model, or a tool, on your own files: contrapposto predict task=NAME key=value ...")
    print("Small trained models ship, so every task works at once.\n")
    for group, folder in (("task", TASKS), ("pipeline", CHAINS)):
        for file in sorted(folder.glob("*.yaml")):
            first = file.read_text(encoding="utf-8").splitlines()[0]
            purpose, _, example = first.removeprefix("#").strip().partition(": contrapposto predict ")
            print(f"  {group}={file.stem:<22}{purpose}")
            if example:
                print(f"      {example}")
    print("\nOptions: input=FILE output=FOLDER device=auto|cpu|cuda|cuda:1|mps, and those of the task:")
    print("  contrapposto predict task=NAME --help")
