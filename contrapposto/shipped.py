"""The recorded clips that ship with the suite: two of CMU's motion capture database, 60 s together."""

from __future__ import annotations

from pathlib import Path

from contrapposto.errors import MissingError
from contrapposto.files import ASSETS
from contrapposto.io.amass import read_amass
from contrapposto.motion import Motion

FOLDER = ASSETS / "motion"


def shipped_clips(folder: Path = FOLDER) -> list[Motion]:
    """Read the shipped clips: SMPLH52, 60 frames/s, each with one label, `name` and licence in its metadata.

    Raises:
        MissingError: the installation has none.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise MissingError(
            "The shipped motion clips are not there.",
            found=f"no .npz file in {folder}",
            fix="install the package again, or build them: python contrapposto/assets/motion/build.py FOLDER_WITH_BVH",
        )
    return [read_amass(path) for path in paths]
