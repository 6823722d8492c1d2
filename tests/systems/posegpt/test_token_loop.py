"""The step that a CUDA graph replays: the same tokens as the plain way, and nothing in it that a graph cannot hold."""

import pytest
import torch

from benchmarks.gpu.simulated import simulated_cuda
from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.prepared import PreparedGPT
from contrapposto.systems.posegpt.rollout import roll_out
from contrapposto.systems.posegpt.token_loop import TokenLoop, TokenLoops
from contrapposto.systems.posegpt.token_sampling import Draw, keyed_exponential
from tests.systems.posegpt.conftest import ACTIONS, build_gpt

OPTIONS = ({}, {"end_token": True, "concatenate": False}, {"head": "depth"}, {"head": "mlp"})
DRAW = Draw(top_p=0.9, seed=3)


def rolled(model: PoseGPT, loops: TokenLoops | None, *, count=12, past=None, batch=3, shift=0, draw=DRAW):
    """The steps of `roll_out`, one at a time."""
    gpt = model.gpt
    shape = (gpt.num_books, gpt.book_size + int(gpt.end_token))
    return roll_out(
        model,
        count,
        torch.eye(ACTIONS)[torch.arange(shift, shift + batch) % ACTIONS],
        torch.full((batch,), 2 * count),
        draw=draw,
        noise=None if draw.greedy else lambda token: keyed_exponential(3, token, torch.arange(batch), shape),
        past=past,
        may_end_after=2,
        prepared=loops.prepared if loops else None,
        loops=loops,
    )


def codes(steps):
    return torch.stack([step.codes for step in steps])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_loop_draws_what_the_plain_way_draws(options):
    """Motion after motion in the same memory: with other actions, a past, other lengths, greedily, another batch."""
    model = build_gpt(**options)
    loops = TokenLoops(PreparedGPT(model.gpt))
    past = torch.randint(
        0, model.gpt.book_size, (3, 5, model.gpt.num_books), generator=torch.Generator().manual_seed(1)
    )
    for more in (
        {},
        {"shift": 2},
        {"past": past},
        {"count": 30},
        {"draw": Draw(greedy=True)},
        {"batch": 1},
        {},
    ):
        expected, steps = list(rolled(model, None, **more)), list(rolled(model, loops, **more))
        assert torch.equal(codes(steps), codes(expected))
        assert torch.stack([step.margin for step in expected]).min() > 1e-5
        for one, other in zip(steps, expected):
            torch.testing.assert_close(one.margin, other.margin, rtol=1e-3, atol=1e-4)


def test_motions_that_are_made_in_turns_do_not_meet():
    model = build_gpt()
    loops = TokenLoops(PreparedGPT(model.gpt))
    expected = [codes(rolled(model, None, shift=shift)) for shift in (0, 2)]
    pairs = list(zip(rolled(model, loops), rolled(model, loops, shift=2)))
    for number, wanted in enumerate(expected):
        assert torch.equal(codes([pair[number] for pair in pairs]), wanted)
    half = rolled(model, loops)
    next(half), next(half)
    half.close()  # what is given up makes room
    assert torch.equal(codes(rolled(model, loops, shift=2)), expected[1])
    assert not any(loop.busy for loop in loops._loops.values())


@pytest.mark.parametrize("options", OPTIONS[:3], ids=str)
def test_a_step_is_the_devices_own_work(options):
    """No wait of the host and no copy to the device, either of which would end the capture of a graph."""
    model = build_gpt(**options)
    with simulated_cuda() as log, torch.inference_mode():
        model = model.to("cuda")
        loop = TokenLoop(PreparedGPT(model.gpt), 2, DRAW)
        given = torch.zeros(2, model.gpt.num_books, dtype=torch.int64, device="cuda")
        noise = torch.ones(
            2, model.gpt.num_books, model.gpt.book_size + int(model.gpt.end_token), device="cuda"
        )
        log.clear()
        loop.step(given, loop.positions[3:4], loop.flags[:1], noise)
        assert log.launches > 50
        assert not log.waits and not log.uploads and not log.faults
