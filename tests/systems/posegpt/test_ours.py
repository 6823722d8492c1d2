"""Our auto-encoder: representation, causality, streaming, residual codes one after the other, learning."""

import numpy as np
import pytest
import torch

from contrapposto import rotations as rot
from contrapposto.body import load_body
from contrapposto.errors import ConfigError
from contrapposto.skeleton import SMPL22, forward_kinematics
from contrapposto.synthetic import generate
from contrapposto.systems.posegpt.autoencoder import decoded_features
from contrapposto.systems.posegpt.convolutional import ConvAutoEncoder
from contrapposto.systems.posegpt.generator import MotionGenerator
from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.motion_loss import MotionLoss
from contrapposto.systems.posegpt.plan import Segment
from contrapposto.systems.posegpt.poses import face_forward, from_motion, network_input, split_pose, to_motion
from contrapposto.systems.posegpt.root_motion import RootState, Standardizer, integrate, motion_features
from contrapposto.systems.posegpt.sampler import PoseGPTSampler
from contrapposto.systems.posegpt.token_sampling import Draw
from contrapposto.systems.posegpt.vqvae import PoseVQVAE, build_autoencoder

OFFSETS = load_body("smplh").skeleton.offsets[:22]


def clip(action="turn left", frames=64, height="floor"):
    motion = generate(action, seconds=frames / 30, seed=3, fps=30.0)
    return face_forward(from_motion(motion, SMPL22, height=height)[None, :frames])[0]


def build(**options):
    torch.manual_seed(0)
    options = {"hidden": 16, "code_dim": 8, "num_books": 2, "num_codes": 32, "depth": 2, **options}
    model = ConvAutoEncoder(22, **options)
    x = network_input(clip())
    model.standardizer.update(model.features(x), torch.ones(x.shape[:2]))
    latent, _ = model.encode(x)
    model.quantizer.initialize_codebooks(latent, 0)
    return model.eval()


@pytest.mark.parametrize("action", ["turn left", "walk in a circle", "sit down", "jump"])
def test_the_representation_is_inverted_exactly(action):
    pose = clip(action)
    axis_angles, position = split_pose(pose)
    features = motion_features(network_input(pose)[..., :-3], position)
    assert features.shape[-1] == 6 * 22 + 4
    motion, end = decoded_features(features)
    assert (motion.matrices - rot.axis_angle_to_matrix(axis_angles)).abs().max() < 1e-4
    assert (motion.translation() - position).abs().max() < 1e-4
    assert torch.allclose(end.place, position[:, -1, [0, 2]], atol=1e-4)


def test_the_representation_does_not_depend_on_where_a_motion_begins():
    """All but the first frame's step are the same wherever the figure stands and faces."""
    motion = generate("walk", seconds=2, seed=0, fps=30.0)
    c, s = np.cos(2.0), np.sin(2.0)
    moved = motion.transform(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), (3.0, -2.0, 0.0))
    features = [
        motion_features(network_input(p)[..., :-3], p[..., -3:])
        for p in (from_motion(m, SMPL22, height="floor")[None] for m in (motion, moved))
    ]
    assert (features[0] - features[1]).abs().max() < 1e-4


def test_integration_continues_from_a_state_and_stops_at_padding():
    pose = clip("walk in a circle")
    features = motion_features(network_input(pose)[..., :-3], pose[..., -3:])
    whole = integrate(features)
    first = integrate(features[:, :20])
    second = integrate(features[:, 20:], state=first[2])
    for index in (0, 1):
        assert torch.allclose(torch.cat([first[index], second[index]], 1), whole[index], atol=1e-4)
    valid = (torch.arange(64) < 30)[None]
    root, position, _ = integrate(features, valid)
    assert torch.allclose(position[:, 30:, [0, 2]], position[:, 29:30, [0, 2]].expand(-1, 34, -1))
    assert torch.allclose(position[:, :30], whole[1][:, :30])
    assert isinstance(whole[2], RootState) and root.shape == (1, 64, 3, 3)


def test_standardizer_is_that_of_all_frames():
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(3, 7, 16, generator=generator) * 3 + 100 for _ in range(4)]
    standardizer = Standardizer(2)
    for batch in batches:
        standardizer.update(batch, torch.ones(3, 7))
    rows = torch.cat(batches).flatten(0, 1).double()
    assert torch.allclose(standardizer.mean.double(), rows.mean(0), atol=1e-4)
    variance = rows.var(0, unbiased=False)
    assert torch.allclose(
        standardizer.deviation[6:12].double(), variance[6:12].mean().sqrt().expand(6), rtol=1e-3
    )
    assert torch.allclose(
        standardizer.deviation[13:15].double(), variance[13:15].mean().sqrt().expand(2), rtol=1e-3
    )
    assert torch.allclose(standardizer.restore(standardizer.standardize(batches[0])), batches[0], atol=1e-3)


def test_neither_encoder_nor_decoder_sees_the_future():
    model = build(halvings=2)
    x = network_input(clip())
    changed = x.clone()
    changed[:, 21:] = changed[:, 20:21]
    first, second = model.encode(x)[0], model.encode(changed)[0]
    assert torch.allclose(first[:, :5], second[:, :5], atol=1e-5)
    assert not torch.allclose(first[:, 5], second[:, 5], atol=1e-5)
    latent = torch.randn(1, 16, 8)
    later = latent.clone()
    later[:, 9:] += 1
    early = model.decode_features(latent)[:, :36], model.decode_features(later)[:, :36]
    assert torch.allclose(*early, atol=1e-5)
    # Frames depend on `context_tokens` tokens before theirs, and no more.
    shown = model.context_tokens
    latent = torch.randn(1, shown + 3, 8)
    cut = model.decode_features(latent[:, 2:])[:, -4:]
    assert torch.allclose(cut, model.decode_features(latent)[:, -4:], atol=1e-4)
    short = model.decode_features(latent[:, 3:])[:, -4:]
    assert not torch.allclose(short, model.decode_features(latent)[:, -4:], atol=1e-5)


def generator_of(head="depth", **options):
    torch.manual_seed(1)
    model = PoseGPT(
        build(halvings=2), width=32, num_layers=2, heads=2, block_size=64, num_actions=3, head=head, **options
    ).eval()
    for parameter in model.gpt.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return model


def test_patches_join_without_a_gap():
    model = build(halvings=2)
    line = torch.arange(12.0)[None, :, None].expand(1, 12, 136).unflatten(1, (3, 4))
    assert (model._joined(line) - line.flatten(1, 2)).abs().max() < 1e-6, (
        "where there is no gap nothing changes"
    )
    offset = line.clone()
    offset[:, 1] += 0.8
    rows = model._joined(offset)
    expected = torch.arange(12.0) + torch.tensor([0, 0, 0, 0, 0.2, 0.4, 0.6, 0.8, 0.6, 0.4, 0.2, 0])
    for column in (0, 131, 135):
        assert torch.allclose(rows[0, :, column], expected, atol=1e-5)
    for column in (132, 133, 134):  # turn and step are rates
        assert torch.equal(rows[0, :, column], offset.flatten(1, 2)[0, :, column])


@pytest.mark.parametrize("with_past", [True, False])
def test_streaming_equals_generating(with_past):
    sampler = PoseGPTSampler(generator_of(), window=32, overlap=8, fade=5, canonical=True, height="floor")
    plan = [Segment(torch.eye(3)[0], 30), Segment(torch.eye(3)[1], 21)]
    past = clip()[0, :20] if with_past else None
    whole = sampler.generate(plan, 2, past=past, draw=Draw(seed=2))
    parts = list(sampler.stream(plan, 2, past=past, draw=Draw(seed=2)))
    assert torch.allclose(torch.cat(parts, dim=1), whole.pose[:, whole.num_past :], atol=1e-4)
    assert len(parts) > 8, "frames must come while tokens are generated"


def test_one_window_streamed_equals_decoding_at_once():
    sampler = PoseGPTSampler(generator_of(), window=32, overlap=8, canonical=True, height="floor")
    hot = torch.eye(3)[:1].expand(2, -1)
    at_once = sampler.sample(hot, torch.full((2,), 32), draw=Draw(seed=6))
    streamed = sampler.generate([Segment(torch.eye(3)[0], 32)], 2, draw=Draw(seed=6))
    assert torch.equal(at_once.tokens, streamed.tokens)
    assert (at_once.pose - streamed.pose).abs().max() < 1e-3


def test_codes_one_after_the_other_cached_equals_uncached():
    results = []
    for cached in (True, False):
        sampler = PoseGPTSampler(generator_of(), window=32, overlap=8, canonical=True, cached=cached)
        results.append(sampler.sample(torch.eye(3), torch.tensor([32, 17, 9]), draw=Draw(seed=3)))
    assert torch.equal(results[0].tokens, results[1].tokens)
    assert results[0].margin.min() > 1e-5


def test_a_code_depends_on_those_before_it_only():
    model = generator_of()
    codes = torch.randint(16, (2, 8, 2), generator=torch.Generator().manual_seed(0))
    arguments = (torch.eye(3)[:2], torch.tensor([32, 32]))
    logits = model(codes, *arguments)
    changed = codes.clone()
    changed[:, 5, 1] = (changed[:, 5, 1] + 1) % 16
    other = model(changed, *arguments)
    assert torch.allclose(logits[:, :6], other[:, :6]), "its own logits and all before do not see it"
    assert not torch.allclose(logits[:, 6], other[:, 6])
    changed = codes.clone()
    changed[:, 5, 0] = (changed[:, 5, 0] + 1) % 16
    other = model(changed, *arguments)
    assert torch.allclose(logits[:, 5, 0], other[:, 5, 0])
    assert not torch.allclose(logits[:, 5, 1], other[:, 5, 1]), "the second code sees the first"


@pytest.mark.parametrize(
    "options",
    [
        {"variant": "ours", "hidden": 32, "num_codes": 64, "code_dim": 16},
        {
            "variant": "causal",
            "hidden": 32,
            "num_layers": [0, 1],
            "heads": 2,
            "num_codes": 64,
            "code_dim": 16,
            "root": "velocity",
            "quantizer": "residual",
            "fan_in_init": True,
            "dropout": 0.0,
            "position_scale": 0.1,
        },
    ],
)
def test_learns_to_turn(options):
    """A hundred steps on one turn: the recipe of the paper as it is keeps nothing of it at that point."""
    torch.manual_seed(0)
    model = build_autoencoder(22, options)
    loss = MotionLoss(SMPL22, OFFSETS)
    x, valid = network_input(clip()), torch.ones(1, 64, dtype=torch.bool)
    true = model.features(x)
    model.standardizer.update(true, valid)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    model.quantizer.bypass = True
    for step in range(100):
        if step == 50:
            model.quantizer.initialize_codebooks(torch.cat(model.quantizer.recent), 0)
            model.quantizer.bypass = False
        output = model(x, valid)
        losses = loss(
            output.motion, true, valid, model.standardizer, output.quantized.loss, output.token_valid
        )
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    turn = float(true[0, :, -4].sum())
    assert abs(turn) > 0.5
    assert 0.8 < float(model.eval()(x, valid).motion.features[0, 1:, -4].sum().detach()) / turn < 1.2


def test_tokens_one_after_the_other_are_those_of_all_at_once_without_feedback():
    model, x = build(depth=1), network_input(clip("walk", 96))  # 48 tokens, more than a token depends on
    model.feedback = 1e-9
    assert (model.encode(x)[0] - model.encode_features(model.features(x))).abs().max() < 1e-4
    model.feedback = 0.0
    assert torch.equal(model.encode(x)[0], model.encode_features(model.features(x)))


def test_feedback_keeps_the_way():
    """Codes of steps have errors that add up; later tokens take them back. Training sees none of it."""
    model = MotionGenerator.from_pretrained("posegpt_gpt").sampler.vqvae
    clips = [clip(action, 128) for action in ("walk in a circle", "turn left", "walk backwards", "run")]
    x = network_input(torch.cat(clips))

    def astray():
        with torch.no_grad():
            way = model.decode_tokens(model.tokens(x)[0]).translation()
        return float((way - x[..., -3:])[..., [0, 2]].norm(dim=-1).mean())

    with_feedback = astray()
    assert torch.equal(model.train().encode(x)[0], model.encode_features(model.features(x)))
    model.eval()
    model.feedback = 0.0
    assert with_feedback < 0.6 * astray()


def test_options_of_the_other_network_are_left_out_and_unknown_ones_refused():
    assert isinstance(build_autoencoder(22, {"variant": "ours", "heads": 4, "hidden": 8}), ConvAutoEncoder)
    assert isinstance(build_autoencoder(22, {"hidden": 16, "halvings": 3, "num_layers": [0, 1]}), PoseVQVAE)
    with pytest.raises(ConfigError, match="hiden"):
        build_autoencoder(22, {"variant": "ours", "hiden": 8})
    with pytest.raises(ConfigError, match="end_token"):
        generator_of(end_token=True)


def test_heights_above_the_floor_survive_the_way_there_and_back():
    motion = generate("squat", seconds=2, seed=1, fps=30.0)
    back = to_motion(from_motion(motion, SMPL22, height="floor"), SMPL22, height="floor")
    assert np.abs(back.root_translation[:, 2] - motion.root_translation[:, 2]).max() < 1e-4


def test_foot_loss_is_that_of_the_whole_body():
    """Only the legs are computed; the feet's velocities are those of full kinematics."""
    pose = clip("walk")
    axis_angles, position = split_pose(pose)
    loss = MotionLoss(SMPL22, OFFSETS)
    features = motion_features(network_input(pose)[..., :-3], position)
    root, moved, _ = integrate(features)
    joints = forward_kinematics(
        SMPL22.parents, rot.axis_angle_to_matrix(axis_angles), torch.tensor(OFFSETS), position
    )[1]
    feet = joints[:, :, [7, 8, 10, 11]].diff(dim=1) * 30
    assert (loss._foot_velocity((root, features, moved)) - feet).abs().max() < 1e-3
