"""The free corpus: the demo corpus and a folder of AMASS-layout clips whose licence lets trained weights ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contrapposto.data.recipes.amass import AmassRecipe
from contrapposto.data.recipes.base import Discovery, Progress, Source
from contrapposto.data.recipes.demo import DemoRecipe
from contrapposto.motion import Motion


class FreeRecipe:
    """Synthetic clips, the two shipped clips, and the clips of a folder in AMASS layout with its `index.csv` of labels.

    A clip of the folder with the name of a shipped one takes its place.

    Args:
        minutes: of synthetic motion, about.
        seed: of the synthetic motion.
        source, licence, attribution: of the folder's clips.

    Raises:
        ConfigError: see `DemoRecipe`.
    """

    name = "free"
    version = 1

    def __init__(
        self,
        minutes: float = 12.0,
        seed: int = 0,
        source: str = "CMU Graphics Lab Motion Capture Database (http://mocap.cs.cmu.edu), DeepMimic clips "
        "(https://github.com/xbpeng/DeepMimic), and synthetic motion made by contrapposto.synthetic",
        licence: str = "CMU: free for all uses, not to be resold by themselves; DeepMimic: MIT; synthetic: CC0-1.0",
        attribution: str = "The data used in this project was obtained from mocap.cs.cmu.edu. The database was created "
        "with funding from NSF EIA-0196217. DeepMimic clips: (c) 2018 Xue Bin Peng.",
    ) -> None:
        self.demo, self.amass = DemoRecipe(minutes, seed), AmassRecipe()
        self.source, self.licence, self.attribution = source, licence, attribution
        self.downloads: dict[str, str] = {}

    @property
    def options(self) -> dict[str, Any]:
        """What changes the store."""
        return self.demo.options

    def obtain(self, raw: Path | None, downloads: Path, progress: Progress | None) -> Path:
        """The folder of clips, which has to be named."""
        return self.amass.obtain(raw, downloads, progress)

    def discover(self, raw: Path) -> Discovery:
        """The folder's clips, then those of the demo corpus that it does not hold."""
        matches = self.amass.discover(raw)
        names = {path.stem.removesuffix("_poses") for source in matches.sources for path in source.paths}
        shipped = self.demo.discover(self.demo.obtain(None, raw, None))
        matches.sources += [source for source in shipped.sources if source.name.split("/")[-1] not in names]
        return matches

    def frames(self, source: Source) -> int:
        """By the header, or as planned."""
        return (self.amass if source.paths else self.demo).frames(source)

    def read(self, source: Source) -> Motion:
        """Read or synthesise one clip."""
        return (self.amass if source.paths else self.demo).read(source)
