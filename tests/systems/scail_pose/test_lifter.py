"""The lifter: its imagined camera, clips of any length, people who come and go, files."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from contrapposto.errors import InputError, MissingError
from contrapposto.skeleton import SMPL24
from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.estimators import Person, make_estimator
from contrapposto.systems.scail_pose.estimators.lifted import LiftedEstimator, LifterBody
from contrapposto.systems.scail_pose.lifter import Lifter, lift_clip, look_at
from contrapposto.systems.scail_pose.lifter_export import ExportedLifter, export_onnx

CAMERA = default_intrinsics(480, 640)


def clip(frames, seed=0, batch=1):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(batch, frames, 28, 3, generator=generator) + torch.tensor([0.5, -0.5, 4.0])
    return points, points[..., :2] / points[..., 2:], torch.rand(batch, frames, 28, generator=generator)


def first_ray(rays, scores):
    """Stands in for a network: every joint is where the first keypoint is seen, one metre ahead."""
    joint = torch.cat([rays[:, :, 0], torch.ones_like(rays[:, :, 0, :1])], -1)
    return joint[:, :, None].expand(-1, -1, 24, -1)


def test_the_imagined_camera_sees_the_same_points():
    points, rays, scores = clip(5, batch=3)
    turn, flat = look_at(rays, scores)
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).expand(3, -1, -1))
    assert torch.linalg.det(turn).min() > 0.99
    turned = torch.einsum("bij,btkj->btki", turn, points)
    torch.testing.assert_close(flat, turned[..., :2] / turned[..., 2:])
    middle = (flat * scores[..., None]).sum((1, 2)) / scores.sum((1, 2))[:, None]
    assert middle.abs().max() < 0.01


def test_a_new_network_stands_a_figure_where_its_size_says():
    """With no weights but the first guess, the seen size alone decides the distance, and the figure stands upright."""
    network = Lifter(window=4, width=24, heads=2, layers=1).eval()
    torch.nn.init.zeros_(network.head.weight)
    scores = torch.ones(1, 4, 28)
    angle = torch.arange(28) * 2 * np.pi / 28
    ring = torch.stack([angle.cos(), angle.sin()], -1).expand(1, 4, -1, -1)
    for spread in (0.05, 0.2):
        joints = network(spread * ring, scores)
        torch.testing.assert_close(joints[0, :, 0], torch.tensor([0.0, 0.0, 0.5 / spread]).expand(4, -1))
        about = (joints - joints[:, :, :1])[0, 0].detach().numpy() * [1, -1, -1]
        rest = SMPL24.rest_positions - SMPL24.rest_positions[0]
        np.testing.assert_allclose(about, rest, atol=1e-5)


def test_joints_come_back_from_the_imagined_camera():
    """The same figure in a corner of the image is found in that corner."""
    network = Lifter(window=4, width=24, heads=2, layers=1).eval()
    torch.nn.init.zeros_(network.head.weight)
    angle = torch.arange(28) * 2 * np.pi / 28
    ring = torch.stack([0.05 * angle.cos(), 0.05 * angle.sin(), torch.ones(28)], -1).expand(1, 4, -1, -1)
    corner = torch.tensor([0.5, -0.35, 1.0])
    turn, _ = look_at((corner[:2] / corner[2]).expand(1, 4, 28, 2), torch.ones(1, 4, 28))
    there = ring @ turn[0]
    with torch.no_grad():
        ahead = network(ring[..., :2], torch.ones(1, 4, 28))
        aside = network(there[..., :2] / there[..., 2:], torch.ones(1, 4, 28))
    torch.testing.assert_close(aside, ahead @ turn[0], atol=0.1, rtol=0.01)
    np.testing.assert_allclose(aside[0, 0, 0, :2] / aside[0, 0, 0, 2], corner[:2], atol=0.005)


def test_what_was_not_found_has_no_influence():
    network = Lifter(window=4, width=24, heads=2, layers=1).eval()
    _, rays, scores = clip(4)
    scores[:, :, 5:9] = 0
    other = rays.clone()
    other[:, :, 5:9] = 100.0
    torch.testing.assert_close(network(rays, scores), network(other, scores))
    assert network(rays, torch.zeros_like(scores)).isfinite().all()


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 6, 7, 8, 23])
def test_clips_of_any_length_are_lifted_frame_by_frame(frames):
    calls = []

    def lift(rays, scores):
        assert rays.shape[1:] == (4, 28, 2) and scores.shape[1:] == (4, 28)
        calls.append(len(rays))
        return first_ray(rays, scores)

    _, rays, scores = clip(frames)
    joints = lift_clip(lift, 4, rays[0], scores[0], batch=3)
    torch.testing.assert_close(joints, first_ray(rays, scores)[0])
    assert max(calls) <= 3


def person(number, seed, frame, scores=None):
    generator = np.random.default_rng([seed, frame])
    points = generator.uniform(0, 480, (134, 2)).astype(np.float32)
    scores = np.full(134, 0.9, np.float32) if scores is None else scores
    unknown = np.full((24, 3), np.nan, np.float32)
    return Person(number, np.array([0, 0, 480, 480], np.float32), 0.9, points, scores, unknown)


def people(frames=11):
    """Two people, the second from frame 3 on and not in frame 6; their order changes."""
    clip = []
    for frame in range(frames):
        here = [person(4, 1, frame)]
        if frame >= 3 and frame != 6:
            here.insert(frame % 2, person(9, 2, frame))
        clip.append(here)
    return clip


def expected(one):
    place = (one.keypoints[0] - CAMERA[:2, 2]) / CAMERA[0, 0]
    return np.broadcast_to(1000 * np.append(place, 1), (24, 3))


def test_people_are_followed_by_their_numbers():
    everybody = people()
    body = LifterBody(first_ray, 4)
    joints = body.estimate([], everybody, CAMERA)
    assert [len(found) for found in joints] == [len(here) for here in everybody]
    for here, found in zip(everybody, joints):
        for one, place in zip(here, found):
            np.testing.assert_allclose(place, expected(one), rtol=1e-4)


def test_what_nobody_saw_is_not_known():
    scores = np.full(134, 0.9, np.float32)
    scores[[9, 10, *range(21, 24)]] = 0.01  # the right leg below the hip
    few = np.zeros(134, np.float32)
    few[:3] = 0.9
    clip = [[person(0, 1, 0, scores)], [], [person(0, 1, 2, few)]]
    found = LifterBody(first_ray, 4).estimate([], clip, CAMERA)
    known = np.isfinite(found[0][0]).all(-1)
    assert set(np.flatnonzero(~known)) == {5, 8, 11}
    assert np.isnan(found[2][0]).all() and found[1].shape == (0, 24, 3)


class Recorded:
    def __init__(self, clip):
        self.clip, self.read = clip, 0

    def people(self, frames, intrinsics):
        for here in self.clip:
            self.read += 1
            yield here


@pytest.mark.parametrize("context", [0, 1, 3, 50])
def test_an_estimator_is_lifted_as_a_stream(context):
    everybody = people()
    inner = Recorded(everybody)
    stream = LiftedEstimator(inner, LifterBody(first_ray, 4), context=context).people([], CAMERA)
    for number, (here, lifted) in enumerate(zip(everybody, stream, strict=True)):
        assert inner.read <= number + 2 * max(context, 1)
        assert [one.id for one in lifted] == [one.id for one in here]
        for before, after in zip(here, lifted):
            np.testing.assert_allclose(after.joints, expected(before), rtol=1e-4)
            assert after.keypoints is before.keypoints


def test_frames_before_and_after_are_used():
    """A network that looks two frames back and ahead gives what it gives on the whole clip."""

    def around(rays, scores):
        padded = torch.nn.functional.pad(rays[:, :, 0], (0, 0, 2, 2))
        mean = padded.unfold(1, 5, 1).sum(-1)
        return torch.cat([mean, mean[..., :1]], -1)[:, :, None].expand(-1, -1, 24, -1)

    everybody = [[one for one in here if one.id == 4] for here in people(23)]
    body = LifterBody(around, 64)
    whole = body.estimate([], everybody, CAMERA)
    for context, equal in ((2, True), (0, False)):
        stream = LiftedEstimator(Recorded(everybody), body, context=context).people([], CAMERA)
        same = [np.allclose(one[0].joints, found[0], rtol=1e-3) for one, found in zip(stream, whole)]
        assert all(same) == equal


def test_it_serves_among_other_makers_networks():
    estimator = make_estimator("blazepose", body=LifterBody(first_ray, 4), hands=False, face=False)
    assert estimator.body.window == 4
    black = [np.zeros((96, 96, 3), np.uint8)] * 2
    assert list(estimator.people(black, default_intrinsics(96, 96))) == [[], []]


def test_the_option_takes_a_file(tmp_path):
    network = Lifter(window=4, width=24, heads=2, layers=1)
    options = {"window": 4, "network": {"width": 24, "heads": 2, "layers": 1}}
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save({"hyper_parameters": options, "state_dict": state}, tmp_path / "lifter.ckpt")
    alone = make_estimator("blazepose", lifter=tmp_path / "lifter.ckpt", hands=False, face=False)
    assert isinstance(alone, LiftedEstimator) and alone.body.window == 4
    with pytest.raises(MissingError):
        make_estimator("blazepose", lifter=tmp_path / "nothing.onnx")


@pytest.mark.slow
def test_an_exported_lifter_gives_the_same_joints(tmp_path):
    torch.manual_seed(0)
    network = Lifter(window=6, width=24, heads=2, layers=2).eval()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    path = export_onnx(network, tmp_path / "lifter.onnx", {"licence": "CC0"})
    exported = ExportedLifter(path)
    assert exported.window == 6
    for batch in (1, 5):
        _, rays, scores = clip(6, batch=batch)
        scores[:, :, 3] = 0
        with torch.no_grad():
            torch.testing.assert_close(exported(rays, scores), network(rays, scores), atol=1e-4, rtol=1e-4)
    body, everybody = LifterBody.from_pretrained(path), people()
    theirs, ours = (b.estimate([], everybody, CAMERA) for b in (body, LifterBody(network, network.window)))
    for one, two in zip(theirs, ours):
        np.testing.assert_allclose(one, two, atol=0.5)
    raw = path.read_bytes()
    assert b"CC0" in raw and str(tmp_path).encode() not in raw and b"lifter.py" not in raw


def test_files_of_something_else_are_refused(tmp_path):
    (tmp_path / "text.onnx").write_text("no network")
    torch.save({"state_dict": {"network.embed.weight": torch.zeros(3)}}, tmp_path / "other.ckpt")
    torch.save({"hyper_parameters": {"window": 4}, "state_dict": {}}, tmp_path / "empty.ckpt")
    with pytest.raises(MissingError):
        LifterBody.from_pretrained(tmp_path / "nothing.onnx")
    with pytest.raises(MissingError):
        Lifter.from_pretrained(tmp_path / "nothing.ckpt")
    for name in ("text.onnx", "other.ckpt", "empty.ckpt"):
        with pytest.raises(InputError, match=name):
            LifterBody.from_pretrained(tmp_path / name)


def test_a_person_with_broken_keypoints_is_no_danger():
    one = person(0, 1, 0)
    one = replace(one, keypoints=np.where(np.arange(134)[:, None] % 3 == 1, np.nan, one.keypoints))
    network = Lifter(window=4, width=24, heads=2, layers=1).eval()
    (found,) = LifterBody(network, 4).estimate([], [[one]], CAMERA)
    known = np.isfinite(found[0]).all(-1)
    assert known[[0, 3, 15, 16, 18, 4]].all() and not known[20:].any()  # wrists and knuckles are broken
