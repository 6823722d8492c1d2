"""The sampler: cache, batches, windows, streaming, past, hostile input."""

import pytest
import torch

from contrapposto.errors import ConfigError, InputError
from contrapposto.rotations import axis_angle_to_matrix, geodesic_angle
from contrapposto.systems.posegpt.plan import Segment
from contrapposto.systems.posegpt.poses import split_pose
from contrapposto.systems.posegpt.sampler import PoseGPTSampler
from contrapposto.systems.posegpt.token_sampling import Draw, keyed_exponential
from tests.systems.posegpt.conftest import ACTIONS, JOINTS, build_gpt, build_vqvae

HOT = torch.eye(ACTIONS)


def sampler_of(variant="causal", gpt=None, vqvae=None, **options):
    model = build_gpt(build_vqvae(variant, **(vqvae or {})), **(gpt or {}))
    return PoseGPTSampler(model, **{"window": 32, "overlap": 8, "fade": 5, **options})


def assert_same(first, second, tolerance=2e-4):
    """Equal tokens and, to float tolerance, equal rotations and positions."""
    assert torch.equal(first.tokens, second.tokens)
    assert_same_poses(first.pose, second.pose, tolerance)


def assert_same_poses(first, second, tolerance=2e-4):
    assert first.shape == second.shape
    (turns, places), (other_turns, other_places) = split_pose(first), split_pose(second)
    angle = geodesic_angle(axis_angle_to_matrix(turns), axis_angle_to_matrix(other_turns))
    assert angle.max() < 10 * tolerance
    assert (places - other_places).abs().max() < tolerance


@pytest.mark.parametrize("options", [{}, {"concatenate": False}, {"end_token": True}, {"lengths": False}])
def test_cached_path_equals_uncached(options):
    lengths = torch.tensor([32, 17, 9])
    results = []
    for cached in (True, False):
        sampler = sampler_of(gpt=options, cached=cached)
        results.append(sampler.sample(HOT[:3], lengths, draw=Draw(top_p=0.9, seed=3)))
    assert_same(*results)
    assert results[0].margin.min() > 1e-5


def test_prepended_action_cached_equals_uncached():
    options = {"every_step": False, "concatenate": False, "lengths": False}
    results = [
        sampler_of(gpt=options, cached=cached).sample(HOT[:2], torch.tensor([20, 20]))
        for cached in (True, False)
    ]
    assert_same(*results)


def test_a_sample_does_not_depend_on_its_batch():
    sampler = sampler_of()
    ids = torch.tensor([7, 3, 11, 0])
    lengths = torch.tensor([32, 20, 32, 9])
    actions = HOT[torch.tensor([0, 1, 2, 3])]
    together = sampler.sample(actions, lengths, draw=Draw(seed=4), sample_ids=ids)
    for row in range(4):
        one = slice(row, row + 1)
        alone = sampler.sample(actions[one], lengths[one], draw=Draw(seed=4), sample_ids=ids[one])
        count, frames = alone.tokens.shape[1], alone.pose.shape[1]
        assert torch.equal(together.tokens[one, :count], alone.tokens)
        assert_same_poses(together.pose[one, :frames], alone.pose)
    other = sampler.sample(actions, lengths, draw=Draw(seed=5), sample_ids=ids)
    assert not torch.equal(other.tokens, together.tokens)


def test_lengths_are_kept_and_padding_repeats_the_last_frame():
    result = sampler_of().sample(HOT[:3], torch.tensor([31, 8, 1]))
    assert result.pose.shape == (3, 31, 3 * JOINTS + 3)
    assert result.valid.sum(1).tolist() == [31, 8, 1]
    assert (result.tokens >= 0).all(-1).sum(1).tolist() == [16, 4, 1]
    assert torch.equal(result.pose[1, 7:], result.pose[1, 7:8].expand(24, -1))
    assert torch.isfinite(result.pose).all()


def test_an_end_cuts_the_motion_and_never_comes_first():
    model = build_gpt(end_token=True)
    with torch.no_grad():
        for head in model.gpt.list_head:
            head.weight[0] = head.weight.abs().sum(0)  # ends are likely
            head.weight[0] += 3
    result = PoseGPTSampler(model, window=32, overlap=8).sample(HOT, torch.full((5,), 32))
    counts = (result.tokens >= 0).all(-1).sum(1)
    assert counts.min() >= 1
    assert torch.equal(result.valid.sum(1), 2 * counts)
    assert torch.isfinite(result.pose).all()


@pytest.mark.parametrize("variant", ["causal", "online", "streaming"])
@pytest.mark.parametrize("layers", [(0, 2), (1, 1, 1)])
def test_streaming_equals_generating(variant, layers, poses):
    sampler = sampler_of(variant, vqvae={"num_layers": layers})
    plan = [Segment(HOT[0], 30), Segment(HOT[1], 21), Segment(HOT[2], 1), Segment(HOT[3], 16)]
    whole = sampler.generate(plan, 3, past=poses, draw=Draw(seed=2))
    parts = list(sampler.stream(plan, 3, past=poses, draw=Draw(seed=2)))
    assert whole.num_past == 24
    assert torch.equal(whole.pose[:, :24], poses)
    assert torch.allclose(torch.cat(parts, dim=1), whole.pose[:, 24:])
    assert whole.pose.shape[1] == 24 + 68
    if variant == "causal":
        assert max(part.shape[1] for part in parts) == 24
    else:
        assert len(parts) > 15, "frames must come while tokens are generated"


@pytest.mark.parametrize("variant", ["online", "streaming"])
def test_streamed_window_equals_decoding_at_once(variant):
    sampler = sampler_of(variant)
    lengths = torch.full((2,), 32)
    at_once = sampler.sample(HOT[:1].expand(2, -1), lengths, draw=Draw(seed=6))
    streamed = sampler.generate([Segment(HOT[0], 32)], 2, draw=Draw(seed=6))
    assert_same(at_once, streamed)


@pytest.mark.parametrize("variant", ["causal", "streaming"])
def test_no_jump_where_windows_meet(variant, poses):
    """At a seam the step is that of the decoder's own frames: the frames fit with the seam undone there."""
    sampler = sampler_of(variant)
    # 32 frames in the first window, then 24 new ones per window.
    result = sampler.generate([Segment(HOT[0], 80)], 2, draw=Draw(seed=1))
    turns, places = split_pose(result.pose)
    steps = places.diff(dim=1).norm(dim=-1)
    spins = geodesic_angle(axis_angle_to_matrix(turns[:, 1:]), axis_angle_to_matrix(turns[:, :-1]))
    seams = [31, 55]
    inside = [step for step in range(79) if step not in seams]
    assert steps[:, seams].max() <= 1.5 * steps[:, inside].max()
    assert spins[:, seams].mean() <= 2 * spins[:, inside].mean()


def test_segments_act_only_from_their_beginning_on():
    sampler = sampler_of(gpt={"lengths": False})
    first = sampler.generate([Segment(HOT[0], 24), Segment(HOT[1], 20)], draw=Draw(seed=9))
    second = sampler.generate([Segment(HOT[0], 24), Segment(HOT[4], 20)], draw=Draw(seed=9))
    assert torch.equal(first.pose[:, :24], second.pose[:, :24])
    assert not torch.equal(first.tokens[:, 12:], second.tokens[:, 12:])


def test_actions_frame_by_frame_may_change_inside_a_window():
    sampler = sampler_of(gpt={"lengths": False}, per_frame=True)
    plans = [[Segment(HOT[0], 12), Segment(HOT[last], 20)] for last in (1, 2)]
    first, second = (sampler.generate(plan, draw=Draw(seed=9)) for plan in plans)
    assert first.tokens.shape[1] == 16, "one window serves both segments"
    assert torch.equal(first.tokens[:, :6], second.tokens[:, :6])
    assert not torch.equal(first.tokens[:, 6:], second.tokens[:, 6:])
    rows = torch.cat([HOT[:1].expand(12, -1), HOT[1:2].expand(20, -1)])[None]
    direct = sampler.sample(rows, torch.tensor([32]), draw=Draw(seed=9))
    assert torch.equal(direct.tokens, first.tokens)


def test_a_past_is_where_the_motion_goes_on(poses):
    sampler = sampler_of()
    result = sampler.generate([Segment(HOT[0], 10)], 3, past=poses)
    shifted = poses.clone()
    shifted[..., -3:] += torch.tensor([4.0, 1.0, -2.0])
    moved = sampler.generate([Segment(HOT[0], 10)], 3, past=shifted)
    assert_same_poses(
        moved.pose,
        torch.cat([result.pose[..., :-3], result.pose[..., -3:] + moved.pose.new_tensor([4, 1, -2])], -1),
    )
    past = sampler.sample(HOT[:3], torch.full((3,), 30), past=poses[:, :15])
    assert past.num_past == 14
    known, _ = sampler.vqvae.tokens(torch.zeros(1, 2, 6 * JOINTS + 3))
    assert known.shape == (1, 1, 2)


def test_drawn_codes_follow_the_filtered_probabilities():
    logits = torch.tensor([2.0, 1.0, 0.5, -1.0, -3.0])
    ids = torch.arange(20_000)
    noise = keyed_exponential(0, 0, ids, (5,))
    for draw, allowed in (
        (Draw(), [0, 1, 2, 3, 4]),
        (Draw(temperature=0.5, top_k=3), [0, 1, 2]),
        (Draw(top_k=99), [0, 1, 2, 3, 4]),
        (Draw(top_p=0.8), [0, 1]),
        (Draw(top_p=0.01), [0]),
    ):
        codes, margin = draw.choose(logits.expand(len(ids), -1), noise)
        expected = torch.zeros(5)
        expected[allowed] = (logits[allowed] / draw.temperature).softmax(0)
        found = torch.bincount(codes, minlength=5) / len(ids)
        assert (found - expected).abs().max() < 0.015, draw
        assert (margin >= 0).all()
    assert Draw(greedy=True).choose(logits, None)[0] == 0


def test_hostile_requests_are_refused(poses):
    sampler = sampler_of()
    segment = Segment(HOT[0], 8)
    for wrong in (
        lambda: sampler.sample(HOT[:1], torch.tensor([0])),
        lambda: sampler.sample(HOT[:1], torch.tensor([33])),
        lambda: sampler.sample(None, torch.tensor([8])),
        lambda: sampler.sample(torch.ones(1, 65), torch.tensor([8])),
        lambda: sampler.generate([]),
        lambda: sampler.generate([Segment(HOT[0], 0)]),
        lambda: sampler.generate([segment, Segment(None, 4)]),
        lambda: sampler.generate([segment], 0),
        lambda: sampler.generate([segment], past=poses[0, :1]),
        lambda: sampler.generate([segment], past=torch.zeros(8, 168)),
        lambda: sampler.generate([segment], 2, sample_ids=torch.arange(3)),
    ):
        with pytest.raises(InputError):
            wrong()
    with pytest.raises(InputError, match="longer than the table of lengths"):
        sampler.model(torch.zeros(1, 1, 4, dtype=torch.int64), HOT[:1], torch.tensor([10_000]))
    with pytest.raises(InputError, match="longer than the table of lengths"):
        sampler_of(gpt={"max_length": 16})
    with pytest.raises(ConfigError, match="offline"):
        sampler_of("offline").generate([segment], past=poses[0])
    for options in ({"temperature": 0}, {"top_k": 0}, {"top_p": 0}, {"top_p": 1.5}):
        with pytest.raises(ConfigError):
            Draw(**options)
    for options in ({"window": 31}, {"window": 500}, {"overlap": 32}, {"overlap": 3}):
        with pytest.raises(ConfigError):
            sampler_of(**options)
