"""What prepare.py does: run a recipe with progress on the terminal."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cli.compose import groups
from contrapposto.errors import ConfigError
from contrapposto.options import locate
from contrapposto.progress import Lines


def prepare(config: DictConfig) -> Path:
    """Prepare the store that `data=` names, by the function that `data.prepare._target_` names; without one, as motion.

    That function takes `output` and, where its signature has them, `recipe`, `raw`, `progress`, `workers` and
    `launcher`, and the options in `data.options`; it returns something with a `summary()`, or whether there was work.

    Returns:
        The store.

    Raises:
        ContrappostoError: input is missing or cannot be used.
    """
    if config.data is None:
        raise ConfigError("No data chosen.", expected=f"data= one of {', '.join(groups()['data'])}")
    output = Path(config.data.store)
    if config.force:
        import shutil

        shutil.rmtree(output, ignore_errors=True)
    function = locate(
        OmegaConf.select(config, "data.prepare._target_") or "contrapposto.data.prepare.prepare"
    )
    taken = inspect.signature(function).parameters
    options: Any = OmegaConf.to_container(config.data.options, resolve=True)
    values = {"recipe": config.data.recipe, "output": output, "raw": config.raw, "progress": Lines()}
    arguments = {name: value for name, value in values.items() if name in taken}
    if "launcher" in taken:
        function, more = _launched(config, function)
        arguments |= more
    elif config.launcher.name != "processes":
        raise ConfigError(
            f"launcher={config.launcher.name} is for stores of motion, whose clips are converted one by one.",
            found=f"recipe {config.data.recipe}",
            fix="leave launcher= out",
        )
    report = function(**arguments, **options)
    if hasattr(report, "summary"):
        print(report.summary())
    else:
        print(f"{output}: " + ("prepared." if report else "up to date: nothing was done."))
    return output


def _launched(config: DictConfig, function: Any) -> tuple[Any, dict[str, Any]]:
    """What to call for the chosen launcher, and the arguments that it takes."""
    from contrapposto.data.launchers import Launcher
    from contrapposto.data.parts import prepare_part

    chosen = config.launcher
    cores = chosen.workers or os.cpu_count() or 1
    if chosen.name == "slurm_array":
        part, parts = _part(chosen)
        return prepare_part, {"part": part, "parts": parts, "workers": cores}
    if chosen.name == "ray":
        return function, {"launcher": Launcher("ray", chosen.workers, chosen.address), "workers": cores}
    return function, {"launcher": Launcher(workers=cores), "workers": cores}


def _part(chosen: DictConfig) -> tuple[int, int]:
    """The number of this part, from 0, and how many there are: as configured, else by the variables of a SLURM array."""
    values = {name: os.environ.get(f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "COUNT", "MIN", "STEP")}
    part, parts = chosen.part, chosen.parts
    if part is None and values["ID"] is not None:
        part = (int(values["ID"]) - int(values["MIN"] or 0)) // int(values["STEP"] or 1)
    if parts is None and values["COUNT"] is not None:
        parts = int(values["COUNT"])
    if part is None or parts is None:
        raise ConfigError(
            "launcher=slurm_array does not know its part.",
            found="no SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT",
            fix="submit it with sbatch --array=0-7, or add launcher.part=0 launcher.parts=8",
        )
    return part, parts
