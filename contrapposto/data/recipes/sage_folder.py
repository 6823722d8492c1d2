"""A folder that the original SAGE prepared: `dataset/SUBSET/NUMBER.pt` (docs/specs/sage.md, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from contrapposto.data.names import canonical_name
from contrapposto.data.recipes.base import Discovery, Progress, Source, need_folder, suffix_of, walk
from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.weights import load_file_safely

_PARTS = {"root_orient": 3, "pose_body": 63, "trans": 3}


class SageFolderRecipe:
    """Body parameters of each clip: rotations of 22 joints and the root's translation, at 60 frames/s.

    Clips keep the names of their source files where these name a subset of AMASS, so that split lists match.
    """

    name = "sage_folder"
    version = 1
    source = "AMASS, https://amass.is.tue.mpg.de, prepared by SAGE"
    licence = "AMASS licence, non-commercial scientific research: https://amass.is.tue.mpg.de/license.html"
    attribution = "Mahmood et al., AMASS, ICCV 2019, and the makers of each subset"

    def __init__(self) -> None:
        self.downloads: dict[str, str] = {}

    @property
    def options(self) -> dict[str, Any]:
        """None."""
        return {}

    def obtain(self, raw: Path | None, downloads: Path, progress: Progress | None) -> Path:
        """`raw`, the folder that `prepare_data.py --save_dir` named."""
        return need_folder(
            raw, self.name, "a folder with SUBSET/NUMBER.pt files, as SAGE's prepare_data.py writes it"
        )

    def discover(self, raw: Path) -> Discovery:
        """Every `.pt` file below the folder."""
        discovery = Discovery()
        for path in walk(raw):
            if path.suffix == ".pt":
                discovery.sources.append(Source(_name(path, raw), (path,)))
            else:
                discovery.ignored[f"{suffix_of(path)} files"] += 1
        return discovery

    def frames(self, source: Source) -> int:
        """Number of frames."""
        return len(_parameters(source.paths[0])["trans"])

    def read(self, source: Source) -> Motion:
        """One clip on the SMPL-H skeleton; hands are at rest."""
        parameters = _parameters(source.paths[0])
        rotations = np.zeros((len(parameters["trans"]), 52, 3), np.float32)
        rotations[:, 0], rotations[:, 1:22] = (
            parameters["root_orient"],
            parameters["pose_body"].reshape(-1, 21, 3),
        )
        return Motion(rotations, parameters["trans"], 60.0)


def _name(path: Path, raw: Path) -> str:
    """The source file's name inside AMASS if the file has one, else SUBSET/NUMBER.pt."""
    try:
        origin = load_file_safely(path).get("filepath")
    except (InputError, AttributeError):
        origin = None  # reading it as a clip reports what is wrong
    if isinstance(origin, str) and origin:
        inside = Path(PurePosixPath(origin.replace("\\", "/").lstrip("/")))
        name = canonical_name(inside, Path())
        if name != inside.as_posix():
            return name
        parts = inside.parts
        subset = path.parent.name
        if subset in parts[:-1]:
            return "/".join(parts[parts.index(subset) :])
    return canonical_name(path, raw)


def _parameters(path: Path) -> dict[str, np.ndarray]:
    """`root_orient` (M, 3), `pose_body` (M, 63), `trans` (M, 3) of a file.

    Raises:
        InputError: the file has other content.
    """
    content = load_file_safely(path)
    entries = content.get("body_parms_list") if isinstance(content, Mapping) else None
    if not isinstance(entries, Mapping) or any(name not in entries for name in _PARTS):
        raise InputError(
            f"{path} is not a clip that SAGE prepared.",
            found=", ".join(map(str, content))[:200]
            if isinstance(content, Mapping)
            else type(content).__name__,
            expected=f"body_parms_list with {', '.join(_PARTS)}",
        )
    try:
        arrays = {name: np.asarray(entries[name], np.float32) for name in _PARTS}
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} holds entries that are not arrays.", found=str(error)[:200]) from error
    shapes = {name: array.shape for name, array in arrays.items()}
    count = len(arrays["trans"]) if arrays["trans"].ndim else 0
    if any(shapes[name] != (count, width) for name, width in _PARTS.items()):
        raise InputError(
            f"The arrays of {path} do not fit together.",
            found=str(shapes),
            expected="(M, 3), (M, 63), (M, 3)",
        )
    return arrays
