"""Errors that a user can act on.

Every error of the suite that is caused by input, configuration or environment is a `ContrappostoError`; the entry points
print its text without a traceback and exit with status 2. Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class ContrappostoError(Exception):
    """An error with four parts: what is wrong, what was found, what was expected, how to fix it.

    Args:
        what: one sentence that names the thing (file, option, array) and what is wrong with it.
        found: what was there.
        expected: what should have been there.
        fix: what the user can do, ideally a command.
    """

    def __init__(self, what: str, *, found: str = "", expected: str = "", fix: str = "") -> None:
        self.what, self.found, self.expected, self.fix = what, found, expected, fix
        parts = [what]
        for name, text in (("found", found), ("expected", expected), ("fix", fix)):
            if text:
                parts.append(f"  {name + ':':<10}{text}")
        super().__init__("\n".join(parts))

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders (workers of prepare.py); keyword-only arguments need help there.
        parts = {name: getattr(self, name) for name in ("what", "found", "expected", "fix")}
        return type(self), (self.what,), parts

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        self.__init__(**(state or {}))  # type: ignore[misc]


class InputError(ContrappostoError):
    """A file or array that a user gave cannot be used."""


class ConfigError(ContrappostoError):
    """An option or a combination of options cannot be used."""


class MissingError(ContrappostoError):
    """Something that must be there first (data, weights, a package) is not."""


def nearest(name: str, choices: Iterable[str], count: int = 3) -> str:
    """Return `a, b or c`, the choices nearest to a misspelt name, or all of them when none is near.

    Of dotted names (`module.network.width`) all means what stands before the first dot.
    """
    options = sorted(choices)
    close = difflib.get_close_matches(name, options, n=count, cutoff=0.5)
    close = close or sorted({option.split(".")[0] for option in options})
    return close[0] if len(close) == 1 else f"{', '.join(close[:-1])} or {close[-1]}" if close else "(none)"
