"""Frames and options of the original's demonstrations, by data set, person and render mode.

See docs/specs/anerf.md, section 10.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrapposto.errors import ConfigError, nearest

_FILE = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True)
class Entry:
    """One demonstration.

    Args:
        frames: numbers of images in the order of the published training file.
        options: of the mode, see `contrapposto.systems.anerf.paths`.
    """

    frames: list[int]
    options: dict[str, Any]


def catalogue_entry(name: str, mode: str) -> Entry:
    """The entry of a name such as `mixamo/james` and a mode such as `bullet`.

    Raises:
        ConfigError: there is none.
    """
    catalogue = json.loads(_FILE.read_text(encoding="utf-8"))
    if name not in catalogue:
        raise ConfigError(f"The catalogue has no entry {name!r}.", expected=nearest(name, list(catalogue)))
    if mode not in catalogue[name]:
        raise ConfigError(
            f"The catalogue's {name} has no frames for mode={mode}.", expected=", ".join(catalogue[name])
        )
    return Entry(**catalogue[name][mode])
