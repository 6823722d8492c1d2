"""Files and folders of the viewer by path: motion, meshes, recordings, videos, scenes, runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contrapposto.errors import InputError, MissingError
from contrapposto.io import READABLE
from contrapposto.motion import Motion
from contrapposto.video_file import SUFFIXES as VIDEO
from contrapposto.viewer.drawables import (
    CamerasDrawable,
    DevicesDrawable,
    Drawable,
    MeshDrawable,
    ScreenDrawable,
)
from contrapposto.viewer.files import open_files

if TYPE_CHECKING:
    from contrapposto.report.runs import Run
    from contrapposto.systems.scail_pose.people import ClipPoses

Library = tuple[list[str], Callable[[str], Motion]]
RECORDINGS = (".txt", ".csv", ".jsonl")
KINDS = (
    "motion (.npz .bvh .amc), meshes (.obj .glb .gltf .ply .stl .off .anime .zip), videos, recordings of a headset "
    "(.txt .csv .jsonl), stores, or run directories"
)
_RUN_FILES = ("config.yaml", "metrics.csv", "result.json")
_TALL, _MOST_IMAGES = 360, 1500  # height of a video's images in pixels, and how many of them are held
_SLOW = 2.0  # poses without an order in time: so many a second
_RUN_VIDEOS = 2


@dataclass
class Opened:
    """Everything to show.

    Args:
        clips: by name.
        library: names of a store's clips, and a function that loads one.
        drawables: everything else in the scene.
        runs: training runs whose metrics are drawn.
    """

    clips: dict[str, Motion] = field(default_factory=dict)
    library: Library | None = None
    drawables: list[Drawable] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)


def open_paths(names: Sequence[str | Path]) -> Opened:
    """Open files and folders. A video beside a file of people is the background of their keypoints.

    Raises:
        InputError, MissingError: a path that cannot be shown.
    """
    paths, opened = [Path(name) for name in names], Opened()
    people = [path for path in paths if _holds_people(path)]
    videos = [path for path in paths if path.suffix.lower() in VIDEO and path.is_file()]
    pairs = dict(zip(people, videos))
    for path in paths:
        if path in people:
            _open_people(path, pairs.get(path), opened)
        elif path in videos:
            if path not in pairs.values():
                opened.drawables.append(_video(path))
        elif path.is_dir():
            _open_folder(path, opened, alone=len(paths) == 1)
        elif path.is_file() and path.suffix.lower() in RECORDINGS:
            opened.drawables.append(_recording(path))
        elif path.is_file() and path.suffix.lower() in _mesh_suffixes():
            opened.drawables.append(_mesh(path))
        elif path.is_file() and path.suffix.lower() not in READABLE:
            raise InputError(
                f"The viewer cannot show {path}.", found=f"a {path.suffix or 'nameless'} file", expected=KINDS
            )
        else:
            _add_clips(_clips(path), opened)
    return opened


def _clips(path: Path) -> dict[str, Motion]:
    try:
        return open_files([path])[0]
    except MissingError as error:
        if path.suffix.lower() in READABLE or not path.suffix:
            raise
        raise MissingError(error.what, expected=KINDS) from error


def _mesh_suffixes() -> tuple[str, ...]:
    from contrapposto.mesh.files import READABLE

    return (*READABLE, ".anime", ".zip")


def _add_clips(clips: dict[str, Motion], opened: Opened) -> None:
    for title, clip in clips.items():
        while title in opened.clips:
            title += "'"
        opened.clips[title] = clip


def _open_folder(path: Path, opened: Opened, *, alone: bool) -> None:
    if (path / "manifest.json").is_file():
        _open_store(path, opened, alone=alone)
    elif any((path / name).is_file() for name in _RUN_FILES):
        _open_run(path, opened, _RUN_VIDEOS if alone else 1)
    elif any(file.suffix.lower() in _mesh_suffixes() for file in path.iterdir()):
        opened.drawables.append(_mesh(path))
    else:
        inside = sorted(file.name for file in path.iterdir())[:6]
        raise InputError(
            f"{path} is not a folder that can be shown.",
            found=", ".join(inside) or "nothing in it",
            expected="a store, a run directory, or a folder of meshes",
        )


def _open_store(path: Path, opened: Opened, *, alone: bool) -> None:
    try:
        schema = json.loads((path / "manifest.json").read_text(encoding="utf-8")).get("schema")
    except (OSError, ValueError, AttributeError, RecursionError):
        schema = None  # the store's own reader reports what is wrong
    if schema == "contrapposto-avatar-scene":
        from contrapposto.systems.anerf.data.scene import AvatarScene

        opened.drawables.append(CamerasDrawable(path.name, AvatarScene.open(path)))
    elif schema == "contrapposto-mesh-store":
        from contrapposto.systems.npr.data.mesh_store import MeshStore

        store = MeshStore.open(path)
        for record in store.identities[:6]:
            faces = store.mesh(record.name).faces
            opened.drawables.append(MeshDrawable(record.name, store.poses(record.name)[:200], faces, _SLOW))
    else:
        clips, library = open_files([path])
        _add_clips(clips, opened)
        opened.library = library if alone else None


def _open_run(path: Path, opened: Opened, most: int) -> None:
    """A run, and at most so many of its videos."""
    from contrapposto.report.runs import read_run

    opened.runs.append(read_run(path))
    videos = sorted((path / "media").glob("*.mp4"), key=lambda file: file.stat().st_mtime)
    opened.drawables += [_video(file) for file in videos[-most:]]


def _recording(path: Path) -> DevicesDrawable:
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
    return DevicesDrawable(path.stem, track)


def _mesh(path: Path) -> MeshDrawable:
    """A mesh, a folder of its poses, or a file with a clip: skinned, or as morph targets."""
    from contrapposto.mesh.files import read_mesh
    from contrapposto.mesh.poses import read_poses

    suffix = path.suffix.lower()
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in _mesh_suffixes())
        meshes = [read_mesh(file) for file in files]
        same = [m.vertices for m in meshes if len(m.vertices) == len(meshes[0].vertices)]
        return MeshDrawable(path.name, np.stack(same), meshes[0].faces)
    if suffix in (".glb", ".gltf"):
        morphs = _morphs(path)
        if morphs is not None:
            return MeshDrawable(path.stem, *morphs)
        from contrapposto.mesh import RiggedMesh

        if not RiggedMesh(path).clips:
            mesh = read_mesh(path)
            return MeshDrawable(path.stem, mesh.vertices[None], mesh.faces)
    if suffix in (".glb", ".gltf", ".anime", ".zip"):
        poses = read_poses(path)
        return MeshDrawable(path.stem, poses.vertices, poses.mesh.faces, poses.fps or _SLOW)
    mesh = read_mesh(path)
    return MeshDrawable(path.stem, mesh.vertices[None], mesh.faces)


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


def _video(path: Path) -> ScreenDrawable:
    times, packed, size = _images(path)
    return ScreenDrawable(path.stem, size, times, lambda number: _unpacked(packed[number]))


def _images(path: Path) -> tuple[list[float], list[np.ndarray], tuple[int, int]]:
    """Times and JPEG images of a video, small enough to be held; of a long one every second, fourth, ... image."""
    import cv2

    from contrapposto.video_file import VideoFile

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
        if len(kept) > _MOST_IMAGES:
            kept, step = kept[::2], step * 2
    return [time for time, _ in kept], [packed for _, packed in kept], size


def _unpacked(packed: np.ndarray) -> np.ndarray:
    import cv2

    image = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _holds_people(path: Path) -> bool:
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        with np.load(path, allow_pickle=False) as file:
            return "keypoints" in file.files and "joints" in file.files
    except Exception:
        return False  # the reader of motion reports what is wrong


def _open_people(path: Path, video: Path | None, opened: Opened) -> None:
    """Everybody as a body, and their keypoints over the video, or over black without one."""
    from contrapposto.systems.scail_pose.body_fit import clip_motions
    from contrapposto.systems.scail_pose.interchange import read_people

    clip = read_people(path)
    if not clip.frames:
        raise InputError(f"{path} holds no frame.")
    if video is not None and not video.is_file():
        raise MissingError(f"There is no file {video}.")
    opened.drawables.append(_keypoints(video.stem if video else path.stem, clip, video))
    _add_clips({f"person {number}": motion for number, motion in clip_motions(clip).items()}, opened)


def _keypoints(name: str, clip: ClipPoses, video: Path | None) -> ScreenDrawable:
    import cv2

    from contrapposto.systems.scail_pose.draw2d import compose, draw_pose
    from contrapposto.systems.scail_pose.people import pack_people

    times = np.arange(len(clip.frames)) / clip.fps if clip.times is None else clip.times
    shown, packed, _ = _images(video) if video else ([], [], (0, 0))
    size = (
        round(_TALL * min(1.0, clip.height / clip.width)),
        round(_TALL * min(1.0, clip.width / clip.height)),
    )
    if clip.height < clip.width:
        size = _TALL, round(_TALL * clip.width / clip.height)

    def image(number: int) -> np.ndarray:
        drawn = draw_pose(pack_people(clip.frames[number], clip.height, clip.width), clip.height, clip.width)
        ground = np.zeros((clip.height, clip.width, 4), np.uint8)
        if packed:
            frame = _unpacked(packed[int(np.abs(np.asarray(shown) - times[number]).argmin())])
            ground[..., :3] = _covering(frame, clip.height, clip.width) // 2
        full = compose(ground, drawn)
        return cv2.resize(full, size[::-1], interpolation=cv2.INTER_AREA)

    return ScreenDrawable(
        name,
        size,
        times - times[0],
        image,
        note=f"{len(clip.ids)} {'person' if len(clip.ids) == 1 else 'people'}",
    )


def _covering(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """A frame resized as in the pose pipeline: it covers the size and is cropped on both sides."""
    import cv2

    scale = max(height / frame.shape[0], width / frame.shape[1])
    size = max(round(frame.shape[1] * scale), width), max(round(frame.shape[0] * scale), height)
    large = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return large[top : top + height, left : left + width]
