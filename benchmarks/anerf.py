"""A-NeRF at the published size: rendering exactly, rendering pruned, training steps.

Weights are random: the speed does not depend on them. The plain path computes every encoding in full,
sorts it by depth and runs both networks on all samples (docs/specs/anerf.md,
sections 3 to 5; tests/systems/anerf/plain.py).
Pruned paths have capsules of 0.2 (rendering) and 0.35 (training) world units around the bones and see the same rays:
those of the box of a standing body; in training all rays meet the body's surroundings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import Row, compare, floor_share, flops, matmul_speed, seconds
from contrapposto import rotations as rot
from contrapposto.systems.anerf import kinematics
from contrapposto.systems.anerf.cameras import box_pixels, cylinder_box, pixel_rays
from contrapposto.systems.anerf.capsules import NUM_SEGMENTS, Capsules
from contrapposto.systems.anerf.draws import Draws
from contrapposto.systems.anerf.model import ANeRF
from contrapposto.systems.anerf.renderer import Renderer
from contrapposto.systems.anerf.view import View
from contrapposto.systems.anerf.volume_rendering import Composite

PLAIN = "every encoding spelled out, both networks on all samples"
SIDE, RAYS = 64, 128


def run(threads: int) -> Iterator[Row]:
    """Every figure, one by one."""
    torch.manual_seed(0)
    model = ANeRF().eval()
    bones, view = standing_figure()
    exact = Renderer(model)
    pruned = Renderer(
        model, speed="pruned", capsules=Capsules(torch.full((NUM_SEGMENTS,), 0.2), share_coarse=True)
    )
    cylinder = kinematics.rendering_cylinder(bones.joints[0])
    box = cylinder_box(cylinder, view.camera_to_world, view.focal, SIDE, SIDE)
    pixels = box_pixels(*box, SIDE)
    origins, directions = pixel_rays(pixels, SIDE, SIDE, view.focal, view.camera_to_world)
    pose = bones.world_to_bone[0]

    def plain_image() -> None:
        for start in range(0, len(pixels), RAYS):
            part = slice(start, start + RAYS)
            _plain(model, origins[part], directions[part], bones.world_to_bone, cylinder)

    for name, renderer in (("exact", exact), ("pruned", pruned)):
        image = partial(renderer, pose, view)
        with torch.no_grad():
            work = flops(image)
            taken, ratio = compare(image, plain_image, repeats=1)
            speed = matmul_speed()
            taken = min(taken, seconds(image, repeats=3))
        rate = len(pixels) / taken
        yield Row(
            f"anerf, {name} rendering, {SIDE} x {SIDE}",
            rate,
            "rays/s",
            threads,
            "float32",
            floor_share(work, taken, speed),
            ratio,
            PLAIN,
        )
    yield from _training(model.train(), bones, cylinder, threads)


def _training(model: ANeRF, bones: kinematics.Bones, cylinder: Tensor, threads: int) -> Iterator[Row]:
    """Forward and backward of rays that pass within 0.25 of a joint."""
    generator = torch.Generator().manual_seed(0)
    origins = torch.tensor([0.0, 0.0, -6.0]).expand(RAYS, 3)
    targets = bones.joints[0][torch.randint(0, 24, (RAYS,), generator=generator)]
    directions = targets + 0.25 * torch.randn(RAYS, 3, generator=generator).clamp(-1, 1) - origins
    directions = directions / directions[:, 2:]
    draws = Draws.keyed(64, 16, 0, 0, torch.arange(RAYS))
    index = torch.zeros(RAYS, dtype=torch.int64)
    capsules = Capsules(torch.full((NUM_SEGMENTS,), 0.35))

    def step(kept: Capsules | None) -> Callable[[], None]:
        def run_step() -> None:
            model.zero_grad()
            arguments = (origins, directions, bones.world_to_bone, cylinder.expand(RAYS, 5))
            results = model(*arguments, pose_index=index, draws=draws, capsules=kept)
            (results.fine.colour.square().mean() + results.coarse.colour.square().mean()).backward()

        return run_step

    def plain_step() -> None:
        model.zero_grad()
        coarse, fine = _plain(model, origins, directions, bones.world_to_bone, cylinder, draws)
        (fine.colour.square().mean() + coarse.colour.square().mean()).backward()

    for name, kept in (("exact", None), ("pruned", capsules)):
        work = flops(step(kept))
        taken, ratio = compare(step(kept), plain_step, repeats=3)
        share = floor_share(work, taken, matmul_speed())
        yield Row(
            f"anerf, {name} training step, {RAYS} rays",
            RAYS / taken,
            "rays/s",
            threads,
            "float32",
            share,
            ratio,
            PLAIN,
        )


def _plain(
    model: ANeRF,
    origins: Tensor,
    directions: Tensor,
    bones: Tensor,
    cylinder: Tensor,
    draws: Draws | None = None,
) -> tuple[Composite, Composite]:
    from tests.systems.anerf import plain

    count = len(origins)
    repeated = bones.expand(count, *bones.shape[1:])
    return plain.render(model, origins, directions, repeated, cylinder.expand(count, 5), draws)


def standing_figure(side: int = SIDE) -> tuple[kinematics.Bones, View]:
    """A figure with its arms down before a camera of so many pixels a side."""
    turns = torch.zeros(1, 24, 3)
    turns[0, 0, 0] = np.pi  # upright: y is down
    turns[0, 16, 2], turns[0, 17, 2] = -1.2, 1.2
    rest = torch.from_numpy(kinematics.REST_POSE * kinematics.UNIT_SCALE).float()
    bones = kinematics.pose_bones(rot.axis_angle_to_matrix(turns), rest)
    camera = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    camera[2, 3] = -6.0
    return bones, View(camera, torch.full((2,), 100.0 * side / SIDE), side, side)
