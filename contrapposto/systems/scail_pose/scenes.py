"""Videos of rendered people whose joints are known, to measure pose estimation with: alone, and crossing each other.

A store of scenes is a folder with `manifest.json`, for each scene a folder with `driving.mp4` and `truth.npz` (joints
of everybody at the frame rate of pose videos), and `references/NAME.png` with `NAME.npy`: characters of other
proportions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrapposto.body import BodyModel, load_body, motion_vertices
from contrapposto.body.clothing import EYES, HAIR, SKIN, clothe
from contrapposto.body.proportions import proportioned
from contrapposto.checks import parsing
from contrapposto.data.plans import digest, holds_store
from contrapposto.errors import InputError, MissingError
from contrapposto.files import atomic_path, write_json
from contrapposto.motion import Motion
from contrapposto.render import Camera, Ground, Mesh, Scene, VideoWriter, render, write_png
from contrapposto.skeleton import SMPL24
from contrapposto.synthetic import generate
from contrapposto.systems.scail_pose.camera import project

SCHEMA, VERSION = "contrapposto-pose-scenes", 1
TRUTH_FPS = 16.0  # of pose videos
_VIDEO_FPS = 30.0
_FOV_DEGREES = 55.0  # that the pipeline assumes
_ALONE = ("walk", "jumping jack", "wave both hands", "squat", "walk in a circle", "punch", "march", "kick")
_SHAPES = ("male", "female", "thin", "heavy", "strong")
_DEPTHS = {2: (4.6, 5.6), 4: (4.6, 5.4, 6.2, 7.0)}  # metres of those who cross
_ORDERS = (
    (0, 1, 2),
    (2, 0, 1),
    (1, 2, 0),
    (2, 1, 0),
    (0, 2, 1),
    (1, 0, 2),
)  # of the clothes' colour channels
REFERENCES = {"short": {"legs": 0.75, "arms": 0.85}, "tall": {"legs": 1.2, "arms": 1.15}, "child": {}}


@dataclass(frozen=True, eq=False)
class Performer:
    """Somebody in a scene.

    Attributes:
        motion: on the SMPL skeleton, in the world.
        body: with the person's shape as its mean.
        colors: (V, 3) of the vertices.
    """

    motion: Motion
    body: BodyModel
    colors: np.ndarray

    def vertices(self, frame: int) -> np.ndarray:
        """(V, 3) world positions."""
        return motion_vertices(self.body, self.motion, [frame])[0]

    def joints(self) -> np.ndarray:
        """(T, 24, 3) world positions, metres."""
        turns = self.motion.local_matrices()
        places = self.body.joints(turns, torch.from_numpy(self.motion.root_translation))
        return places.double().numpy()


@dataclass(frozen=True, eq=False)
class PeopleScene:
    """People before a camera that stands still.

    Attributes:
        name: of the scene.
        people: all at the same frame rate and of the same length.
        camera: of the video.
    """

    name: str
    people: Sequence[Performer]
    camera: Camera

    def images(self) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 frames, one after the other."""
        meshes = [Mesh(one.vertices(0), one.body.faces.numpy(), one.colors) for one in self.people]
        room = Scene(meshes, ground=Ground(fade=(8.0, 20.0)))
        for frame in range(self.people[0].motion.num_frames):
            meshes = [mesh.moved(one.vertices(frame)) for mesh, one in zip(meshes, self.people)]
            yield render(room.with_meshes(meshes), self.camera, samples=1).color

    def joints(self) -> np.ndarray:
        """(T, N, 24, 3) millimetres before the camera, at `TRUTH_FPS`."""
        slow = (replace(one, motion=one.motion.resample(TRUTH_FPS)) for one in self.people)
        return 1000 * np.stack([self.camera.to_camera(one.joints()) for one in slow], axis=1)


def people_scene(count: int, seed: int, *, seconds: float = 4.0, size: tuple[int, int]) -> PeopleScene:
    """One person who acts, or two or four who walk and cross each other in the middle of the image.

    Args:
        count: 1, 2 or 4 people.
        seed: of everything that is drawn.
        seconds: length.
        size: width and height of the video in pixels.
    """
    if count != 1 and count not in _DEPTHS:
        raise InputError("People of a scene", found=str(count), expected="1, 2 or 4")
    generator = np.random.default_rng([seed, count])
    camera = Camera.look_at((0, 0, 1.3), (0, 5, 1.0), fov_degrees=_FOV_DEGREES, size=size)
    shapes = generator.permutation(len(_SHAPES))
    people = []
    for number in range(count):
        body = _shaped(_SHAPES[shapes[number]])
        motion = (
            _alone(seed, seconds, generator) if count == 1 else _crossing(number, count, seconds, generator)
        )
        people.append(_performer(motion, body, _ORDERS[(seed + number) % len(_ORDERS)]))
    return PeopleScene(f"{count}_people_{seed}", people, camera)


def reference_scene(name: str, size: tuple[int, int]) -> PeopleScene:
    """A character of other proportions who stands before the camera (see `REFERENCES`)."""
    body = _shaped("child") if name == "child" else proportioned(load_body("smpl"), REFERENCES[name])
    motion = generate("stand", seconds=0.2, seed=1, fps=_VIDEO_FPS).to_skeleton(SMPL24)
    camera = Camera.look_at((0, 0, 1.1), (0, 5, 0.95), fov_degrees=_FOV_DEGREES, size=size)
    return PeopleScene(name, [_performer(_placed(motion, 0.0, (0.0, 4.2)), body, _ORDERS[3])], camera)


def _alone(seed: int, seconds: float, generator: np.random.Generator) -> Motion:
    action = _ALONE[seed % len(_ALONE)]
    motion = generate(action, seconds=seconds, seed=seed, fps=_VIDEO_FPS).to_skeleton(SMPL24)
    turn, depth = generator.uniform(-50, 50), generator.uniform(3.3, 4.2)
    if action == "walk":
        turn, depth = generator.choice([-65.0, 65.0]), 5.2
    return _placed(motion, float(turn), (0.0, float(depth)))


def _crossing(number: int, count: int, seconds: float, generator: np.random.Generator) -> Motion:
    style = str(generator.choice(["neutral", "tired", "proud", "happy"]))
    seed = int(generator.integers(1 << 30))
    motion = generate("walk", style=style, seconds=seconds, seed=seed, fps=_VIDEO_FPS).to_skeleton(SMPL24)
    heading = (90.0 if number % 2 else -90.0) + generator.uniform(-12, 12)
    place = float(generator.uniform(-0.5, 0.5) * (count > 2)), _DEPTHS[count][number]
    return _placed(motion, heading, place)


def _placed(motion: Motion, degrees: float, middle: tuple[float, float]) -> Motion:
    """Turned from facing the camera, halfway along at a place of the floor."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turned = motion.canonical().transform(turn)
    pelvis = turned.joint_positions()[:, 0, :2]
    way = (pelvis.min(0) + pelvis.max(0)) / 2
    return turned.transform(np.eye(3), (*(np.array(middle) - way), 0.0))


def _performer(motion: Motion, body: BodyModel, order: Sequence[int]) -> Performer:
    """With the feet on the floor, in clothes of other colours."""
    soles = motion_vertices(body, motion, slice(None, None, 5))[..., 2].min()
    colors = clothe(body)
    bare = np.isclose(colors[:, None], np.array([SKIN, HAIR, EYES])).all(-1).any(-1)
    colors = np.where(bare[:, None], colors, colors[:, list(order)])
    return Performer(motion.transform(np.eye(3), (0, 0, -float(soles))), body, colors)


def _shaped(name: str) -> BodyModel:
    body = load_body("smpl")
    return proportioned(body, {}, torch.from_numpy(body.named_shapes[name]))


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
        intrinsics: (3, 3) pixels of the camera.
        size: height and width of the video in pixels.
        fps: frames per second of the joints.
    """

    joints: np.ndarray
    intrinsics: np.ndarray
    size: tuple[int, int]
    fps: float

    def in_view(self, least: float) -> np.ndarray:
        """(T, N) who has at least that share of the joints in the image."""
        places = project(self.joints, self.intrinsics)
        inside = ((places[..., :2] >= 0) & (places[..., :2] < self.size[::-1])).all(-1) & (places[..., 2] > 0)
        return inside.mean(-1) >= least


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
            truth = Truth(joints, intrinsics, (height, width), float(file["fps"]))
        if truth.joints.ndim != 4 or truth.joints.shape[2:] != (24, 3) or truth.intrinsics.shape != (3, 3):
            raise ValueError(f"joints {truth.joints.shape}, intrinsics {truth.intrinsics.shape}")
        return truth


def _write(folder: Path, scene: PeopleScene) -> None:
    size = scene.camera.width, scene.camera.height
    with VideoWriter(folder / "driving.mp4", _VIDEO_FPS, size) as writer:
        for image in scene.images():
            writer.write(image)
    np.savez(
        folder / "truth.npz",
        joints=scene.joints().astype(np.float32),
        intrinsics=scene.camera.intrinsics,
        size=np.array(size[::-1]),
        fps=TRUTH_FPS,
    )
