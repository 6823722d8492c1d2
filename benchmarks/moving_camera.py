"""People who walk before a camera that moves, rendered: how far the world of `world=true` drifts.

    python -m benchmarks.moving_camera
    python -m benchmarks.moving_camera --show images/

A person walks for six seconds while the camera turns after them, goes along beside them, and goes round them; over a
floor of squares alone, and with boxes on it. `camera`: the largest distance of the camera from its true way, of the way's
length. `person`: the same of the pelvis, over the floor. Before it is compared, a way is turned, moved and scaled as
one (a camera does not show sizes); `scale` is that factor of the person's way.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from contrapposto.render import Camera, Ground, Mesh, Scene, render, write_png
from contrapposto.skeleton import SMPL24
from contrapposto.synthetic import generate
from contrapposto.systems.scail_pose.background import BackgroundWatch
from contrapposto.systems.scail_pose.camera_path import CameraPath, camera_path
from contrapposto.systems.scail_pose.clean import Clean
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.extract import extract
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.scenes import Performer, performer, placed, shaped
from contrapposto.systems.scail_pose.sides import steady_sides
from contrapposto.systems.scail_pose.world import in_world

FPS, SIZE, SECONDS = 16.0, (896, 512), 6.0
KINDS = ("turns", "beside", "round")
_BOXES = (((-3, 7.5), 1.2, (0.7, 0.5, 0.3)), ((0.5, 8), 0.8, (0.3, 0.5, 0.6)), ((3, 7), 1.5, (0.5, 0.6, 0.4)))


def walker(seed: int) -> Performer:
    """Somebody who walks from left to right, five metres away."""
    motion = generate("walk", seconds=SECONDS, seed=seed, fps=FPS).to_skeleton(SMPL24)
    return performer(placed(motion, 82.0, (0.0, 5.0)), shaped("male" if seed % 2 else "female"), (0, 1, 2))


def cameras(kind: str, pelvis: np.ndarray) -> list[Camera]:
    """A camera for each frame of a pelvis (T, 3) in the world: held by hand, so it sways."""
    shots, start = [], pelvis[0]
    for frame, place in enumerate(pelvis):
        share = frame / (len(pelvis) - 1)
        sway = 0.02 * np.array([np.sin(0.9 * frame), 0, np.cos(0.7 * frame)])
        eye = {
            "turns": np.array([0.0, 0, 1.4]),
            "beside": np.array([place[0], 0.3 * share, 1.4]) + sway,
            "round": np.array([start[0] + 4 * np.sin(1.2 * share), 5 - 5 * np.cos(1.2 * share), 1.5]) + sway,
        }[kind]
        aim = [place[0], place[1], 1.0]
        shots.append(Camera.look_at(eye, aim, fov_degrees=55.0, size=SIZE))
    return shots


def frames(one: Performer, shots: Sequence[Camera], boxes: bool) -> Iterator[tuple[float, np.ndarray]]:
    """Seconds and (H, W, 3) uint8."""
    boxes_shown = [_box(*one_box) for one_box in _BOXES] if boxes else []
    for frame, camera in enumerate(shots):
        body = Mesh(one.vertices(frame), one.body.faces.numpy(), one.colors)
        shown = render(Scene([body, *boxes_shown], ground=Ground(fade=(12.0, 30.0))), camera, samples=1)
        yield frame / FPS, shown.color


def _box(place: tuple[float, float], height: float, color: Sequence[float]) -> Mesh:
    corners = np.array([[x, y, z] for x in (-0.4, 0.4) for y in (-0.4, 0.4) for z in (0, height)])
    sides = [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]
    faces = [(a, b, c) for a, b, c, _ in sides] + [(a, c, d) for a, _, c, d in sides]
    return Mesh(corners + np.array([*place, 0]), np.array(faces), color)


def drift(way: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Largest distance of a way (T, 3) from the true one in percent of its length, and the scale of their best fit."""
    a, b = way - way.mean(axis=0), true - true.mean(axis=0)
    u, sizes, vt = np.linalg.svd(b.T @ a)
    sign = np.diag([1, 1, np.linalg.det(u @ vt)])
    scale = (sizes @ np.diag(sign)) / (a**2).sum()
    away = np.linalg.norm(scale * a @ (u @ sign @ vt).T - b, axis=1)
    return float(100 * away.max() / np.linalg.norm(np.diff(true, axis=0), axis=1).sum()), float(scale)


def watched(
    one: Performer, shots: Sequence[Camera], boxes: bool, show: Path | None
) -> tuple[ClipPoses, CameraPath]:
    """What the pipeline sees of the people and of the camera."""
    background = BackgroundWatch()

    def images() -> Iterator[tuple[float, np.ndarray]]:
        for time, image in frames(one, shots, boxes):
            if show is not None and round(time * FPS) in (0, len(shots) // 2, len(shots) - 1):
                write_png(show / f"{round(time * FPS):03d}.png", image)
            yield time, image

    estimator = make_estimator("blazepose", hands=False, face=False, most=1)
    seen = extract(images(), estimator, SIZE[1], SIZE[0], FPS, background=background)
    path = camera_path(background.tracks(seen.frames), len(seen.frames), seen.intrinsics)
    return Clean()(steady_sides(seen)[0]), path


def measure(kind: str, boxes: bool, seed: int, show: Path | None) -> None:
    """Print a line."""
    one = walker(seed)
    pelvis = one.joints()[:, 0]
    shots = cameras(kind, pelvis)
    clip, path = watched(one, shots, boxes, show)
    world, known = in_world(clip, path)
    way = np.array([camera.position for camera in shots])
    line = f"{kind}{' with boxes' if boxes else ''}: {known}"
    if np.ptp(way, axis=0).max() > 0.1:
        line += f"  camera {drift(path.places, way)[0]:.2f} %"
    for title, shown in (("before", clip), ("person", world)):
        rows = [(t, p.joints[0]) for t, frame in enumerate(shown.frames) for p in frame[:1]]
        place = np.array([joint for _, joint in rows]) / 1000
        flat = place * [1, 0, 1] if title == "person" else place
        true = pelvis[[t for t, _ in rows]] * ([1, 1, 0] if title == "person" else [1, 1, 1])
        percent, scale = drift(flat, true)
        line += f"  {title} {percent:.2f} % (scale {scale:.2f})"
    print(line, flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--show", type=Path, help="folder for images of the last scene")
    options = parser.parse_args()
    if options.show:
        options.show.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for kind in options.kinds:
            for boxes in (False, True):
                measure(kind, boxes, seed, options.show)


if __name__ == "__main__":
    main()
