"""Recipes: one per corpus. `get_recipe` finds one by the word after `data=`."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from contrapposto.data.recipes.base import Discovery, Progress, Recipe, Source
from contrapposto.errors import ConfigError, nearest

RECIPES = {
    "demo": "DemoRecipe",
    "amass": "AmassRecipe",
    "cmu": "CmuRecipe",
    "bandai": "BandaiRecipe",
    "free": "FreeRecipe",
    "humanact12": "HumanAct12Recipe",
    "motion_files": "MotionFilesRecipe",
    "open_motion": "OpenMotionRecipe",
    "posegpt_folder": "PoseGPTFolderRecipe",
    "sage_folder": "SageFolderRecipe",
}

__all__ = ["RECIPES", "Discovery", "Progress", "Recipe", "Source", "get_recipe"]


def get_recipe(name: str, **options: Any) -> Recipe:
    """Build the recipe of that name.

    Raises:
        ConfigError: there is none, or it has no such option.
    """
    if name not in RECIPES:
        raise ConfigError(
            f"There is no recipe {name}.",
            expected=", ".join(sorted(RECIPES)),
            fix=f"data={nearest(name, RECIPES)}",
        )
    kind = getattr(import_module(f"contrapposto.data.recipes.{name}"), RECIPES[name])
    known = list(inspect.signature(kind).parameters)
    for option in options:
        if option not in known:
            raise ConfigError(
                f"The recipe {name} has no option {option}.",
                expected=", ".join(known) or "no options",
                fix=f"did you mean {nearest(option, known)}?" if known else "",
            )
    return kind(**options)
