"""Anything that the suite writes, by its path: figures, meshes, recordings, videos, scenes, runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contrapposto.errors import InputError, MissingError
from contrapposto.io.video import SUFFIXES as VIDEO
from contrapposto.motion import Motion
from contrapposto.viewer.drawables import CamerasThing, DevicesThing, MeshThing, ScreenThing, Thing
from contrapposto.viewer.files import open_files

if TYPE_CHECKING:
    from contrapposto.report.runs import Run
    from contrapposto.systems.scail_pose.people import ClipPoses

Library = tuple[list[str], Callable[[str], Motion]]
RECORDINGS = (".txt", ".csv", ".jsonl")
_RUN_FILES = ("config.yaml", "metrics.csv", "result.json")
_TALL, _MOST_PICTURES = 360, 1500  # pixels of a video's pictures, and how many of them are held
_SLOW = 2.0  # poses without an order in time: so many a second
_RUN_VIDEOS = 2


@dataclass
class Opened:
    """What there is to show.

    Args:
        clips: figures by name.
        library: names of a store's clips, and what loads one.
        things: all else that stands in the scene.
        runs: whose metrics are drawn.
    """

    clips: dict[str, Motion] = field(default_factory=dict)
    library: Library | None = None
    things: list[Thing] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)


def open_paths(names: Sequence[str | Path]) -> Opened:
    """Open files and folders; a video beside a file of people is what their keypoints are drawn on.

    Raises:
        InputError, MissingError: a path that cannot be shown.
    """
    paths, found = [Path(name) for name in names], Opened()
    people = [path for path in paths if _holds_people(path)]
    videos = [path for path in paths if path.suffix.lower() in VIDEO and path.is_file()]
    pairs = dict(zip(people, videos))
    for path in paths:
        if path in people:
            _open_people(path, pairs.get(path), found)
        elif path in videos:
            if path not in pairs.values():
                found.things.append(_video(path))
        elif path.is_dir():
            _open_folder(path, found, alone=len(paths) == 1)
        elif path.is_file() and path.suffix.lower() in RECORDINGS:
            found.things.append(_recording(path))
        elif path.is_file() and path.suffix.lower() in _mesh_suffixes():
            found.things.append(_mesh(path))
        else:
            _add_clips(open_files([path])[0], found)
    return found


def _mesh_suffixes() -> tuple[str, ...]:
    from contrapposto.mesh.files import READABLE

    return (*READABLE, ".anime", ".zip")


def _add_clips(clips: dict[str, Motion], found: Opened) -> None:
    for title, clip in clips.items():
        while title in found.clips:
            title += "'"
        found.clips[title] = clip


def _open_folder(path: Path, found: Opened, *, alone: bool) -> None:
    if (path / "manifest.json").is_file():
        _open_store(path, found, alone=alone)
    elif any((path / name).is_file() for name in _RUN_FILES):
        _open_run(path, found)
    elif any(file.suffix.lower() in _mesh_suffixes() for file in path.iterdir()):
        found.things.append(_mesh(path))
    else:
        inside = sorted(file.name for file in path.iterdir())[:6]
        raise InputError(
            f"{path} is no folder that can be shown.",
            found=", ".join(inside) or "nothing in it",
            expected="a store, a run directory, or a folder of meshes",
        )


def _open_store(path: Path, found: Opened, *, alone: bool) -> None:
    try:
        schema = json.loads((path / "manifest.json").read_text(encoding="utf-8")).get("schema")
    except (OSError, ValueError, AttributeError, RecursionError):
        schema = None  # the store's own reader says what is wrong with it
    if schema == "contrapposto-avatar-scene":
        from contrapposto.systems.anerf.data.scene import AvatarScene

        found.things.append(CamerasThing(path.name, AvatarScene.open(path)))
    elif schema == "contrapposto-mesh-store":
        from contrapposto.systems.npr.data.mesh_store import MeshStore

        store = MeshStore.open(path)
        for record in store.identities[:6]:
            faces = store.mesh(record.name).faces
            found.things.append(MeshThing(record.name, store.poses(record.name)[:200], faces, _SLOW))
    else:
        clips, library = open_files([path])
        _add_clips(clips, found)
        found.library = library if alone else None


def _open_run(path: Path, found: Opened) -> None:
    from contrapposto.report.runs import read_run

    found.runs.append(read_run(path))
    videos = sorted((path / "media").glob("*.mp4"), key=lambda file: file.stat().st_mtime)
    found.things += [_video(file) for file in videos[-_RUN_VIDEOS:]]


def _recording(path: Path) -> DevicesThing:
    """A recording; a damaged one is repaired as tracking does it."""
    from contrapposto.io.devices import DeviceTrack, Repairs
    from contrapposto.io.tracks import stream_devices

    parts = list(stream_devices(path, repairs=Repairs(path)))
    if not parts:
        raise InputError(f"{path} holds no frame of a headset.")
    import torch

    track = DeviceTrack(
        torch.cat([part.rotations for part in parts]),
        torch.cat([part.positions for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.tracked for part in parts]),
    )
    return DevicesThing(path.stem, track)


def _mesh(path: Path) -> MeshThing:
    """A mesh, a folder of its poses, or a file with a clip: skinned, or as morph targets."""
    from contrapposto.mesh.files import read_mesh
    from contrapposto.mesh.poses import read_poses

    suffix = path.suffix.lower()
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in _mesh_suffixes())
        meshes = [read_mesh(file) for file in files]
        same = [m.vertices for m in meshes if len(m.vertices) == len(meshes[0].vertices)]
        return MeshThing(path.name, np.stack(same), meshes[0].faces)
    if suffix in (".glb", ".gltf"):
        morphs = _morphs(path)
        if morphs is not None:
            return MeshThing(path.stem, *morphs)
        from contrapposto.mesh import RiggedMesh

        if not RiggedMesh(path).clips:
            mesh = read_mesh(path)
            return MeshThing(path.stem, mesh.vertices[None], mesh.faces)
    if suffix in (".glb", ".gltf", ".anime", ".zip"):
        poses = read_poses(path)
        return MeshThing(path.stem, poses.vertices, poses.mesh.faces, poses.fps or _SLOW)
    mesh = read_mesh(path)
    return MeshThing(path.stem, mesh.vertices[None], mesh.faces)


def _morphs(path: Path) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Frames (T, V, 3), faces and rate of a GLB as `write_mesh_glb` writes sequences; None of another."""
    from contrapposto.mesh.gltf import Gltf

    file = Gltf(path)
    try:
        if len(file.items("meshes")) != 1 or len(file.items("animations")) != 1:
            return None
        primitives = file.entry("meshes", 0)["primitives"]
        base = file.array(primitives[0]["attributes"]["POSITION"]).astype(np.float32)
        moves = [file.array(target["POSITION"]) for target in primitives[0]["targets"]]
        times = file.array(file.entry("animations", 0)["samplers"][0]["input"])
        faces = np.concatenate([file.array(p["indices"]).reshape(-1, 3) for p in primitives])
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    if len(moves) < 2 or len(times) != len(moves) or any(len(move) != len(base) for move in moves):
        return None
    return base + np.stack(moves), faces, float((len(times) - 1) / max(times[-1] - times[0], 1e-6))


def _video(path: Path) -> ScreenThing:
    times, packed, size = _pictures(path)
    return ScreenThing(path.stem, size, times, lambda number: _unpacked(packed[number]))


def _pictures(path: Path) -> tuple[list[float], list[np.ndarray], tuple[int, int]]:
    """Times and JPEG pictures of a video, small enough to be held; of a long one every second, fourth, ... picture."""
    import cv2

    from contrapposto.io.video import VideoFile

    video = VideoFile.open(path)
    scale = min(1.0, _TALL / video.height)
    size = round(video.height * scale), round(video.width * scale)
    kept: list[tuple[float, np.ndarray]] = []
    step = 1
    for number, (time, frame) in enumerate(video.frames()):
        if number % step == 0:
            small = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
            done, packed = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
            if not done:
                raise InputError(f"{path.name} has a frame that cannot be shown.")
            kept.append((time, packed))
        if len(kept) > _MOST_PICTURES:
            kept, step = kept[::2], step * 2
    return [time for time, _ in kept], [packed for _, packed in kept], size


def _unpacked(packed: np.ndarray) -> np.ndarray:
    import cv2

    picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    assert picture is not None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _holds_people(path: Path) -> bool:
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        with np.load(path, allow_pickle=False) as file:
            return "keypoints" in file.files and "joints" in file.files
    except Exception:
        return False  # the reader of motion says what is wrong with it


def _open_people(path: Path, video: Path | None, found: Opened) -> None:
    """Everybody as a figure, and their keypoints over the video, or over black where none is given."""
    from contrapposto.systems.scail_pose.body_fit import clip_motions
    from contrapposto.systems.scail_pose.interchange import read_people

    clip = read_people(path)
    if not clip.frames:
        raise InputError(f"{path} holds no frame.")
    if video is not None and not video.is_file():
        raise MissingError(f"There is no file {video}.")
    found.things.append(_keypoints(path.stem, clip, video))
    _add_clips({f"person {number}": motion for number, motion in clip_motions(clip).items()}, found)


def _keypoints(name: str, clip: ClipPoses, video: Path | None) -> ScreenThing:
    import cv2

    from contrapposto.systems.scail_pose.draw2d import compose, draw_pose
    from contrapposto.systems.scail_pose.people import pack_people

    times = np.arange(len(clip.frames)) / clip.fps if clip.times is None else clip.times
    shown, packed, _ = _pictures(video) if video else ([], [], (0, 0))
    size = (
        round(_TALL * min(1.0, clip.height / clip.width)),
        round(_TALL * min(1.0, clip.width / clip.height)),
    )
    if clip.height < clip.width:
        size = _TALL, round(_TALL * clip.width / clip.height)

    def picture(number: int) -> np.ndarray:
        drawn = draw_pose(pack_people(clip.frames[number], clip.height, clip.width), clip.height, clip.width)
        ground = np.zeros((clip.height, clip.width, 4), np.uint8)
        if packed:
            frame = _unpacked(packed[int(np.abs(np.asarray(shown) - times[number]).argmin())])
            ground[..., :3] = _covering(frame, clip.height, clip.width) // 2
        full = compose(ground, drawn)
        return cv2.resize(full, size[::-1], interpolation=cv2.INTER_AREA)

    return ScreenThing(name, size, times - times[0], picture, note=f"{len(clip.ids)} people")


def _covering(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """A frame brought to a size as the pose pipeline does it: covering, what hangs over is cut off on both sides."""
    import cv2

    scale = max(height / frame.shape[0], width / frame.shape[1])
    size = max(round(frame.shape[1] * scale), width), max(round(frame.shape[0] * scale), height)
    large = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return large[top : top + height, left : left + width]
