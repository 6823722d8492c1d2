"""Stores of rendered people: videos, and what is known of everybody in them.

A store is a folder with `manifest.json`, for each scene a folder with `driving.mp4` and `truth.npz` (joints of
everybody at the frame rate of pose videos), and `references/NAME.png` with `NAME.npy`: characters of other proportions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.checks import parsing
from contrapposto.data.plans import digest, holds_store
from contrapposto.errors import MissingError
from contrapposto.files import atomic_path, write_json
from contrapposto.render import RenderedImage, VideoWriter, write_png
from contrapposto.systems.scail_pose.camera import project
from contrapposto.systems.scail_pose.scenes import (
    REFERENCES,
    TRUTH_FPS,
    VIDEO_FPS,
    PeopleScene,
    people_scene,
    reference_scene,
)

SCHEMA, VERSION = "contrapposto-pose-scenes", 2


def prepare_scenes(
    output: str | Path,
    *,
    people: Sequence[int] = (1, 2, 4),
    scenes: int = 4,
    seconds: float = 4.0,
    size: Sequence[int] = (896, 512),
    progress: Callable[[str, int, int], None] | None = None,
) -> bool:
    """Render a store of scenes; False where it is there already.

    Args:
        output: folder, replaced where it holds other scenes.
        people: how many there are in a scene, for each of these numbers.
        scenes: of each number.
        seconds: length of a scene.
        size: width and height in pixels.
        progress: called with (stage, done, total).

    Raises:
        ConfigError: the folder holds something else.
    """
    output, width, height = Path(output), int(size[0]), int(size[1])
    metadata = {"people": list(people), "scenes": scenes, "seconds": seconds, "size": [width, height]}
    key = digest(VERSION, metadata)
    if holds_store(output, SCHEMA) and _read_manifest(output).get("key") == key:
        return False
    wanted = [(count, seed) for count in people for seed in range(scenes)]
    with atomic_path(output, directory=True) as folder:
        for done, (count, seed) in enumerate(wanted):
            scene = people_scene(count, seed, seconds=seconds, size=(width, height))
            _write(folder / scene.name, scene)
            if progress is not None:
                progress("scenes", done + 1, len(wanted))
        for name in REFERENCES:
            scene = reference_scene(name, (width, height))
            write_png(folder / "references" / f"{name}.png", next(scene.images()))
            np.save(folder / "references" / f"{name}.npy", scene.joints()[0, 0].astype(np.float32))
        names = [f"{count}_people_{seed}" for count, seed in wanted]
        write_json(folder / "manifest.json", {"schema": SCHEMA, "key": key, "folders": names, **metadata})
    return True


def scene_folders(store: str | Path) -> list[Path]:
    """The folders of a store's scenes.

    Raises:
        MissingError: there is no such store.
    """
    names = _read_manifest(Path(store)).get("folders")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise MissingError(f"There are no scenes at {store}.", fix="python prepare.py data=scail_scenes")
    return [Path(store) / name for name in names]


def store_key(store: str | Path) -> str:
    """What decides the content of a store: of its options, and of how scenes are made."""
    return str(_read_manifest(Path(store)).get("key", ""))


def _read_manifest(store: Path) -> dict[str, Any]:
    try:
        content = json.loads((store / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) and content.get("schema") == SCHEMA else {}


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a scene.

    Attributes:
        joints: (T, N, 24, 3) float32 millimetres before the camera.
        open: (T, N, 24) whether nobody else is in front of a joint.
        intrinsics: (3, 3) pixels of the camera.
        size: height and width of the video in pixels.
        fps: frames per second of the joints.
    """

    joints: np.ndarray
    open: np.ndarray
    intrinsics: np.ndarray
    size: tuple[int, int]
    fps: float

    @property
    def inside(self) -> np.ndarray:
        """(T, N, 24) whether a joint is in the image."""
        places = project(self.joints, self.intrinsics)
        return ((places[..., :2] >= 0) & (places[..., :2] < self.size[::-1])).all(-1) & (places[..., 2] > 0)

    def in_view(self, least: float) -> np.ndarray:
        """(T, N) who has at least that share of the joints in the image."""
        return np.asarray(self.inside.mean(-1) >= least)


def read_truth(folder: Path) -> Truth:
    """What is known of the scene in a folder.

    Raises:
        InputError: it cannot be read.
    """
    fix = "python prepare.py data=scail_scenes force=true"
    with parsing(folder, "a scene as prepare.py makes it", fix):
        with np.load(folder / "truth.npz", allow_pickle=False) as file:
            height, width = (int(value) for value in file["size"])
            joints, intrinsics = (np.asarray(file[key], np.float32) for key in ("joints", "intrinsics"))
            free = np.asarray(file["open"], bool)
            truth = Truth(joints, free, intrinsics, (height, width), float(file["fps"]))
        if truth.joints.ndim != 4 or truth.joints.shape[2:] != (24, 3) or truth.intrinsics.shape != (3, 3):
            raise ValueError(f"joints {truth.joints.shape}, intrinsics {truth.intrinsics.shape}")
        if free.shape != joints.shape[:-1]:
            raise ValueError(f"open {free.shape}")
        return truth


def covered(joints: np.ndarray, shown: RenderedImage, intrinsics: np.ndarray) -> np.ndarray:
    """(N, 24) which joints (N, 24, 3), millimetres before the camera, have another of the N people in front of them."""
    places = project(joints, intrinsics)
    height, width = shown.ids.shape
    columns, rows = (places[..., axis].round().astype(int) for axis in (0, 1))
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    spots = rows.clip(0, height - 1), columns.clip(0, width - 1)
    own = np.arange(len(joints))[:, None]
    other = (shown.ids[spots] >= 0) & (shown.ids[spots] != own)
    return np.asarray(inside & other & (1000 * shown.depth[spots] < joints[..., 2]))


def _write(folder: Path, scene: PeopleScene) -> None:
    size = scene.camera.width, scene.camera.height
    joints = scene.joints().astype(np.float32)
    shown_at = np.round(np.arange(len(joints)) * VIDEO_FPS / TRUTH_FPS).astype(int).tolist()
    free = np.ones(joints.shape[:-1], bool)
    with VideoWriter(folder / "driving.mp4", VIDEO_FPS, size) as writer:
        for frame, shown in enumerate(scene.shown()):
            writer.write(shown.color)
            if frame in shown_at:
                now = shown_at.index(frame)
                free[now] = ~covered(joints[now], shown, scene.camera.intrinsics)
    np.savez(
        folder / "truth.npz",
        joints=joints,
        open=free,
        intrinsics=scene.camera.intrinsics,
        size=np.array(size[::-1]),
        fps=TRUTH_FPS,
    )
