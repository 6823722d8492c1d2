"""Compiled networks compute what plain ones compute."""

from __future__ import annotations

import csv

import pytest
import torch
from torch._dynamo.utils import counters

from callbacks import load_checkpoint
from contrapposto.errors import ConfigError
from contrapposto.systems.npr.diffusion import FeatureDiffusion, KeypointDiffusion
from contrapposto.systems.posegpt.gpt import Condition, TokenGPT
from contrapposto.systems.sage.diffusion import MotionDiffusion
from tests.lightning_modules.anerf_tiny import tiny, write_sticks
from tests.lightning_modules.sage_tiny import entry_point


def _sage():
    network = MotionDiffusion(False, 20, 16, width=32, heads=2, layers=2)
    return network, lambda net: net(
        torch.randn(3, 10, 16), torch.tensor([1, 5, 9]), torch.randn(3, 20, 3, 18)
    )


def _keypoints():
    network = KeypointDiffusion(width=32, heads=2, layers=2)
    return network, lambda net: net.loss(torch.randn(3, 7, 3), torch.randn(3, 7, 3), torch.tensor([1, 5, 9]))


def _features():
    network = FeatureDiffusion(channels=8, width=32, heads=2, layers=2)
    return network, lambda net: net.loss(
        torch.randn(3, 7, 8), torch.randn(3, 7, 8), torch.tensor([1, 5, 9]), torch.randn(3, 7, 3)
    )


def _tokens():
    network = TokenGPT(
        num_books=2,
        num_codes=12,
        width=32,
        num_layers=2,
        heads=2,
        block_size=16,
        dropout=0.0,
        entry_dropout=0.0,
        extras=0,
        concatenate=False,
        end_token=False,
        head="mlp",
        positions="scratch",
        causal=True,
        original_offsets=False,
    )
    return network, lambda net: net(torch.randint(0, 6, (3, 9, 2)), Condition(None, None))


@pytest.mark.parametrize("build", [_sage, _keypoints, _features, _tokens])
def test_compiled_networks_give_the_same_numbers_and_gradients(build):
    torch.manual_seed(0)
    network, run = build()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)

    def measure():
        torch.manual_seed(1)
        network.zero_grad()
        output = run(network)
        output.square().mean().backward()
        return [output.detach(), *(p.grad.clone() for p in network.parameters() if p.grad is not None)]

    plain = measure()
    counters.clear()
    network.compile(backend="aot_eager")
    compiled = measure()
    assert counters["frames"]["ok"] > 0 and len(plain) == len(compiled) > 5
    for expected, actual in zip(plain, compiled):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


def test_a_compiled_training_has_the_same_losses_and_names_of_weights(tmp_path):
    write_sticks(tmp_path / "stores")
    results = {}
    for kind in ("false", "aot_eager"):
        counters.clear()
        runs = tmp_path / kind
        small = ("trainer.max_steps=3", "trainer.limit_val_batches=1", "module.network.depth=2")
        entry_point("train", tiny("anerf", tmp_path / "stores", runs, *small, f"trainer.compile={kind}"))
        assert bool(counters["frames"]["ok"]) == (kind != "false")
        run = next(runs.glob("anerf/*"))
        with (run / "metrics.csv").open(encoding="utf-8") as file:
            losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")]
        results[kind] = losses, sorted(load_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"])
    assert len(results["false"][0]) == 3
    assert results["aot_eager"][0] == pytest.approx(results["false"][0], rel=1e-4)
    assert results["aot_eager"][1] == results["false"][1]


@pytest.mark.parametrize(
    ("model", "backend", "message"),
    [
        ("tracker", "true", "TrackerModule has no network to compile"),
        ("sage_first", "fast", "trainer.compile=fast cannot be used"),
    ],
)
def test_what_cannot_be_compiled_is_refused(model, backend, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        entry_point("train", [f"model={model}", f"trainer.compile={backend}", f"paths.runs={tmp_path}"])
