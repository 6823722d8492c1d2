"""NPR's pose diffusions against the numbers of the code that they are adapted from."""

from __future__ import annotations

import torch
from torch import Tensor

from contrapposto.systems.npr.diffusion import FeatureDiffusion, KeypointDiffusion, PointDiffusion
from contrapposto.systems.npr.schedule import NoiseSchedule
from contrapposto.weights import import_official
from tests.parity.golden import Case, parity

SCALING = ("mean", "scale", "condition_mean", "condition_scale")


def filled(model: PointDiffusion, case: Case) -> PointDiffusion:
    assert import_official(model, case.weights(), optional=SCALING).complete
    return model.eval()


@parity("npr_diffusion_schedule")
def test_schedule(case: Case) -> None:
    tight = {"tolerance": 1e-5}
    schedule, short = NoiseSchedule(), NoiseSchedule(6)
    for actual, key in (
        (schedule.betas, "betas"),
        (schedule.alphas, "alphas"),
        (schedule.alpha_bars, "alpha_bars"),
        (schedule.betas.sqrt(), "sigmas_flex"),
        (schedule.sigmas, "sigmas_inflex"),
        (short.betas, "betas6"),
        (short.alpha_bars, "alpha_bars6"),
        (short.sigmas, "sigmas6"),
    ):
        case.check(actual, key, **tight)


def stored_noise(start: Tensor, noises: Tensor) -> dict[int, Tensor]:
    """Noise by step: 7 is the start, then 6 to 2."""
    return {7: start, **{6 - number: noise for number, noise in enumerate(noises)}}


@parity("npr_diffusion_keypoints")
def test_keypoints(case: Case) -> None:
    model = filled(KeypointDiffusion(), case)
    steps = case["t"]
    case.check(model.schedule.betas[steps], "beta", tolerance=1e-6)
    case.check(model.schedule.add_noise(case["x0"], case["eps"], steps), "x_t", tolerance=1e-6)
    with torch.no_grad():
        case.check(model.time_embedder(case["beta"]), "time_emb", tolerance=1e-6)
        case.check(model(case["x_t"], case["beta"]), "out", tolerance=1e-5)
        case.check(model.loss(case["x0"], case["eps"], steps), "loss", tolerance=1e-5)
    model.schedule = NoiseSchedule(6)
    draws = stored_noise(case["xT"], case["noises"])
    case.check(model.sample(0, torch.zeros(1).long(), noise=draws.__getitem__), "sample")


@parity("npr_diffusion_features")
def test_features(case: Case) -> None:
    model = filled(FeatureDiffusion(), case)
    bar = model.schedule.alpha_bars[case["t"]].view(-1, 1, 1)
    noise = (case["h_t"] - bar.sqrt() * case["h0"]) / (1 - bar).sqrt()
    with torch.no_grad():
        case.check(model(case["h_t"], model.time(case["t"]), case["context"]), "out", tolerance=1e-5)
        case.check(
            model.loss(case["h0"], noise, case["t"], case["context"]), "loss"
        )  # the noise was recovered


@parity("npr_diffusion_features_sampling")
def test_feature_sampling(case: Case) -> None:
    model = filled(FeatureDiffusion(schedule=NoiseSchedule(6)), case)
    draws = stored_noise(case["hT"], case["noises"])
    actual = model.sample(0, torch.zeros(1).long(), condition=case["context"], noise=draws.__getitem__)
    case.check(actual, "sample")
