"""The demo corpus: the two shipped CMU clips, and labelled clips made by `contrapposto.synthetic`. Needs no download."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.data.recipes.base import Discovery, Progress, Source
from contrapposto.data.recipes.npz import array_shape
from contrapposto.errors import ConfigError
from contrapposto.files import ASSETS
from contrapposto.motion import Motion

SHIPPED = ASSETS / "motion"
FPS = 60.0


class DemoRecipe:
    """Shipped and made clips. Every third made clip is a sequence of actions, the others are of one action each.

    Args:
        minutes: of synthetic motion, about.
        seed: another seed gives other made clips.

    Raises:
        ConfigError: `minutes` is negative or beyond a day.
    """

    name = "demo"
    version = 1
    source = "CMU clips 01_01 and 01_03 (http://mocap.cs.cmu.edu), and motion made by contrapposto.synthetic"
    licence = "CMU clips: free for all uses, not to be resold by themselves; made clips: CC0-1.0"
    attribution = "The data used in this project was obtained from mocap.cs.cmu.edu. "
    attribution += "The database was created with funding from NSF EIA-0196217."

    def __init__(self, minutes: float = 12.0, seed: int = 0) -> None:
        if not 0 <= minutes <= 1440:
            raise ConfigError(
                "The demo corpus cannot have this length.", found=f"minutes={minutes}", expected="0 to 1440"
            )
        self.minutes, self.seed = float(minutes), int(seed)
        self.downloads: dict[str, str] = {}

    @property
    def options(self) -> dict[str, Any]:
        """Length and seed."""
        return {"minutes": self.minutes, "seed": self.seed}

    def obtain(self, raw: Path | None, downloads: Path, progress: Progress | None) -> Path:
        """The folder of the shipped clips."""
        if raw is not None:
            raise ConfigError(
                "The recipe demo reads no raw folder.", found=f"raw={raw}", fix="leave raw= out"
            )
        return SHIPPED

    def discover(self, raw: Path) -> Discovery:
        """The shipped files, and a plan of clips to make."""
        shipped = [
            Source(f"cmu/{path.stem.removeprefix('cmu_')}", (path,)) for path in sorted(raw.glob("*.npz"))
        ]
        return Discovery([*shipped, *self.synthetic_sources("made")])

    def frames(self, source: Source) -> int:
        """By the header, or as planned."""
        if source.paths:
            return array_shape(source.paths[0], "poses")[0]
        return round(sum(seconds for _, seconds in source.parameters["actions"]) * FPS)

    def read(self, source: Source) -> Motion:
        """Read or make one clip."""
        if source.paths:
            from contrapposto.io.amass import read_amass

            return read_amass(source.paths[0])
        from contrapposto.synthetic import generate_sequence

        metadata = source.parameters
        actions = [(action, seconds) for action, seconds in metadata["actions"]]
        motion = generate_sequence(actions, style=metadata["style"], seed=metadata["seed"], fps=FPS)
        return replace(motion, metadata={**motion.metadata, "style": metadata["style"]})

    def synthetic_sources(self, folder: str) -> list[Source]:
        """Sources of the synthetic clips, named below `folder`."""
        from contrapposto.synthetic import ACTIONS, STYLES

        sources: list[Source] = []
        seconds = 0.0
        while seconds < 60 * self.minutes:
            number = len(sources)
            generator = np.random.default_rng([self.seed, number])
            several = number % 3 == 2
            # in turn, so that every action and every style occurs in a short corpus too
            actions = [ACTIONS[number % len(ACTIONS)]]
            actions += [ACTIONS[i] for i in generator.integers(0, len(ACTIONS), 2)] if several else []
            lengths = [round(float(length), 1) for length in generator.uniform(3.0, 7.0, len(actions))]
            style = STYLES[(number + number // len(ACTIONS)) % len(STYLES)]
            metadata = {
                "actions": [[action, length] for action, length in zip(actions, lengths)],
                "style": style,
                "seed": int(generator.integers(2**31)),
                "generator": _generator_version(),
            }
            kind = "sequence" if several else actions[0].replace(" ", "-")
            sources.append(Source(f"{folder}/{kind}/{style}_{number:04d}", (), metadata))
            seconds += sum(lengths)
        return sources


@lru_cache(maxsize=1)
def _generator_version() -> str:
    """Hash of the generator's source code: clips made by another version of it are other clips."""
    import contrapposto.synthetic

    folder = Path(contrapposto.synthetic.__file__).parent
    content = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(content).hexdigest()[:16]
