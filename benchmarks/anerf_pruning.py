"""What pruning saves and costs on a trained avatar, one thread: python -m benchmarks.anerf_pruning RUN [--height 256].

Images of held-out images: exact, pruned by capsules alone, with rays that end in the dark, and with the grid of each
pose's density beside. CPU seconds of an image, and PSNR in the figure's box at the scene's own size.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from contrapposto.metrics.image import box_region, psnr
from contrapposto.systems.anerf.avatar import Avatar
from contrapposto.systems.anerf.data import AvatarScene
from contrapposto.systems.anerf.model import ANeRF
from contrapposto.systems.anerf.paths import MODES
from contrapposto.systems.anerf.renderer import Renderer
from contrapposto.systems.anerf.view import View

_NEVER = 10**9


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anerf_pruning", description=__doc__)
    parser.add_argument("run", type=Path, help="directory of a finished run")
    parser.add_argument("--height", type=int, nargs="*", default=[256], help="of the images that are timed")
    parser.add_argument("--images", type=int, default=4, help="of each held-out split")
    options = parser.parse_args()
    torch.set_num_threads(1)
    avatar = Avatar.from_pretrained(options.run)
    scene, pruned = avatar.scene, avatar.renderer("pruned")
    if scene is None or not isinstance(pruned, Renderer) or not isinstance(avatar.network, ANeRF):
        raise SystemExit(f"{options.run} is no run of A-NeRF whose scene is still there.")
    capsules = pruned.capsules
    assert capsules is not None
    plain = replace(capsules, stop=1e-30)
    renderers = {
        "exact": Renderer(avatar.network),
        "capsules": Renderer(avatar.network, speed="pruned", capsules=plain, grid_pixels=_NEVER),
        "ending rays": Renderer(avatar.network, speed="pruned", capsules=capsules, grid_pixels=_NEVER),
        "grid too": Renderer(avatar.network, speed="pruned", capsules=capsules, grid_pixels=0),
    }
    images = [
        int(image)
        for split in ("novel_view", "novel_pose")
        for image in scene.split(split)[:: max(len(scene.split(split)) // options.images, 1)][
            : options.images
        ]
    ]
    path = MODES["selected"](avatar.frames(), images)
    print(f"{len(images)} images; radii {capsules.radii.min():.2f} to {capsules.radii.max():.2f}")
    for name, draw in renderers.items():
        quality = [
            _psnr(scene, image, draw, path.world_to_bone[n], path.view(n, scene.hw))
            for n, image in enumerate(images)
        ]
        text = f"{name:<12} PSNR {np.mean(quality):.3f} dB"
        for height in options.height:
            view = path.view(0, scene.hw).scaled(height / scene.hw[0])
            draw(path.world_to_bone[0], view)
            start = time.process_time()
            draw(path.world_to_bone[0], view)
            text += f"   {height} pixels: {time.process_time() - start:.2f} s"
        print(text, flush=True)


@torch.no_grad()
def _psnr(scene: AvatarScene, image: int, draw: Renderer, pose: torch.Tensor, view: View) -> float:
    """In the box of the figure's cylinder."""
    results = draw(pose, view)
    true, behind = (
        torch.from_numpy(np.array(x)).float() / 255 for x in (scene.image(image), scene.background(image))
    )
    mask = torch.from_numpy(scene.mask(image).copy())
    true = torch.where(mask[..., None], true, behind)
    box = box_region(results.low[None], results.high[None], *scene.hw)
    return float(psnr(results.over(behind)[None], true[None], box))


if __name__ == "__main__":
    main()
