"""Composing configurations: what the entry points, notebooks and tests share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from contrapposto.errors import ConfigError, nearest

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"

# Options that were called otherwise in earlier versions.
RENAMED = {
    "module.learning_rate": "optimizer.lr",
    "module.betas": "optimizer.betas",
    "module.weight_decay": "optimizer.weight_decay",
    "module.milestones": "scheduler.milestones",
    "module.gamma": "scheduler.gamma",
    "module.warmup_steps": "scheduler.warmup_steps",
}
# Groups that `GROUP=null` takes away, and groups that must be there; the others are left out unless one is chosen.
_REMOVED = ("logger", "callbacks", "optimizer", "scheduler")
_NEEDED = ("data", "paths", "trainer")


def groups() -> dict[str, list[str]]:
    """Config groups and their options, read from the folder (no Hydra needed)."""
    return {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted(CONFIGS.iterdir())
        if folder.is_dir() and any(folder.glob("*.yaml"))
    }


def register() -> None:
    """Tell Hydra and OmegaConf what the configurations use: resolvers, and the options of experiments for single models.

    An experiment is one file; `models:` in it holds what it sets for one model alone. Hydra finds each as
    `model_options/<experiment>/<model>`.
    """
    from cli.runs import register_best_resolver

    OmegaConf.register_new_resolver("floordiv", lambda a, b: a // b, replace=True)
    register_best_resolver()
    for file in (CONFIGS / "experiment").glob("*.yaml"):
        _register_models(file, file.stat().st_mtime_ns)


@cache
def _register_models(file: Path, changed: int) -> None:
    """The part `models:` of an experiment, once for each version of the file: this takes as long as composing."""
    from hydra.core.config_store import ConfigStore

    text = file.read_text(encoding="utf-8")
    if "\nmodels:" not in text:
        return
    # Only that part: the rest may refer to options that are not there.
    part: Any = OmegaConf.create("models:" + text.split("\nmodels:", 1)[1])
    for model, node in part.models.items():
        node["model_options"] = f"{file.stem}/{model}"
        ConfigStore.instance().store(group=f"model_options/{file.stem}", name=str(model), node=node)


def quote(argument: str) -> str:
    """Quote the value of `key=value` where Hydra's grammar would not take it as typed.

    Values that the grammar refuses (spaces at an end, brackets, `=`), and names of existing files, are quoted; all
    others, and quoted ones, come back as they are.

    """
    key, equals, value = argument.partition("=")
    if not equals or not value or value.startswith(("'", '"', "${")) or re.fullmatch(r"[\w.+-]+", value):
        return argument
    if _exists(value) or not _parses(argument):
        # Only a backslash run before a quote (or the end) is an escape in Hydra's grammar.
        escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value)
        return f"{key}='{escaped}'"
    return argument


def _exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):  # for example a name that is too long
        return False


def _parses(argument: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True


def compose_config(name: str, overrides: Sequence[str] = (), *, explain: bool = True) -> DictConfig:
    """The configuration of an entry point for a command line, outside of `hydra.main`.

    Args:
        name: train, evaluate or prepare.
        overrides: as typed, `key=value` each.
        explain: find the nearest known key for an error, which takes as long as composing.

    Raises:
        ConfigError: the overrides do not fit, with the nearest known key.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    register()
    quoted = hydra_options(overrides)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            config = compose(name, overrides=quoted)
        except HydraException as error:
            raise translate(name, quoted, error, explain=explain) from None
    with open_dict(config):
        config.overrides = quoted
    return config


def hydra_options(arguments: Sequence[str]) -> list[str]:
    """Arguments as Hydra takes them: quoted where its grammar needs it, and with what it does not do by itself.

    `data.options.NAME=` adds names (a recipe refuses those that it does not know), `logger=null` leaves a group out, and
    `experiment=null` is what it is without.

    Raises:
        ConfigError: a group that nothing works without is left out, or an option of an experiment's file for one model.
    """
    options = []
    for argument in arguments:
        key, _, value = argument.removeprefix("~").partition("=")
        if key.startswith("models."):
            model, _, option = key.removeprefix("models.").partition(".")
            raise ConfigError(
                f"{key} cannot be set on the command line.",
                fix=f"train that model alone: model={model} {option}={value}",
            )
        left_out = key in groups() and (argument.startswith("~") or value == "null")
        if left_out and key in _NEEDED:
            raise ConfigError(
                f"{argument}: {key} cannot be left out.", expected=f"{key}={nearest('', groups()[key])}"
            )
        if left_out:
            options += [f"~{key}"] if key in _REMOVED else []
        elif argument.startswith("data.options."):
            options.append(quote(f"++{argument}"))
        else:
            options.append(argument if argument.startswith("-") else quote(argument))
    return options


def translate(name: str, overrides: Sequence[str], error: Exception, *, explain: bool = True) -> ConfigError:
    """An error of Hydra's as one that names the nearest option, if `explain`."""
    from hydra import compose

    text = str(error)
    match = re.search(r"Could not override '([^']+)'", text)
    sweep = re.search(r"(?:Ambiguous value for argument|[Ss]weep parameters?) '([^']+)'", text)
    if sweep:
        key, _, value = sweep[1].partition("=")
        return ConfigError(
            f"{sweep[1]} names several values.",
            fix=f"python {name}.py -m ... runs a job for each; one value with a comma: \"{key}='{value}'\"",
        )
    if not match:
        return ConfigError(
            f"The command line cannot be read: {text.splitlines()[0]}", fix=f"python {name}.py --help"
        )
    key = match[1]
    if key in RENAMED:
        return ConfigError(f"{key} is now called {RENAMED[key]}.", fix=f"{RENAMED[key]}=VALUE")
    if not explain:
        return ConfigError(f"There is no option {key!r}.")
    rest = [override for override in overrides if override.lstrip("+").partition("=")[0] != key]
    try:
        keys = [
            known for known in _all_keys(compose(name, overrides=rest)) if not known.startswith("models.")
        ]
    except Exception:  # the rest is wrong too; it is reported once this one is corrected
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
