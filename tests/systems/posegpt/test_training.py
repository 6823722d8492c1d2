"""What training adds to the networks: turns of whole batches, fewer vertices, a start at the mean motion."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.body import load_body
from contrapposto.skeleton import SMPL22
from contrapposto.synthetic import generate
from contrapposto.systems.posegpt.clips import Augmentation, augment, mirror, mirror_some, random_turns
from contrapposto.systems.posegpt.losses import PoseLoss, VertexSampler, thinned
from contrapposto.systems.posegpt.poses import face_forward, from_motion, heading_of, to_motion, turn_world
from contrapposto.systems.posegpt.vqvae import DecodedMotion, PoseVQVAE


def poses(count=4, frames=6):
    generator = torch.Generator().manual_seed(0)
    return 0.5 * torch.randn(count, frames, 69, generator=generator)


def test_turns_of_a_batch_are_those_of_single_clips():
    uniform = torch.rand(50, 4, generator=torch.Generator().manual_seed(1))
    turns = random_turns(uniform[:, :3])
    for numbers, turn in zip(uniform, turns):
        torch.testing.assert_close(turn, Augmentation.draw(numbers).turn)
    batch = poses()
    turned = mirror_some(turn_world(batch, turns[:4, None]), uniform[:4, 3] >= 0.5)
    for row in range(4):
        torch.testing.assert_close(turned[row], augment(batch[row], Augmentation.draw(uniform[row])))
    assert torch.equal(mirror_some(batch, torch.tensor([True, False, True, False]))[0], mirror(batch)[0])


@pytest.mark.parametrize("degrees", [0, 70, 180, -110])
def test_a_figure_that_faces_forward_has_heading_zero(degrees):
    clip = generate("walk", seconds=1, seed=3)
    turn = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    pose = from_motion(clip.transform(turn), SMPL22)
    forward, back = face_forward(pose[None])
    assert abs(np.degrees(to_motion(forward[0], SMPL22).headings()[0])) < 15  # hips and chest differ a little
    torch.testing.assert_close(
        turn_world(forward, back.mT[:, None])[0, :, 3:], pose[:, 3:], atol=1e-5, rtol=0
    )
    same, _ = face_forward(from_motion(clip, SMPL22)[None])
    torch.testing.assert_close(forward, same, atol=1e-4, rtol=0)


def test_bows_do_not_turn_the_figure_around():
    """The direction of the left side is the same before a bow and at its lowest point, beyond the horizontal."""
    pose = torch.zeros(2, 69)
    for row, bend in enumerate((0.0, 120.0)):
        pose[row, :3] = torch.from_numpy(
            (
                Rotation.from_euler("x", 180, degrees=True) * Rotation.from_euler("x", bend, degrees=True)
            ).as_rotvec()
        )
    turns = [face_forward(frame[None, None])[1] for frame in pose]
    torch.testing.assert_close(turns[0], turns[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("axis", ["x", "z"])
def test_heading_is_the_turn_that_a_tilt_leaves(axis):
    """Against SciPy: a turn, then a tilt about a horizontal axis of the body up to near upside down."""
    upright = Rotation.from_euler("x", 180, degrees=True)
    for degrees, tilt in ((0, 0), (50, 80), (-120, 130), (170, -160)):
        turn = Rotation.from_euler("y", -degrees, degrees=True)
        root = turn * upright * Rotation.from_euler(axis, tilt, degrees=True)
        heading = float(heading_of(torch.from_numpy(root.as_matrix())))
        assert np.degrees(heading) == pytest.approx(degrees, abs=1e-4)


def test_fewer_vertices_are_some_of_all():
    body = load_body("smplh")
    matrices = torch.linalg.qr(torch.randn(3, 52, 3, 3, generator=torch.Generator().manual_seed(2)))[0]
    matrices = matrices * torch.linalg.det(matrices)[..., None, None]
    translation = torch.randn(3, 3)
    few = thinned(body, 100)
    chosen = torch.linspace(0, body.num_vertices - 1, 100).long()
    expected = body(matrices, translation)
    found = few(matrices, translation)
    torch.testing.assert_close(found.vertices, expected.vertices[:, chosen], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.joints, expected.joints)
    assert body.num_vertices > 100
    sampler = VertexSampler(body)
    hands = torch.cat([matrices[:, :22], torch.eye(3).expand(3, 30, 3, 3)], dim=1)
    rest = sampler.vertices(matrices[:, :22], translation)  # hands that are not given are at rest
    torch.testing.assert_close(rest, body(hands, translation).vertices)


def test_a_start_at_the_mean_sees_standardised_motion():
    torch.manual_seed(0)
    model = PoseVQVAE(num_joints=22, hidden=16, num_layers=[0, 1], heads=2, num_codes=8, code_dim=8)
    x = torch.randn(500, 135) * torch.linspace(0.2, 2, 135) + 3
    mean, deviation = x.mean(0), x.std(0)
    before = model.emb((x - mean) / deviation)
    features = torch.randn(7, 16)
    head = model.reg_body(features) - model.reg_body[-1].bias
    model.start_from(mean, deviation)
    torch.testing.assert_close(model.emb(x), before, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        model.reg_body(features), mean[:-3] + deviation[:-3] * head, atol=1e-5, rtol=1e-5
    )


def test_scales_of_positions_and_steps():
    torch.manual_seed(0)
    options = dict(num_joints=22, hidden=16, num_layers=[0, 1], heads=2, num_codes=8, code_dim=8)
    plain = PoseVQVAE(**options).eval()
    scaled = PoseVQVAE(**options, step_scale=0.02, position_scale=0.1).eval()
    scaled.load_state_dict(plain.state_dict())
    features = torch.randn(2, 4, 16)
    torch.testing.assert_close(scaled.heads(features).deltas, 0.02 * plain.heads(features).deltas)
    tables = [dict(model.named_buffers())["encoder_stacks.0.pos.0.pe"] for model in (plain, scaled)]
    torch.testing.assert_close(tables[1], 0.1 * tables[0])


def test_the_loss_on_changes_sees_trembling_and_nothing_else():
    """Against SciPy: a constant error costs what the truth's changes make of it, an error in every second frame much."""
    frames, angle = 9, 0.2
    turns = Rotation.from_euler("z", 0.05 * np.arange(frames)[:, None])
    still, trembling = np.full(frames, angle), angle * (np.arange(frames) % 2)
    valid = torch.arange(frames)[None] < frames - 2

    def change(errors):
        true, pred = turns.as_rotvec(), (turns * Rotation.from_euler("x", errors[:, None])).as_matrix()
        target = torch.zeros(1, frames, 69)
        target[0, :, :3] = torch.tensor(true)
        sixd = torch.eye(3)[:, :2].expand(1, frames, 22, 3, 2).clone()
        sixd[0, :, 0] = torch.tensor(pred[..., :2])
        motion = DecodedMotion(sixd.flatten(-2), torch.zeros(1, frames, 3))
        none = torch.zeros(1, frames)
        losses = PoseLoss(change_weight=3.0)(motion, target, valid, none, valid)
        without = PoseLoss()(motion, target, valid, none, valid)
        torch.testing.assert_close(losses.total - without.total, 3 * losses.change)
        step = np.abs(np.diff(pred, axis=0) - np.diff(turns.as_matrix(), axis=0)).mean((1, 2))[: frames - 3]
        torch.testing.assert_close(float(losses.change), float(step.mean() / 22), rtol=1e-4, atol=1e-7)
        return float(losses.change)

    assert change(trembling) > 20 * change(still) > 0
