"""What must exist before a model can be trained or evaluated: its data and earlier stages, in order."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from cli.compose import CONFIGS, ROOT, compose_config, groups
from cli.estimate import seconds_of
from cli.resume import typed_keys
from cli.runs import unfinished_runs
from cli.same import differences
from cli.stopping import StoppedError, run_command
from contrapposto.errors import ConfigError, ContrappostoError, MissingError
from contrapposto.progress import duration
from contrapposto.runs import Result, best_of, best_run, finished_runs, load_config

# Recipes that need neither a download nor files of the user.
AUTOMATIC = ("demo", "anerf_scene", "smpl_poses", "scail_scenes", "scail_figures")
# Options of a command line that concern the model it names alone, not the stages before it.
_OWN = ("model", "pipeline", "resume", "requires", "init_from", "ckpt", "official", "stage", "report", "runs")
_OWN_PARTS = ("module", "optimizer", "scheduler", "callbacks")
_OWN_TRAINER = re.compile(r"trainer\.(max|min|limit|fast|overfit|val|check).*")


@dataclass
class Step:
    """One command of a plan.

    Args:
        name: for people, such as `train sage_first`.
        kind: of work.
        command: script and arguments.
        finished: what makes it needless: a run, or a store.
        seconds: estimate; None where nobody knows.
        links: for training: option to the model whose checkpoint it names.
        model: that is trained.
        notes: what is worth knowing.
    """

    name: str
    kind: Literal["prepare", "train"]
    command: list[str]
    finished: Result | Path | None = None
    seconds: float | None = None
    links: dict[str, str] = field(default_factory=dict)
    model: str = ""
    notes: str = ""


def plan_models(config: DictConfig, models: Sequence[str], *, strict: bool) -> list[Step]:
    """Steps in order: data, earlier stages, then `models` themselves.

    Args:
        config: that the command line describes.
        models: to train.
        strict: a finished run counts only if all that decides its weights is as the command line has it; else one of
            the same data and experiment will do, and differences are noted.
    """
    steps: dict[str, Step] = {}
    for model in models:
        _visit(config, model, steps, strict, own=model == config.get("name"))
    return list(steps.values())


def _visit(config: DictConfig, model: str, steps: dict[str, Step], strict: bool, own: bool) -> None:
    key = f"train {model}"
    if key in steps:
        return
    composed, overrides = (config, []) if own else _composed(model, config)
    links = stage_links(composed)
    for name in dict.fromkeys(links.values()):
        _visit(config, name, steps, strict, own=False)
    for step in data_steps(composed):
        steps.setdefault(step.name, step)
    step = Step(key, "train", ["train.py", f"model={model}", *overrides], links=links, model=model)
    if own and config.get("ckpt", "") != "":  # of evaluate.py, whose options train.py does not know
        step.command[2:] = _composed(model, config)[1]
    if not own:
        step.finished, step.notes = _finished(composed, strict)
    if step.finished is None:
        step.seconds = seconds_of(composed)
    steps[key] = step


def _composed(model: str, config: DictConfig) -> tuple[DictConfig, list[str]]:
    """The configuration of a stage, and the options of the command line that hold for it."""
    typed = [str(o) for o in config.get("overrides") or []]
    shared = [o for o in typed if not _is_own(_key(o), pipeline=bool(config.stages))]
    # A configuration may have been changed after it was composed.
    now = {"paths.runs": config.paths.runs, "paths.stores": config.paths.stores, "seed": config.seed}
    if config.get("experiment_name") in groups()["experiment"]:
        now["experiment"] = config.experiment_name
    shared = [o for o in shared if _key(o) not in now]
    shared += [f"{key}={value}" for key, value in now.items() if value != _usual(key)]
    if not config.stages:  # options of the data that only later stages have are left out
        chosen = [o for o in shared if _key(o) in groups()]
        known = OmegaConf.to_container(compose_config("train", [f"model={model}", *chosen]), resolve=False)
        shared = [o for o in shared if o in chosen or o[0] in "+~" or _has(known, _key(o))]
    return compose_config("train", [f"model={model}", *shared]), shared


def _key(option: str) -> str:
    return option.lstrip("+~").partition("=")[0]


def _has(config: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            return False
        config = config[part]
    return True


def _usual(key: str) -> Any:
    return {"paths.runs": "runs", "paths.stores": "stores", "seed": 10}.get(key)


def _is_own(key: str, *, pipeline: bool) -> bool:
    if key in _OWN:
        return True
    if pipeline:  # there the options are for all stages
        return False
    return key.partition(".")[0] in _OWN_PARTS or bool(_OWN_TRAINER.fullmatch(key))


def stage_links(config: DictConfig) -> dict[str, str]:
    """Options that name the checkpoint of an earlier stage (`${best:MODEL}`), with the model."""
    raw: Any = OmegaConf.to_container(config, resolve=False)
    links = {}
    for key, value in {"init_from": raw.get("init_from"), **_prefixed(raw.get("module"), "module")}.items():
        match = re.fullmatch(r"\$\{best:(\w+)\}", value) if isinstance(value, str) else None
        if match:
            links[key] = match[1]
    return links


def _prefixed(node: Any, prefix: str) -> dict[str, Any]:
    return {f"{prefix}.{key}": value for key, value in node.items()} if isinstance(node, dict) else {}


def _finished(config: DictConfig, strict: bool) -> tuple[Result | None, str]:
    """The best finished run that will do for a stage, and how it differs from what the command line states."""
    name, data, experiment = config.name, config.data.name, config.get("experiment_name")
    same, other = [], []
    for result in finished_runs(config.paths.runs, name):
        if result.data.get("name") != data or result.experiment != experiment:
            continue
        differing = differences(load_config(result.run), config)
        if differing:
            other.append((result, "; ".join(differing[:3])))
        else:
            same.append(result)
    if same:
        return best_of(same), ""
    if other and not strict:
        best = best_of([result for result, _ in other])
        return best, f"it was trained with other options: {dict((r.run, d) for r, d in other)[best.run]}"
    return None, f"a finished run differs ({other[-1][1]})" if other else ""


def data_steps(config: DictConfig) -> list[Step]:
    """Preparation of the store that a configuration reads, if it is missing, after that of the store it is made of.

    Raises:
        MissingError: it cannot be made without files of the user, or without a download.
    """
    data = config.get("data")
    if data is None or data.get("store") is None or (Path(data.store) / "manifest.json").is_file():
        return []
    choice = data_choice(config)
    command = prepare_command(config)
    if data.recipe not in AUTOMATIC or _default_name(choice) != data.name:
        raise MissingError(
            f"The data {data.name!r} has not been prepared: there is no store at {data.store}.", fix=command
        )
    places = [o for o in config.get("overrides") or [] if o.startswith("paths.stores=")]
    steps = []
    source = (OmegaConf.to_container(data.options, resolve=True) or {}).get("motion")  # type: ignore[union-attr]
    if source and not (Path(str(source)) / "manifest.json").is_file():
        steps.append(Step("prepare demo", "prepare", ["prepare.py", "data=demo", *places], seconds=40))
    steps.append(Step(f"prepare {choice}", "prepare", ["prepare.py", f"data={choice}", *places], seconds=120))
    return steps


def data_choice(config: DictConfig) -> str:
    """The option of the group `data` that a configuration was composed with."""
    typed = [o.partition("=")[2] for o in config.get("overrides") or [] if o.startswith("data=")]
    known = groups()["data"]
    choices = (*typed, str(config.data.name), str(config.data.recipe))
    return next((choice for choice in choices if choice in known), str(config.data.recipe))


def prepare_command(config: DictConfig) -> str:
    """The command that prepares a configuration's store."""
    choice = data_choice(config)
    name = "" if _default_name(choice) == config.data.name else f" data.name={config.data.name}"
    header = (CONFIGS / "data" / f"{choice}.yaml").read_text(encoding="utf-8").split("\n\n")[0]
    command = re.search(rf"python prepare\.py data={choice}((?: \[?\w+=[\w.]+\]?)*)", header)
    needs = "" if command is None or config.data.recipe in AUTOMATIC else command[1]
    return f"python prepare.py data={choice}{needs}{name}"


def _default_name(choice: str) -> str:
    text = (CONFIGS / "data" / f"{choice}.yaml").read_text(encoding="utf-8")
    match = re.search(r"^\s*name: (\w+)", text, re.MULTILINE)
    return match[1] if match else choice


def show(steps: Sequence[Step]) -> str:
    """The plan as text."""
    width = max(len(step.name) for step in steps)
    lines = ["plan:"]
    for number, step in enumerate(steps, start=1):
        if step.finished is not None:
            state = f"finished: {getattr(step.finished, 'run', step.finished)}"
        else:
            state = "time unknown" if step.seconds is None else f"about {duration(step.seconds)}"
        notes = f"  ({step.notes})" if step.notes else ""
        lines.append(f"  {number}. {step.name:<{width}}  {state}{notes}")
    return "\n".join(lines)


def carry_out(config: DictConfig, steps: Sequence[Step]) -> list[Result | None]:
    """Run the steps that are not finished, each in a process of its own; interrupted trainings are resumed.

    Returns:
        The run of every training step.

    Raises:
        StoppedError: a signal came. ContrappostoError: a step failed.
    """
    results: dict[str, Result | None] = {}
    for number, step in enumerate(steps, start=1):
        title = f"[{number}/{len(steps)}] {step.name}"
        if isinstance(step.finished, Result):
            results[step.model] = step.finished
            print(f"{title}: finished before, in {step.finished.run}; skipped", flush=True)
            continue
        command = [*step.command, *_links(step, results)]
        if step.kind == "train":
            command += ["requires=fail", *_group(config)]
            command += ["resume=true"] if _interrupted(command) else []
        begin = time.time()
        print(f"{title}: python {shlex.join(command)}", flush=True)
        status = run_command([sys.executable, str(ROOT / command[0]), *command[1:]])
        if status in (130, 143):
            raise StoppedError(
                f"Stopped in {step.name}.", status=status, fix="the same command continues there"
            )
        if status:
            raise ContrappostoError(
                f"{step.name} stopped with status {status}; its message is above.",
                fix="correct the cause and give the same command again: finished steps are skipped",
            )
        if step.kind == "train":
            results[step.model] = _newest(compose_config("train", command[1:]), begin)
    return [results.get(step.model) for step in steps if step.kind == "train"]


def _links(step: Step, results: dict[str, Result | None]) -> list[str]:
    """The checkpoints of the very runs that this plan has chosen."""
    typed = {o.partition("=")[0] for o in step.command}
    chosen = {key: results.get(model) for key, model in step.links.items() if key not in typed}
    return [f"{key}={result.checkpoint}" for key, result in chosen.items() if result is not None]


def _group(config: DictConfig) -> list[str]:
    """Runs of one plan stand together in wandb."""
    logger = config.get("logger")
    if not logger or "group" not in logger or logger.group is not None:
        return []
    return [f"logger.group={config.get('name') or 'pipeline'}_{time.strftime('%Y-%m-%d')}"]


def _interrupted(command: Sequence[str]) -> bool:
    config = compose_config("train", command[1:])
    runs = unfinished_runs(config.paths.runs, config.name, config.data.name, config.get("experiment_name"))
    return any(not differences(load_config(run), config) for run in runs)


def _newest(config: DictConfig, begin: float) -> Result | None:
    runs = [r for r in finished_runs(config.paths.runs, config.name) if _time(r) >= begin - 2]
    return runs[-1] if runs else None


def _time(result: Result) -> float:
    return (result.run / "result.json").stat().st_mtime


def requirements(config: DictConfig) -> list[Step]:
    """The steps that are missing before what a configuration of train.py or evaluate.py describes can begin."""
    steps = plan_models(config, [config.name], strict=False)
    return [step for step in steps if step.finished is None and step.model != config.name]


def ensure(config: DictConfig, steps: Sequence[Step], goal: str) -> bool:
    """Do what `requires=` states about missing steps; returns whether to go on with the goal.

    Raises:
        MissingError: `requires=fail`, and something is missing.
    """
    if not steps and config.requires == "plan":
        print(f"{goal}: nothing is missing")
    if not steps:
        return bool(config.requires != "plan")
    if config.requires not in ("train", "plan", "fail"):
        raise ConfigError(f"requires={config.requires}", expected="train, plan or fail")
    if config.requires == "fail" or config.trainer.fast_dev_run:
        commands = "; ".join(f"python {shlex.join(step.command)}" for step in steps)
        raise MissingError(f"{goal} needs {', '.join(step.name for step in steps)} first.", fix=commands)
    last = Step(goal, "train", [], seconds=seconds_of(config) if goal.startswith("train") else None)
    print(show([*steps, last]), flush=True)
    small = next(
        (name for name in groups()["experiment"] if name == f"{config.name.partition('_')[0]}_demo"), None
    )
    if small and config.get("experiment_name") is None and sum(s.seconds or 0 for s in [*steps, last]) > 7200:
        print(f"experiment={small} is a small version of it that takes minutes.", flush=True)
    if config.requires == "plan":
        return False
    print("The same command continues after an interruption; requires=fail stops here instead.\n", flush=True)
    carry_out(config, steps)
    return True


def ensure_model(config: DictConfig) -> bool:
    """For an evaluation: prepare the data and train the model if there is no run of it; returns whether to go on."""
    steps = data_steps(config)
    if config.get("trained", True):
        try:
            best_run(config.paths.runs, config.name, config.data.name, config.get("experiment_name"))
        except MissingError:
            steps = [
                step for step in plan_models(config, [config.name], strict=False) if step.finished is None
            ]
    return ensure(config, steps, f"evaluate {config.name}")


def typed_own(config: DictConfig) -> bool:
    """Whether the command line has options for single models beside `pipeline=`."""
    return any(key in ("model", "resume") for key in typed_keys(config))
