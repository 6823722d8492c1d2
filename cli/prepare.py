"""What prepare.py does: run a recipe with progress on the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cli.launch import groups
from contrapposto.errors import ConfigError
from contrapposto.progress import Lines


def prepare(config: DictConfig) -> None:
    """Prepare the store that `data=` names."""
    if config.data is None:
        raise ConfigError("No data chosen.", expected=f"data= one of {', '.join(groups()['data'])}")
    from contrapposto.systems.anerf.data.prepare import AVATAR_RECIPES, prepare_avatar
    from contrapposto.systems.npr.data import MESH_RECIPES, prepare_meshes

    output = Path(config.data.store)
    if config.force:
        import shutil

        shutil.rmtree(output, ignore_errors=True)
    options: Any = OmegaConf.to_container(config.data.options, resolve=True)
    _check_launcher(config)
    if config.data.recipe in MESH_RECIPES:
        meshes = prepare_meshes(
            config.data.recipe, output=output, raw=config.raw, progress=Lines(), **options
        )
        print(meshes.summary())
        return
    if config.data.recipe in AVATAR_RECIPES:
        avatar = prepare_avatar(
            config.data.recipe, output=output, raw=config.raw, progress=Lines(), **options
        )
        print(avatar.summary())
        return
    if config.data.recipe == "scail_scenes":
        from contrapposto.systems.scail_pose.scenes import prepare_scenes

        made = prepare_scenes(output, progress=Lines(), **options)
        print(f"{output}: " + ("rendered." if made else "up to date: nothing was done."))
        return
    print(_prepare_motion(config, output, options))


def _check_launcher(config: DictConfig) -> None:
    """Only motion is prepared clip by clip."""
    from contrapposto.data.recipes import RECIPES

    if config.launcher.name != "processes" and config.data.recipe not in RECIPES:
        raise ConfigError(
            f"launcher={config.launcher.name} is for stores of motion.",
            found=f"recipe {config.data.recipe}",
            expected=f"a recipe of {', '.join(sorted(RECIPES))}",
            fix="leave launcher= out",
        )


def _prepare_motion(config: DictConfig, output: Path, options: dict[str, Any]) -> str:
    from contrapposto.data.launchers import Launcher
    from contrapposto.data.parts import prepare_part
    from contrapposto.data.prepare import prepare as run

    chosen = config.launcher
    cores = chosen.workers or os.cpu_count() or 1
    shared: dict[str, Any] = {"output": output, "raw": config.raw, "workers": cores, "progress": Lines()}
    if chosen.name == "slurm_array":
        part, parts = _part(chosen)
        return prepare_part(config.data.recipe, part=part, parts=parts, **shared, **options).summary()
    launcher = Launcher(workers=cores)
    if chosen.name == "ray":
        launcher = Launcher("ray", chosen.workers, chosen.address)
    return run(config.data.recipe, launcher=launcher, **shared, **options).summary()


def _part(chosen: DictConfig) -> tuple[int, int]:
    """The number of this part, from 0, and how many there are: as given, else by the variables of a SLURM array."""
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
