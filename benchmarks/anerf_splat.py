"""How long the splat avatar takes for an image and for a step of training: python -m benchmarks.anerf_splat [CHECKPOINT]

CPU milliseconds on one thread, from a pose to the image.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch

from contrapposto.systems.anerf.avatar import Avatar
from contrapposto.systems.anerf.data.images import ALIGN
from contrapposto.systems.anerf.framing import framed
from contrapposto.systems.anerf.paths import MODES
from contrapposto.systems.anerf.splats import SplatAvatar
from contrapposto.systems.anerf.splats.losses import LossWeights, Target, image_terms
from contrapposto.systems.anerf.view import View

ROUNDS = 30


def main(arguments: list[str]) -> None:
    """Print a table."""
    torch.set_num_threads(1)
    avatar = Avatar.from_pretrained(arguments[0] if arguments else "anerf_splat")
    assert isinstance(avatar.network, SplatAvatar)
    print(f"{len(avatar.network):,} Gaussians")
    print("side  image ms  images/s  step ms (crop of the person, without the optimiser)")
    for side in (112, 256, 512):
        draw, step = _image(avatar, side), _step(avatar, side)
        a, b = _measured(draw), _measured(step)
        print(f"{side:4}  {a:8.2f}  {1000 / a:8.0f}  {b:8.2f}")


def _view(avatar: Avatar, side: int) -> tuple[torch.Tensor, View]:
    frames = avatar.standing()
    joints = MODES["selected"](frames, [0]).joints
    path = MODES["selected"](framed(frames, joints, (256, 256)), [0])
    return path.world_to_bone[0], path.view(0, (256, 256)).scaled(side / 256)


def _image(avatar: Avatar, side: int) -> Callable[[], object]:
    pose, view = _view(avatar, side)
    draw = avatar.renderer()
    return lambda: draw(pose, view)


def _step(avatar: Avatar, side: int) -> Callable[[], object]:
    network = avatar.network
    assert isinstance(network, SplatAvatar)
    pose, view = _view(avatar, side)
    with torch.no_grad():
        colour, transmittance = network(torch.linalg.inv(pose), view)
    rows = (transmittance < 0.5).any(1).nonzero().squeeze(1)
    columns = (transmittance < 0.5).any(0).nonzero().squeeze(1)
    top, left = int(rows[0]) // ALIGN * ALIGN, int(columns[0]) // ALIGN * ALIGN
    part = slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1)
    image, mask = colour[part] * 0.9, (transmittance[part] < 0.5).float()
    centre = torch.tensor([view.width / 2, view.height / 2]) - torch.tensor([float(left), float(top)])
    crop = View(view.camera_to_world, view.focal, mask.shape[0], mask.shape[1], centre)
    target = Target(image, torch.ones_like(image), mask, crop)
    bones = torch.linalg.inv(pose)

    def run() -> None:
        network.zero_grad()
        shown = network(bones, crop)
        torch.stack(list(image_terms(*shown, target, LossWeights()).values())).sum().backward()

    return run


def _measured(work: Callable[[], object]) -> float:
    for _ in range(3):
        work()
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        times.append(1000 * (time.process_time() - started))
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main(sys.argv[1:])
