"""Dropout: rate, scale, gradient, seed."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from contrapposto.nn.dropout import Dropout, dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.93])
def test_rate_scale_and_independence(rate):
    torch.manual_seed(0)
    x = torch.ones(1001, 503)
    y = dropout(x, rate, True)
    kept = y != 0
    assert abs(int(kept.sum()) - (1 - rate) * x.numel()) < 4 * (rate * (1 - rate) * x.numel()) ** 0.5
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 / (1 - rate)), rtol=1e-3, atol=0)
    # Four entries share a draw of the generator: neighbours must be independent all the same.
    flat = kept.flatten()
    for lag in (1, 2, 3, 4, 5):
        table = [
            [int((flat[:-lag] & flat[lag:]).sum()), int((flat[:-lag] & ~flat[lag:]).sum())],
            [int((~flat[:-lag] & flat[lag:]).sum()), int((~flat[:-lag] & ~flat[lag:]).sum())],
        ]
        assert stats.chi2_contingency(table).pvalue > 1e-3


def test_gradient_follows_the_mask():
    x = torch.randn(7, 5, requires_grad=True)
    y = dropout(x, 0.5, True)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), y.detach())


def test_seed_and_modes():
    layer, x = Dropout(0.4), torch.randn(33)
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(layer(x), first)
    assert layer.eval()(x) is x
    assert dropout(x, 0.0, True) is x
    assert dropout(torch.zeros(0), 0.5, True).shape == (0,)
    assert dropout(x.bfloat16(), 0.5, True).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="rate"):
        dropout(x, 1.0, True)
