"""SAGE's schedule, diffusions, decoder, refiner and their losses against the original's numbers."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from contrapposto.nn.diffusion import DiffusionSchedule
from contrapposto.systems.sage.body_losses import DecoderLoss, RefinerLoss
from contrapposto.systems.sage.decoder import FullBodyDecoder, Refiner
from contrapposto.systems.sage.diffusion import MotionDiffusion
from contrapposto.weights import import_official
from tests.parity.golden import Case, parity
from tests.parity.test_sage_figure import sage_body
from tests.parity.test_sage_vqvae import check_vq_losses


@parity("sage_scheduler")
def test_schedule(case: Case) -> None:
    schedule = DiffusionSchedule()
    case.check(schedule.alphas, "alphas_cumprod", tolerance=1e-6)
    for count in (1, 2, 5, 10, 50):
        case.check(torch.tensor(schedule.inference_steps(count)), f"timesteps_{count}")
    case.check(schedule.add_noise(case["x0"], case["noise"], case["t"]), "add_noise", tolerance=1e-6)
    for count in (5, 10):
        pairs = schedule.transitions(count, skip_idle=False)
        plain = [schedule.step(case["x0"], case["xt"], *pair) for pair in pairs]
        case.check(torch.stack(plain), f"step_{count}", tolerance=1e-5)
        noisy = [schedule.step(case["x0"], case["xt"], *pair, eta=1.0, noise=case["noise"]) for pair in pairs]
        case.check(torch.stack(noisy), f"step_eta1_{count}", tolerance=1e-5)


@parity("sage_diffusion_first", "sage_diffusion_second")
def test_diffusion(case: Case) -> None:
    network = case.name.removeprefix("sage_")
    second = network == "diffusion_second"
    model = MotionDiffusion(use_upper=second).eval()
    assert import_official(model, case.weights(network)).complete
    upper = case["upper_latent"] if second else None
    sparse, steps = case["sparse"], case["t"]
    noisy = model.schedule.add_noise(case["latent"], case["noise"], steps)
    case.check(noisy, "noisy", tolerance=1e-5)
    with torch.no_grad():
        case.check(model.condition(sparse), "cond", tolerance=1e-5)
        case.check(model.denoiser_upper.embed_timestep(steps), "t_emb", tolerance=1e-5)
        case.check(model(noisy, steps, sparse, upper), "pred")
        states = model.trajectory(sparse, case["init_noise"], upper, skip_idle=False)
        case.check(torch.stack(states), "sample_steps")
        case.check(model.sample(sparse, case["init_noise"], upper), "sample")
    prediction = model.train()(noisy, steps, sparse, upper, hidden_slots=case["mask_index"])
    loss = F.smooth_l1_loss(prediction, case["latent"])
    loss.backward()
    case.check(prediction, "train_pred")
    case.check(loss, "train_loss")
    blocks = model.denoiser_upper.blocks
    for parameter, key in (
        (model.cond_encoder.weight, "cond_encoder_weight"),
        (model.denoiser_upper.last.bias, "last_bias"),
        (blocks[0].adaLN_modulation[1].bias, "block0_adaln_bias"),
        (blocks[11].attn.qkv.bias, "block11_qkv_bias"),
        (model.denoiser_upper.embed_timestep.mlp[0].bias, "tmlp0_bias"),
    ):
        case.check(parameter.grad, f"grad_{key}")


@parity("sage_decoder")
def test_decoder(case: Case) -> None:
    model = FullBodyDecoder().eval()
    assert import_official(model, case.weights("decoder")).complete
    output = model(case["upper"], case["lower"], case["sparse"])
    output.square().mean().backward()
    case.check(output, "out")
    case.check(model.post_quant_emb.bias.grad, "grad_post_quant_bias")
    case.check(model.decoder_stacks[0].up_conv.conv.bias.grad, "grad_up_conv_bias")
    case.check(model.reg_root[2].bias.grad, "grad_root_bias")


@parity("sage_refiner")
def test_refiner(case: Case) -> None:
    for layers in (2, 3):
        model = Refiner(layers).eval()
        assert import_official(model, case.weights(f"refiner_L{layers}")).complete
        with torch.no_grad():
            delta, state = model(case["x"])
            case.check(delta, f"delta_L{layers}")
            case.check(state, f"hidden_L{layers}")
            middle = case["x"].shape[1] // 2
            first, carried = model(case["x"][:, :middle])
            second, carried = model(case["x"][:, middle:], carried)
        case.check(torch.cat([first, second], dim=1), f"delta_L{layers}")
        case.check(carried, f"hidden_L{layers}")


@parity("sage_losses")
def test_losses(case: Case) -> None:
    check_vq_losses(case)
    rest = torch.from_numpy(sage_body(case).skeleton.rest_positions[:22])
    prediction = case["dec_pred"].requires_grad_()
    decoder = DecoderLoss(rest)(prediction, case["dec_gt"], case["dec_sparse"])
    decoder.total.backward()
    for ours, theirs in (
        ("root", "root"),
        ("body", "other"),
        ("unaligned", "fk"),
        ("aligned", "align"),
        ("total", "total"),
    ):
        case.check(getattr(decoder, ours), f"dec_{theirs}", tolerance=1e-5)
    case.check(prediction.grad, "dec_grad")
    prediction = case["ref_pred"].requires_grad_()
    refiner = RefinerLoss(rest)(prediction, case["ref_gt"], case["ref_sparse"])
    refiner.total.backward()
    for ours, theirs in (
        ("reconstruction", "rec"),
        ("velocity", "vel1"),
        ("slow_velocity", "vel2"),
        ("kinematics", "fk"),
        ("devices", "hand"),
        ("jitter", "jitter"),
        ("total", "total"),
    ):
        case.check(getattr(refiner, ours), f"ref_{theirs}", tolerance=1e-5)
    case.check(prediction.grad, "ref_grad")
