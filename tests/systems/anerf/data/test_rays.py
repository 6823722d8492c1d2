"""Rays of a scene: a pure function of seed and step, pixels where they belong, geometry against projection."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrapposto.errors import ConfigError, InputError
from contrapposto.systems.anerf.cameras import project
from contrapposto.systems.anerf.data import Frame, RayOptions, RaySampler, SceneMetadata, rays, write_scene

from . import made


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return made.scene(tmp_path_factory.mktemp("scene") / "scene")


SMALL = RayOptions(images_per_step=4, rays_per_step=32)


def test_a_batch_depends_on_seed_and_step_only(scene):
    first, again = RaySampler(scene, SMALL, seed=3), RaySampler(scene, SMALL, seed=3)
    [first.batch(step) for step in range(5)]
    for key, value in first.batch(7).items():
        np.testing.assert_array_equal(value, again.batch(7)[key], err_msg=key)
    assert not torch.equal(first.batch(7)["pixel_idx"], first.batch(8)["pixel_idx"])
    assert not torch.equal(
        first.batch(7)["pixel_idx"], RaySampler(scene, SMALL, seed=4).batch(7)["pixel_idx"]
    )


def test_values_are_those_of_the_arrays(scene):
    batch = RaySampler(scene, SMALL).batch(2)
    for ray in range(32):
        image, pixel = int(batch["image_idx"][ray]), int(batch["pixel_idx"][ray])
        row, column = divmod(pixel, 20)
        assert torch.equal(batch["target_s"][ray], torch.tensor(scene.image(image)[row, column]) / 255)
        assert torch.equal(batch["bgs"][ray], torch.tensor(scene.background(image)[row, column]) / 255)
        assert bool(batch["fgs"][ray]) == scene.mask(image)[row, column]
        pose = int(batch["kp_idx"][ray])
        assert pose == image % 3 and int(batch["cam_idxs"][ray]) == image // 3
        assert np.allclose(batch["skts"][batch["pose_row"][ray]], scene.skts[pose])


def test_a_point_on_a_ray_is_seen_at_its_pixel(scene):
    batch = RaySampler(scene, SMALL).batch(0)
    origin, direction = batch["rays"].double()
    point = origin + 3.7 * direction
    camera = batch["camera_idx"].numpy()
    seen = project(
        point[:, None],
        torch.from_numpy(scene.c2ws[camera]),
        torch.from_numpy(scene.focals[camera]),
        torch.from_numpy(scene.centers[camera]),
    )[:, 0]
    row, column = batch["pixel_idx"] // 20, batch["pixel_idx"] % 20
    assert torch.allclose(seen, torch.stack([column, row], -1).double(), atol=1e-4)


def test_pixels_are_of_the_sampling_mask_without_repeats(scene):
    images, pixels = RaySampler(scene, SMALL).draw(1)
    assert (np.sort(images) == images).all()
    for image, drawn in zip(images, pixels):
        assert len(set(drawn)) == 8 and scene.sampling_masks[image].reshape(-1)[drawn].all()


def test_every_image_comes_equally_often(scene):
    sampler = RaySampler(scene, SMALL)
    images = np.concatenate([sampler.draw(step)[0] for step in range(3)])
    assert (np.bincount(images) == 2).all()


def test_every_pixel_is_equally_likely(scene):
    sampler = RaySampler(scene, RayOptions(6, 6 * 30))
    counts = np.bincount(np.concatenate([sampler.draw(step)[1].ravel() for step in range(60)]), minlength=480)
    inside = counts[scene.sampling_masks[0].reshape(-1) > 0]
    expected = inside.sum() / len(inside)
    # the sum of squares over a binomial's variance is near 1 where all are alike
    assert 0.7 < ((inside - expected) ** 2).mean() / expected < 1.1 and counts.sum() == inside.sum()


def test_processes_share_a_step(scene):
    whole = RaySampler(scene, SMALL).batch(4)
    parts = [RaySampler(scene, SMALL, rank=rank, world_size=2).batch(4) for rank in (0, 1)]
    for key in ("rays", "target_s", "ray_ids", "pixel_idx"):
        axis = 1 if key == "rays" else 0
        assert torch.equal(torch.cat([part[key] for part in parts], axis), whole[key])


def test_little_memory_changes_nothing(scene, monkeypatch):
    options = RayOptions(4, 32, near_rays=3)
    wanted = [RaySampler(scene, options).draw(step) for step in range(4)]
    monkeypatch.setattr(rays, "_KEPT_BYTES", 1)
    sampler = RaySampler(scene, options)
    for step, (images, pixels) in enumerate(wanted):
        found = sampler.draw(step)
        assert np.array_equal(found[0], images) and np.array_equal(found[1], pixels)
        assert len(sampler._known) == 1


def test_near_rays_lie_outside_the_sampling_mask(scene):
    images, pixels = RaySampler(scene, RayOptions(4, 32, near_rays=3)).draw(0)
    for image, drawn in zip(images, pixels):
        assert len(set(drawn)) == 8
        assert (scene.sampling_masks[image].reshape(-1)[drawn] == 0).sum() == 3
    chances = [RaySampler(scene, RayOptions(6, 48, near_rays=0.5)).draw(step) for step in range(20)]
    outside = [(scene.sampling_masks[i].reshape(-1)[p] == 0).sum() for d in chances for i, p in zip(*d)]
    assert set(outside) == {0, 1} and 0.3 < np.mean(outside) < 0.7


def test_patches_are_squares(scene):
    _, pixels = RaySampler(scene, RayOptions(4, 4 * 8, patch=2)).draw(0)
    rows, columns = pixels // 20, pixels % 20
    assert (np.bincount(pixels[0]) >= 0).all() and rows.max() < 24
    corners = [p for p in pixels[0] if {p + 1, p + 20, p + 21} <= set(pixels[0])]
    assert len(corners) >= 2 and columns.max() < 20


def test_masked_targets_show_the_background(scene):
    batch = RaySampler(scene, RayOptions(4, 32, mask_target=True)).batch(0)
    behind = batch["fgs"][:, 0] == 0
    assert behind.any() and torch.equal(batch["target_s"][behind], batch["bgs"][behind])
    assert not torch.equal(batch["target_s"][~behind], batch["bgs"][~behind])


def test_codes_are_numbered_over_the_images_that_are_drawn(scene):
    sampler = RaySampler(scene, SMALL, images=[3, 4, 5])
    assert sampler.num_codes == 1 and sampler.codes.tolist() == [-1, -1, -1, 0, 0, 0]
    assert set(sampler.batch(0)["image_idx"].tolist()) <= {3, 4, 5}


def test_impossible_numbers_are_refused(scene):
    for options, processes in (
        (RayOptions(4, 33), 1),
        (RayOptions(3, 33), 2),
        (RayOptions(4, 32, patch=3), 1),
        (RayOptions(4, 32, near_rays=9), 1),
    ):
        with pytest.raises(ConfigError):
            RaySampler(scene, options, world_size=processes)


def test_images_without_a_person_are_passed_over(tmp_path):
    frames = made.frames(6)
    empty = np.zeros_like(frames[0].mask)
    frames = [frame if number == 4 else Frame(frame.image, empty) for number, frame in enumerate(frames)]
    scene = write_scene(
        tmp_path / "one", frames, made.arrays(), (24, 20), SceneMetadata("made", "", "CC0-1.0")
    )
    assert set(RaySampler(scene, SMALL).batch(0)["image_idx"].tolist()) == {4}
    with pytest.raises(InputError, match="No image of"):
        RaySampler(scene, SMALL, images=[0, 1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_are_the_same_on_a_gpu(scene):
    there, here = (RaySampler(scene, SMALL, device=device).batch(3) for device in ("cuda", "cpu"))
    for key, value in here.items():
        assert torch.allclose(there[key].cpu().double(), value.double(), atol=1e-6), key
