"""A-NeRF's whole ray caster, with gradients, against the original's numbers."""

from __future__ import annotations

from dataclasses import replace

import torch

from contrapposto.systems.anerf.draws import Draws
from contrapposto.systems.anerf.losses import image_loss
from contrapposto.systems.anerf.model import ANeRF, Rendering
from contrapposto.systems.anerf.official import config_of, import_model
from contrapposto.systems.anerf.ray_sampling import cylinder_span, mean_for_misses
from tests.parity.golden import Case, parity


def official_parts(case: Case) -> dict[str, dict[str, torch.Tensor]]:
    """State dicts of a checkpoint by name without `_state_dict`."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in case.weights().items():
        place, name = key.split(".", 1)
        parts.setdefault(place.removesuffix("_state_dict"), {})[name] = value
    return parts


def official_model(case: Case) -> ANeRF:
    parts = official_parts(case)
    model = ANeRF(config_of(parts))
    assert import_model(model, parts).complete
    return model.eval()


def run(model: ANeRF, case: Case, bones: torch.Tensor, **options: object) -> Rendering:
    index = case["pose_idx"]
    if model.config.num_codes:
        options.setdefault("code_index", index)
    return model(
        case["rays_o"], case["rays_d"], bones, case["cyls"][index], mean_span=True, **options
    )  # bones are per ray, so that their gradients are too


def check_rendering(case: Case, actual: Rendering, prefix: str) -> None:
    for suffix, part in (("_map", actual.fine), ("0", actual.coarse)):
        case.check(part.colour, f"{prefix}_rgb{suffix}")
        case.check(part.disparity, f"{prefix}_disp{suffix}")
        case.check(part.opacity, f"{prefix}_acc{suffix}")


@parity("anerf_render_surreal", "anerf_render_mixamo", "anerf_render_surreal_single")
def test_render(case: Case) -> None:
    model = official_model(case)
    config, inputs = model.config, case.manifest["config"]
    assert (config.coarse_samples, config.fine_samples) == (inputs["N_samples"], inputs["N_importance"])
    index = case["pose_idx"]
    with torch.no_grad():
        actual = run(model, case, case["skts"][index])
    check_rendering(case, actual, "det")
    # Importance samples where there is next to no weight lie anywhere within rounding: few may differ, the mean may not.
    case.check(actual.fine.alpha, "det_alpha", tolerance=1e-2)
    assert float((actual.fine.alpha - case["det_alpha"]).abs().mean()) < 3e-5
    case.check(actual.coarse.alpha, "det_alpha0", tolerance=2e-4)
    check_encodings(case, model)
    if "meancode_rgb_map" in case.arrays:
        with torch.no_grad():
            mean = run(model, case, case["skts"][index], code_index=torch.full_like(index, -1))
        case.check(mean.fine.colour, "meancode_rgb_map")
    check_training(case, model)


def check_encodings(case: Case, model: ANeRF) -> None:
    index = case["pose_idx"]
    span = cylinder_span(case["rays_o"], case["rays_d"], case["cyls"][index])
    near, far = mean_for_misses(*span)
    case.check(near[:, None], "near")
    case.check(far[:, None], "far")
    rays = model._to_bones(case["rays_o"], case["rays_d"], case["skts"], index)
    codes = index if model.config.num_codes else None
    samples = model._samples(rays, case["z0"])
    encoded, fade = samples.encoded.view(*case["z0"].shape, -1), samples.fade
    case.check(model._raw(model.coarse, replace(rays, code_index=codes), samples), "raw0")
    part = encoded[::4, ::16]
    # Frequency 64 amplifies the rounding of local points some units away from the origin.
    case.check(part[..., :-72], "enc_v", tolerance=5e-5)
    case.check(part[..., -72:], "enc_r", tolerance=1.5e-5)
    # The view encoding exists only as its two factors.
    view = (rays.view_rows[:, None] * fade.repeat_interleave(3, -1)[:, :, None]).flatten(-2)[::4, ::16]
    if model.config.num_codes:
        view = torch.cat([view, index[::4, None, None].expand(-1, view.shape[1], 1)], dim=-1)
    case.check(view, "enc_d", tolerance=1.5e-5)


def check_training(case: Case, model: ANeRF) -> None:
    draws = Draws(case["noise0"], case["noise1"], case["noise2"], case["noise3"])
    bones = case["skts"][case["pose_idx"]].requires_grad_()
    actual = run(model.train(), case, bones, draws=draws)
    check_rendering(case, actual, "train")
    kind = case.manifest["config"]["loss_fn"].lower()
    fine, coarse = (
        image_loss(p.over(case["bg"]), case["target"], kind) for p in (actual.fine, actual.coarse)
    )
    case.check(fine, "train_rgb_loss")
    case.check(coarse, "train_rgb_loss0")
    case.check(fine + coarse, "train_total_loss")
    (fine + coarse).backward()
    # Importance samples move with the coarse weights: rounding of a weight near zero moves a sample and its gradient.
    case.check(bones.grad, "grad_skts", tolerance=4e-3)
    networks = {"grad_network_fn.": model.coarse, "grad_network_fine.": model.fine}
    for key in case.arrays:
        for prefix, network in networks.items():
            if key.startswith(prefix):
                parameter = dict(network.named_parameters())[key.removeprefix(prefix)]
                case.check(parameter.grad, key, tolerance=4e-3)
