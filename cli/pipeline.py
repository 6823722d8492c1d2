"""Stages in order; a stage whose result exists is skipped; each runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from omegaconf import DictConfig

from cli.launch import ROOT, compose_config
from cli.runs import unfinished_run
from contrapposto.errors import ConfigError, ContrappostoError
from contrapposto.runs import finished_runs


def run_pipeline(config: DictConfig, overrides: list[str]) -> None:
    """Run every stage of `config.stages` that has no finished run yet on the same data and experiment.

    Each stage is `train.py model=STAGE` with the command line's other options; an interrupted one is resumed. A process
    per stage frees all memory between stages and lets Lightning start several devices for one.

    Raises:
        ConfigError: the pipeline is not given alone, or a stage failed.
    """
    shared = [o for o in overrides if o.split("=")[0] not in ("pipeline", "model", "resume")]
    if len(shared) < len(overrides) - 1:
        raise ConfigError("pipeline= names the models itself.", fix="leave model= and resume= out")
    stages = list(config.stages)
    for number, stage in enumerate(stages, start=1):
        title = f"[{number}/{len(stages)}] {stage}"
        composed = compose_config("train", [f"model={stage}", *shared])
        runs, data, experiment = composed.paths.runs, composed.data.name, composed.get("experiment_name")
        done = [
            result
            for result in finished_runs(runs, stage)
            if result.data.get("name") == data and result.experiment == experiment
        ]
        if done:
            print(f"{title}: finished before, in {done[-1].run}; skipped")
            continue
        command = [sys.executable, str(ROOT / "train.py"), f"model={stage}", *shared]
        if unfinished_run(runs, stage, data, experiment):
            command.append("resume=true")
        print(f"{title}: {' '.join(command[1:])}", flush=True)
        status = subprocess.run(command, check=False).returncode
        if status:
            raise ContrappostoError(
                f"Stage {stage} of the pipeline stopped with status {status} (its message is above).",
                fix="mend it and give the same command again: finished stages are skipped",
            )
