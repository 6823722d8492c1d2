"""Codebooks by moving averages: nearest codes, residuals, statistics, restart, start by k-means."""

import pytest
import torch

from contrapposto.nn.ema_quantizer import EMAQuantizer, k_means


def clusters(count=8, rows=400, width=6, spread=0.01):
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(count, width, generator=generator) * 3
    labels = torch.arange(rows) % count
    return centres, centres[labels] + spread * torch.randn(rows, width, generator=generator)


@pytest.mark.parametrize("residual", [True, False])
def test_codes_are_the_nearest_ones_and_lookup_repeats_them(residual):
    torch.manual_seed(0)
    quantizer = EMAQuantizer(32, 6, 2, residual=residual).eval()
    z = torch.randn(2, 5, 6)
    valid = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    result = quantizer(z, valid)
    assert (result.indices[1, 3:] == -1).all() and (result.z_q[1, 3:] == 0).all()
    assert torch.allclose(quantizer.lookup(result.indices), result.z_q, atol=1e-6)
    rest = z[valid].clone()
    for book in range(2):
        part = rest if residual else z[valid][:, 3 * book : 3 * book + 3]
        expected = torch.cdist(part, quantizer.books[book]).argmin(-1)
        assert torch.equal(result.indices[valid][:, book], expected)
        if residual:
            rest = rest - quantizer.books[book][expected]


def test_the_gradient_passes_straight_through():
    quantizer = EMAQuantizer(8, 4, 2).train()
    z = torch.randn(1, 3, 4, requires_grad=True)
    quantizer(z).z_q.sum().backward()
    assert torch.allclose(z.grad, torch.ones_like(z))


def test_k_means_finds_clusters():
    centres, rows = clusters()
    means = k_means(rows, 8, seed=0, rounds=30)
    assert torch.cdist(centres, means).min(1).values.median() < 0.05


def test_codebooks_follow_the_latents():
    centres, rows = clusters(count=4)
    torch.manual_seed(1)
    quantizer = EMAQuantizer(4, 6, 1, decay=0.8).train()
    for _ in range(60):
        quantizer(rows[None])
    assert torch.cdist(centres, quantizer.books[0]).min(1).values.max() < 0.1
    assert float(quantizer.eval()(rows[None]).loss.mean()) < 0.01


def test_dead_codes_are_restarted():
    _, rows = clusters(count=16)
    quantizer = EMAQuantizer(16, 6, 1).train()
    quantizer.books.add_(1000.0)
    quantizer.books[0, 0] = 0  # everything belongs to one code
    quantizer.sums.copy_(quantizer.books)
    for _ in range(400):
        quantizer(rows[None])
    used = quantizer.eval()(rows[None]).indices.unique()
    assert len(used) > 8


def test_bypass_keeps_latents_for_the_start():
    quantizer = EMAQuantizer(16, 6, 2).train()
    quantizer.bypass, quantizer.keep_recent = True, 3
    for value in range(5):
        z = torch.full((1, 2, 6), float(value))
        result = quantizer(z)
        assert torch.equal(result.z_q, z) and float(result.loss.sum()) == 0
    assert [float(rows.mean()) for rows in quantizer.recent] == [2, 3, 4]
    quantizer.initialize_codebooks(torch.cat(quantizer.recent), 0)
    assert quantizer.recent == []


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="evenly"):
        EMAQuantizer(9, 6, 2)
    with pytest.raises(ValueError, match="evenly"):
        EMAQuantizer(8, 5, 2, residual=False)
    assert EMAQuantizer(8, 5, 2).width == 5
