"""From words to clips: labels as typed, lengths, pasts where they are and on other skeletons, streaming."""

import numpy as np
import pytest
import torch

from contrapposto.data.vocabulary import Vocabulary
from contrapposto.errors import ConfigError, InputError
from contrapposto.io import read_motion, write_motion
from contrapposto.skeleton import SMPL22
from contrapposto.synthetic import generate
from contrapposto.systems.posegpt.cleanup import Cleanup
from contrapposto.systems.posegpt.generator import MotionGenerator
from contrapposto.systems.posegpt.sampler import PoseGPTSampler
from contrapposto.systems.posegpt.token_sampling import Draw
from tests.systems.posegpt.conftest import build_gpt, build_vqvae

RAW = Cleanup(smooth=0, ground=False, plant_feet=False)
WORDS = Vocabulary(["walk", "move up/down incline", "communicate (vocalise)", "a, b", "walk backwards"])


def generator_of(variant="causal", canonical=True, **options):
    sampler = PoseGPTSampler(
        build_gpt(build_vqvae(variant), **options), window=32, overlap=8, fade=5, canonical=canonical
    )
    return MotionGenerator(sampler, WORDS, SMPL22)


def turned(clip, degrees, shift=(0, 0, 0)):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return clip.transform(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), shift)


def test_labels_are_read_as_typed():
    generator = generator_of()
    for text, parts in (
        ("communicate (vocalise)", ["communicate (vocalise)"]),
        ("a, b", ["a, b"]),
        ("[walk, move up/down incline]", ["walk", "move up/down incline"]),
        (" walk,walk backwards ", ["walk", "walk backwards"]),
        ("[communicate (vocalise)]", ["communicate (vocalise)"]),
    ):
        assert generator.parse(text) == parts
    plan = generator.segments(["walk", "walk+communicate (vocalise)"], [3, 5])
    assert [segment.frames for segment in plan] == [3, 5]
    assert plan[1].actions.tolist() == [1, 0, 1, 0, 0]


def test_what_cannot_be_generated_is_refused():
    generator = generator_of()
    with pytest.raises(ConfigError, match="walk"):
        generator.segments(["wlak"], 8)
    with pytest.raises(ConfigError, match="incline"):
        generator.segments(None, 8)
    with pytest.raises(ConfigError, match="without actions"):
        generator_of(actions=False).segments(["walk"], 8)
    for frames in (0, -3, 10**9, [8, 8], [True], [2.5]):
        with pytest.raises(InputError):
            generator.segments(["walk"], frames)


def test_the_past_stands_where_it_was_and_the_rest_follows_it():
    past = turned(generate("walk", seconds=0.6, seed=1, fps=30.0), 130, (3, -2, 0.4))
    for canonical in (True, False):
        generator = generator_of(canonical=canonical)
        clip = generator.generate(["walk"], 40, past=past).motions[0]
        count = past.num_frames
        assert clip.num_frames == count + 40
        given, kept = past.joint_positions()[:, :22], clip.joint_positions()[:count, :22]
        assert np.abs(given - kept).max() < 1e-4
        assert [label.text for label in clip.labels] == ["past", "walk"]


def test_a_turned_past_turns_what_follows():
    past = generate("walk", seconds=0.6, seed=1, fps=30.0)
    generator = generator_of()
    draw = Draw(seed=3)
    plain = generator.generate(["walk"], 40, past=past, draw=draw)
    other = generator.generate(["walk"], 40, past=turned(past, 75, (1, 2, 0)), draw=draw)
    assert torch.equal(plain.sampled.tokens, other.sampled.tokens)
    wanted = turned(plain.motions[0], 75, (1, 2, 0)).joint_positions()
    assert np.abs(wanted - other.motions[0].joint_positions()).max() < 2e-3
    blind = generator_of(canonical=False)
    straight, askew = (
        blind.generate(["walk"], 40, past=clip, draw=draw).motions[0] for clip in (past, turned(past, 75))
    )
    missed = turned(straight, 75).joint_positions() - askew.joint_positions()
    assert np.abs(missed).max() > 0.1, "the test must be able to fail"


@pytest.mark.parametrize("variant", ["causal", "streaming"])
@pytest.mark.parametrize("with_past", [True, False])
def test_streamed_clips_are_those_generated(variant, with_past):
    past = turned(generate("walk", seconds=0.5, seed=2, fps=30.0), 40, (1, 0, 0)) if with_past else None
    generator = generator_of(variant)
    plan = (["walk", "walk backwards"], [20, 30])
    whole = generator.generate(*plan, past=past, cleanup=RAW).motions[0]
    parts = list(generator.stream(*plan, past=past))
    frames = np.concatenate([part.joint_positions() for part in parts])
    assert len(frames) == 50 and len(parts) > 1
    rest = whole.joint_positions()[-50:]
    if not with_past:  # the floor is looked for in other frames
        rest[..., 2] += frames[0, 0, 2] - rest[0, 0, 2]
    assert np.abs(frames - rest).max() < 1e-4


def test_a_past_on_another_skeleton_is_mapped(tmp_path):
    write_motion(tmp_path / "past.bvh", generate("walk", seconds=0.5, seed=0, fps=60.0))
    foreign = read_motion(tmp_path / "past.bvh", native=True)
    clip = generator_of().generate(["walk"], 8, past=foreign).motions[0]
    assert clip.num_frames == foreign.resample(30).num_frames + 8 and clip.fps == 30
    assert np.isfinite(clip.joint_positions()).all()
    with pytest.raises(InputError, match="shorter than one token"):
        generator_of().generate(["walk"], 8, past=generate("walk", seconds=1 / 30, seed=0, fps=30.0))


def test_batches_of_1_and_32_give_the_same_tokens_or_say_by_how_little():
    sampler = generator_of().sampler
    hot, lengths, draw = torch.eye(5)[torch.arange(32) % 5], torch.full((32,), 32), Draw(seed=5)
    together = sampler.sample(hot, lengths, draw=draw)
    for row in range(0, 32, 5):
        one = slice(row, row + 1)
        alone = sampler.sample(hot[one], lengths[one], draw=draw, sample_ids=torch.tensor([row]))
        same = torch.equal(alone.tokens, together.tokens[one])
        assert same or min(float(alone.margin), float(together.margin[row])) < 1e-4
    assert together.margin.min() > 0
