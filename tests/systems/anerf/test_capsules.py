"""Capsules around bones: intervals against brute force, what is left out against the whole."""

import numpy as np
import pytest
import torch

from contrapposto import rotations as rot
from contrapposto.systems.anerf import kinematics
from contrapposto.systems.anerf.capsules import (
    LEAVES,
    Capsules,
    Segments,
    bone_segments,
    capsule_intervals,
    inside_any,
    segment_distance,
)
from contrapposto.systems.anerf.model import ANeRF, ANeRFConfig

POSE = kinematics.pose_bones(
    rot.axis_angle_to_matrix(0.3 * torch.randn(24, 3, generator=torch.Generator().manual_seed(1))),
    torch.from_numpy(kinematics.REST_POSE * kinematics.UNIT_SCALE).float(),
)


def rays(count=200, seed=0):
    """Rays towards the figure from all sides, some along bones, some past it."""
    generator = torch.Generator().manual_seed(seed)
    origins = 5 * torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    targets = POSE.joints[torch.randint(0, 24, (count,), generator=generator)]
    directions = targets + 0.4 * torch.randn(count, 3, generator=generator) - origins
    origins[:10], directions[:10] = (
        POSE.joints[4] - 3 * (POSE.joints[7] - POSE.joints[4]),
        POSE.joints[7] - POSE.joints[4],
    )
    return origins, directions


def test_intervals_are_where_the_distance_is_below_the_radius():
    origins, directions = rays()
    segments = bone_segments(POSE.world_to_bone)
    segments = Segments(*(part.expand(len(origins), -1, -1) for part in segments))
    radii = torch.linspace(0.05, 0.5, 23)
    low, high = capsule_intervals(origins, directions, segments, radii)
    depths = torch.linspace(-1, 8, 1801)
    points = origins[:, None] + depths[:, None] * directions[:, None]
    start, end = (part.numpy().astype(np.float64) for part in segments)
    for bone in range(0, 23, 2):  # distance to a segment: the nearest of 201 of its points
        line = start[0, bone] + np.linspace(0, 1, 201)[:, None] * (end - start)[0, bone]
        for ray in range(0, 200, 40):
            away = np.linalg.norm(points[ray].numpy()[:, None] - line, axis=-1).min(1)
            inside = depths.numpy()[away < float(radii[bone])]
            if len(inside) < 3:
                continue
            assert float(low[ray, bone]) == pytest.approx(inside[0], abs=1.2e-2)
            assert float(high[ray, bone]) == pytest.approx(inside[-1], abs=1.2e-2)
    distance = segment_distance(points, Segments(*(part[:, None] for part in segments)))
    expected = (distance < radii).any(-1)
    found = inside_any(depths.expand(len(origins), -1), low, high)
    assert float((found != expected).float().mean()) < 1e-3


def test_limbs_end_beyond_their_last_joints():
    segments = bone_segments(POSE.world_to_bone)
    assert LEAVES == (10, 11, 15, 22, 23)
    length = torch.linalg.vector_norm(segments.end - segments.start, dim=-1)
    usual = kinematics.bone_lengths(POSE.joints)
    for joint in range(1, 24):
        factor = 2.0 if joint in LEAVES else 1.0
        assert float(length[joint - 1] / usual[joint - 1]) == pytest.approx(factor, rel=1e-4)


@pytest.mark.parametrize("single", [True, False])
def test_wide_capsules_leave_nothing_out(single):
    """With radii that hold the whole cylinder the pruned numbers are the exact ones."""
    torch.manual_seed(0)
    small = {
        "depth": 6,
        "width": 32,
        "coarse_samples": 16,
        "fine_samples": 8,
        "num_codes": 3,
        "density": "softplus",
    }
    model = ANeRF(ANeRFConfig(**small, single_network=single)).eval()
    origins, directions = rays(64)
    origins[:4] += 20
    cylinder = kinematics.rendering_cylinder(POSE.joints)
    index = torch.zeros(64, dtype=torch.int64)
    arguments = (origins, directions, POSE.world_to_bone[None], cylinder.expand(64, 5))
    options = {"pose_index": index, "code_index": torch.arange(64) % 3}
    with torch.no_grad():
        exact = model(*arguments, **options)
        pruned = model(*arguments, **options, capsules=Capsules(torch.full((23,), 50.0)))
    assert 0 < int(exact.hit.sum()) < 64
    assert float(exact.fine.opacity[4:].min()) > 0
    for name in ("colour", "opacity", "weights", "disparity"):
        torch.testing.assert_close(
            getattr(pruned.fine, name), getattr(exact.fine, name), rtol=1e-4, atol=1e-5
        )


def test_outside_of_narrow_capsules_nothing_is_seen():
    torch.manual_seed(0)
    model = ANeRF(ANeRFConfig(depth=6, width=32, density="softplus", single_network=True, capsule_radius=0.1))
    origins, directions = rays(300)
    cylinder = kinematics.rendering_cylinder(POSE.joints).expand(300, 5)
    index = torch.zeros(300, dtype=torch.int64)
    with torch.no_grad():
        found = model(origins, directions, POSE.world_to_bone[None], cylinder, pose_index=index)
    steps = torch.linspace(0, 3, 600)
    points = origins[:, None] + steps[:, None] * directions[:, None]
    near = segment_distance(points, bone_segments(POSE.world_to_bone)).amin((1, 2))
    assert float(found.fine.opacity[near > 0.1].abs().max()) == 0
    assert float(found.fine.opacity[near < 0.05].min()) > 0
    assert bool(found.hit[near < 0.099].all())
    outside = segment_distance(POSE.joints + 5, bone_segments(POSE.world_to_bone)).amin(-1) > 0.1
    assert bool((model.density(POSE.joints + 5, POSE.world_to_bone)[outside] < -1e3).all())


def test_pruned_gradients_are_those_of_what_is_kept():
    """Masked and whole evaluation of the same samples: equal gradients of network and pose."""
    torch.manual_seed(0)
    model = ANeRF(
        ANeRFConfig(depth=6, width=32, coarse_samples=8, fine_samples=4, density="softplus")
    ).train()
    origins, directions = rays(32)
    cylinder = kinematics.rendering_cylinder(POSE.joints).expand(32, 5)
    results = []
    for capsules in (None, Capsules(torch.full((23,), 50.0))):
        bones = POSE.world_to_bone[None].clone().requires_grad_()
        model.zero_grad()
        found = model(
            origins, directions, bones, cylinder, pose_index=torch.zeros(32).long(), capsules=capsules
        )
        (found.fine.colour.square().sum() + found.coarse.opacity.sum()).backward()
        results.append([bones.grad, *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    for one, two in zip(*results):
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-5 * float(one.abs().max()) + 1e-8)


def test_the_plain_path_gives_the_same_numbers():
    """Whole and two networks, with noise and without."""
    from contrapposto.systems.anerf.draws import Draws
    from tests.systems.anerf import plain

    torch.manual_seed(0)
    model = ANeRF(ANeRFConfig(width=32, coarse_samples=12, fine_samples=6)).train()
    origins, directions = rays(40)
    cylinder = kinematics.rendering_cylinder(POSE.joints).expand(40, 5)
    bones = POSE.world_to_bone.expand(40, -1, -1, -1)
    for draws in (None, Draws.keyed(12, 6, 0, 3, torch.arange(40))):
        with torch.no_grad():
            coarse, fine = plain.render(model, origins, directions, bones, cylinder, draws)
            found = model(origins, directions, bones, cylinder, draws=draws, mean_span=True)
        torch.testing.assert_close(found.coarse.colour, coarse.colour, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.fine.colour, fine.colour, rtol=1e-3, atol=1e-4)
