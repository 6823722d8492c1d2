"""Open a door: quote file names, answer misspelt names, compose the configuration, print errors without a traceback."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrapposto.errors import ConfigError, ContrappostoError, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"

# Values of these options are file names or labels: quoted as typed, because Hydra's grammar refuses spaces, brackets
# and `=`.
PATH_OPTIONS = frozenset(
    (
        *(
            "input",
            "output",
            "raw",
            "ckpt",
            "official",
            "init_from",
            "resume",
            "reference",
            "source",
            "target",
            "motion",
            "scene",
            "video",
        ),
        *(
            "past",
            "truth",
            "asf",
            "poses",
            "masks",
            "paths.runs",
            "paths.stores",
            "paths.run",
            "data.store",
            "task.upper",
            "task.checkpoint",
            "task.lower",
            "task.template",
            "task.refiner",
        ),
        *("data.body", "data.lists", "data.target", "data.options.body", "data.options.root"),
        "action",
    )
)
# Flags that Hydra answers on its own; everything else is checked first so that errors are ours.
_HYDRA_FLAGS = (
    "--info",
    "--hydra-help",
    "--version",
    "-sc",
    "--shell-completion",
    "--cfg",
    "-c",
    "--resolve",
)


def open_door(name: str, task: Callable[[DictConfig], Any], help_text: str) -> None:
    """Run `task` with the configuration that `configs/<name>.yaml` and the command line describe.

    Exits with status 2 and one clear message when the user can mend what is wrong; any other exception is a bug and
    keeps its traceback.
    """
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(full_help(name, help_text))
        return
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    sys.argv[1:] = [open_option(quote_path(argument)) for argument in arguments]
    try:
        if not any(argument in _HYDRA_FLAGS for argument in arguments):
            check_overrides(name, sys.argv[1:])
        _hydra_main(name, task)
    except ContrappostoError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)


def _hydra_main(name: str, task: Callable[[DictConfig], Any]) -> None:
    import hydra
    from hydra.errors import InstantiationException
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("floordiv", lambda a, b: a // b, replace=True)

    failures: list[ContrappostoError] = []

    def guarded(config: DictConfig) -> None:
        # Hydra prints a line of its own for what a task raises: keep our errors from it, and end a sweep at the first.
        try:
            if not failures:
                task(config)
        except ContrappostoError as error:
            failures.append(error)
        except InstantiationException as error:  # Hydra wraps what a constructor raises
            if not isinstance(error.__cause__, ContrappostoError):
                raise
            failures.append(error.__cause__)

    hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)(guarded)()
    if failures:
        raise failures[0]


def quote_path(argument: str) -> str:
    """Quote the value of a path option for Hydra's grammar; other arguments and quoted values come back as they are."""
    key, equals, value = argument.partition("=")
    if not equals or (key.lstrip("+") not in PATH_OPTIONS and not key.startswith("ckpt.")):
        return argument
    if value in ("", "null", "true", "false") or value.startswith(("'", '"', "${")):
        return argument
    # Only a backslash run before a quote (or the end) is an escape in Hydra's grammar.
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value)
    return f"{key}='{escaped}'"


def open_option(argument: str) -> str:
    """Let `data.options.NAME=` and `task.options.NAME=` add names: a recipe or a task refuses those it does not know."""
    return f"++{argument}" if argument.startswith(("data.options.", "task.options.")) else argument


def groups() -> dict[str, list[str]]:
    """Config groups and their options, read from the folder (no Hydra needed)."""
    return {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted(CONFIGS.iterdir())
        if folder.is_dir() and any(folder.glob("*.yaml"))
    }


def full_help(name: str, text: str) -> str:
    """The help of a door: its own text, then the groups it reads with their options."""
    primary = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
    lines = [text.strip(), "", "Groups (choose with group=option; -m group=a,b sweeps):"]
    for group, options in groups().items():
        if re.search(rf"^\s*-\s+(optional\s+)?{group}:", primary, re.MULTILINE):
            lines.append(f"  {group + '=':<12}{'|'.join(options)}")
    lines += [
        "",
        "Any value can be set as key.key=value; --cfg job shows all of them for a command line.",
        f'Shell completion: eval "$(python {name}.py -sc install=bash)" (zsh, fish too).',
    ]
    return "\n".join(lines)


def check_overrides(name: str, arguments: Sequence[str]) -> None:
    """Compose once before Hydra does, to answer mistakes with the nearest names.

    Raises:
        ConfigError: an unknown group option, an unknown key, or an argument that is not key=value.
    """
    overrides = [argument for argument in arguments if argument not in ("-m", "--multirun")]
    known = groups()
    for argument in overrides:
        key, equals, value = argument.partition("=")
        if argument.startswith("-"):
            raise ConfigError(f"Unknown flag {argument}.", fix=f"see python {name}.py --help")
        if not equals and not argument.startswith("~"):
            raise ConfigError(
                f"{argument!r} is not an option.", expected="key=value", fix=f"python {name}.py --help"
            )
        group = key.lstrip("+")
        for option in value.split(",") if group in known else ():
            if option not in (*known[group], "null"):
                raise ConfigError(
                    f"There is no {group} {option!r}.",
                    expected=nearest(option, known[group]),
                    fix=f"python {name}.py --help lists all of them",
                )
    config = compose_config(
        name, [_first_of_sweep(o) for o in overrides if not o.lstrip("+").startswith("hydra")]
    )
    if len(overrides) < len(arguments):
        _refuse_parallel_sweep(config)


def _refuse_parallel_sweep(config: DictConfig) -> None:
    trainer = config.get("trainer")
    if trainer and (trainer.devices not in (1, "1") or trainer.num_nodes > 1):
        raise ConfigError(
            "A sweep (-m) cannot be combined with several processes: each of them would start the whole sweep.",
            fix="give one command per setting, or sweep with trainer.devices=1",
        )


def compose_config(name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose a configuration outside of `hydra.main`.

    Raises:
        ConfigError: the overrides do not fit, with the nearest known key.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            return compose(name, overrides=list(overrides))
        except HydraException as error:
            raise _translate(name, overrides, error) from None


def _translate(name: str, overrides: Sequence[str], error: Exception) -> ConfigError:
    from hydra import compose

    text = str(error)
    match = re.search(r"Could not override '([^']+)'", text)
    if not match:
        return ConfigError(
            f"The command line cannot be read: {text.splitlines()[0]}", fix=f"python {name}.py --help"
        )
    key = match[1]
    rest = [override for override in overrides if override.lstrip("+").partition("=")[0] != key]
    try:
        keys = _all_keys(compose(name, overrides=rest))
    except Exception:  # the rest is wrong too; it is reported once this one is mended
        keys = []
    return ConfigError(
        f"There is no option {key!r}.",
        expected=nearest(key, keys) if keys else "",
        fix=f"python {name}.py --help",
    )


def _all_keys(config: Any, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for key in config:
        keys.append(f"{prefix}{key}")
        node = config._get_node(key)
        if hasattr(node, "keys") and not node._is_none() and not node._is_missing():
            keys += _all_keys(node, f"{prefix}{key}.")
    return keys


def _first_of_sweep(override: str) -> str:
    """The first value of a sweep, so that a sweep's names are checked like a single run's."""
    key, _, value = override.partition("=")
    if "," in value and not re.search(r"[\[\]{}()'\"]", value):
        return f"{key}={value.split(',')[0]}"
    return override
