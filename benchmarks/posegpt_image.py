"""The image of generated motion in README and docs: python benchmarks/posegpt_image.py MODEL OUTPUT.png [all=true] [seed=0]

One panel per action: the frame of the clip that shows most of it, the one farthest from standing. `all=true` shows
every action of the model's vocabulary in files OUTPUT_1.png, OUTPUT_2.png, ... of twelve panels each.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import numpy as np

from contrapposto.motion import Motion
from contrapposto.render import render_motion_video, write_png
from contrapposto.systems.posegpt.generator import MotionGenerator
from contrapposto.systems.posegpt.token_sampling import USUAL

ACTIONS = ("squat", "walk", "bow", "raise left arm", "sit down", "run", "wave right hand", "kick")
PANEL, PANELS = (224, 224), 12


def telling_frame(clip: Motion, standing: Motion) -> Motion:
    """The one frame whose pose is farthest from the first one of `standing`, in the place of the root."""
    own = around_root(clip)
    frame = int(np.linalg.norm(own - around_root(standing)[:1], axis=-1).mean(1).argmax())
    return replace(clip.frames(frame, frame + 1), labels=())


def around_root(clip: Motion) -> np.ndarray:
    """(F, 22, 3) joints above and around the place of the root on the floor."""
    joints = clip.joint_positions()[:, :22]
    own: np.ndarray = joints - joints[:, :1] * [1, 1, 0]
    return own


def draw(generator: MotionGenerator, actions: list[str], path: Path, seed: int) -> None:
    """Write one image of a panel for each action."""
    draws = replace(USUAL, seed=seed)
    standing = generator.generate(["stand"], 4, 1, draw=draws).motions[0]
    clips = {
        a: telling_frame(generator.generate([a], 60, 1, draw=draws).motions[0], standing) for a in actions
    }
    with tempfile.TemporaryDirectory() as folder:
        video = render_motion_video(Path(folder) / "still.mp4", clips, size=PANEL, camera="each")
        write_png(path, imageio.imread(video, index=0))
    print(path)


def main(arguments: list[str]) -> int:
    """Draw."""
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    places = [argument for argument in arguments if "=" not in argument]
    if len(places) != 2:
        print(__doc__)
        return 2
    generator, output, seed = (
        MotionGenerator.from_pretrained(places[0]),
        Path(places[1]),
        int(options.get("seed", 0)),
    )
    if options.get("all") != "true":
        draw(generator, list(ACTIONS), output, seed)
        return 0
    names = list(generator.vocabulary.names)
    for start in range(0, len(names), PANELS):
        part = output.with_stem(f"{output.stem}_{start // PANELS + 1}")
        draw(generator, names[start : start + PANELS], part, seed)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
