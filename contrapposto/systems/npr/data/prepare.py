"""`prepare_meshes`: one recipe, one mesh store. Unchanged input leaves the store alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrapposto.data.plans import StoreKind
from contrapposto.systems.npr.data.mesh_store import SCHEMA, Identity, MeshStore, Origin, write_store

Progress = Callable[[str, int, int], None]
MESH_RECIPES = ("smpl_poses", "npr_meshes", "deform4d", "shared_rig")

_KIND = StoreKind("contrapposto.systems.npr.data", MESH_RECIPES, "meshes", SCHEMA, MeshStore.open)


@dataclass(frozen=True)
class Plan:
    """What a recipe found, before the work.

    Args:
        origin: where the data come from; its `input_hash` states whether a store is up to date.
        identities: makes what the store holds.
    """

    origin: Origin
    identities: Callable[[Progress | None], Sequence[Identity]]

    def make(self, output: Path, origin: Origin, progress: Progress | None) -> MeshStore:
        """Write the store."""
        return write_store(output, self.identities(progress), origin)


@dataclass(frozen=True)
class MeshReport:
    """What `prepare_meshes` did: the store, and whether it was up to date already."""

    store: MeshStore
    unchanged: bool = False

    def summary(self) -> str:
        """Some lines for a terminal."""
        lines = [f"{self.store.path}: {len(self.store.identities)} identities"]
        lines += [
            f"  {r.name:<24}{r.vertices:>7,} vertices {r.faces:>7,} faces {len(r.poses):>5} poses"
            + (f"   a copy of {r.copy_of} in other triangles" if r.copy_of else "")
            for r in self.store.identities[:20]
        ]
        if len(self.store.identities) > 20:
            lines.append(f"  and {len(self.store.identities) - 20} more")
        if self.unchanged:
            lines.append("The store is up to date with its input: nothing was done.")
        return "\n".join(lines)


def prepare_meshes(
    recipe: str,
    *,
    output: str | Path,
    raw: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> MeshReport:
    """Make the store `output`.

    Args:
        recipe: one of `MESH_RECIPES`.
        output: folder of the store; a mesh store there is replaced when its input has changed.
        raw: folder or file with the input.
        progress: called with (stage, done, total).
        options: of the recipe.

    Raises:
        ConfigError: no such recipe or option, or `output` is something else than a mesh store.
        MissingError, InputError: nothing usable in the input.
    """
    store, unchanged = _KIND.prepare(recipe, output, raw, progress, options)
    return MeshReport(store, unchanged=unchanged)
