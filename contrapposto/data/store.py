"""The motion store: every clip of a corpus in two memory-mapped arrays and one manifest.

The schema is described in docs/data.md. A store is a folder:

* `manifest.json`: schema version, recipe, source, licence, attribution, clips, rejects;
* `rotations.npy`: (total frames, 52, 3) float32 local axis-angles of the SMPL-H skeleton, radians;
* `root_translation.npy`: (total frames, 3) float32 metres, z up.

Clips stand one after the other in the order of the manifest, each at its own frame rate. Nothing in a store
depends on the machine or on the time at which it was made, so equal input gives equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.data.arrays import open_rows
from contrapposto.errors import ContrappostoError, InputError, MissingError
from contrapposto.files import sha256
from contrapposto.motion import Label, Motion
from contrapposto.skeleton import SMPLH52

SCHEMA = "contrapposto-motion-store"
VERSION = 1
FIGURE = hashlib.sha256(SMPLH52.offsets.tobytes()).hexdigest()[:16]
"""Hash of the default figure, onto which other skeletons are mapped; with another one, stores are made again."""
ARRAYS = {"rotations": (SMPLH52.num_joints, 3), "root_translation": (3,)}


@dataclass(frozen=True)
class ClipRecord:
    """One clip of a store.

    Args:
        name: path inside the corpus, with forward slashes and canonical subset names; unique in the store.
        sha256: hash of the source file (see docs/data.md for clips made of several files or of none).
        frames: number of frames.
        fps: frames per second.
        gender: `neutral`, `male` or `female`.
        betas: shape coefficients.
        labels: texts with their time spans in seconds.
        metadata: further facts as text, such as `subject`, `style`, `subset`.
    """

    name: str
    sha256: str
    frames: int
    fps: float
    gender: str = "neutral"
    betas: tuple[float, ...] = ()
    labels: tuple[Label, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, digest: str, motion: Motion) -> ClipRecord:
        """The record of a clip. Coefficients keep the digits that a float32 has."""
        return cls(
            name=name,
            sha256=digest,
            frames=motion.num_frames,
            fps=float(motion.fps),
            gender=motion.gender,
            betas=tuple(float(str(value)) for value in motion.betas),
            labels=motion.labels,
            metadata=dict(sorted(motion.metadata.items())),
        )

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON values."""
        value = asdict(self)
        value["betas"] = list(self.betas)
        value["labels"] = [asdict(label) for label in self.labels]
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ClipRecord:
        """The inverse of `to_json`."""
        labels = tuple(Label(**label) for label in value["labels"])
        return cls(**{**value, "betas": tuple(value["betas"]), "labels": labels})


class MotionStore:
    """Clips by number, read from memory-mapped arrays. Make one with `MotionStore.open`.

    Safe to hand to other processes: the maps are opened again there.

    Attributes:
        path: the folder.
        manifest: the manifest without its clips.
        clips: one `ClipRecord` per clip.
        offsets: (len + 1,) int64 first row of each clip, and the total.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], clips: tuple[ClipRecord, ...]) -> None:
        self.path, self.manifest, self.clips = path, manifest, clips
        self.offsets = np.concatenate([[0], np.cumsum([clip.frames for clip in clips], dtype=np.int64)])
        self._arrays: dict[str, np.ndarray] = {}

    @classmethod
    def open(cls, path: str | Path) -> MotionStore:
        """Open a store.

        Raises:
            MissingError: there is none.
            InputError: it is damaged, or of a schema version that this release does not read.
        """
        path = Path(path)
        manifest = read_manifest(path)
        try:
            clips = tuple(ClipRecord.from_json(clip) for clip in manifest.pop("clips"))
            _check_values(manifest, clips)
            store = cls(path, manifest, clips)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, InputError) as error:
            raise _damaged(path, f"manifest.json has an entry that cannot be read: {error!r}") from error
        for name in ARRAYS:
            store.array(name)
        return store

    def array(self, name: str) -> np.ndarray:
        """`rotations` (total, 52, 3) or `root_translation` (total, 3), memory-mapped and read-only."""
        if name not in self._arrays:
            self._arrays[name] = self._open_array(name)
        return self._arrays[name]

    def _open_array(self, name: str) -> np.ndarray:
        expected = (int(self.offsets[-1]), *ARRAYS[name])
        file = self.path / f"{name}.npy"
        try:
            array = open_rows(file)
        except (OSError, ValueError, EOFError) as error:
            raise _damaged(self.path, f"{name}.npy cannot be read: {error}") from error
        if array.shape != expected or array.dtype != np.float32:
            matches = f"{name}.npy is {array.dtype} {array.shape}, the manifest states float32 {expected}"
            raise _damaged(self.path, matches)
        return array

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Motion:
        clip = self.clips[index]
        rows = slice(self.offsets[index % len(self)], self.offsets[index % len(self) + 1])
        origin = {key: str(self.manifest[key]) for key in ("source", "licence", "attribution")}
        return Motion(
            # copies: tensors made from a read-only map would warn, and writing to them would crash
            rotations=np.array(self.array("rotations")[rows]),
            root_translation=np.array(self.array("root_translation")[rows]),
            fps=clip.fps,
            betas=np.array(clip.betas, np.float32),
            gender=clip.gender,
            labels=clip.labels,
            metadata={**origin, **clip.metadata, "name": clip.name},
        )

    def __iter__(self) -> Iterator[Motion]:
        return (self[index] for index in range(len(self)))

    def index(self, name: str) -> int:
        """The number of the clip with this name.

        Raises:
            KeyError: there is none.
        """
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {clip.name: index for index, clip in enumerate(self.clips)}

    @property
    def lengths(self) -> np.ndarray:
        """(len,) int64 frames of each clip."""
        return np.diff(self.offsets)

    @cached_property
    def licences(self) -> tuple[str, ...]:
        """The store's licence, and those that single clips bring along."""
        matches = [self.manifest["licence"], *(clip.metadata.get("licence") for clip in self.clips)]
        return tuple(dict.fromkeys(licence for licence in matches if licence))

    @property
    def seconds(self) -> float:
        """Duration of all clips together."""
        return float(sum(clip.frames / clip.fps for clip in self.clips))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over the clips and the hashes of the arrays: equal content, equal hash."""
        content = {"version": VERSION, "clips": [clip.to_json() for clip in self.clips]}
        content["arrays"] = self.manifest["arrays"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def verify(self) -> None:
        """Read every array and compare its hash with the manifest.

        Raises:
            InputError: they differ.
        """
        for name in ARRAYS:
            matches, expected = sha256(self.path / f"{name}.npy"), self.manifest["arrays"][name]["sha256"]
            if matches != expected:
                raise _damaged(
                    self.path, f"{name}.npy has the SHA-256 {matches}, the manifest states {expected}"
                )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}


def read_manifest(path: Path) -> dict[str, Any]:
    """Read and check `manifest.json` of a store.

    Raises:
        MissingError: there is no store.
        InputError: it cannot be read, or has another schema version.
    """
    file = path / "manifest.json"
    if not file.is_file():
        raise MissingError(
            f"There is no motion store at {path}.",
            expected="a folder with manifest.json, made by prepare.py",
            fix="python prepare.py data=demo",
        )
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        schema, version = manifest["schema"], manifest["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, f"manifest.json cannot be read: {error!r}") from error
    if schema != SCHEMA:
        raise InputError(
            f"{path} is not a motion store.", found=f"schema {schema}", expected=f"schema {SCHEMA}"
        )
    if version != VERSION:
        age = "a newer" if isinstance(version, int) and version > VERSION else "an older"
        raise InputError(
            f"The store {path} was made by {age} release.",
            found=f"schema version {version}",
            expected=f"schema version {VERSION}",
            fix="run prepare.py again with this release, or use the release that made it",
        )
    return manifest


def _check_values(manifest: Mapping[str, Any], clips: Sequence[ClipRecord]) -> None:
    """Refuse what JSON can say and a store cannot: it would break later, where nothing tells why.

    Raises:
        KeyError, TypeError, ValueError: the first such entry.
    """
    texts = [manifest[key] for key in ("source", "licence", "attribution")]
    texts += [manifest["arrays"][name]["sha256"] for name in ARRAYS]
    for clip in clips:
        texts += [clip.name, clip.sha256, clip.gender, *(label.text for label in clip.labels)]
        texts += [text for pair in clip.metadata.items() for text in pair]
        times = [time for label in clip.labels for time in (label.start, label.end)]
        numbers = [clip.frames, clip.fps, *clip.betas, *times]
        if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
            raise ValueError(f"the clip {clip.name} has {numbers}")
        if not isinstance(clip.frames, int) or clip.frames < 1 or clip.fps <= 0:
            raise ValueError(f"the clip {clip.name} has {clip.frames} frames at {clip.fps} frames/s")
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text is none")


def _damaged(path: Path, reason: str) -> ContrappostoError:
    return InputError(
        f"The motion store {path} is damaged.",
        found=reason,
        expected="manifest.json, rotations.npy and root_translation.npy as prepare.py wrote them",
        fix="delete the folder and run prepare.py again",
    )
