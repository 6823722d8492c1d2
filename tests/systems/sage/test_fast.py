"""The prepared tracker gives the numbers of the plain one."""

from __future__ import annotations

import pytest
import torch

from contrapposto.systems.sage.diffusion import MotionDiffusion
from contrapposto.systems.sage.fast import PreparedDiffusion, prepare_tracker
from contrapposto.systems.sage.features import sage_features
from contrapposto.systems.sage.tracker import SageTracker
from tests.systems.sage.test_features import motion
from tests.systems.sage.test_tracker import networks


@pytest.fixture
def sparse():
    return sage_features(motion(frames=26))["sparse"]


@pytest.mark.parametrize("linears", ["plain", "packed"])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_prepared_equals_plain(sparse, linears, steps):
    tracker = SageTracker(*networks(), seed=5, steps=steps).eval()
    whole = tracker.track(sparse)
    prepared = prepare_tracker(tracker, linears=linears)
    torch.testing.assert_close(prepared.track(sparse).sixd, whole.sixd, atol=1e-5, rtol=1e-5)
    stream = prepared.stream()
    for frame, features in enumerate(sparse):
        body = stream.push(features)
        torch.testing.assert_close(body.sixd[0], whole.sixd[frame], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(body.joints[0], whole.joints[frame], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("use_upper", [False, True])
def test_sampler_against_all_five_calls(use_upper):
    """Weights that make the latents large, so that every share of the folded maps shows."""
    torch.manual_seed(1)
    network = MotionDiffusion(use_upper, latent=16, width=32, heads=2, layers=2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    sparse, noise, upper = torch.randn(3, 20, 3, 18), torch.randn(3, 10, 16), torch.randn(3, 10, 16)
    network.start_scale = 1.0
    expected = network.sample(sparse, noise, upper, skip_idle=False).detach()
    found = PreparedDiffusion(network, 5, "plain").sample(sparse, noise, upper, steps=5)
    assert float(expected.abs().mean()) > 0.3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_eight_bits_are_near(sparse):
    tracker = SageTracker(*networks(), seed=5).eval()
    error = prepare_tracker(tracker, linears="int8").track(sparse).sixd - tracker.track(sparse).sixd
    scale = tracker.track(sparse).sixd.std()
    assert 0 < float(error.abs().max()) < 0.1 * scale


def test_it_is_a_snapshot_for_one_number_of_steps(sparse):
    tracker = SageTracker(*networks(), seed=5).eval()
    prepared = prepare_tracker(tracker, steps=2)
    before = prepared.track(sparse).sixd
    tracker.steps = 2
    torch.testing.assert_close(before, tracker.track(sparse).sixd, atol=1e-5, rtol=1e-5)
    for parameter in tracker.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(prepared.track(sparse).sixd, before)
    prepared.steps = 5
    with pytest.raises(ValueError, match="prepared for 2"):
        prepared.track(sparse)


def test_without_a_seed_the_start_is_zero(sparse):
    tracker = SageTracker(*networks(), seed=None).eval()
    zeros = {name: torch.zeros(len(sparse), 10, 16) for name in ("upper", "lower")}
    assert torch.equal(tracker.track(sparse).sixd, tracker.track(sparse, noise=zeros).sixd)
