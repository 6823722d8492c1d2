"""How many people the embedded estimator counts in references that show one stylised character.

    python -m benchmarks.reference_figures MESH.glb...
    python -m benchmarks.reference_figures MESH.glb... --images FOLDER

Each mesh (y up, facing z) is drawn in its rest pose in five framings, before a plain and before a crowded background.
Right: exactly one person, whose box overlaps the character's by 0.3 of their union. `--images`: keep the images.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from contrapposto.mesh.files import read_mesh
from contrapposto.render import Camera, Mesh, Scene, render, write_png
from contrapposto.render.meshes import PaintedMesh
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.estimators.blazepose.body import overlap
from contrapposto.systems.scail_pose.framing import frame_transform, target_size
from contrapposto.systems.scail_pose.interface import PoseEstimator
from contrapposto.systems.scail_pose.reference_people import reference_people

MINIMUM = 0.3
# Name: width and height of the image, share of its height that the figure's takes, where its middle is (0 to 1), turn.
FRAMINGS = {
    "whole": ((896, 512), 0.85, (0.5, 0.5), 0),
    "far": ((896, 512), 0.4, (0.3, 0.65), 20),
    "portrait": ((512, 896), 0.6, (0.5, 0.5), -20),
    "square, turned": ((768, 768), 0.8, (0.6, 0.5), 40),
    "upper body": ((768, 768), 1.5, (0.5, 0.85), 0),
}


def drawn(mesh: Mesh, framing: str, crowded: bool) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) uint8 of a figure, and the box (4,) about what is seen of it."""
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
    return image.astype(np.uint8), np.array([columns.min(), rows.min(), columns.max(), rows.max()], float)


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


def counted(image: np.ndarray, box: np.ndarray, estimator: PoseEstimator) -> str:
    """`right`, or what is wrong."""
    height, width = target_size(*image.shape[:2])
    scale, shift = frame_transform(*image.shape[:2], height, width, "pad")
    people = reference_people(image, estimator, height, width, "pad")
    there = [overlap((one.box - np.tile(shift, 2)) / np.tile(scale, 2), box) > MINIMUM for one in people]
    if len(people) == 1:
        return "right" if there[0] else "something else"
    return f"{len(people)} people" if people else "nobody"


def cases(path: Path) -> Iterator[tuple[str, bool, np.ndarray, np.ndarray]]:
    """Framing, whether the background is crowded, image and box."""
    asset = read_mesh(path)
    mesh = PaintedMesh(asset).posed(asset.vertices)
    for framing in FRAMINGS:
        for crowded in (False, True):
            yield framing, crowded, *drawn(mesh, framing, crowded)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--images", type=Path)
    options = parser.parse_args()
    estimator = make_estimator("blazepose", hands=False, face=False)
    total: Counter[str] = Counter()
    for path in options.meshes:
        here: Counter[str] = Counter()
        for framing, crowded, image, box in cases(path):
            answer = counted(image, box, estimator)
            here[answer] += 1
            ground = "crowded" if crowded else "plain"
            print(f"{path.stem:16}{framing:16}{ground:9}{answer}", flush=True)
            if options.images:
                name = f"{path.stem}_{framing.replace(', ', '_').replace(' ', '_')}_{ground}.png"
                write_png(options.images / name, image)
        print(f"{path.stem}: {dict(here)}")
        total += here
    print(f"all: {dict(total)}")


if __name__ == "__main__":
    main()
