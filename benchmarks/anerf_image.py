"""Images of a scene above the avatar that replaces the person: python -m benchmarks.anerf_image OUT.png [--scene STORE]

One column for each image, cut to the person. `--halo` adds a row: the opacity beside the person, from a pixel
away, times 50, red. The image of the README:

    python prepare.py data=anerf_scene data.name=anerf_show data.options.size=512 data.options.poses=1 \\
        data.options.novel_poses=5
    python -m benchmarks.anerf_image docs/images/anerf_demo.png --scene stores/anerf_show --images 1 11 21 31 41 51
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from contrapposto.metrics.image import halo
from contrapposto.render import write_png
from contrapposto.systems.anerf.avatar import Avatar
from contrapposto.systems.anerf.data.images import clean_image
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.paths import MODES

_MARGIN, _AMPLIFIED = 10, 50


def main() -> None:
    """Write the image."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anerf_image", description=__doc__)
    parser.add_argument("output")
    parser.add_argument("--avatar", default="anerf_splat", help="a shipped model, or the folder of one's own")
    parser.add_argument("--scene", help="a scene of prepare.py; without: that of the training")
    parser.add_argument("--images", type=int, nargs="+", help="numbers; without: six of the held-out ones")
    parser.add_argument("--halo", action="store_true", help="add the row of the halo")
    arguments = parser.parse_args()
    avatar = Avatar.from_pretrained(arguments.avatar, scene=arguments.scene)
    assert avatar.scene is not None
    images = arguments.images or _held_out(avatar.scene)
    write_png(Path(arguments.output), sheet(avatar, avatar.scene, images, halo_row=arguments.halo))


def _held_out(scene: AvatarScene) -> list[int]:
    held = [scene.split(name) for name in ("novel_view", "novel_pose", "val") if name in scene.splits]
    images = np.concatenate(held or [scene.split("train")])
    chosen: list[int] = images[np.linspace(0, len(images) - 1, 6).astype(int)].tolist()
    return chosen


@torch.no_grad()
def sheet(avatar: Avatar, scene: AvatarScene, images: list[int], *, halo_row: bool = False) -> np.ndarray:
    """(H, W, 3) uint8: rows truth and avatar, and with `halo_row` the opacity beside the person."""
    path, draw = MODES["selected"](avatar.frames(), images), avatar.renderer()
    shown, boxes = [], []
    for number, image in enumerate(images):
        frame = draw(path.world_to_bone[number], path.view(number, scene.hw))
        background = torch.from_numpy(np.array(scene.background(image))).float() / 255
        mask = torch.from_numpy(scene.mask(image).copy())
        print(f"image {image}: halo {float(halo(frame.opacity[None], mask[None])):.5f} %")
        rows = [clean_image(scene, image), (frame.over(background).clamp(0, 1) * 255).round().byte().numpy()]
        if halo_row:
            near = torch.nn.functional.max_pool2d(mask[None].float(), 3, stride=1, padding=1)[0] > 0
            beside = torch.where(near, 0, frame.opacity * _AMPLIFIED).clamp(0, 1).numpy()[..., None]
            person = np.where(mask.numpy()[..., None], 210, 255)
            rows.append((person * (1 - beside) + beside * [220, 0, 0]).round().astype(np.uint8))
        shown.append(rows)
        places = np.argwhere(mask.numpy() | (frame.opacity.numpy() > 0.5))
        boxes.append((places.min(0) - _MARGIN, places.max(0) + _MARGIN + 1))
    height = min(max(int(high[0] - low[0]) for low, high in boxes), scene.hw[0])
    columns = []
    for rows, (low, high) in zip(shown, boxes):
        top = int(np.clip((low[0] + high[0] - height) // 2, 0, scene.hw[0] - height))
        left, right = max(int(low[1]), 0), min(int(high[1]), scene.hw[1])
        columns.append(np.concatenate([row[top : top + height, left:right] for row in rows]))
    return np.concatenate(columns, axis=1)


if __name__ == "__main__":
    main()
