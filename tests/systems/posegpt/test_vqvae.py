"""The auto-encoder: who sees what, padding, losses, learning."""

import pytest
import torch

from contrapposto.body import load_body
from contrapposto.errors import ConfigError
from contrapposto.rotations import axis_angle_to_matrix, matrix_to_sixd_interleaved
from contrapposto.systems.posegpt import poses as pose_functions
from contrapposto.systems.posegpt.losses import PoseLoss, VertexSampler, masked_mean, token_nll_with_end
from contrapposto.systems.posegpt.vqvae import DecodedMotion, PoseVQVAE
from tests.systems.posegpt.conftest import JOINTS, build_vqvae

FRAMES = 24


def reach(function, inputs, step):
    """First output place that changes with the input at `step`, and the last."""
    with torch.no_grad():
        changed = inputs.clone()
        changed[:, step] += 1
        difference = (function(changed) - function(inputs)).abs().amax((0, 2))
    places = (difference > 1e-6).nonzero().flatten()
    return int(places[0]), int(places[-1])


@pytest.mark.parametrize("variant", ["offline", "causal", "online", "streaming"])
def test_what_a_token_sees(variant):
    model = build_vqvae(variant)
    x = torch.randn(1, FRAMES, 6 * JOINTS + 3, generator=torch.Generator().manual_seed(1))
    first, last = reach(lambda value: model.encode(value)[0], x, 9)
    assert last == 11
    assert first == (0 if variant == "offline" else 4), "frame 9 belongs to token 4"


@pytest.mark.parametrize(
    ("variant", "earliest"), [("offline", 0), ("causal", 0), ("online", 11), ("streaming", 12)]
)
def test_what_a_frame_sees(variant, earliest):
    model = build_vqvae(variant)
    latent = torch.randn(1, 12, 16, generator=torch.Generator().manual_seed(2))
    assert reach(lambda value: model.decode(value).sixd.flatten(2), latent, 6) == (earliest, 23)


@pytest.mark.parametrize("layers", [(0, 1), (1, 1), (1, 0, 1), (0, 1, 1)])
@pytest.mark.parametrize("variant", ["causal", "streaming"])
def test_scales(layers, variant):
    model = build_vqvae(variant, num_layers=layers)
    assert model.factor == 2 ** sum(count > 0 for count in layers[1:])
    output = model(torch.randn(2, FRAMES, 6 * JOINTS + 3))
    assert output.quantized.indices.shape == (2, FRAMES // model.factor, 2)
    assert output.motion.matrices.shape == (2, FRAMES, JOINTS, 3, 3)
    with pytest.raises(ValueError, match="multiple of"):
        model(torch.randn(2, model.factor + 1, 6 * JOINTS + 3))


def test_wrong_options_are_named():
    with pytest.raises(ConfigError, match="causal"):
        PoseVQVAE("casual", JOINTS)
    for layers in ((6,), (0, 0), (2, -1)):
        with pytest.raises(ConfigError, match="layers per scale"):
            PoseVQVAE("causal", JOINTS, num_layers=layers)


@pytest.mark.parametrize("variant", ["offline", "causal", "online", "streaming"])
@pytest.mark.parametrize("original", [False, True])
def test_padding_is_not_seen_by_the_decoder(variant, original):
    model = build_vqvae(variant, original_padding=original)
    codes = torch.randint(0, 16, (2, 8, 2), generator=torch.Generator().manual_seed(0))
    padded = torch.cat([codes, torch.full((2, 4, 2), -1)], dim=1)
    with torch.no_grad():
        alone = model.decode_tokens(codes).sixd
        together = model.decode_tokens(padded, torch.arange(12)[None] < torch.tensor([[8], [8]])).sixd[:, :16]
    same = (alone - together).abs().amax((0, 2, 3)) < 1e-5
    assert same[:15].all()
    assert bool(same[15]) == (not original or variant == "streaming")


def test_a_sequence_without_any_valid_frame_is_finite():
    model = build_vqvae()
    output = model(torch.randn(2, 8, 6 * JOINTS + 3), torch.tensor([[1] * 8, [0] * 8]))
    assert torch.isfinite(output.motion.sixd).all()
    assert (output.quantized.indices[1] == -1).all()


@pytest.mark.parametrize("variant", ["causal", "streaming"])
def test_overfits_one_batch(variant, poses):
    torch.manual_seed(0)
    model = PoseVQVAE(
        variant, JOINTS, hidden=48, num_layers=(0, 2), num_codes=64, code_dim=32, dropout=0.0, block_size=64
    )
    loss, pose = PoseLoss("l2"), pose_functions.zero_start(poses)
    valid = torch.ones(3, 24)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for _ in range(120):
        output = model(pose_functions.network_input(pose), valid)
        losses = loss(output.motion, pose, valid, output.quantized.loss, output.token_valid)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        history.append(float(losses.root + losses.body + losses.trans) - 3 * 0.9189385)
    assert history[-1] < 0.03 * history[0], history[::20]


def motion_of(pose):
    axis_angles, position = pose_functions.split_pose(pose)
    sixd = matrix_to_sixd_interleaved(axis_angle_to_matrix(axis_angles))
    return DecodedMotion(sixd, torch.cat([position[:, :1], position.diff(dim=1)], dim=1))


def test_loss_of_the_truth_is_its_constant(poses):
    valid = torch.arange(24)[None] < torch.tensor([[24], [10], [0]])
    noisy = poses.clone()
    noisy[~valid] = 100.0  # must not matter
    tokens = torch.zeros(3, 12)
    for kind, constant in (("l2", 0.9189385), ("l1", 0.6931472)):
        motion = motion_of(poses)
        losses = PoseLoss(kind)(motion, noisy, valid, tokens, tokens)
        for term in (losses.root, losses.body, losses.trans):
            assert float(term) == pytest.approx(2 / 3 * constant, rel=1e-4)
        assert float(losses.total) == pytest.approx(3 * 2 / 3 * constant, rel=1e-4)


def test_learned_spreads_have_their_closed_form_optimum(poses):
    """The Gaussian NLL is least where the variance is the mean squared error."""
    model = build_vqvae()
    loss = PoseLoss("gaussian", vert_weight=0)
    loss.train_spreads(model.log_sigmas)
    trained = {name for name, value in model.log_sigmas.items() if value.requires_grad}
    assert trained == {"body", "root", "trans"}
    motion, valid = motion_of(poses), torch.ones(3, 24)
    target = poses.clone()
    target[..., -3:] += 0.5
    with torch.no_grad():
        model.log_sigmas["trans"].fill_(torch.tensor(0.25).log())
    losses = loss(motion, target, valid, torch.zeros(3, 12), torch.ones(3, 12), model.log_sigmas)
    losses.trans.backward()
    assert abs(float(model.log_sigmas["trans"].grad)) < 1e-5
    with pytest.raises(ValueError, match="log_sigmas"):
        loss(motion, target, valid, torch.zeros(3, 12), torch.ones(3, 12))


def test_vertices_are_the_bodys_own(poses):
    body = load_body("smpl")
    sampler = VertexSampler(body, frame_share=0.25, batch_share=0.7)
    pose = torch.cat([poses[..., :66], torch.zeros(3, 24, 6), poses[..., 66:]], dim=-1)
    pred, true, valid = sampler(motion_of(pose), pose, torch.ones(3, 24), offset=2)
    assert pred.shape[:2] == (2, 6)
    assert (pred - true).abs().max() < 1e-4
    frame = pose_functions.split_pose(pose[1, 2 + 4 * 3])
    expected = body(axis_angle_to_matrix(frame[0])[None], frame[1][None]).vertices[0]
    assert (true[1, 3] - expected).abs().max() < 1e-5
    assert valid.shape == (2, 6)
    with pytest.raises(ConfigError):
        VertexSampler(body, frame_share=0)


def test_masked_mean_ignores_what_stands_at_invalid_frames():
    values = torch.tensor([[1.0, 3.0, torch.inf], [torch.nan, 2.0, 5.0], [7.0, 7.0, 7.0]])
    valid = torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 0]])
    assert torch.equal(masked_mean(values, valid), torch.tensor([2.0, 3.5, 0.0]))


def test_the_end_is_counted_once():
    """Only the first padding token is to be predicted as the end; the original counts all of them."""
    logits = torch.zeros(1, 6, 1, 3)
    indices = torch.tensor([[[0], [1], [-1], [-1], [-1], [-1]]])
    valid = indices[..., 0] >= 0
    logits[:, 3:, :, 0] = 50  # sure of the later padding
    expected = torch.tensor(3.0).log()
    assert torch.isclose(token_nll_with_end(logits, indices, valid), expected)
    assert torch.isclose(token_nll_with_end(logits, indices, valid, original=True), expected / 2)
