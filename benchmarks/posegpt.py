"""PoseGPT at full size: sampling with and without cache, training steps, and the vertices of its loss.

Weights are random: the speed does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from benchmarks.figure import smplx_forward
from benchmarks.measure import Row, compare, floor_share, flops, matmul_speed
from contrapposto.body import load_body
from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.losses import PoseLoss, laplacian_nll, token_nll
from contrapposto.systems.posegpt.prepared import PreparedGPT
from contrapposto.systems.posegpt.rollout import roll_out
from contrapposto.systems.posegpt.token_sampling import Draw, keyed_exponential
from contrapposto.systems.posegpt.vqvae import PoseVQVAE

BATCH, TOKENS, ACTIONS = 32, 32, 60


def run(threads: int) -> Iterator[Row]:
    """Every figure, one by one."""
    torch.manual_seed(0)
    model = PoseGPT(num_actions=ACTIONS).eval()
    yield _sampling(model, threads)
    yield from _cost_per_token(model, threads)
    yield _autoencoder_step(threads)
    yield _generator_step(threads)
    yield _vertices(threads)


def rollout(
    model: PoseGPT, count: int, prepared: PreparedGPT | None, batch: int = BATCH, actions: int = ACTIONS
) -> Callable[[], None]:
    """Draws of `count` tokens; without a prepared generator everything is computed anew for every token."""
    ids = torch.arange(batch)
    hot, lengths = one_hot(ids % actions, actions).float(), torch.full((batch,), 2 * count)
    shape = (model.gpt.num_books, model.gpt.book_size)

    def sample() -> None:
        steps = roll_out(
            model,
            count,
            hot,
            lengths,
            draw=Draw(),
            noise=lambda token: keyed_exponential(0, token, ids, shape),
            cached=prepared is not None,
            prepared=prepared,
        )
        for _ in steps:
            pass

    return sample


def _sampling(model: PoseGPT, threads: int) -> Row:
    cached = rollout(model, TOKENS, PreparedGPT(model.gpt))
    taken, ratio = compare(cached, rollout(model, TOKENS, None), repeats=3)
    share = floor_share(flops(cached), taken, matmul_speed())
    name = f"posegpt sampling, {TOKENS} tokens, batch {BATCH}"
    return Row(
        name, BATCH / taken, "motions/s", threads, "float32", share, ratio, "all recomputed for every token"
    )


def _cost_per_token(model: PoseGPT, threads: int) -> Iterator[Row]:
    """Whole motions of more and more tokens, up to the block size."""
    prepared = PreparedGPT(model.gpt)
    for batch in (1, 8):
        for count in (32, 128, model.gpt.block_size - 1):
            sample = rollout(model, count, prepared, batch=batch)
            taken, _ = compare(sample, lambda: None, repeats=3)
            name = f"posegpt sampling, {count} tokens, batch {batch}"
            yield Row(name, 1e3 * taken / count, "ms/token", threads)


def _training_step(loss: Callable[[], Tensor], network: torch.nn.Module) -> Callable[[], None]:
    weights = [value for value in network.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=1e-5, fused=True)
    network.train()

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def _timed(name: str, step: Callable[[], Any], threads: int) -> Row:
    taken, _ = compare(step, lambda: None, repeats=3)
    share = floor_share(flops(step), taken, matmul_speed())
    return Row(name, 1 / taken, "steps/s", threads, "float32", share)


def _autoencoder_step(threads: int) -> Row:
    """Batch 16, 64 frames of 55 joints, no vertices: the sizes of docs/specs/posegpt.md, section 15."""
    network, criterion = PoseVQVAE("causal", 55), PoseLoss(vert_weight=0)
    x = 0.3 * torch.randn(16, 64, 333)
    pose, valid = 0.3 * torch.randn(16, 64, 168), torch.ones(16, 64, dtype=torch.bool)

    def loss() -> Tensor:
        output = network(x, valid)
        terms = criterion(output.motion, pose, valid, output.quantized.loss, output.token_valid)
        total: Tensor = terms.total
        return total

    return _timed("posegpt auto-encoder, training step, batch 16", _training_step(loss, network), threads)


def _generator_step(threads: int) -> Row:
    """Batch 32 of cached tokens."""
    network = PoseGPT(num_actions=ACTIONS)
    codes = torch.randint(256, (BATCH, TOKENS, 2))
    hot, lengths = torch.eye(ACTIONS)[:BATCH], torch.full((BATCH,), 64)
    valid = torch.ones(BATCH, TOKENS, dtype=torch.bool)

    def loss() -> Tensor:
        return token_nll(network(codes, hot, lengths)[:, :-1], codes, valid)

    return _timed(f"posegpt generator, training step, batch {BATCH}", _training_step(loss, network), threads)


def _vertices(threads: int) -> Row:
    """The vertex term of the loss for 64 bodies: true vertices, predicted ones, their distance and its gradient."""
    rotations = torch.linalg.qr(torch.randn(2, 64, 52, 3, 3)).Q.contiguous()
    predicted, true = rotations[0].clone().requires_grad_(), rotations[1]
    body = load_body()
    plain_predicted, plain_true = smplx_forward(predicted), smplx_forward(true)

    def ours() -> None:
        with torch.no_grad():
            goal = body(true, None).vertices
        laplacian_nll(body(predicted, None).vertices, goal).mean().backward()

    def plain() -> None:
        with torch.no_grad():
            goal = plain_true()[0]  # type: ignore[index]
        laplacian_nll(plain_predicted()[0], goal).mean().backward()  # type: ignore[index]

    taken, ratio = compare(ours, plain, repeats=3)
    name = "posegpt vertex loss of 64 bodies and gradient"
    return Row(name, 64 / taken, "bodies/s", threads, ratio=ratio, plain="dense smplx-style")
