"""Closed-form capsules against a plain sphere tracer in float64, and what each pixel says about its person."""

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.cylinders import Cylinders, StickFigure, make_cylinders
from contrapposto.systems.scail_pose.palette import SINGLE, palettes_for, person_color
from contrapposto.systems.scail_pose.render import CapsuleRenderer, depth_range

HEIGHT, WIDTH = 48, 64


def random_capsules(seed: int, count: int = 12) -> Cylinders:
    random = np.random.default_rng(seed)
    start = random.uniform([-900, -700, 1800], [900, 700, 3500], (count, 3))
    end = start + random.normal(0, 250, (count, 3))
    color = random.uniform(0.1, 0.9, (count, 4))
    radius = random.uniform(15, 90, count)
    return Cylinders(start, end, color, radius, np.arange(count, dtype=np.int32) // 3)


def traced(capsules: Cylinders, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth (H, W) and number of the capsule (H, W), marched in float64."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(intrinsics).T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    start, axis = capsules.start[:, None, None], (capsules.end - capsules.start)[:, None, None]

    def distances(points: np.ndarray) -> np.ndarray:
        along = ((points - start) * axis).sum(-1) / (axis**2).sum(-1)
        nearest = start + np.clip(along, 0, 1)[..., None] * axis
        return np.linalg.norm(points - nearest, axis=-1) - capsules.radius[:, None, None]

    t = np.zeros((HEIGHT, WIDTH))
    for _ in range(100):
        t = np.minimum(t + distances(rays * t[..., None]).min(0), 1e5)
    found = distances(rays * t[..., None])
    hit = found.min(0) < 1e-2
    return np.where(hit, t * rays[..., 2], np.inf), np.where(hit, found.argmin(0), -1)


@pytest.mark.parametrize("seed", range(3))
def test_like_a_plain_sphere_tracer(seed):
    capsules, intrinsics = random_capsules(seed), default_intrinsics(HEIGHT, WIDTH)
    drawing = CapsuleRenderer(HEIGHT, WIDTH, intrinsics, (1800, 3500), device="cpu")(capsules)
    depth, number = traced(capsules, intrinsics)
    assert ((number >= 0) ^ drawing.mask).sum() <= 2
    both = (number >= 0) & drawing.mask
    assert both.sum() > 150
    assert np.abs(drawing.depth[both] - depth[both]).max() < 1.0  # millimetres
    assert (drawing.ids[both] == capsules.person[number[both]]).mean() > 0.995
    assert (drawing.ids[~drawing.mask] == -1).all() and np.isinf(drawing.depth[~drawing.mask]).all()
    assert (drawing.rgba[~drawing.mask] == 0).all()


def test_more_samples_average_to_the_same_picture():
    capsules, intrinsics = random_capsules(5), default_intrinsics(HEIGHT, WIDTH)
    plain, smooth = (
        CapsuleRenderer(HEIGHT, WIDTH, intrinsics, (1800, 3500), samples=n, device="cpu")(capsules)
        for n in (1, 3)
    )
    inside = (smooth.rgba[..., 3] == plain.rgba[..., 3]) & plain.mask
    error = np.abs(smooth.rgba.astype(int) - plain.rgba)[inside]
    assert inside.sum() > 200 and np.median(error) <= 2
    partly = (smooth.rgba[..., 3] > 0) & ~inside
    assert partly.any()  # edges are soft
    assert np.abs(smooth.rgba.mean() - plain.rgba.mean()) < 1.5


def test_batches_and_empty_frames():
    frames = [random_capsules(1), make_cylinders(np.zeros((0, 24, 3)), [SINGLE]), random_capsules(2, 3)]
    renderer = CapsuleRenderer(
        HEIGHT, WIDTH, default_intrinsics(HEIGHT, WIDTH), depth_range(frames), device="cpu"
    )
    single = [renderer(frame).rgba for frame in frames]
    renderer.batch = 3
    together = [drawing.rgba for drawing in renderer.stream(frames)]
    assert all(np.array_equal(a, b) for a, b in zip(single, together))
    assert not together[1].any()
    assert depth_range([frames[1]]) == (0.0, 0.0)


def test_depth_range_leaves_outliers_out():
    frames = [random_capsules(seed) for seed in range(20)]
    far = Cylinders(*(getattr(frames[0], n) for n in ("start", "end", "color", "radius", "person")))
    far.end[0, 2] = 1e6
    assert depth_range([*frames, far])[1] == 1e6
    assert depth_range([*frames, far], 1.0)[1] < 5000


@pytest.mark.parametrize("size", [(0, 4), (100_000, 100_000)])
def test_impossible_sizes(size):
    with pytest.raises(InputError):
        CapsuleRenderer(*size, default_intrinsics(4, 4), (0, 1), device="cpu")


def test_any_skeleton():
    """A dog: back, neck, tail and legs, in its own colours and thicknesses, and half of it missing."""
    limbs = ((0, 1), (1, 2), (0, 3), (1, 4), (0, 5))
    colors = tuple((50 * number, 200, 30) for number in range(5))
    dog = StickFigure(6, limbs, colors, (60.0, 40.0, 10.0, 20.0, 20.0))
    joints = np.random.default_rng(0).normal([0, 0, 2500], 300, (1, 6, 3))
    joints[0, 4] = np.nan
    found = make_cylinders(joints, [dog.colors], figure=dog)
    assert found.radius.tolist() == [60, 40, 10, 20]
    assert np.allclose(found.color[1, :3], np.array(colors[1]) / 300 + 0.15)
    with pytest.raises(InputError):
        make_cylinders(np.zeros((1, 24, 3)), [dog.colors], figure=dog)
    with pytest.raises(InputError):
        StickFigure(6, ((0, 6),), colors[:1], (1.0,))
    with pytest.raises(InputError):
        StickFigure(6, limbs, colors, (0.0,) * 5)


def test_palettes_of_many_people_differ():
    for base in (SINGLE, tuple((20 * n, 255 - 20 * n, 90) for n in range(6))):
        palettes = palettes_for(8, base)
        assert len(palettes) == 8 and all(len(palette) == len(base) for palette in palettes)
        for a in range(8):
            for b in range(a):
                away = np.abs(np.array(palettes[a], int) - np.array(palettes[b])).max(-1)
                assert away.mean() > 15, (a, b)
    assert palettes_for(5)[:2] == palettes_for(2)  # who comes later changes nobody's colours
    assert len({person_color(number) for number in range(20)}) == 20
