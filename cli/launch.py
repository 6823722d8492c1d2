"""Start an entry point: read the command line, compose the configuration, print errors without a traceback."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cli.compose import CONFIGS, ROOT, compose_config, groups, hydra_options, register
from cli.help import HELP
from cli.stopping import StoppedError
from contrapposto.errors import ConfigError, ContrappostoError, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["CONFIGS", "ROOT", "check_names", "compose_config", "full_help", "groups", "launch"]

# Flags that Hydra answers on its own.
_HYDRA_FLAGS = (
    *("--info", "--hydra-help", "--version", "-sc", "--shell-completion"),
    *("--cfg", "-c", "--resolve", "--package", "-p"),
)
_SWEEP = ("-m", "--multirun")


def launch(name: str, task: Callable[[DictConfig], Any] | None = None) -> None:
    """Run `cli.<name>.<name>` with the configuration that `configs/<name>.yaml` and the command line describe.

    Exits with status 2 and one clear message when the user can correct what is wrong, 130 after Ctrl-C and 143 after
    SIGTERM; any other exception is a bug and keeps its traceback.

    Args:
        name: train, evaluate or prepare.
        task: what to call in place of it.
    """
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(full_help(name))
        return
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    tolerate_any_terminal()

    def run(config: DictConfig) -> Any:
        return (task or getattr(import_module(f"cli.{name}"), name))(config)

    try:
        if any(argument in (*_SWEEP, *_HYDRA_FLAGS) for argument in arguments):
            _run_with_hydra(name, arguments, run)
        else:
            check_names(name, arguments)
            run(compose_config(name, arguments))
    except StoppedError as stopped:
        print(f"\n{stopped}", file=sys.stderr)
        sys.exit(stopped.status)
    except ContrappostoError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)


def tolerate_any_terminal() -> None:
    """Let characters that the terminal's encoding lacks be replaced: no result is lost to a "±"."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _run_with_hydra(name: str, arguments: Sequence[str], run: Callable[[DictConfig], Any]) -> None:
    """Sweeps and Hydra's own flags."""
    import hydra
    from omegaconf import open_dict

    register()
    sys.argv[1:] = hydra_options(arguments)
    if any(argument in _SWEEP for argument in arguments):
        check_sweep(name, [argument for argument in sys.argv[1:] if argument not in _SWEEP])
    failures: list[ContrappostoError] = []

    def job(config: DictConfig) -> Any:
        # Hydra prints a line of its own for what a job raises: keep our errors from it, and end a sweep at the first.
        from hydra.core.hydra_config import HydraConfig

        if failures:
            return None
        with open_dict(config):
            config.overrides = list(HydraConfig.get().overrides.task)
        try:
            return getattr(run(config), "score", None)  # what a search for hyper-parameters looks at
        except ContrappostoError as error:
            failures.append(error)
            return None

    hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)(job)()
    if failures:
        raise failures[0]


def full_help(name: str) -> str:
    """The help of an entry point: its own text, then the groups it reads with their options."""
    primary = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
    lines = [HELP[name].strip(), "", "Groups (choose with group=option; -m group=a,b sweeps):"]
    for group, options in groups().items():
        if re.search(rf"^\s*-\s+(optional\s+)?{group}:", primary, re.MULTILINE):
            lines.append(f"  {group + '=':<12}{'|'.join(options)}")
    lines += [
        "",
        "Any value can be set as key.key=value; --cfg job shows all of them for a command line.",
        f'Shell completion: eval "$(python {name}.py -sc install=bash)" (zsh, fish too).',
    ]
    return "\n".join(lines)


def check_names(name: str, arguments: Sequence[str]) -> None:
    """Check flags, the form `key=value`, and the options of groups.

    Raises:
        ConfigError: an unknown group option with the nearest ones, or an argument that is not key=value.
    """
    known = groups()
    for argument in arguments:
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


def check_sweep(name: str, arguments: Sequence[str]) -> None:
    """Compose the first job of a sweep, to find mistakes before Hydra starts.

    Raises:
        ConfigError: see `check_names` and `compose_config`; or each job would start several processes.
    """
    check_names(name, arguments)
    own = [_first_of_sweep(o) for o in arguments if not o.lstrip("+").startswith("hydra")]
    trainer = compose_config(name, own).get("trainer")
    if trainer and (trainer.devices not in (1, "1", "auto") or trainer.num_nodes > 1):
        raise ConfigError(
            "A sweep (-m) cannot be combined with several processes: each of them would start the whole sweep.",
            fix="give one command per setting, or sweep with trainer.devices=1",
        )


def _first_of_sweep(override: str) -> str:
    """The first value of a sweep, so that a sweep's names are checked like a single run's."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import IntervalSweep
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(override)
        if not parsed.is_sweep_override():
            return override
        value = parsed.value()
        first = value.start if isinstance(value, IntervalSweep) else next(parsed.sweep_string_iterator())
    except HydraException:  # composing states what is wrong
        return override
    return f"{override.partition('=')[0]}={first}"
