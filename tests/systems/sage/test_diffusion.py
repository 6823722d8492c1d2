"""The diffusion models at tiny size, against the formulas written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from benchmarks.gpu.simulated import simulated_cuda
from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.body_losses import DecoderLoss, RefinerLoss
from contrapposto.systems.sage.condition import embed_sparse
from contrapposto.systems.sage.decoder import FullBodyDecoder, Refiner
from contrapposto.systems.sage.diffusion import DiTBlock, MotionDiffusion


def model(use_upper=False):
    torch.manual_seed(0)
    return MotionDiffusion(use_upper, latent=16, width=32, heads=2, layers=2)


@pytest.mark.parametrize(
    ("network", "parameters", "keys"),
    [
        (lambda: MotionDiffusion(False), 57_969_432, 136),
        (lambda: MotionDiffusion(True), 58_264_728, 138),
        (FullBodyDecoder, 4_035_374, 86),
        (Refiner, 2_635_908, 10),
        (lambda: Refiner(3), 4_211_844, 14),
    ],
)
def test_sizes_of_the_original(network, parameters, keys):
    """Sheet sections 7 and 10."""
    with torch.device("meta"):
        made = network()
    assert sum(p.numel() for p in made.parameters()) == parameters
    assert len(made.state_dict()) == keys


def test_condition_is_convolution_then_linear_and_hides_slots():
    net = model()
    sparse = torch.randn(3, 20, 3, 18)
    slots = net.cond_encoder(sparse.flatten(0, 1)).view(3, 20, 22, 18)
    torch.testing.assert_close(net.condition(sparse), net.cond_encoder2(slots.flatten(2)))
    hidden = torch.tensor([[0, 5], [7, 7], [21, 3]])
    for sample in range(3):
        slots[sample, :, hidden[sample]] = 0.01
    found = embed_sparse(net.cond_encoder, net.cond_encoder2, sparse, hidden)
    torch.testing.assert_close(found, net.cond_encoder2(slots.flatten(2)))


def test_denoiser_of_the_second_model_written_out():
    net = model(use_upper=True)
    inner = net.denoiser_upper
    sparse, noisy, upper = torch.randn(3, 20, 3, 18), torch.randn(3, 10, 16), torch.randn(3, 10, 16)
    steps = torch.tensor([3, 500, 999])
    condition = inner.sparse_up_conv(net.condition(sparse))
    latent = inner.upper_align_net(inner.down_dim_init(torch.cat([upper, noisy], -1)))
    tokens = inner.down_dim(torch.cat([condition, latent], -1))
    time = inner.embed_timestep(steps)
    for block in inner.blocks:
        shift, scale, gate, shift2, scale2, gate2 = block.adaLN_modulation(time)[:, None].chunk(6, -1)
        x = F.layer_norm(tokens, (32,), eps=1e-6) * (1 + scale) + shift
        query, key, value = block.attn.qkv(x).chunk(3, -1)
        heads = []
        for head in range(2):
            part = slice(16 * head, 16 * head + 16)
            weights = torch.softmax(query[..., part] @ key[..., part].transpose(1, 2) / 4, -1)
            heads.append(weights @ value[..., part])
        tokens = tokens + gate * block.attn.proj(torch.cat(heads, -1))
        x = F.layer_norm(tokens, (32,), eps=1e-6) * (1 + scale2) + shift2
        tokens = tokens + gate2 * block.mlp.fc2(F.gelu(block.mlp.fc1(x), approximate="tanh"))
    torch.testing.assert_close(net(noisy, steps, sparse, upper), inner.last(tokens))
    with pytest.raises(ValueError, match="upper"):
        net(noisy, steps, sparse)


def test_the_last_step_changes_nothing():
    net = model().eval()
    sparse, noise = torch.randn(2, 20, 3, 18), torch.randn(2, 10, 16)
    all_steps = net.trajectory(sparse, noise, skip_idle=False)
    assert len(all_steps) == 5
    torch.testing.assert_close(all_steps[-1], all_steps[-2], atol=1e-6, rtol=1e-5)
    assert torch.equal(net.sample(sparse, noise), all_steps[-2])
    one = net.trajectory(sparse, noise, steps=1)
    assert len(one) == 1


def test_gradients_flow_through_the_sampler():
    net = model(use_upper=True)
    upper = torch.randn(2, 10, 16, requires_grad=True)
    net.sample(torch.randn(2, 20, 3, 18), torch.randn(2, 10, 16), upper).square().sum().backward()
    assert float(upper.grad.abs().sum()) > 0
    assert all(p.grad is not None for p in net.parameters())


def test_modulation_starts_at_torchs_default():
    torch.manual_seed(0)
    assert float(DiTBlock(64, 2).adaLN_modulation[1].weight.detach().abs().max()) > 0.1


def poses(frames, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, 132, generator=generator), torch.randn(frames, 3, 18, generator=generator)


def test_decoder_loss_ignores_a_common_shift_and_is_zero_at_the_truth():
    (pred, sparse), (true, _) = poses(6), poses(6, 1)
    loss = DecoderLoss()
    same = loss(true, true, sparse)
    assert float(same.total) == 0
    shifted = sparse.clone()
    shifted[:, :, 12:15] += 3.0
    torch.testing.assert_close(
        loss(pred, true, sparse).total, loss(pred, true, shifted).total, rtol=1e-4, atol=1e-4
    )
    tall = DecoderLoss(2 * torch.from_numpy(SMPL22.rest_positions))
    assert not loss.state_dict()
    assert float(tall(pred, true, sparse).aligned) != float(loss(pred, true, sparse).aligned)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 9])
def test_refiner_loss_of_short_sequences_is_finite(frames):
    (pred, sparse), (true, _) = poses(frames), poses(frames, 1)
    pred.requires_grad_()
    losses = RefinerLoss()(pred, true, sparse)
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert torch.isfinite(pred.grad).all()
    assert (float(losses.slow_velocity.detach()) == 0) == (frames < 4)


def test_refiner_loss_of_padded_sequences_is_the_mean_of_their_losses():
    lengths = [9, 1, 4, 7]
    pred, true, sparse = (torch.zeros(len(lengths), 9, *shape) for shape in ((132,), (132,), (3, 18)))
    for row, frames in enumerate(lengths):
        pred[row, :frames], sparse[row, :frames] = poses(frames, row)
        true[row, :frames] = poses(frames, 10 + row)[0]
    pred.requires_grad_()
    losses = RefinerLoss()(pred, true, sparse, torch.tensor(lengths))
    losses.total.backward()
    alone = [RefinerLoss()(pred[i, :n], true[i, :n], sparse[i, :n]) for i, n in enumerate(lengths)]
    for name, value in vars(losses).items():
        torch.testing.assert_close(value, torch.stack([vars(one)[name] for one in alone]).mean())
    gradient = torch.autograd.grad(torch.stack([one.total for one in alone]).mean(), pred)[0]
    torch.testing.assert_close(pred.grad, gradient)


def test_refiner_loss_leaves_lengths_on_the_device():
    (pred, sparse), (true, _) = poses(6), poses(6, 1)
    with simulated_cuda() as log:
        inputs = [value[None].to("cuda") for value in (pred, true, sparse)] + [
            torch.tensor([4], device="cuda")
        ]
        loss = RefinerLoss().to("cuda")
        log.clear()
        loss(*inputs)
        assert log.launches > 50 and not log.waits and not log.faults
