"""HumanAct12: short clips of twelve actions, as SMPL poses in one pickle (`humanact12poses.pkl`)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.checks import parsing
from contrapposto.data.recipes.base import Discovery, Progress, Source, need_folder, suffix_of, walk
from contrapposto.data.recipes.labels import with_labels
from contrapposto.data.vocabulary import Vocabulary
from contrapposto.errors import InputError, MissingError
from contrapposto.files import sha256
from contrapposto.motion import Motion
from contrapposto.pickles import read_pickle
from contrapposto.skeleton import SMPL24, SMPLH52

FILE = "humanact12poses.pkl"
_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float64)  # the camera's y points down
_ACTIONS = Vocabulary.load("humanact12").names


class HumanAct12Recipe:
    """The file that ACTOR (Petrovich et al. 2021) made of HumanAct12: lists `poses` (F, 72) axis-angles of SMPL,
    `joints3D` (F, 24, 3) metres and `y`, the numbers of the actions, in the frame of a camera whose y points down.

    Args:
        fps: frame rate, which the file does not tell.
    """

    name = "humanact12"
    version = 1
    source = "HumanAct12, https://ericguo5513.github.io/action-to-motion, as poses of SMPL"
    licence = "HumanAct12 licence, non-commercial scientific research; see its homepage"
    attribution = (
        "Guo et al., Action2Motion: Conditioned Generation of 3D Human Motions, ACM Multimedia 2020; "
    )
    attribution += "Zou et al., 3D Human Shape Reconstruction from a Polarization Image, ECCV 2020"

    def __init__(self, fps: float = 20.0) -> None:
        self.fps = float(fps)
        self.downloads: dict[str, str] = {}
        self.file = Path(FILE)

    @property
    def options(self) -> dict[str, Any]:
        """The frame rate."""
        return {"fps": self.fps}

    def obtain(self, raw: Path | None, downloads: Path, progress: Progress | None) -> Path:
        """There is no official download without a form: only `raw` is accepted."""
        return need_folder(raw, self.name, f"the folder with {FILE}")

    def discover(self, raw: Path) -> Discovery:
        """The clips of the file.

        Raises:
            MissingError: no such file below the folder.
            InputError: it holds something else.
        """
        matches = Discovery()
        for path in walk(raw):
            if path.name == FILE and not matches.sources:
                self.file = path
                matches.sources = list(self._sources())
            else:
                matches.ignored[f"{suffix_of(path)} files"] += 1
        if not matches.sources:
            raise MissingError(f"There is no {FILE} in {raw}.")
        return matches

    def _sources(self) -> list[Source]:
        content, digest = _content(self.file), sha256(self.file)
        sources = []
        for number, (poses, action) in enumerate(zip(content["poses"], content["y"])):
            text = _ACTIONS[int(action)]
            metadata = {"number": number, "file": digest, "frames": len(poses), "labels": [[text, 0.0, None]]}
            sources.append(
                Source(f"{text.replace(' ', '-')}/{number:04d}", (), {**metadata, "fps": self.fps})
            )
        return sources

    def frames(self, source: Source) -> int:
        """As found."""
        return int(source.parameters["frames"])

    def read(self, source: Source) -> Motion:
        """One clip, turned z up, on the SMPL-H skeleton."""
        content, number = _content(self.file), source.parameters["number"]
        poses = np.asarray(content["poses"][number], np.float32).reshape(-1, 24, 3)
        joints = np.asarray(content["joints3D"][number], np.float32).reshape(len(poses), -1, 3)
        root = joints[:, 0] - SMPL24.rest_positions[0]
        clip = Motion(poses, root, self.fps, SMPL24).transform(_UP)
        return with_labels(clip.to_skeleton(SMPLH52), source.parameters)


@lru_cache(maxsize=1)
def _content(path: Path) -> dict[str, Any]:
    """Checked content of the file.

    Raises:
        InputError: it holds something else.
    """
    content = read_pickle(path)
    names = ("poses", "joints3D", "y")
    if not isinstance(content, dict) or any(name not in content for name in names):
        actual = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(
            f"{path} is not the file of HumanAct12.", found=actual[:200], expected=", ".join(names)
        )
    with parsing(path, "the file of HumanAct12"):
        sizes = {len(content[name]) for name in names}
        fits = len(sizes) == 1 and all(np.asarray(poses).size % 72 == 0 for poses in content["poses"])
        fits = fits and all(0 <= int(action) < len(_ACTIONS) for action in content["y"])
    if not fits:
        raise InputError(
            f"The lists of {path} do not fit together.",
            found=f"{sorted(sizes)} entries",
            expected="as many poses (F, 72), joints3D (F, 24, 3) and actions 0 to 11",
        )
    return content
