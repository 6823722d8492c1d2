"""`prepare_avatar`: one recipe, one avatar scene. Unchanged input leaves the scene alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrapposto.data.plans import StoreKind
from contrapposto.systems.anerf.data.scene import SCHEMA, AvatarScene
from contrapposto.systems.anerf.data.writing import SceneMetadata

Progress = Callable[[str, int, int], None]
AVATAR_RECIPES = (
    "anerf_scene",
    "anerf_h5",
    "anerf_video",
    "anerf_views",
    "anerf_spin",
    "anerf_zju",
    "anerf_surreal",
)

_KIND = StoreKind(
    "contrapposto.systems.anerf.data.recipes", AVATAR_RECIPES, "avatar scenes", SCHEMA, AvatarScene.open
)


@dataclass(frozen=True)
class Plan:
    """What a recipe found, before the work.

    Args:
        origin: where the data come from; its `input_hash` and `options` say whether a scene is up to date.
        make: writes the scene: (folder, origin, progress) -> scene.
    """

    origin: SceneMetadata
    make: Callable[[Path, SceneMetadata, Progress | None], AvatarScene]


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
    scene, unchanged = _KIND.prepare(recipe, output, raw, progress, options)
    return AvatarReport(scene, unchanged=unchanged)
