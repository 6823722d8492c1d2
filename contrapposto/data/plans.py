"""Recipes as modules: each has a `plan(raw, **options)`; finding one, and refusing options it does not have."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from contrapposto.errors import ConfigError, ContrappostoError, nearest

Store = TypeVar("Store")


def find_plan(
    package: str, names: Sequence[str], name: str, options: Mapping[str, Any], what: str
) -> Callable[..., Any]:
    """The `plan` of the module `name` of a package.

    Args:
        package: where the recipes' modules are.
        names: of all recipes.
        name: the one that is wanted.
        options: that it will be called with.
        what: the things that these recipes make, for messages.

    Raises:
        ConfigError: no such recipe, or it has no such option.
    """
    if name not in names:
        raise ConfigError(f"There is no recipe {name} for {what}.", expected=", ".join(names))
    matches: Callable[..., Any] = import_module(f"{package}.{name}").plan
    known = [key for key in inspect.signature(matches).parameters if key != "raw"]
    for option in options:
        if option not in known:
            raise ConfigError(
                f"The recipe {name} has no option {option}.",
                expected=", ".join(known),
                fix=f"did you mean {nearest(option, known)}?",
            )
    return matches


def holds_store(output: Path, schema: str) -> bool:
    """Whether `output` holds a store with this schema, perhaps a damaged one; nothing there: False.

    Raises:
        ConfigError: it holds something else, which a new store must not replace.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    if not (output / "manifest.json").is_file():
        raise ConfigError(
            f"The output {output} is not a store.",
            found="a file" if output.is_file() else "a folder with other things in it",
            fix="choose another place: paths.stores=FOLDER, or another name: data.name=NAME",
        )
    try:
        matches = json.loads((output / "manifest.json").read_text()).get("schema")
    except (OSError, ValueError, AttributeError, RecursionError):  # damaged
        return True
    if matches != schema:
        raise ConfigError(
            f"The output {output} is a store of other things.",
            found=f"schema {matches}",
            expected=f"schema {schema}",
            fix="choose another name: data.name=NAME",
        )
    return True


def existing(output: Path, schema: str, open_store: Callable[[Path], Store]) -> Store | None:
    """The store at `output`; None where there is none, or one that cannot be read and is to be made anew.

    Raises:
        ConfigError: `output` holds something else.
    """
    if not holds_store(output, schema):
        return None
    try:
        return open_store(output)
    except ContrappostoError:  # damaged or of another version
        return None


class StorePlan(Protocol):
    """What a recipe knows before the work."""

    @property
    def origin(self) -> Any:
        """Where the data come from: a dataclass with `recipe`, `options`, and `input_hash`, the hash of the input."""
        ...

    @property
    def make(self) -> Callable[[Path, Any, Callable[[str, int, int], None] | None], Any]:
        """Writes the store: (folder, origin, progress) -> store."""
        ...


@dataclass(frozen=True)
class StoreKind(Generic[Store]):
    """A kind of store that recipes make.

    Args:
        package: where the recipes' modules are.
        recipes: their names.
        what: the things that they make, for messages.
        schema: of the manifest.
        open: opens a store; its `manifest` has the entry `input_hash`.
    """

    package: str
    recipes: Sequence[str]
    what: str
    schema: str
    open: Callable[[Path], Store]

    def prepare(
        self,
        recipe: str,
        output: str | Path,
        raw: str | Path | None,
        progress: Callable[[str, int, int], None] | None,
        options: Mapping[str, Any],
    ) -> tuple[Store, bool]:
        """Make a store, unless the one that is there was made of the same input by the same recipe.

        Returns:
            The store, and whether it was there already.

        Raises:
            ConfigError: no such recipe or option, or `output` is something else than such a store.
            MissingError, InputError: nothing usable in the input.
        """
        output = Path(output).absolute()
        plan_of = find_plan(self.package, self.recipes, recipe, options, self.what)
        old = existing(output, self.schema, self.open)
        plan: StorePlan = plan_of(None if raw is None else Path(raw).absolute(), **options)
        origin = plan.origin
        key = digest(origin.recipe, origin.input_hash, dict(origin.options))
        if old is not None and getattr(old, "manifest", {}).get("input_hash") == key:
            return old, True
        return plan.make(output, replace(origin, input_hash=key), progress), False


def digest(*parts: Any) -> str:
    """SHA-256 of facts that JSON can hold, others as text."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
