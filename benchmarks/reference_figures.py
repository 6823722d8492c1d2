"""Whom the embedded estimator sees in references that show one stylised character, and where it sees the joints.

    python -m benchmarks.reference_figures MESH.glb...
    python -m benchmarks.reference_figures MESH.glb... --images FOLDER
    python -m benchmarks.reference_figures --nobody IMAGE_OR_VIDEO...

Each mesh (y up, facing z) is drawn in its rest pose in five framings, before a plain and before a crowded background.
Right: exactly one person, whose box overlaps the character's by 0.3 of their union. Where it is right, and the mesh has a
rig: the mean distance of the shoulders, elbows, wrists, hips, knees and ankles that are in the image from those of the
rig, in percent of the character's height. `--images`: keep the images, with the points found. `--nobody`: images, or one
frame of every second of videos, without people; printed is who is seen in them.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from contrapposto.errors import ContrappostoError
from contrapposto.mesh.figure import read_figure
from contrapposto.mesh.files import read_mesh
from contrapposto.mesh.rig import Rig
from contrapposto.render import Camera, Mesh, Scene, render, write_png
from contrapposto.render.meshes import PaintedMesh
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.estimators.blazepose.body import overlap
from contrapposto.systems.scail_pose.extract import read_image
from contrapposto.systems.scail_pose.framing import frame_transform, target_size
from contrapposto.systems.scail_pose.interface import Person, PoseEstimator
from contrapposto.systems.scail_pose.reference_people import reference_people
from contrapposto.systems.scail_pose.wholebody import THRESHOLD
from contrapposto.video_file import VideoFile

MINIMUM = 0.3
LIMBS = [
    f"{side}_{joint}"
    for joints in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
    for side in ("right", "left")
    for joint in joints
]
# Name: width and height of the image, share of its height that the figure's takes, where its middle is (0 to 1), turn.
FRAMINGS = {
    "whole": ((896, 512), 0.85, (0.5, 0.5), 0),
    "far": ((896, 512), 0.4, (0.3, 0.65), 20),
    "portrait": ((512, 896), 0.6, (0.5, 0.5), -20),
    "square, turned": ((768, 768), 0.8, (0.6, 0.5), 40),
    "upper body": ((768, 768), 1.5, (0.5, 0.85), 0),
}


def drawn(mesh: Mesh, framing: str, crowded: bool) -> tuple[np.ndarray, np.ndarray, Camera]:
    """An image (H, W, 3) uint8 of a figure, the box (4,) about what is seen of it, and the camera."""
    (width, height), share, (x, y), degrees = FRAMINGS[framing]
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    size = float(high[2] - low[2])
    room = size / share / height  # metres of a pixel at the figure
    middle = np.array([0.0, 0.0, float(low[2] + high[2]) / 2 + (y - 0.5) * height * room])
    turn = np.radians(degrees)
    ahead, right = np.array([np.sin(turn), np.cos(turn), 0]), np.array([np.cos(turn), -np.sin(turn), 0])
    target = middle - (x - 0.5) * width * room * right
    away = max(width, height) * room / 2 / np.tan(np.radians(20))
    camera = Camera.look_at(target - away * ahead, target, fov_degrees=40, size=(width, height))
    shown = render(Scene([mesh]), camera)
    image = np.where(shown.mask[..., None], shown.color, backdrop(height, width, crowded))
    rows, columns = np.nonzero(shown.mask)
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], float)
    return image.astype(np.uint8), box, camera


def backdrop(height: int, width: int, crowded: bool) -> np.ndarray:
    """(H, W, 3): one grey, or many boxes, rods and discs of all colours."""
    import cv2

    image = np.full((height, width, 3), 200, np.uint8)
    generator = np.random.default_rng(7)
    for _ in range(120 if crowded else 0):
        color = generator.integers(20, 240, 3).tolist()
        x, y = (int(value) for value in generator.integers(0, [width, height]))
        w, h = (int(value) for value in generator.integers(8, [width // 5, height // 3]))
        if generator.random() < 0.5:
            cv2.rectangle(image, (x, y), (x + w, y + h), color, -1)
        else:
            cv2.ellipse(image, (x, y), (w // 2, h // 2), 0, 0, 360, color, -1)
    return image


def people_of(image: np.ndarray, estimator: PoseEstimator) -> list[Person]:
    """The people of an image, in its own pixels."""
    height, width = target_size(*image.shape[:2])
    scale, shift = frame_transform(*image.shape[:2], height, width, "pad")
    return [
        replace(
            one,
            box=(one.box - np.tile(shift, 2)) / np.tile(scale, 2),
            keypoints=(one.keypoints - shift) / scale,
        )
        for one in reference_people(image, estimator, height, width, "pad")
    ]


def judged(people: list[Person], box: np.ndarray) -> str:
    """`right`, or what is wrong."""
    if len(people) == 1:
        return "right" if overlap(people[0].box, box) > MINIMUM else "something else"
    return f"{len(people)} people" if people else "nobody"


def rig_joints(path: Path, painted: PaintedMesh) -> np.ndarray | None:
    """(12, 3) joints of the rig in the drawn mesh: keypoints 2 to 13; None without a rig."""
    try:
        figure = read_figure(Rig(path))
    except ContrappostoError:
        return None
    places = figure.skeleton.rest_positions[[figure.index[name] for name in LIMBS]]
    return painted.place(places)


def error(person: Person, joints: np.ndarray, camera: Camera, tall: float) -> float:
    """Mean distance of a person's keypoints from joints (12, 3), percent of a height in metres."""
    seen = camera.to_camera(joints)
    pixels = seen[:, :2] / seen[:, 2:] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    inside = ((pixels >= 0) & (pixels < [camera.width, camera.height])).all(-1)
    inside &= person.scores[2:14] > THRESHOLD
    away = np.linalg.norm(person.keypoints[2:14] - pixels, axis=-1)[inside].mean()
    return float(100 * away / (tall * camera.fy / seen[:, 2].mean()))


def marked(image: np.ndarray, people: list[Person]) -> np.ndarray:
    """The image with the keypoints: red those of the right side."""
    import cv2

    result = image.copy()
    for person in people:
        for slot in np.flatnonzero(person.scores[:14] > THRESHOLD):
            color = (230, 30, 30) if slot in (2, 3, 4, 8, 9, 10) else (30, 60, 230)
            x, y = (int(value) for value in person.keypoints[slot])
            cv2.circle(result, (x, y), 5, color if slot > 1 else (30, 200, 30), -1)
    return result


def figures(paths: list[Path], estimator: PoseEstimator, folder: Path | None) -> None:
    """Print what is seen of each mesh."""
    total: Counter[str] = Counter()
    for path in paths:
        asset = read_mesh(path)
        painted = PaintedMesh(asset)
        mesh, joints = painted.posed(asset.vertices), rig_joints(path, painted)
        tall = float(np.ptp(mesh.vertices[:, 2]))
        here: Counter[str] = Counter()
        errors: list[float] = []
        for framing, crowded in product(FRAMINGS, (False, True)):
            image, box, camera = drawn(mesh, framing, crowded)
            people = people_of(image, estimator)
            answer = judged(people, box)
            here[answer] += 1
            ground, away = "crowded" if crowded else "plain", ""
            if answer == "right" and joints is not None:
                errors.append(error(people[0], joints, camera, tall))
                away = f"{errors[-1]:.1f} %"
            print(f"{path.stem:16}{framing:16}{ground:9}{answer:16}{away}", flush=True)
            if folder:
                name = f"{path.stem}_{framing.replace(', ', '_').replace(' ', '_')}_{ground}.png"
                write_png(folder / name, marked(image, people))
        print(f"{path.stem}: {dict(here)}", f"joints {np.mean(errors):.1f} %" if errors else "")
        total += here
    print(f"all: {dict(total)}")


def nobody(paths: list[Path], estimator: PoseEstimator, folder: Path | None) -> None:
    """Print who is seen in images without people."""
    seen = count = 0
    for path in paths:
        if path.suffix in (".png", ".jpg"):
            images = [read_image(path)]
        else:
            file = VideoFile.open(path)
            step = max(round(file.fps), 1)
            images = [image for number, (_, image) in enumerate(file.frames()) if number % step == 0]
        for number, image in enumerate(images):
            people = people_of(image, estimator)
            count, seen = count + 1, seen + bool(people)
            if people:
                print(f"{path.name} {number}: {len(people)}", flush=True)
                if folder:
                    write_png(folder / f"{path.stem}_{number}.png", marked(image, people))
    print(f"somebody in {seen} of {count} images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("meshes", type=Path, nargs="*")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--nobody", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    estimator = make_estimator("blazepose", hands=False, face=False)
    if options.meshes:
        figures(options.meshes, estimator, options.images)
    if options.nobody:
        nobody(options.nobody, estimator, options.images)


if __name__ == "__main__":
    main()
