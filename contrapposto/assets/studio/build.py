"""Build the example inputs of `contrapposto studio`: a short video of a rendered person, and the image of a character.

    python contrapposto/assets/studio/build.py

Both show the shipped body (CC0); the person moves as the synthetic generator states it.
"""

from __future__ import annotations

from pathlib import Path

from contrapposto.render import VideoWriter, write_png
from contrapposto.systems.scail_pose.scenes import people_scene, reference_scene

SIZE = (288, 512)  # width and height in pixels
SECONDS, FPS = 3.0, 30.0


def main(folder: Path = Path(__file__).parent) -> None:
    """Write `jumping_jack.mp4` and `child.png` into a folder."""
    scene = people_scene(1, 1, seconds=SECONDS, size=SIZE)
    with VideoWriter(folder / "jumping_jack.mp4", FPS, SIZE) as writer:
        for image in scene.images():
            writer.write(image)
    write_png(folder / "child.png", next(reference_scene("child", SIZE).images()))


if __name__ == "__main__":
    main()
