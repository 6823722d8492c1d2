"""Folders that the original PoseGPT prepared: `pose.pkl` and `action.pt` (docs/specs/posegpt.md, section 8)."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.data.recipes.base import Discovery, Progress, Source, need_folder, suffix_of, walk
from contrapposto.data.recipes.labels import with_labels
from contrapposto.data.vocabulary import Vocabulary
from contrapposto.errors import InputError, MissingError
from contrapposto.files import sha256
from contrapposto.motion import Motion
from contrapposto.weights import load_file_safely

POSES, ACTIONS = "pose.pkl", "action.pt"
_FPS = 30.0
_LARGEST = 8 << 30  # bytes of a pose.pkl
_LAYOUTS = {  # numbers of a frame: rows of the axis-angles that are joints 0 to 51 of SMPL-H
    168: [*range(22), *range(25, 55)],
    159: list(range(52)),
    75: [*range(22), *[-1] * 30],  # the two hand joints of SMPL are one finger joint each
}


class PoseGPTFolderRecipe:
    """Pieces of clips with their actions, turned back from y down to z up."""

    name = "posegpt_folder"
    version = 1
    source = "AMASS with BABEL's labels, prepared by PoseGPT"
    licence = "AMASS and BABEL licences, non-commercial scientific research: https://amass.is.tue.mpg.de/license.html"
    attribution = (
        "Mahmood et al., AMASS, ICCV 2019, and the makers of each subset; "
        "Punnakkal et al., BABEL: Bodies, Action and Behavior with English Labels, CVPR 2021"
    )

    def __init__(self) -> None:
        self.downloads: dict[str, str] = {}

    @property
    def options(self) -> dict[str, Any]:
        """None."""
        return {}

    def obtain(self, raw: Path | None, downloads: Path, progress: Progress | None) -> Path:
        """`raw`, a folder with `pose.pkl` and `action.pt`, or one above several of them."""
        return need_folder(raw, self.name, f"a folder with {POSES} and {ACTIONS}")

    def discover(self, raw: Path) -> Discovery:
        """The pieces of all `pose.pkl` files below the folder.

        Raises:
            MissingError: there is none.
            InputError: one of them cannot be used.
        """
        discovery = Discovery()
        for path in walk(raw):
            if path.name == POSES:
                discovery.sources += _sources(path, raw)
            elif path.name != ACTIONS:
                discovery.ignored[f"{suffix_of(path)} files"] += 1
        if not discovery.sources:
            raise MissingError(
                f"There is no {POSES} in {raw}.", expected="a folder that PoseGPT's preparation wrote"
            )
        return discovery

    def frames(self, source: Source) -> int:
        """Number of frames."""
        return int(source.parameters["frames"])

    def read(self, source: Source) -> Motion:
        """One piece on the SMPL-H skeleton, z up, with its labels."""
        parameters = source.parameters
        pose = _poses(Path(parameters["path"]))[parameters["number"]].numpy()
        angles = pose[:, :-3].reshape(len(pose), -1, 3)
        rows = np.array(_LAYOUTS[pose.shape[1]])
        rotations = np.where(rows[None, :, None] >= 0, angles[:, np.maximum(rows, 0)], 0.0).astype(np.float32)
        upright = rot.axis_angle_to_matrix(
            torch.tensor([-np.pi / 2, 0.0, 0.0])
        )  # undoes the preparation's +90 degrees
        root = upright @ rot.axis_angle_to_matrix(torch.from_numpy(rotations[:, 0]))
        rotations[:, 0] = rot.matrix_to_axis_angle(root).numpy()
        return with_labels(Motion(rotations, pose[:, -3:] @ upright.numpy().T, _FPS), parameters)


def _sources(path: Path, raw: Path) -> list[Source]:
    poses, digest = _poses(path), sha256(path)
    actions = _actions(path.with_name(ACTIONS), len(poses))
    names = Vocabulary.load("babel").names
    folder = path.parent.relative_to(raw).as_posix()
    split = next(
        (part for part in ("train", "val") for piece in path.parts if piece.startswith(f"{part}_")), ""
    )
    sources = []
    for number, (pose, row) in enumerate(zip(poses, actions)):
        labels = [[names[index], 0.0, None] for index in np.nonzero(row)[0]]
        parameters = {
            "path": str(path),
            "file": digest,
            "number": number,
            "frames": len(pose),
            **({"labels": labels} if labels else {}),
            **({"split": split} if split else {}),
        }
        name = f"{number:06d}" if folder == "." else f"{folder}/{number:06d}"
        sources.append(Source(name, (), parameters))
    return sources


def _actions(path: Path, count: int) -> np.ndarray:
    """(N, actions) of `action.pt`; rows of zeros without the file."""
    known = len(Vocabulary.load("babel").names)
    if not path.is_file():
        return np.zeros((count, 1), np.int64)
    content = load_file_safely(path)
    rows = content.numpy() if isinstance(content, Tensor) else np.zeros(0)
    if rows.ndim != 2 or len(rows) != count or rows.shape[1] > known:
        raise InputError(
            f"{path} does not fit {POSES}.",
            found=f"shape {rows.shape}",
            expected=f"({count}, up to {known}): one column for each action",
        )
    return rows


@lru_cache(maxsize=2)
def _poses(path: Path) -> list[Tensor]:
    """The pieces (F, 168, 159 or 75) of a `pose.pkl`.

    Raises:
        InputError: the file holds something else, or names code that is not on the list; nothing is executed.
    """
    if path.stat().st_size > _LARGEST:
        raise InputError(
            f"{path} is too large.", found=f"{path.stat().st_size / 2**30:.1f} GiB", expected="up to 8 GiB"
        )
    try:
        with open(path, "rb") as file:
            content = _TensorUnpickler(file).load()
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} was not loaded; nothing in it was executed.", found=str(error)[:200]
        ) from error
    except Exception as error:  # damaged bytes reach parsers that raise anything
        raise InputError(f"{path} is damaged.", found=f"{type(error).__name__}: {error}"[:200]) from error
    pieces = [torch.as_tensor(piece) for piece in content] if isinstance(content, list) else []
    fits = [p.ndim == 2 and p.shape[1] in _LAYOUTS and len(p) and p.is_floating_point() for p in pieces]
    if not pieces or not all(fits):
        raise InputError(
            f"{path} is not a list of poses.",
            found=type(content).__name__
            if not pieces
            else f"piece {fits.index(False)}: {tuple(pieces[fits.index(False)].shape)}",
            expected="a list of tensors (F, 168), (F, 159) or (F, 75)",
        )
    return [piece.float() for piece in pieces]


class _TensorUnpickler(pickle.Unpickler):
    """Lists of tensors, as `pickle.dump` writes them, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        allowed: Mapping[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
            ("torch.storage", "_load_from_bytes"): _storage,
            ("collections", "OrderedDict"): OrderedDict,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not a tensor")
        return allowed[module, name]


def _storage(content: bytes) -> Any:
    """A tensor's numbers; torch's own loader is used in its safe mode."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
