"""Finding and reading body files: the shipped one, and a user's official SMPL, SMPL-H and SMPL-X files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.body.arrays import BodyArrays
from contrapposto.body.model import BodyModel
from contrapposto.body.shipped import named_shapes, shipped_arrays
from contrapposto.errors import ConfigError, InputError, MissingError, nearest
from contrapposto.pickles import read_pickle

BACKENDS = ("own", "smplx")
BACKEND_VARIABLE = "CONTRAPPOSTO_BODY_BACKEND"
_backend: ContextVar[str | None] = ContextVar("body back-end", default=None)
LAYOUTS = {"smpl": 24, "smplh": 52, "smplx": 55}
GENDERS = ("neutral", "male", "female")
ENVIRONMENT = "CONTRAPPOSTO_BODY_MODELS"
_DEPTH, _MOST_ENTRIES = 5, 20_000  # of folders that are searched
_KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
_SITES = {
    "smpl": "https://smpl.is.tue.mpg.de",
    "smplh": "https://mano.is.tue.mpg.de (SMPL-H; the extended model has 16 betas)",
    "smplx": "https://smpl-x.is.tue.mpg.de",
    "dmpls": "https://smpl.is.tue.mpg.de (DMPLs compatible with SMPL-H)",
}
# Names that the official downloads and the `smplx` package use for one another's files.
_ALIASES = {
    ("smpl", "neutral"): ("basicModel_neutral_lbs_10_207_0_v1.0.0", "basicmodel_neutral_lbs_10_207_0_v1.1.0"),
    ("smpl", "male"): ("basicmodel_m_lbs_10_207_0_v1.0.0", "basicmodel_m_lbs_10_207_0_v1.1.0"),
    ("smpl", "female"): ("basicModel_f_lbs_10_207_0_v1.0.0", "basicmodel_f_lbs_10_207_0_v1.1.0"),
}


def load_body(
    layout: str = "smplh",
    gender: str = "neutral",
    path: str | Path | None = None,
    dmpls: str | Path | np.ndarray | None = None,
    num_betas: int = 16,
    backend: str | None = None,
) -> BodyModel:
    """A body, ready to pose; files are read once per process, every call returns a module of its own.

    Args:
        layout: `smplh` (52 joints), `smpl` (24) or `smplx` (55).
        gender: `neutral`, `male` or `female`. The shipped body becomes male or female by its shape
            directions.
        path: None for the shipped body (which has no smplx layout: there, the search begins at once);
            `official` to search the usual folders; or a file (.npz, .pkl), or a folder to search.
        dmpls: dynamic shape directions, a file with `eigvec` or an array (V, 3, N); appended to the shape
            directions.
        num_betas: how many shape directions of an official file to keep.
        backend: `own` skinning, or that of the package `smplx`; None: see `using_backend`.

    Raises:
        ConfigError: no such layout, gender or back-end.
        MissingError: no official file was found; states where to register and where to put it. Or `smplx` is missing.
        InputError: the file cannot be used.
    """
    backend = backend or _backend.get() or os.environ.get(BACKEND_VARIABLE) or "own"
    for value, choices, what in (
        (layout, LAYOUTS, "body layout"),
        (gender, GENDERS, "gender"),
        (backend, BACKENDS, "body back-end"),
    ):
        if value not in choices:
            raise ConfigError(f"There is no {what} {value!r}.", expected=nearest(value, choices))
    kind = _kind(backend)
    dynamic = _read_dmpls(dmpls) if isinstance(dmpls, str | Path) else dmpls
    if path is None and layout != "smplx":
        arrays = _shipped(layout, gender)
        return kind(arrays if dynamic is None else _with_dmpls(arrays, dynamic))
    file = find_body(layout, gender, None if path in (None, "official") else path)
    entries = _read(file, file.stat().st_mtime_ns)
    joints = np.shape(entries.get("kintree_table", ()))[-1:]
    if joints != (LAYOUTS[layout],):
        raise InputError(
            f"{file} is not a body of the layout {layout}.",
            found=f"kintree_table of shape {np.shape(entries.get('kintree_table', ()))}",
            expected=f"{LAYOUTS[layout]} joints",
        )
    limit = min(num_betas, _shape_count(layout, entries))
    return kind.from_arrays(entries, name=file.name, gender=gender, dmpls=dynamic, max_betas=limit)


def _kind(backend: str) -> type[BodyModel]:
    if backend == "own":
        return BodyModel
    from contrapposto.body.smplx_backend import SmplxBodyModel

    return SmplxBodyModel


@contextmanager
def using_backend(backend: str | None) -> Iterator[None]:
    """Within, `load_body` makes bodies of this back-end; None: of $CONTRAPPOSTO_BODY_BACKEND, else our own.

    Raises:
        ConfigError: no such back-end.
    """
    if backend is not None and backend not in BACKENDS:
        raise ConfigError(f"There is no body back-end {backend!r}.", expected=nearest(backend, BACKENDS))
    token = _backend.set(backend)
    try:
        yield
    finally:
        _backend.reset(token)


def find_body(layout: str, gender: str = "neutral", path: str | Path | None = None) -> Path:
    """The official file of a body in `path` (a file or folder) or in the search folders.

    Raises:
        MissingError: there is none.
    """
    if path is not None and Path(path).is_file():
        return Path(path)
    folders = [Path(path)] if path is not None else search_folders()
    return _first(folders, _names(layout, gender), f"{layout} body, gender {gender}", layout)


def find_dmpls(gender: str = "male") -> Path:
    """The official DMPL file in the search folders.

    Raises:
        MissingError: there is none.
    """
    names = [f"dmpls/{gender}/model.npz", f"dmpls/DMPLS_{gender.upper()}.npz"]
    return _first(search_folders(), names, f"DMPL file, gender {gender}", "dmpls")


def search_folders() -> list[Path]:
    """Where official bodies are looked for: the folders in $CONTRAPPOSTO_BODY_MODELS, then the defaults."""
    listed = [Path(entry) for entry in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if entry]
    return [*listed, Path("body_models"), Path.home() / ".cache" / "contrapposto" / "body_models"]


def read_body_file(path: str | Path) -> Mapping[str, Any]:
    """The entries of a body file that a body needs (see `BodyModel.from_arrays`); nothing in it is executed.

    Raises:
        InputError: it cannot be read, or is no npz or pkl file.
        MissingError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"There is no body file {path}.")
    if path.suffix == ".npz":
        return _read_npz(path, _KEYS)
    if path.suffix in (".pkl", ".pickle"):
        content = read_pickle(path)
        if not isinstance(content, dict):
            raise InputError(
                f"{path} is not a body file.", found=type(content).__name__, expected="a dictionary"
            )
        return {key: content[key] for key in _KEYS if key in content}
    raise InputError(f"{path} is not a body file.", found=f"suffix {path.suffix!r}", expected=".npz or .pkl")


@lru_cache(maxsize=6)
def _shipped(layout: str, gender: str) -> BodyArrays:
    shapes = named_shapes()
    arrays = shipped_arrays(layout)
    name = f"contrapposto {layout}"
    if gender != "neutral":
        base = shapes.pop(gender)
        shapes.pop("male" if gender == "female" else "female")
        # Coefficients count from the mean of this gender on; the named persons stay who they are.
        shapes = {key: betas - base for key, betas in shapes.items()}
        arrays = {**arrays, "v_template": arrays["v_template"] + arrays["shapedirs"] @ base}
        name += f" {gender}"
    return BodyArrays.check(arrays, name=name, gender=gender, shape_space="contrapposto", named_shapes=shapes)


def _with_dmpls(arrays: BodyArrays, dmpls: np.ndarray) -> BodyArrays:
    if dmpls.shape[:2] != arrays.v_template.shape:
        raise InputError(
            f"These DMPLs do not belong to the body {arrays.name}.",
            found=f"directions of shape {dmpls.shape}",
            expected=f"({len(arrays.v_template)}, 3, any)",
            fix="they fit the official SMPL-H body: load_body('smplh', gender, path='official', dmpls=...)",
        )
    joined = np.concatenate([arrays.shapedirs, dmpls.astype(np.float32)], axis=2)
    return replace(arrays, shapedirs=joined, num_dmpls=dmpls.shape[2])


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Mapping[str, Any]:
    """`changed` is the time of modification: a replaced file is read again."""
    return read_body_file(path)


def _read_dmpls(path: str | Path) -> np.ndarray:
    entries = _read_npz(Path(path), ("eigvec",))
    if "eigvec" not in entries:
        raise InputError(f"{path} is not a DMPL file.", found="no entry eigvec", expected="eigvec (V, 3, N)")
    return np.asarray(entries["eigvec"])


def _read_npz(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in keys if key in file.files}
    except Exception as error:  # zipfile, zlib and NumPy meet damage with whatever breaks first
        reason = str(error).split("\n")[0]
        fix = "the file holds pickled objects; use the original .pkl file" if "pickle" in reason else ""
        raise InputError(
            f"{path} cannot be read.", found=reason, expected="a whole .npz file of plain arrays", fix=fix
        ) from error


def _shape_count(layout: str, entries: Mapping[str, Any]) -> int:
    """How many of `shapedirs` are shapes: SMPL-X appends expressions, after 300 or (old files) 10 shapes."""
    count = np.shape(entries.get("shapedirs", ()))[-1:] or (0,)
    if layout != "smplx":
        return count[0]
    return 300 if count[0] >= 300 else 10


def _names(layout: str, gender: str) -> list[str]:
    """Names of a body's file, with the folder that tells its gender, most usual first."""
    stems = [
        f"{layout}/{layout.upper()}_{gender.upper()}",
        f"{layout.upper()}_{gender.upper()}",
        f"{layout}/{gender}/model",
        *_ALIASES.get((layout, gender), ()),
        f"{gender}/model",
    ]
    return [f"{stem}{suffix}" for stem in stems for suffix in (".npz", ".pkl")]


def _inside(folder: Path) -> list[Path]:
    """Files of a folder down to the depth at which official archives hold them (`SMPL_python_v.1.1.0/smpl/models/`)."""
    matches: list[Path] = []
    level = [folder]
    for _ in range(_DEPTH):
        entries = [entry for place in level for entry in sorted(place.iterdir())][:_MOST_ENTRIES]
        matches += [entry for entry in entries if entry.suffix.lower() in (".npz", ".pkl")]
        level = [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
    return matches


def _first(folders: list[Path], names: list[str], what: str, kind: str) -> Path:
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
        if not folder.is_dir():
            continue
        # Archives are unpacked into folders of their own, and write names in other cases (SMPLH_male.pkl).
        files = {f"/{file.relative_to(folder).as_posix().lower()}": file for file in _inside(folder)}
        for name in names:
            for path, file in files.items():
                if path.endswith(f"/{name.lower()}") and (kind == "dmpls") == ("/dmpls/" in path):
                    return file
    searched = ", ".join(str(folder) for folder in folders)
    raise MissingError(
        f"No {what} was found.",
        found=f"searched {searched}",
        expected=f"for example {folders[0] / names[0]} or {folders[0] / names[1]}",
        fix=f"register and download at {_SITES[kind]}, put the file there or set {ENVIRONMENT} to its folder",
    )
