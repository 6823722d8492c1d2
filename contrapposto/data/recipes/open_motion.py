"""Open motion: files in AMASS layout that carry their own licences, and synthetic clips (docs/open_protocol.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contrapposto.data.recipes.amass import AmassRecipe
from contrapposto.data.recipes.base import Discovery, Source
from contrapposto.data.recipes.demo import DemoRecipe
from contrapposto.motion import Motion


class OpenMotionRecipe(AmassRecipe):
    """Every clip in AMASS layout below a folder, and synthetic clips beside them.

    Args:
        minutes: of synthetic motion; 0 for none.
        seed: of the synthetic motion.

    Raises:
        ConfigError: `minutes` is out of range.
    """

    name = "open_motion"

    def __init__(self, minutes: float = 20.0, seed: int = 0) -> None:
        super().__init__(
            source="open motion capture, see the sources of the clips",
            licence="each clip has a licence of its own",
            attribution="see the attributions of the clips",
        )
        self.synthetic = DemoRecipe(minutes, seed)

    @property
    def options(self) -> dict[str, Any]:
        """Length and seed of the synthetic motion."""
        return self.synthetic.options

    def discover(self, raw: Path) -> Discovery:
        """The files, then the synthetic clips."""
        discovery = super().discover(raw)
        discovery.sources += self.synthetic.synthetic_sources("synthetic") if self.synthetic.minutes else []
        return discovery

    def frames(self, source: Source) -> int:
        """Rows of `poses`, or the planned number."""
        return super().frames(source) if source.paths else self.synthetic.frames(source)

    def read(self, source: Source) -> Motion:
        """Read a file, or generate the clip."""
        return super().read(source) if source.paths else self.synthetic.read(source)
