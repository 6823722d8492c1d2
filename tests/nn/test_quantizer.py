"""Quantisers against NumPy loops; two processes against one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from contrapposto.nn.quantizer import AnchoredQuantizer, ProductQuantizer

ROOT = Path(__file__).parents[2]


def quantizer_of_width_12(kind=ProductQuantizer, **options):
    torch.manual_seed(0)
    quantizer = kind(24, 12, 3, **options)
    for book in quantizer.embeddings:
        book.weight.data.normal_()
    return quantizer


def test_nearest_code_loss_and_lookup_against_loops():
    quantizer = quantizer_of_width_12(beta=0.3).eval()
    z = torch.randn(2, 5, 12)
    output = quantizer(z)
    books = [book.weight.detach().numpy() for book in quantizer.embeddings]
    for b in range(2):
        for token in range(5):
            rows = []
            for i, book in enumerate(books):
                distances = ((book - z[b, token, 4 * i : 4 * i + 4].numpy()) ** 2).sum(1)
                assert output.indices[b, token, i] == distances.argmin()
                rows.append(book[distances.argmin()])
            expected = np.concatenate(rows)
            np.testing.assert_allclose(output.z_q[b, token].detach().numpy(), expected, atol=1e-6)
            loss = 1.3 * ((expected - z[b, token].numpy()) ** 2).mean()
            assert float(output.loss[b, token].detach()) == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(quantizer.lookup(output.indices), output.z_q, atol=1e-6, rtol=0)


def test_gradients_of_the_two_terms():
    quantizer = quantizer_of_width_12(beta=0.3).eval()
    z = torch.randn(2, 5, 12, requires_grad=True)
    output = quantizer(z)
    weights = torch.randn_like(output.z_q)
    (output.loss.sum() + (output.z_q * weights).sum()).backward()
    shift = z.detach() - output.z_q.detach()
    # Straight through, and towards the code with weight 1; the code towards z with weight beta.
    torch.testing.assert_close(z.grad, weights + 2 / 12 * shift, atol=1e-6, rtol=1e-5)
    expected = torch.zeros(8, 4)
    for b in range(2):
        for token in range(5):
            expected[output.indices[b, token, 1]] -= 0.3 * 2 / 12 * shift[b, token, 4:8]
    torch.testing.assert_close(quantizer.embeddings[1].weight.grad, expected, atol=1e-6, rtol=1e-5)


def test_ties_go_to_the_first_code():
    quantizer = quantizer_of_width_12().eval()
    for book in quantizer.embeddings:
        book.weight.data[5] = book.weight.data[2]
    assert 5 not in quantizer(torch.randn(20, 20, 12)).indices


def test_invalid_tokens():
    quantizer = quantizer_of_width_12().eval()
    z, valid = torch.randn(2, 5, 12), torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1]]).bool()
    output = quantizer(z, valid)
    assert (output.indices[~valid] == -1).all()
    assert (output.z_q[~valid] == 0).all()
    assert (quantizer.lookup(output.indices)[~valid] == 0).all()
    plain = quantizer(z)
    assert torch.equal(output.indices[valid], plain.indices[valid])
    assert torch.equal(output.z_q[valid], plain.z_q[valid])


def test_partly_quantised():
    quantizer = quantizer_of_width_12().eval()
    z = torch.randn(40, 50, 12)
    output = quantizer(z, quantized_share=0.7)
    assert float((output.z_q == z).float().mean()) == pytest.approx(0.3, abs=0.02)


def test_usage_tracker_leaves_padding_out():
    quantizer = quantizer_of_width_12(track_usage=True)
    z, valid = torch.randn(4, 6, 12), torch.rand(4, 6) > 0.4
    bins = np.full((3, 8), 1 / 8)
    for step in range(1, 4):
        codes = quantizer(z, valid).indices[valid].numpy()
        rate = max(0.05, 1 / (step + 1))
        counts = np.stack([np.bincount(codes[:, book], minlength=8) for book in range(3)])
        bins = (1 - rate) * bins + rate * counts / len(codes)
        np.testing.assert_allclose(quantizer.usage.bins.numpy(), bins, atol=1e-6)
    assert float(quantizer.usage.balance()) == pytest.approx((1 - np.abs(1 - 8 * bins)).mean(), abs=1e-5)


def loop_extras(books, z, prob, decay, size, contrastive, temperature):
    """SAGE's training extras on (N, D) features, by loops: new usage, new books, contrastive term."""
    new_prob, new_codebooks, term = prob.copy(), [], 0.0
    for i, book in enumerate(books):
        part = z[:, 4 * i : 4 * i + 4]
        distance = ((part[:, None] - book[None]) ** 2).sum(-1)
        frequency = np.bincount(distance.argmin(1), minlength=8) / len(z)
        new_prob[:, i] = decay * prob[:, i] + (1 - decay) * frequency
        rate = np.exp(-new_prob[:, i] * size * 10 / (1 - decay) - 1e-3)[:, None]
        new_codebooks.append((1 - rate) * book + rate * part[distance.argmin(0)])
        if i in contrastive:
            losses = []
            for code in range(8):
                ordered = np.sort(-distance[:, code])
                positive = ordered[-max(1, len(z) // size) :].mean()
                logits = np.concatenate([[positive], ordered[: len(z) // 2]]) / temperature
                losses.append(np.log(np.exp(logits - logits[0]).sum()))
            term += np.mean(losses)
    return new_prob, new_codebooks, term


@pytest.mark.parametrize(
    ("options", "size", "contrastive"),
    [({}, 24, (0, 1)), ({"rule_size": 8, "contrastive_books": None}, 8, (0, 1, 2))],
)
def test_anchored_quantizer_against_loops(options, size, contrastive):
    # Three codes lie far off and go unused: they are moved in part, the others hardly.
    quantizer = quantizer_of_width_12(AnchoredQuantizer, decay=0.5, temperature=2.0, **options)
    quantizer.embed_prob.uniform_(0, 0.004)
    for book in quantizer.embeddings:
        book.weight.data[:3] += 5
    z = torch.randn(4, 10, 12)
    prob = quantizer.embed_prob.double().numpy().copy()
    books = [book.weight.detach().double().numpy().copy() for book in quantizer.embeddings]
    plain = ((quantizer.eval()(z).z_q - z).square().mean(-1) * 2).detach()
    output = quantizer.train()(z)
    new_prob, new_codebooks, term = loop_extras(
        books, z.double().view(40, 12).numpy(), prob, 0.5, size, contrastive, 2.0
    )
    np.testing.assert_allclose(quantizer.embed_prob.numpy(), new_prob, atol=1e-6)
    for book, expected, old in zip(quantizer.embeddings, new_codebooks, books):
        np.testing.assert_allclose(book.weight.detach().numpy(), expected, atol=1e-5)
        assert np.abs(expected - old).max() > 0.1
    assert term > 0.1
    np.testing.assert_allclose((output.loss.detach() - plain).numpy(), term, rtol=1e-4)


def test_extras_ignore_padding():
    z, valid = torch.randn(4, 10, 12), torch.rand(4, 10) > 0.4
    padded, alone = (quantizer_of_width_12(AnchoredQuantizer) for _ in range(2))
    first = padded(z, valid)
    second = alone(z[valid][None])
    torch.testing.assert_close(padded.embed_prob, alone.embed_prob)
    for a, b in zip(padded.embeddings, alone.embeddings):
        torch.testing.assert_close(a.weight, b.weight)
    torch.testing.assert_close(first.loss[valid], second.loss[0])


def test_eval_mode_changes_nothing():
    quantizer = quantizer_of_width_12(AnchoredQuantizer).eval()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(torch.randn(4, 10, 12))
    assert all(torch.equal(value, before[name]) for name, value in quantizer.state_dict().items())


def test_float32_under_autocast():
    quantizer = quantizer_of_width_12(AnchoredQuantizer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = quantizer(torch.randn(2, 6, 12).bfloat16())
    assert output.z_q.dtype == output.loss.dtype == torch.float32


def test_uneven_books_are_refused():
    with pytest.raises(ValueError, match="evenly"):
        ProductQuantizer(100, 12, 3)


def test_two_processes_are_one_with_the_whole_batch(tmp_path):
    """Codes, gradients averaged over processes, books, usage, over three steps, also with uneven shares."""
    command = [sys.executable, "-m", "tests.nn.two_processes", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_bypassed_quantizer_passes_the_latent_in_training_only():
    quantizer = quantizer_of_width_12(AnchoredQuantizer)
    quantizer.bypass = True
    z = torch.randn(2, 5, 12, requires_grad=True)
    before = quantizer.codebooks().detach().clone()
    output = quantizer.train()(z)
    assert torch.equal(output.z_q, z) and not output.loss.any() and not output.extra
    (output.z_q.sum() + output.loss.sum()).backward()
    assert all(not book.weight.grad.any() for book in quantizer.embeddings)
    assert torch.equal(quantizer.codebooks(), before) and not quantizer.embed_prob.any()
    assert not torch.equal(quantizer.eval()(z).z_q, z)


def test_books_start_at_the_clusters_of_the_latents():
    quantizer = quantizer_of_width_12(AnchoredQuantizer)
    generator = torch.Generator().manual_seed(3)
    centres = 10 * torch.randn(3, 8, 4, generator=generator)
    choice = torch.arange(8).repeat(40)
    z = centres[:, choice].permute(1, 0, 2).reshape(8, 40, 12)
    z = z + 0.01 * torch.randn(z.shape, generator=generator)
    quantizer.initialize_codebooks(z, seed=0, rounds=30)
    for book, wanted in zip(quantizer.codebooks(), centres):
        distance = torch.cdist(book.detach(), wanted).min(0).values
        # Lloyd's algorithm may merge a pair of clusters, hardly more with so many rounds.
        assert (distance < 0.05).sum() >= 4
    shares = quantizer.embed_prob.sum(0)
    torch.testing.assert_close(shares, torch.ones(3))
    codes = quantizer.eval()(z).indices
    assert (codes.flatten(0, 1).t().sort(1).values.diff(dim=1) != 0).sum() >= 3 * 4
