"""Stacks fed piece by piece against the whole at once."""

import pytest
import torch

from contrapposto.nn.stacks import Stack
from contrapposto.nn.streaming import KeyValueCache, StackStream, extend_block


def stack_of(**options):
    torch.manual_seed(0)
    stack = Stack(2, 16, 4, **{"causal": True, "block_size": 32, **options}).eval()
    with torch.no_grad():
        for block in stack.blocks:
            for name in ("query", "key", "value", "proj"):
                getattr(block.attn, name).weight.normal_(std=0.5)
    return stack


@pytest.mark.parametrize("pieces", [[1] * 12, [12], [3, 1, 6, 2]])
@pytest.mark.parametrize(
    "options", [{}, {"up": True}, {"up": True, "look_ahead": False}, {"positions": "none"}]
)
@torch.no_grad()
def test_any_pieces_give_the_whole(pieces, options):
    stack = stack_of(**options)
    tokens = torch.randn(3, 12, 16, generator=torch.Generator().manual_seed(1))
    expected, _ = stack(tokens)
    stream = StackStream(stack)
    parts = [stream.push(piece) for piece in tokens.split(pieces, dim=1)]
    if options.get("up"):
        held = int(options.get("look_ahead", True))
        assert sum(part.shape[1] for part in parts) == 24 - held
    tail = stream.finish()
    if tail is not None:
        parts.append(tail)
    assert torch.allclose(torch.cat(parts, dim=1), expected, atol=1e-5)
    assert stream.finish() is None


@torch.no_grad()
def test_what_was_pushed_is_not_changed_by_what_follows():
    stack = stack_of(up=True)
    stream = StackStream(stack)
    first = stream.push(torch.ones(1, 4, 16))
    kept = first.clone()
    stream.push(torch.randn(1, 4, 16))
    assert torch.equal(first, kept)


@torch.no_grad()
def test_limits():
    stack = stack_of()
    with pytest.raises(ValueError, match="cache of 4"):
        StackStream(stack, capacity=4).push(torch.zeros(1, 5, 16))
    stream = StackStream(stack, capacity=99)
    with pytest.raises(ValueError, match="32 rows"):
        stream.push(torch.zeros(1, 33, 16))
    with pytest.raises(ValueError, match="causal"):
        StackStream(stack_of(causal=False))
    with pytest.raises(ValueError, match="halve"):
        StackStream(stack_of(down=True))
    with pytest.raises(ValueError, match="causal"):
        extend_block(stack_of(causal=False).blocks[0], torch.zeros(1, 1, 16), KeyValueCache(4))
