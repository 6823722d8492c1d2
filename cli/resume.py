"""Continuing an interrupted run: which one, and which options may differ from those that it began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from cli.compose import compose_config, groups
from cli.runs import unfinished_runs
from contrapposto.errors import ConfigError, MissingError
from contrapposto.runs import load_config

# What decides how a run is carried out, but not what it learns.
_FREE_GROUPS = ("trainer", "logger", "callbacks", "paths")
_FREE_KEYS = ("data.num_workers", "data.store", "matmul_precision", "requires", "resume")


def run_to_resume(config: DictConfig) -> Path:
    """The run that `resume=` means: a directory, or with `true` the newest unfinished one that fits the command line.

    Raises:
        MissingError: there is none. ConfigError: there are, but of other options.
    """
    if config.resume is not True and str(config.resume).lower() != "true":
        run = Path(config.resume).absolute()
        load_config(run)
        return run
    data, experiment = config.data.name, config.get("experiment_name")
    candidates = unfinished_runs(config.paths.runs, config.name, data, experiment)
    for run in candidates:
        if not differences(config, load_config(run)):
            return run
    if candidates:
        raise _refusal(candidates[0], differences(config, load_config(candidates[0])))
    raise MissingError(
        f"There is no unfinished run of {config.name} with data={data} experiment={experiment} in "
        f"{config.paths.runs} to resume.",
        expected="one that no other process is training",
        fix=f"start one: python train.py model={config.name}; or name a run: resume=runs/...",
    )


def resumed_config(config: DictConfig, run: Path) -> DictConfig:
    """The configuration that a run goes on with: its own, with the options of the command line that may change.

    Raises:
        ConfigError: an option cannot change any more.
    """
    saved = load_config(run)
    refused = differences(config, saved)
    if refused:
        raise _refusal(run, refused)
    with open_dict(saved):
        for key in typed_keys(config):
            if key in _FREE_GROUPS:
                apply_group(config, saved, key)
            elif _is_free(key):
                OmegaConf.update(saved, key, OmegaConf.select(config, key), force_add=True)
        saved.resumed = True
        saved.paths.run = str(run)  # the directory may have been moved
        saved.paths.runs = str(config.paths.runs)
    return saved


def differences(config: DictConfig, saved: DictConfig) -> list[str]:
    """Options of the command line that contradict what a run was begun with, as `key: old, not new`."""
    changed = []
    for key in typed_keys(config):
        if key in _FREE_GROUPS or _is_free(key):
            continue
        before, now = _value(saved, key), _value(config, key)
        if before != now:
            changed.append(f"{key}: {before}, not {now}")
    return changed


def _value(config: DictConfig, key: str) -> Any:
    """What an option is in a configuration; a group is known by what it sets."""
    names = {"model": "name", "experiment": "experiment_name", "data": "data.name"}
    value = OmegaConf.select(config, names.get(key, key), default=None)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def typed_keys(config: DictConfig) -> list[str]:
    """Keys that the command line sets."""
    return [str(override).lstrip("+~").partition("=")[0] for override in config.get("overrides") or []]


def _is_free(key: str) -> bool:
    return key in _FREE_KEYS or key.partition(".")[0] in _FREE_GROUPS


def apply_group(config: DictConfig, saved: DictConfig, group: str) -> None:
    """What a group's option (`trainer=ddp_cpu`) sets otherwise than the group's default does."""
    choices = [o.partition("=")[2] for o in config.overrides if o.partition("=")[0].lstrip("+") == group]
    if not choices:  # ~logger
        saved[group] = None
    if not choices or choices[0] not in groups()[group]:
        return
    choice = choices[0]
    chosen = compose_config("train", [f"{group}={choice}"])[group]
    usual = compose_config("train", [])[group]
    for key in chosen:
        if key not in usual or chosen._get_node(key) != usual._get_node(key):
            saved[group][key] = chosen._get_node(key)
    if group == "logger":
        saved[group] = chosen


def _refusal(run: Path, refused: list[str]) -> ConfigError:
    return ConfigError(
        f"{run} was begun with other options, which cannot change in a resumed run.",
        found="; ".join(refused),
        expected=f"only {', '.join(name + '.*' for name in _FREE_GROUPS)} and {', '.join(_FREE_KEYS[:2])} may change",
        fix="leave them out; or start a new run from its weights: init_from=RUN",
    )
