"""Build the example inputs of `contrapposto studio`: a short video of a rendered person, and the image of a character.

    python contrapposto/assets/studio/build.py

Both show the shipped body (CC0); the person moves as the synthetic generator states it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from contrapposto.render import VideoWriter, write_png
from contrapposto.systems.scail_pose.scenes import people_scene, reference_scene

SIZE = (288, 512)  # width and height in pixels
SECONDS, FPS = 3.0, 30.0
ZOOM, LOWER = 2.2, 0.34
"""The character fills its image: how much nearer, and where the image's row of the horizon goes."""


def main(folder: Path = Path(__file__).parent) -> None:
    """Write `jumping_jack.mp4` and `child.png` into a folder."""
    scene = people_scene(1, 1, seconds=SECONDS, size=SIZE)
    with VideoWriter(folder / "jumping_jack.mp4", FPS, SIZE) as writer:
        for image in scene.images():
            writer.write(image)
    child = reference_scene("child", SIZE)
    camera = replace(child.camera, fx=ZOOM * child.camera.fx, fy=ZOOM * child.camera.fy, cy=LOWER * SIZE[1])
    write_png(folder / "child.png", next(replace(child, camera=camera).images()))


if __name__ == "__main__":
    main()
