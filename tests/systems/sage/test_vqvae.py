"""SAGE's auto-encoder: shapes, options, learning."""

from __future__ import annotations

import pytest
import torch

from contrapposto.systems.sage.losses import VQLoss
from contrapposto.systems.sage.vqvae import SageVQVAE

SMALL = dict(num_layers=(1, 1), hidden=32, heads=2, num_books=4, num_codes=64, code_dim=32)


@pytest.mark.parametrize(("part", "parameters"), [("upper", 7_239_436), ("lower", 7_200_986)])
def test_size_of_the_original(part, parameters):
    """Sheet section 10."""
    model = SageVQVAE(part)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == 161
    assert len(SageVQVAE(part, num_layers=(6, 6)).state_dict()) == 225


def test_shapes_and_consistency():
    model = SageVQVAE("upper", **SMALL).eval()
    motion, sparse = torch.randn(3, 20, 84), torch.randn(3, 20, 3, 18)
    output = model(motion, sparse)
    assert output.reconstruction.shape == (3, 20, 84)
    assert output.indices.shape == (3, 10, 4)
    assert output.latent.shape == output.z_q.shape == (3, 10, 32)
    assert output.quantizer_loss.shape == (3, 10)
    assert torch.equal(model.encode_quantized(motion, sparse), output.z_q)
    assert torch.equal(model.decode(output.z_q), output.reconstruction)
    torch.testing.assert_close(model.quantizer.lookup(output.indices), output.z_q)
    with pytest.raises(ValueError, match="part"):
        SageVQVAE("left")


def test_last_frame_alone_is_the_same():
    model = SageVQVAE("upper", **SMALL).eval()
    motion, sparse = torch.randn(3, 20, 84), torch.randn(3, 20, 3, 18)
    whole, last = model(motion, sparse), model(motion, sparse, last_only=True)
    assert last.reconstruction.shape == (3, 1, 84)
    torch.testing.assert_close(last.reconstruction[:, 0], whole.reconstruction[:, -1])
    gradients = []
    for output in (whole, last):
        model.zero_grad()
        output.reconstruction[:, -1].square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1])
    for a, b in zip(*gradients):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_dropout_options_reach_every_layer():
    model = SageVQVAE("lower", **SMALL, dropout=0.0)
    motion, sparse = torch.randn(3, 20, 54), torch.randn(3, 20, 3, 18)
    model.quantizer.eval()
    assert torch.equal(model(motion, sparse).reconstruction, model(motion, sparse).reconstruction)
    noisy = SageVQVAE("lower", **SMALL)
    noisy.quantizer.eval()
    assert not torch.equal(noisy(motion, sparse).reconstruction, noisy(motion, sparse).reconstruction)
    assert noisy.encoder_stacks[0].drop.p == 0.0
    assert noisy.decoder_stacks[0].drop.p == 0.1


def test_overfits_one_batch():
    torch.manual_seed(0)
    model, loss = SageVQVAE("lower", **SMALL, dropout=0.0), VQLoss("lower")
    motion = torch.randn(8, 1, 9, 6).expand(-1, 20, -1, -1).flatten(2) * 0.5
    motion = motion + torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(9)
    sparse = torch.randn(8, 20, 3, 18)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    values = []
    for _ in range(350):
        output = model(motion, sparse)
        losses = loss(output.reconstruction[:, -1], motion[:, -1], output.quantizer_loss)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        values.append(float(losses.reconstruction.detach() + 5 * losses.kinematics.detach()))
    assert values[-1] < 0.2 * values[0]
