"""What a lifter learns from: figures, cameras and errors, against the body's mesh, projection and plain counting."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from contrapposto.body import load_body
from contrapposto.synthetic import generate
from contrapposto.systems.scail_pose.lifter_data import (
    KEYPOINTS,
    MIRRORED,
    Keys,
    ViewOptions,
    pose_figures,
    random_views,
)
from contrapposto.systems.scail_pose.lifter_noise import NoiseOptions, see

FRAMES, SAMPLES = 8, 48
PLAIN = ViewOptions(focal_error=0, size=0, bones=0, convention=0, hip_width=(1, 1), mirror=False)
QUIET = NoiseOptions(jitter=0, hidden=0, swapped=0, lost=0, outlier=0, absent=0)
# keypoint: joint that it is, by name
JOINTS = {2: 17, 3: 19, 4: 21, 5: 16, 6: 18, 7: 20, 8: 2, 9: 5, 10: 8, 11: 1, 12: 4, 13: 7}


def keys(samples=SAMPLES, seed=3):
    return Keys(seed, 5, torch.arange(samples))


@pytest.fixture(scope="module")
def walk():
    motion = generate("walk", seconds=1.0, seed=2).resample(15)
    pelvis = motion.root_translation + motion.skeleton.rest_positions[0]
    rotations, pelvis = (torch.from_numpy(v[:FRAMES]) for v in (motion.rotations[:, :22], pelvis))
    return motion, rotations.expand(SAMPLES, -1, -1, -1), pelvis.expand(SAMPLES, -1, -1)


def test_a_figure_without_spreads_is_the_clips_own(walk):
    motion, rotations, pelvis = walk
    joints, points, size = pose_figures(rotations, pelvis, keys(), PLAIN)
    np.testing.assert_allclose(joints[0, :, :22], motion.joint_positions()[:FRAMES, :22], atol=1e-5)
    assert torch.equal(size, torch.ones(SAMPLES))
    for keypoint, joint in JOINTS.items():
        torch.testing.assert_close(points[:, :, keypoint], joints[:, :, joint], atol=1e-5, rtol=0)
    torch.testing.assert_close(points[:, :, 1], joints[:, :, 16:18].mean(2), atol=1e-5, rtol=0)


def test_other_keypoints_are_on_the_skin_where_their_names_say():
    body = load_body("smplh")
    vertices = body.rest_vertices()[0].numpy()
    rest = torch.from_numpy(body.skeleton.rest_positions[:1])[None]
    _, points, _ = pose_figures(torch.zeros(1, 1, 22, 3), rest, keys(1), PLAIN)
    points = points[0, 0].numpy()
    surface = [0, *range(14, 24)]
    distance, _ = cKDTree(vertices).query(points[surface])
    assert distance.max() < 0.015
    assert (
        points[0, 2] > points[[14, 15], 2].max() > points[[16, 17], 2].max()
    )  # nose before eyes before ears
    assert (points[[14, 16], 0] < 0).all() and (points[[15, 17], 0] > 0).all()  # the right is at -x
    assert points[18, 2] > points[19, 2] > points[20, 2]  # big toe, small toe, heel
    assert points[18, 0] < points[19, 0] and points[21, 0] > points[22, 0]
    floor = vertices[:, 1].min()
    assert (points[18:24, 1] < floor + 0.04).all()
    knuckles = {24: "left_index1", 25: "left_pinky1", 26: "right_index1", 27: "right_pinky1"}
    for keypoint, name in knuckles.items():
        place = body.skeleton.rest_positions[body.skeleton.index(name)[0]]
        np.testing.assert_allclose(points[keypoint], place, atol=0.005)


@pytest.mark.parametrize("mirror", [False, True])
def test_rays_are_what_a_camera_sees_of_the_joints(mirror, walk):
    _, rotations, pelvis = walk
    views = random_views(rotations, pelvis, keys(), ViewOptions(**{**vars(PLAIN), "mirror": mirror}))
    joints = views.joints[:, :, list(JOINTS.values())]
    assert joints[..., 2].min() > 0.2
    torch.testing.assert_close(views.rays[:, :, list(JOINTS)], joints[..., :2] / joints[..., 2:])
    heads_up = views.joints[:, :, 15, 1] < views.joints[:, :, 0, 1]
    assert heads_up.all()


def test_cameras_turn_figures_but_neither_bend_nor_mirror_them(walk):
    motion, rotations, pelvis = walk
    world = torch.from_numpy(motion.joint_positions()[:FRAMES, :22]).expand(SAMPLES, -1, -1, -1)
    for options in (PLAIN, ViewOptions(**{**vars(PLAIN), "mirror": True})):
        joints = random_views(rotations, pelvis, keys(), options).joints[:, :, :22]
        if not options.mirror:
            torch.testing.assert_close(
                torch.cdist(joints, joints), torch.cdist(world, world), atol=1e-3, rtol=0
            )
        across, up = joints[:, :, 16] - joints[:, :, 17], joints[:, :, 15] - joints[:, :, 0]
        forward = joints[:, :, 10] - joints[:, :, 7] + joints[:, :, 11] - joints[:, :, 8]
        # left x up = forward: also in a mirror, where the sides change places
        assert (torch.linalg.cross(across, up) * forward).sum(-1).min() > 0


def test_a_wrong_focal_length_only_changes_distance_and_size(walk):
    _, rotations, pelvis = walk
    right = random_views(rotations, pelvis, keys(), PLAIN)
    wrong = random_views(rotations, pelvis, keys(), ViewOptions(**{**vars(PLAIN), "focal_error": 0.5}))
    ratio = wrong.joints[:, :, 0, 2] / right.joints[:, :, 0, 2]
    assert ratio.std() > 0.1 and (ratio == 1).float().mean() > 0.2
    torch.testing.assert_close(wrong.rays * ratio[:, :, None, None], right.rays)
    torch.testing.assert_close(wrong.joints[:, :, 0, :2], right.joints[:, :, 0, :2])
    about = [v.joints - v.joints[:, :, :1] for v in (right, wrong)]
    torch.testing.assert_close(*about, atol=1e-5, rtol=0)


def test_a_sample_does_not_depend_on_its_batch(walk):
    _, rotations, pelvis = walk
    whole = random_views(rotations, pelvis, keys())
    rays, scores = see(whole, keys())
    few = Keys(3, 5, torch.tensor([7, 2]))
    part = random_views(rotations[:2], pelvis[:2], few)
    again, score = see(part, few)
    torch.testing.assert_close(part.joints, whole.joints[[7, 2]])
    torch.testing.assert_close(again, rays[[7, 2]])
    torch.testing.assert_close(score, scores[[7, 2]])
    other = see(whole, Keys(3, 6, torch.arange(SAMPLES)))[0]
    assert not torch.equal(other, rays)


def test_a_perfect_network_sees_all_that_is_in_the_image(walk):
    _, rotations, pelvis = walk
    views = random_views(rotations, pelvis, keys())
    rays, scores = see(views, keys(), QUIET)
    inside = views.seen.clone()
    inside[:, :, 1] = views.seen[:, :, [2, 5]].all(-1)
    assert (scores[inside] > 0).float().mean() > 0.99
    torch.testing.assert_close(rays[scores > 0], views.rays[scores > 0])
    assert (rays[scores == 0] == 0).all()


def test_errors_are_larger_where_scores_are_lower(walk):
    _, rotations, pelvis = walk
    views = random_views(rotations, pelvis, keys())
    rays, scores = see(views, keys(), NoiseOptions(swapped=0, outlier=0))
    error = torch.linalg.vector_norm(rays - views.rays, dim=-1) / views.unit[..., None]
    sure, unsure = error[scores > 0.6].median(), error[(scores > 0) & (scores < 0.25)].median()
    assert 0.003 < sure < 0.02 < unsure < 0.2
    assert 0.05 < (scores == 0).float().mean() < 0.5


def test_sides_change_places_for_some_of_the_time(walk):
    _, rotations, pelvis = walk
    views = random_views(rotations, pelvis, keys())
    rays, _ = see(views, keys(), NoiseOptions(**{**vars(QUIET), "swapped": 0.9}))
    rays, found = rays[:, :, :24], see(views, keys(), QUIET)[1][:, :, :24] > 0
    plain = (rays == views.rays[:, :, :24]).all(-1)
    mirrored = (rays == views.rays[:, :, MIRRORED][:, :, :24]).all(-1)
    assert (plain | mirrored)[found].all()
    assert 0.05 < (mirrored & ~plain)[found].float().mean() < 0.6


def test_the_other_sides_are_those_of_the_body():
    assert len(KEYPOINTS) == len(MIRRORED) == 28
    assert [MIRRORED[k] for k in MIRRORED] == list(range(28))
    _, points, _ = pose_figures(torch.zeros(1, 1, 22, 3), torch.zeros(1, 1, 3), keys(1), PLAIN)
    flipped = points[0, 0, list(MIRRORED)] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(flipped, points[0, 0], atol=0.02, rtol=0)
