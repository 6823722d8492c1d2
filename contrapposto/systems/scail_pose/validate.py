"""Options as people type them, checked before any work starts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from contrapposto.errors import ConfigError, nearest
from contrapposto.options import check_options

Options = TypeVar("Options")
_FEW = 8  # words to name in a message


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number within bounds.

    Raises:
        ConfigError: something else; the message names the option.
    """
    expected = "a number" if math.isinf(high) else f"a number from {low:g} to {high:g}"
    expected = f"a number of at least {low:g}" if math.isinf(high) and not math.isinf(low) else expected
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(f"{name}={value!r} is not a number.", expected=expected)
    if not low <= value <= high:
        raise ConfigError(f"{name}={value:g} is out of range.", expected=expected)
    return float(value)


def choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """One of some words.

    Raises:
        ConfigError: another one; the message names all where they are few, else the nearest.
    """
    known = list(choices)
    if value not in known:
        few = len(known) <= _FEW
        expected = ", ".join(known) if few else nearest(str(value), known)
        raise ConfigError(f"{name}={value!r} is not known.", expected=expected)
    return str(value)


def words(name: str, value: Any, choices: Iterable[str]) -> tuple[str, ...]:
    """Some of some words; a single word counts as a list of one.

    Raises:
        ConfigError: another word, or none at all.
    """
    listed = [value] if isinstance(value, str) else list(value) if isinstance(value, Sequence) else [value]
    known = list(choices)
    if not listed:
        raise ConfigError(f"{name} is empty.", expected=f"some of {', '.join(known)}")
    return tuple(choice(name, one, known) for one in listed)


def build(name: str, kind: type[Options], value: Any) -> Options:
    """A dataclass of options from a mapping of some of its fields; one that is built already passes.

    Raises:
        ConfigError: no mapping, a field that does not exist, or a value of another type.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        known = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
        raise ConfigError(f"{name}={value!r} cannot be used.", expected=f"true, false, or options: {known}")
    check_options(kind, value, f"{name}.")
    return kind(**{key: tuple(one) if isinstance(one, list) else one for key, one in value.items()})
