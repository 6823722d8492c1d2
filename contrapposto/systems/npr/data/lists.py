"""The original's JSON lists of templates and poses (docs/specs/npr.md, section 7.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrapposto.errors import InputError, MissingError
from contrapposto.systems.npr.data.mesh_store import file_name


@dataclass(frozen=True)
class Item:
    """An identity before it is read: a template and named poses, or an animated file."""

    name: str
    template: Path
    poses: tuple[tuple[str, Path], ...] = ()

    @property
    def files(self) -> list[Path]:
        """The template and all poses."""
        return [self.template, *(path for _, path in self.poses)]


def read_list(path: Path, root: Path | None = None) -> list[Item]:
    """Identities of a list: entries whose `tgt` is their `src` are templates without poses.

    Args:
        path: of the list.
        root: folder that its relative paths start from; None: the list's own folder, or one above it.

    Raises:
        InputError: it is not such a list.
        MissingError: a mesh that it names is not there.
    """
    try:
        entries: Any = json.loads(path.read_text(encoding="utf-8"))
        rows = [(str(e["name"]), str(e["src"]), str(e["tgt"]), str(e.get("pair_id", ""))) for e in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is not a list of poses.", found=repr(error)[:160], expected="objects with name, src, tgt"
        ) from error
    names: dict[str, tuple[str, dict[str, str]]] = {}
    for name, source, target, pair in rows:
        template, poses = names.setdefault(name, (source, {}))
        if template != source:
            raise InputError(f"{path} gives {name} two templates.", found=f"{template} and {source}")
        if target != source:
            poses.setdefault(pair or _pose_name(target), target)
    return [
        Item(
            file_name(name),
            _located(template, path, root),
            tuple((pose, _located(target, path, root)) for pose, target in poses.items()),
        )
        for name, (template, poses) in names.items()
    ]


def _pose_name(path: str) -> str:
    """`MOTION/FRAME` of `MOTION/FRAME/mesh.obj`, otherwise the folder and the file."""
    *folders, _ = Path(path).parts or ("", "")
    stem = Path(path).stem
    lone = stem.lower() in ("mesh", "model", "model_normalized") and len(folders) > 1
    return "/".join((folders if lone else [*folders, stem])[-2:])


def _located(text: str, listing: Path, root: Path | None) -> Path:
    """The file that a list means: relative to `root`, to the list, or to a folder above it."""
    relative = Path(text)
    inside = Path(*[part for part in relative.parts if part not in ("..", ".", "data")])
    places = [root] if root else [listing.parent, *listing.parents[:4]]
    for place in places:
        for candidate in (place / relative, place / inside, place / "data" / inside):
            if _is_file(candidate):
                return candidate
    raise MissingError(
        f"{listing.name} names a mesh that is not there: {text[:200]}",
        expected=f"below {' or '.join(str(place) for place in places[:2])}",
        fix="data.options.root=FOLDER, the one that holds smpl_default, mixamo_models or deform4d",
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
