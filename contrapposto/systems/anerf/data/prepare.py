"""`prepare_avatar`: one recipe, one avatar scene. Unchanged input leaves the scene alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contrapposto.data.plans import digest, existing, find_plan
from contrapposto.systems.anerf.data.scene import SCHEMA, AvatarScene
from contrapposto.systems.anerf.data.writing import SceneFacts

Progress = Callable[[str, int, int], None]
AVATAR_RECIPES = ("anerf_scene", "anerf_h5", "anerf_video", "anerf_spin", "anerf_zju", "anerf_surreal")


@dataclass(frozen=True)
class Plan:
    """What a recipe found, before the work.

    Args:
        facts: where the data come from; its `input_hash` and `options` say whether a scene is up to date.
        make: writes the scene: (folder, facts, progress) -> scene.
    """

    facts: SceneFacts
    make: Callable[[Path, SceneFacts, Progress | None], AvatarScene]


@dataclass(frozen=True)
class AvatarReport:
    """What `prepare_avatar` did: the scene, and whether it was up to date already."""

    scene: AvatarScene
    unchanged: bool = False

    def summary(self) -> str:
        """Some lines for a terminal."""
        scene, (height, width) = self.scene, self.scene.hw
        size = sum(file.stat().st_size for file in scene.path.glob("*.npy")) / 2**20
        lines = [
            f"{scene.path}: {scene.num_images} images of {width} x {height}, {scene.num_poses} poses, "
            f"{scene.num_cameras} cameras, {size:.0f} MiB"
        ]
        lines += [f"  {name:<12}{len(scene.split(name)):>6} images" for name in scene.splits[1:]]
        lines += [f"  {note}" for note in scene.manifest.get("notes", ())]
        if self.unchanged:
            lines.append("The scene is up to date with its input: nothing was done.")
        return "\n".join(lines)


def prepare_avatar(
    recipe: str,
    *,
    output: str | Path,
    raw: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> AvatarReport:
    """Make the scene `output`.

    Args:
        recipe: one of `AVATAR_RECIPES`.
        output: folder of the scene; a scene there is replaced when its input has changed.
        raw: folder or file with the input.
        progress: called with (stage, done, total).
        options: of the recipe.

    Raises:
        ConfigError: no such recipe or option, or `output` is something else than an avatar scene.
        MissingError, InputError: nothing usable in the input.
    """
    output = Path(output).absolute()
    package = "contrapposto.systems.anerf.data.recipes"
    plan_of = find_plan(package, AVATAR_RECIPES, recipe, options, "avatar scenes")
    old = existing(output, SCHEMA, AvatarScene.open)
    plan: Plan = plan_of(None if raw is None else Path(raw).absolute(), **options)
    facts = plan.facts
    facts = replace(facts, input_hash=digest(facts.recipe, facts.input_hash, dict(facts.options)))
    if old is not None and old.manifest.get("input_hash") == facts.input_hash:
        return AvatarReport(old, unchanged=True)
    return AvatarReport(plan.make(output, facts, progress))
