"""Packed and 8-bit linear layers against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from contrapposto.nn.packed import Int8Linear, PackedLinear, make_linear, replace_linears


@pytest.mark.parametrize("shape", [(10, 24), (1, 10, 24), (5, 7, 24), (3, 2, 2, 24)])
@pytest.mark.parametrize("bias", [True, False])
def test_against_numpy(shape, bias):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(40, 24, generator=generator)
    offset = torch.randn(40, generator=generator) if bias else None
    features = torch.randn(shape, generator=generator)
    expected = features.double().numpy() @ weight.double().numpy().T
    expected = expected + (offset.double().numpy() if bias else 0)
    for kind in ("plain", "packed"):
        actual = make_linear(weight, offset, kind)(features)
        np.testing.assert_allclose(actual, expected, atol=2e-5, rtol=1e-5)
        curved = make_linear(weight, offset, kind, gelu=True)(features)
        inner = np.sqrt(2 / np.pi) * (expected + 0.044715 * expected**3)
        np.testing.assert_allclose(curved, expected * (1 + np.tanh(inner)) / 2, atol=2e-5, rtol=1e-5)
    # Weights are off by half a step of 1/127 of their row's largest, inputs by half a step of their range / 255.
    rounded = make_linear(weight, offset, "int8")(features).double().numpy()
    range_ = float(features.max().clamp_min(0) - features.min().clamp_max(0))
    bound = float(features.abs().sum(-1).max()) * float(weight.abs().max()) / 254
    bound += range_ / 510 * float(weight.abs().sum(1).max()) * (1 + 1 / 127)
    assert np.abs(rounded - expected).max() < bound * (2 if not torch.cpu._is_vnni_supported() else 1)
    if isinstance(make_linear(weight, offset, "int8"), Int8Linear):
        assert np.abs(rounded - expected).max() > 1e-4  # it is not the exact one by mistake


def test_only_linear_layers_are_replaced_and_the_weights_are_copies():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Sequential(nn.GELU(), nn.Linear(8, 3))).eval()
    features = torch.randn(4, 6)
    expected = net(features).detach()
    source = net[0]
    replace_linears(net, "packed")
    kinds = {type(part) for part in net.modules()}
    assert (PackedLinear in kinds) == torch.backends.mkldnn.is_available()
    assert nn.LayerNorm in kinds
    nn.init.zeros_(source.weight)
    torch.testing.assert_close(net(features), expected, atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match="int4"):
        make_linear(source.weight, None, "int4")
