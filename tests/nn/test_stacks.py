"""Attention, convolutions and stacks against torch's own layers and loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from contrapposto.nn.attention import Block, SelfAttention
from contrapposto.nn.positions import PositionTable, sine_table
from contrapposto.nn.stacks import DownConv, Stack, UpConv


def masks(batch=3, length=8):
    valid = torch.ones(batch, length, dtype=torch.bool)
    valid[1, 5:] = False
    valid[2, 0] = valid[2, 3] = False
    return valid


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_the_textbook_formula(causal, masked):
    torch.manual_seed(0)
    attention = SelfAttention(16, 4, causal=causal).eval()
    x = torch.randn(3, 8, 16)
    valid = masks() if masked else torch.ones(3, 8, dtype=torch.bool)
    expected = torch.zeros(3, 8, 16)
    query, key, value = (layer(x) for layer in (attention.query, attention.key, attention.value))
    for b in range(3):
        for head in range(4):
            part = slice(4 * head, 4 * head + 4)
            for i in range(8):
                seen = [j for j in range(8) if valid[b, j] and (j <= i or not causal)]
                if seen:
                    scores = (key[b, seen, part] @ query[b, i, part]) / math.sqrt(4)
                    expected[b, i, part] = torch.softmax(scores, 0) @ value[b, seen, part]
    torch.testing.assert_close(attention(x, valid if masked else None), attention.proj(expected))


def test_attention_without_any_valid_key_is_finite_forward_and_backward():
    attention = SelfAttention(8, 2, causal=True)
    x = torch.randn(2, 4, 8, requires_grad=True)
    attention(x, torch.zeros(2, 4, dtype=torch.bool)).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in attention.parameters())


def test_padding_does_not_reach_valid_tokens():
    block = Block(16, 4).eval()
    x, valid = torch.randn(3, 8, 16), masks()
    changed = torch.where(valid[..., None], x, torch.randn_like(x))
    torch.testing.assert_close(block(x, valid)[valid], block(changed, valid)[valid])


@pytest.mark.parametrize("causal", [False, True])
def test_down_conv_is_conv1d_and_max_pool(causal):
    torch.manual_seed(0)
    layer = DownConv(6, causal=causal)
    for length in (8, 7):
        x = torch.randn(2, length, 6)
        channels = x.transpose(1, 2)
        channels = layer.conv(F.pad(channels, (1, 0)) if causal else channels)
        expected = F.max_pool1d(channels, 2).transpose(1, 2)
        torch.testing.assert_close(layer(x)[0], expected)


def test_down_conv_takes_the_valid_frame_of_a_pair():
    layer = DownConv(6)
    x, valid = torch.randn(3, 8, 6), masks()
    full = layer.conv(x.transpose(1, 2)).transpose(1, 2)
    pooled, kept = layer(x, valid)
    assert torch.equal(kept, valid[:, ::2])
    for b in range(3):
        for s in range(4):
            frames = [t for t in (2 * s, 2 * s + 1) if valid[b, t]] or [2 * s, 2 * s + 1]
            torch.testing.assert_close(pooled[b, s], full[b, frames].amax(0))


def test_up_conv_is_conv_transpose1d_without_its_first_step():
    layer = UpConv(6)
    x, valid = torch.randn(3, 5, 6), torch.rand(3, 5) > 0.5
    y, doubled = layer(x, valid)
    torch.testing.assert_close(y, layer.conv(x.transpose(1, 2))[..., 1:].transpose(1, 2))
    assert torch.equal(doubled, valid.repeat_interleave(2, 1))


def first_frame_that_sees(stack, length, changed):
    """The first output frame that a change of one input frame reaches."""
    x = torch.randn(1, length, 16)
    y = x.clone()
    y[:, changed] += 1
    with torch.no_grad():
        difference = (stack(x)[0] - stack(y)[0]).abs().amax(-1)[0]
    return int((difference > 1e-7).nonzero()[0])


def test_causality():
    torch.manual_seed(0)
    encoder = Stack(2, 16, 2, causal=True, down=True).eval()
    assert first_frame_that_sees(encoder, 12, 6) == 3  # token k sees frames up to 2 k + 1
    assert first_frame_that_sees(encoder, 12, 7) == 3
    decoder = Stack(2, 16, 2, causal=True, up=True).eval()
    assert first_frame_that_sees(decoder, 12, 8) == 15  # one token of look-ahead at odd frames
    strict = Stack(2, 16, 2, causal=True, up=True, look_ahead=False).eval()
    assert first_frame_that_sees(strict, 12, 8) == 16
    full = Stack(2, 16, 2, down=True).eval()
    assert first_frame_that_sees(full, 12, 11) == 0


def test_positions():
    table = sine_table(30, 7)[0].numpy()
    for p in (0, 1, 29):
        for column in range(7):
            angle = p * 10000 ** (-2 * (column // 2) / 8)
            assert table[p, column] == pytest.approx(
                math.cos(angle) if column % 2 else math.sin(angle), abs=1e-5
            )
    x = torch.randn(2, 5, 7)
    np.testing.assert_allclose((PositionTable(30, 7)(x) - x)[1].numpy(), table[:5], atol=1e-6)
    assert torch.equal(PositionTable(30, 7, "none")(x), x)
    assert isinstance(PositionTable(30, 7, "learned").pe, torch.nn.Parameter)
    assert torch.equal(PositionTable(30, 7, "sine_ft").pe, sine_table(30, 7))
    with pytest.raises(ValueError, match="30 rows"):
        PositionTable(30, 7)(torch.zeros(1, 31, 7))
    with pytest.raises(ValueError, match="kind"):
        PositionTable(30, 7, "cosine")


def test_frozen_tables_load_whether_or_not_the_file_holds_them():
    with_table, without = PositionTable(4, 6), PositionTable(4, 6, persistent=False)
    assert list(with_table.state_dict()) == ["pe"]
    assert not without.state_dict()
    with_table.load_state_dict({})
    without.load_state_dict(with_table.state_dict())


def test_number_of_tables_and_initialisation():
    torch.manual_seed(0)
    once = Stack(3, 64, 2, position_every_block=False, up=True)
    every = Stack(3, 64, 2)
    assert (len(once.pos), len(every.pos)) == (1, 3)
    assert float(every.blocks[0].mlp[0].weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    assert float(every.blocks[0].mlp[0].bias.detach().abs().max()) == 0
    # The convolution keeps torch's own initialisation: uniform within 1 / sqrt(fan in).
    assert float(once.up_conv.conv.weight.detach().abs().max()) == pytest.approx(
        1 / math.sqrt(64 * 3), rel=0.05
    )


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", [{"up": True}, {"down": True}, {}])
def test_last_frame_alone_is_the_same(causal, kind):
    stack = Stack(2, 16, 2, causal=causal, **kind).eval()
    x, valid = torch.randn(3, 8, 16), masks()
    for mask in (None, valid):
        whole, kept = stack(x, mask)
        last, last_kept = stack(x, mask, last_only=True)
        torch.testing.assert_close(last, whole[:, -1:])
        assert mask is None or torch.equal(last_kept, kept[:, -1:])


def test_attention_with_dropout_on_a_cpu_has_the_right_mean():
    torch.manual_seed(0)
    attention = SelfAttention(16, 4, dropout=0.3)
    x = torch.randn(1, 6, 16)
    expected = attention.eval()(x)
    mean = attention.train()(x.expand(20000, -1, -1)).mean(0)
    torch.testing.assert_close(mean[None], expected, atol=0.02, rtol=0.05)


def test_dropout_is_on_in_training_only():
    torch.manual_seed(0)
    stack = Stack(1, 16, 2, dropout=0.5, entry_dropout=0.0)
    x = torch.randn(2, 6, 16)
    assert not torch.equal(stack(x)[0], stack(x)[0])
    stack.eval()
    assert torch.equal(stack(x)[0], stack(x)[0])
    silent = Stack(1, 16, 2, dropout=0.0, entry_dropout=0.0)
    assert torch.equal(silent(x)[0], silent(x)[0])
