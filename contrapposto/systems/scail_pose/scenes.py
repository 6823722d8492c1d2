"""Rendered people whose joints are known, to measure pose estimation with: alone, and crossing each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from contrapposto.body import BodyModel, load_body, motion_vertices
from contrapposto.body.clothing import EYES, HAIR, SKIN, clothe
from contrapposto.body.proportions import proportioned
from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.render import (
    Camera,
    Ground,
    Mesh,
    RenderedImage,
    Scene,
    render,
)
from contrapposto.skeleton import SMPL24
from contrapposto.synthetic import generate

TRUTH_FPS = 16.0  # of pose videos
VIDEO_FPS = 30.0
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
        return (shown.color for shown in self.shown())

    def shown(self) -> Iterator[RenderedImage]:
        """The frames with their depths and the numbers of the people, one after the other."""
        meshes = [Mesh(one.vertices(0), one.body.faces.numpy(), one.colors) for one in self.people]
        room = Scene(meshes, ground=Ground(fade=(8.0, 20.0)))
        for frame in range(self.people[0].motion.num_frames):
            meshes = [mesh.moved(one.vertices(frame)) for mesh, one in zip(meshes, self.people)]
            yield render(room.with_meshes(meshes), self.camera, samples=1)

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
        body = shaped(_SHAPES[shapes[number]])
        motion = (
            _alone(seed, seconds, generator) if count == 1 else _crossing(number, count, seconds, generator)
        )
        people.append(performer(motion, body, _ORDERS[(seed + number) % len(_ORDERS)]))
    return PeopleScene(f"{count}_people_{seed}", people, camera)


def reference_scene(name: str, size: tuple[int, int]) -> PeopleScene:
    """A character of other proportions who stands before the camera (see `REFERENCES`)."""
    body = shaped("child") if name == "child" else proportioned(load_body("smpl"), REFERENCES[name])
    motion = generate("stand", seconds=0.2, seed=1, fps=VIDEO_FPS).to_skeleton(SMPL24)
    camera = Camera.look_at((0, 0, 1.1), (0, 5, 0.95), fov_degrees=_FOV_DEGREES, size=size)
    return PeopleScene(name, [performer(placed(motion, 0.0, (0.0, 4.2)), body, _ORDERS[3])], camera)


def _alone(seed: int, seconds: float, generator: np.random.Generator) -> Motion:
    action = _ALONE[seed % len(_ALONE)]
    motion = generate(action, seconds=seconds, seed=seed, fps=VIDEO_FPS).to_skeleton(SMPL24)
    turn, depth = generator.uniform(-50, 50), generator.uniform(3.3, 4.2)
    if action == "walk":
        turn, depth = generator.choice([-65.0, 65.0]), 5.2
    return placed(motion, float(turn), (0.0, float(depth)))


def _crossing(number: int, count: int, seconds: float, generator: np.random.Generator) -> Motion:
    style = str(generator.choice(["neutral", "tired", "proud", "happy"]))
    seed = int(generator.integers(1 << 30))
    motion = generate("walk", style=style, seconds=seconds, seed=seed, fps=VIDEO_FPS).to_skeleton(SMPL24)
    heading = (90.0 if number % 2 else -90.0) + generator.uniform(-12, 12)
    place = float(generator.uniform(-0.5, 0.5) * (count > 2)), _DEPTHS[count][number]
    return placed(motion, heading, place)


def placed(motion: Motion, degrees: float, middle: tuple[float, float]) -> Motion:
    """Turned from facing the camera, halfway along at a place of the floor."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turned = motion.canonical().transform(turn)
    pelvis = turned.joint_positions()[:, 0, :2]
    way = (pelvis.min(0) + pelvis.max(0)) / 2
    return turned.transform(np.eye(3), (*(np.array(middle) - way), 0.0))


def performer(motion: Motion, body: BodyModel, order: Sequence[int]) -> Performer:
    """With the feet on the floor, in clothes of other colours."""
    soles = motion_vertices(body, motion, slice(None, None, 5))[..., 2].min()
    colors = clothe(body)
    bare = np.isclose(colors[:, None], np.array([SKIN, HAIR, EYES])).all(-1).any(-1)
    colors = np.where(bare[:, None], colors, colors[:, list(order)])
    return Performer(motion.transform(np.eye(3), (0, 0, -float(soles))), body, colors)


def shaped(name: str) -> BodyModel:
    """The shipped body with a named shape as its mean."""
    body = load_body("smpl")
    return proportioned(body, {}, torch.from_numpy(body.named_shapes[name]))
