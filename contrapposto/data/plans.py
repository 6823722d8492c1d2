"""Recipes as modules: each has a `plan(raw, **options)`; finding one, and refusing options it does not have."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from contrapposto.errors import ConfigError, nearest


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
    found: Callable[..., Any] = import_module(f"{package}.{name}").plan
    known = [key for key in inspect.signature(found).parameters if key != "raw"]
    for option in options:
        if option not in known:
            raise ConfigError(
                f"The recipe {name} has no option {option}.",
                expected=", ".join(known),
                fix=f"did you mean {nearest(option, known)}?",
            )
    return found


def digest(*facts: Any) -> str:
    """SHA-256 of facts that JSON can hold, others as text."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
