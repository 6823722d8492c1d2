"""Reading run directories and shipped models: which there are, and which is the best.

`runs/<model>/<time>/` holds config.yaml, checkpoints/, metrics.csv, metrics.json, media/, provenance.json, and, once the
run has finished, result.json: the best checkpoint with its score, its hash, and the data it was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from contrapposto.checks import parsing
from contrapposto.errors import MissingError
from contrapposto.files import ASSETS

ZOO = ASSETS / "zoo"  # small trained models that ship, laid out like runs (contrapposto/publish.py)
_HELD_BY = {"npr": "npr_feature_diffusion"}  # which ships once, inside of the stage that builds on it


@dataclass(frozen=True)
class Result:
    """What a finished run left behind (result.json); `measured` of a shipped model: a figure of later data."""

    run: Path
    model: str
    experiment: str | None
    data: dict[str, Any]
    checkpoint: Path
    checkpoint_sha256: str
    monitor: str | None
    mode: str
    score: float | None
    measured: dict[str, Any] | None = None


def load_config(run: Path) -> DictConfig:
    """Read a run's configuration.

    Raises:
        MissingError: the folder is not a run directory.
        InputError: its config.yaml is damaged.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise MissingError(f"{run} is not a run directory.", expected="a folder with config.yaml in it")
    with parsing(path, "the configuration of a run"):
        config = OmegaConf.load(path)
        if not isinstance(config, DictConfig):
            raise TypeError("it holds a list")
    return _migrated(config)


_MOVED_TARGETS = {
    "callbacks.loggers.build_loggers": "loggers.build_loggers",
    "datamodules.scail_lifter.LifterDataModule": "datamodules.scail_pose.LifterDataModule",
    "datamodules.scail_scenes.SceneDataModule": "datamodules.scail_pose.SceneDataModule",
    "lightning_modules.scail_lifter.ScailLifterModule": "lightning_modules.scail_pose.lifter.ScailLifterModule",
}
_OPTIMIZER = {"learning_rate": "lr", "betas": "betas", "weight_decay": "weight_decay"}
_SCHEDULES = {  # by an option that only this schedule had
    "milestones": {"milestones": "milestones", "gamma": "gamma", "warmup_steps": "warmup_steps"},
    "decay_rate": {
        "decay_rate": "rate",
        "decay_steps": "steps",
        "decay_unit": "unit",
        "warmup_steps": "warmup_steps",
    },
    "warmup_steps": {"warmup_steps": "warmup_steps"},
}
_SCHEDULE_TARGETS = {
    "milestones": "lightning_modules.optim.warmup_milestones",
    "decay_rate": "lightning_modules.anerf.optim.warmup_decay",
    "warmup_steps": "lightning_modules.optim.warmup_cosine",
}


def _migrated(config: DictConfig) -> DictConfig:
    """A configuration of an earlier version in today's form: optimiser and schedule stood among the module's options."""
    raw: Any = OmegaConf.to_container(config, resolve=False)
    module = raw.get("module")
    for node in (raw.get("module"), raw.get("datamodule"), raw.get("logger")):
        if isinstance(node, dict) and node.get("_target_") in _MOVED_TARGETS:
            node["_target_"] = _MOVED_TARGETS[node["_target_"]]
    if isinstance(module, dict) and "learning_rate" in module and "optimizer" not in raw:
        decay = "decay_rate" in module
        target = "lightning_modules.anerf.optim.GatheringAdam" if decay else "torch.optim.AdamW"
        raw["optimizer"] = {"_target_": target, "_partial_": True}
        raw["optimizer"] |= {new: module.pop(old) for old, new in _OPTIMIZER.items() if old in module}
        for kind, names in _SCHEDULES.items():
            if kind in module:
                raw["scheduler"] = {"_target_": _SCHEDULE_TARGETS[kind], "_partial_": True}
                raw["scheduler"] |= {new: module.pop(old) for old, new in names.items() if old in module}
    return OmegaConf.create(raw)


def read_result(run: Path) -> Result:
    """Read result.json of a finished run."""
    value = json.loads((run / "result.json").read_text(encoding="utf-8"))
    value["checkpoint"] = run / value["checkpoint"]
    return Result(run=run, **value)


def finished_runs(runs: str | Path, model: str) -> list[Result]:
    """Finished runs of a model, oldest first; folders that cannot be read are ignored."""
    results = []
    for folder in sorted((Path(runs) / model).glob("*/")):
        try:
            results.append(read_result(folder))
        except Exception:  # a result.json that is not there, or damaged in whatever way
            continue
    return [result for result in results if result.checkpoint.is_file()]


def best_run(
    runs: str | Path, model: str, data: str | None, experiment: str | None, *, shipped: bool = True
) -> Result:
    """The best finished run of a model on the same data and experiment; where there is none, the shipped one.

    Args:
        runs: folder of runs.
        model, data, experiment: names.
        shipped: whether a model of the zoo will do.

    Raises:
        MissingError: there is none; names the command that makes one.
    """

    def fits(result: Result) -> bool:
        return result.data.get("name") == data and result.experiment == experiment

    candidates = finished_runs(runs, model)
    same = list(filter(fits, candidates))
    if not same and shipped:
        names = (model, _HELD_BY.get(model, model))
        same = [run for name in dict.fromkeys(names) for run in finished_runs(ZOO, name) if fits(run)]
        if same:
            print(f"{model}: no trained run in {runs}; the bundled model is used")
    if not same:
        options = f"model={model}" + (f" experiment={experiment}" if experiment else "")
        others = sorted({f"data={r.data.get('name')} experiment={r.experiment}" for r in candidates})
        raise MissingError(
            f"There is no finished run of {model} with data={data} experiment={experiment} in {runs}.",
            found=f"only {'; '.join(others)}" if others else "no finished run of it",
            fix=f"python train.py {options}" + (f" data={data}" if data else ""),
        )

    return best_of(same)


def best_of(results: Sequence[Result]) -> Result:
    """The result with the best score; of equal ones, the newest."""

    def rank(result: Result) -> tuple[float, str]:
        score = float("-inf") if result.score is None else result.score
        return (-score if result.mode == "min" and result.score is not None else score, result.run.name)

    return max(results, key=rank)
