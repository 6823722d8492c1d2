"""The mesh store: templates and their poses, one folder that `prepare.py` writes and NPR trains on.

A folder holds `manifest.json` and, for each identity, `meshes/<name>.npz` (`vertices` (V, 3) float64, `faces` (F, 3)
int64: the template) and `poses/<name>.npy` ((N, V, 3) float32), all in the units in which they came. Poses have names;
the same name in two identities states that it is the same pose, which makes either the truth of a transfer from the
other. The schema is described in docs/npr.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.data.arrays import open_rows
from contrapposto.errors import ContrappostoError, InputError, MissingError, nearest
from contrapposto.files import atomic_path, sha256, write_json
from contrapposto.mesh.asset import MeshAsset

SCHEMA = "contrapposto-mesh-store"
VERSION = 1


@dataclass(frozen=True)
class IdentityRecord:
    """One identity of a store.

    Args:
        name: unique in the store; letters, digits, `.`, `_` and `-`.
        vertices, faces: counts.
        poses: names of its poses, in the order of the array.
        copy_of: the identity that it is a remeshed copy of: its poses are the same surface in another connectivity.
        groups: what each pose came from (a clip, a motion); poses of a group stay in one part of a split.
    """

    name: str
    vertices: int
    faces: int
    poses: tuple[str, ...] = ()
    copy_of: str | None = None
    groups: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> IdentityRecord:
        """The inverse of `asdict`."""
        return cls(**{**value, "poses": tuple(value["poses"]), "groups": tuple(value["groups"])})

    def part(self, part: str, test_share: float, val_share: float) -> np.ndarray:
        """Numbers of the poses of a part (`train`, `val`, `test`), by the hash of where they came from."""
        places = np.array([share_of(group) for group in self.groups])
        bounds = {"test": (0.0, test_share), "val": (test_share, test_share + val_share)}
        low, high = bounds.get(part, (test_share + val_share, 1.0))
        return np.flatnonzero((places >= low) & (places < high))


@dataclass(frozen=True, eq=False)
class Identity:
    """An identity to be written: its template, poses (N, V, 3) in the template's units, and their names."""

    name: str
    mesh: MeshAsset
    poses: np.ndarray
    pose_names: Sequence[str]
    groups: Sequence[str] = ()
    copy_of: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where the data come from.

    Args:
        recipe: name of the recipe, and `options` of it.
        source, licence, attribution: texts that travel with the data.
        input_hash: of all that decides the content.
    """

    recipe: str
    source: str
    licence: str
    attribution: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    input_hash: str = ""


def share_of(text: str) -> float:
    """A number in [0, 1) from a text, the same everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


class MeshStore:
    """Identities by name. Make one with `MeshStore.open`.

    Attributes:
        path: the folder.
        manifest: the manifest without its identities.
        identities: one `IdentityRecord` per identity; the first one is the default source.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], identities: tuple[IdentityRecord, ...]) -> None:
        self.path, self.manifest, self.identities = path, manifest, identities

    @classmethod
    def open(cls, path: str | Path) -> MeshStore:
        """Open a store.

        Raises:
            MissingError: there is none. InputError: it is damaged, of another kind, or of another version.
        """
        path = Path(path)
        file = path / "manifest.json"
        if not file.is_file():
            raise MissingError(f"There is no mesh store at {path}.", fix="python prepare.py data=smpl_poses")
        try:
            manifest = json.loads(file.read_text(encoding="utf-8"))
            schema, version = manifest["schema"], manifest["version"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise _damaged(path, f"manifest.json cannot be read: {error!r}") from error
        if (schema, version) != (SCHEMA, VERSION):
            raise InputError(
                f"{path} is not a mesh store of this release.",
                found=f"{schema} version {version}",
                expected=f"{SCHEMA} version {VERSION}",
                fix="NPR trains on data=smpl_poses, npr_meshes or deform4d; prepare it again with prepare.py",
            )
        try:
            records = tuple(IdentityRecord.from_json(value) for value in manifest.pop("identities"))
            for record in records:
                _check_record(record)
            dict(manifest["arrays"])
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, f"manifest.json has an entry that cannot be read: {error!r}") from error
        return cls(path, manifest, records)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the identities."""
        return tuple(record.name for record in self.identities)

    def record(self, name: str) -> IdentityRecord:
        """The identity of that name.

        Raises:
            InputError: there is none.
        """
        for record in self.identities:
            if record.name == name:
                return record
        raise InputError(
            f"The store {self.path.name} has no identity {name!r}.",
            found=f"{len(self.names)}: {', '.join(self.names[:12])}",
            fix=f"try {nearest(name, self.names)}",
        )

    def mesh(self, name: str) -> MeshAsset:
        """The template of an identity."""
        record = self.record(name)
        try:
            with np.load(self.path / "meshes" / f"{name}.npz", allow_pickle=False) as arrays:
                mesh = MeshAsset(arrays["vertices"], arrays["faces"], name=name)
        except Exception as error:  # zipfile, zlib and NumPy meet damage with whatever breaks first
            raise _damaged(self.path, f"meshes/{name}.npz cannot be read: {error}") from error
        if (len(mesh.vertices), len(mesh.faces)) != (record.vertices, record.faces):
            raise _damaged(self.path, f"meshes/{name}.npz has other counts than the manifest")
        return mesh

    def poses(self, name: str) -> np.ndarray:
        """(N, V, 3) float32 poses of an identity, memory-mapped."""
        record = self.record(name)
        shape = (len(record.poses), record.vertices, 3)
        if not record.poses:
            return np.zeros(shape, np.float32)
        try:
            array = open_rows(self.path / "poses" / f"{name}.npy")
        except (OSError, ValueError) as error:
            raise _damaged(self.path, f"poses/{name}.npy cannot be read: {error}") from error
        if array.shape != shape or array.dtype != np.float32:
            raise _damaged(self.path, f"poses/{name}.npy is {array.dtype} {array.shape}, not {shape}")
        return array

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over the identities and the hashes of the arrays: equal content, equal hash."""
        content = {"version": VERSION, "identities": [asdict(record) for record in self.identities]}
        content["arrays"] = self.manifest["arrays"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_store(path: str | Path, identities: Sequence[Identity], origin: Origin) -> MeshStore:
    """Write a store, replacing one that is there, by one rename.

    Raises:
        InputError: no identities or poses, names that are not unique, poses that do not fit their template or are not
            finite.
    """
    path = Path(path)
    _check(identities)
    with atomic_path(path, directory=True) as work:
        for folder in ("meshes", "poses"):
            (work / folder).mkdir()
        arrays, records = {}, []
        for identity in identities:
            mesh_file, pose_file = (
                work / "meshes" / f"{identity.name}.npz",
                work / "poses" / f"{identity.name}.npy",
            )
            np.savez(mesh_file, vertices=identity.mesh.vertices, faces=identity.mesh.faces)
            written = [mesh_file]
            if len(identity.poses):
                np.save(pose_file, np.asarray(identity.poses, np.float32))
                written.append(pose_file)
            arrays.update({file.relative_to(work).as_posix(): sha256(file) for file in written})
            records.append(_record(identity))
        header = {"schema": SCHEMA, "version": VERSION, **asdict(origin)}
        write_json(
            work / "manifest.json",
            {**header, "arrays": arrays, "identities": [asdict(record) for record in records]},
        )
    return MeshStore.open(path)


def file_name(text: str) -> str:
    """A text as the name of an identity."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "mesh"


def _check_record(record: IdentityRecord) -> None:
    """Refuse what JSON can say and a store cannot, such as names that lead out of its folder."""
    texts = (record.name, *record.poses, *record.groups)
    if not all(isinstance(text, str) for text in texts) or file_name(record.name) != record.name:
        raise ValueError(f"the identity {record.name!r}")
    if not all(isinstance(count, int) and count > 0 for count in (record.vertices, record.faces)):
        raise ValueError(f"{record.vertices} vertices and {record.faces} faces")


def _record(identity: Identity) -> IdentityRecord:
    names = tuple(identity.pose_names)
    groups = tuple(identity.groups) or names
    mesh = identity.mesh
    return IdentityRecord(identity.name, len(mesh.vertices), len(mesh.faces), names, identity.copy_of, groups)


def _check(identities: Sequence[Identity]) -> None:
    if not identities or not any(len(identity.poses) for identity in identities):
        raise InputError("There are no poses to store.", found=f"{len(identities)} identities")
    names = [identity.name for identity in identities]
    double = {name for name in names if names.count(name) > 1 or file_name(name) != name}
    if double:
        raise InputError("Names of identities must be plain and unique.", found=", ".join(sorted(double)))
    for identity in identities:
        expected = (len(identity.pose_names), len(identity.mesh.vertices), 3)
        if np.shape(identity.poses) != expected or len(set(identity.pose_names)) != expected[0]:
            raise InputError(
                f"The poses of {identity.name} do not fit.",
                found=f"{np.shape(identity.poses)}, {len(set(identity.pose_names))} different names",
                expected=f"{expected}, as many names",
            )
        if not np.isfinite(identity.poses).all():
            raise InputError(f"Poses of {identity.name} have vertices that are not finite.")


def _damaged(path: Path, reason: str) -> ContrappostoError:
    return InputError(
        f"The mesh store {path} is damaged.",
        found=reason,
        fix="delete the folder and run prepare.py again",
    )


def training_poses(run: Path) -> tuple[MeshStore, dict[str, np.ndarray]]:
    """The store that a run was trained on, and the numbers of the training poses of each of its identities.

    Raises:
        MissingError, InputError: the store is gone or damaged, or the run does not say which it was.
    """
    from contrapposto.runs import load_config

    data = load_config(run).get("datamodule")
    if data is None:
        raise MissingError(f"{run} does not say what it was trained on.")
    store = MeshStore.open(data.store)
    names = list(data.get("identities") or store.names[:1])
    shares = (data.get("test_share", 0.2), data.get("val_share", 0.1))
    return store, {name: store.record(name).part("train", *shares) for name in names}
