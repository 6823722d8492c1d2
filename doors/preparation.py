"""What prepare.py does: run a recipe with progress on the terminal."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from contrapposto.errors import ConfigError
from doors.launch import groups


def prepare(config: DictConfig) -> None:
    """Prepare the store that `data=` names."""
    if config.data is None:
        raise ConfigError("No data chosen.", expected=f"data= one of {', '.join(groups()['data'])}")
    from contrapposto.data.avatar.prepare import AVATAR_RECIPES, prepare_avatar
    from contrapposto.data.mesh_recipes import MESH_RECIPES, prepare_meshes
    from contrapposto.data.prepare import prepare as run

    output = Path(config.data.store)
    if config.force:
        import shutil

        shutil.rmtree(output, ignore_errors=True)
    options: Any = OmegaConf.to_container(config.data.options, resolve=True)
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
        from contrapposto.models.scail_pose.scenes import prepare_scenes

        made = prepare_scenes(output, progress=Lines(), **options)
        print(f"{output}: " + ("rendered." if made else "up to date: nothing was done."))
        return
    report = run(
        config.data.recipe,
        output=output,
        raw=config.raw,
        workers=config.workers or os.cpu_count() or 1,
        progress=Lines(),
        **options,
    )
    print(report.summary())


class Lines:
    """Progress as a line that is overwritten on a terminal, and as a line every few seconds elsewhere."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.terminal = sys.stderr.isatty()
        self.seconds = 0.1 if self.terminal else seconds
        self.last = time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` items of `stage` are finished."""
        now = time.monotonic()
        if now - self.last < self.seconds and done < total:
            return
        if done >= total and not self.terminal and now - self.last < self.seconds:
            return
        self.last = now
        end = ("\n" if done >= total else "\r") if self.terminal else "\n"
        print(f"  {stage} {done}/{total}   ", end=end, file=sys.stderr, flush=True)
