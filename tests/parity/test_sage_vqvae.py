"""SAGE's auto-encoders, quantiser and VQ losses against the original's numbers."""

from __future__ import annotations

import torch

from contrapposto.nn.quantizer import AnchoredQuantizer
from contrapposto.systems.sage.losses import VQLoss
from contrapposto.systems.sage.vqvae import SageVQVAE
from contrapposto.weights import import_official
from tests.parity.golden import Case, parity
from tests.parity.test_sage_figure import sage_body


@parity("sage_vqvae_upper", "sage_vqvae_lower")
def test_vqvae(case: Case) -> None:
    network = case.name.removeprefix("sage_")
    part = network.removeprefix("vqvae_")
    model = SageVQVAE(part).eval()
    report = import_official(model, case.weights(network))
    assert not report.missing and not report.unexpected
    motion, sparse = case["motion"], case["sparse"]
    with torch.no_grad():
        output = model(motion, sparse)
        case.check(output.latent, "z")
        case.check(output.z_q, "z_q")
        case.check(output.indices, "indices")
        case.check(output.quantizer_loss, "quant_loss")
        case.check(output.reconstruction, "recon")
        case.check(model.encode_quantized(motion, sparse), "encode_my")
        case.check(model.decode(case["z"]), "decode_continuous")
    model.quantizer.train()
    output = model(motion, sparse)
    total = output.reconstruction.square().mean() + 0.25 * output.quantizer_loss.mean()
    total.backward()
    case.check(output.quantizer_loss, "train_quant_loss")
    case.check(total, "train_total")
    case.check(model.quant_emb.weight.grad[: len(case["grad_quant_emb_weight"])], "grad_quant_emb_weight")
    case.check(model.up_sparse.weight.grad, "grad_up_sparse_weight")
    for book in (0, 2):
        case.check(model.quantizer.embeddings[book].weight.grad, f"grad_codebook{book}")
    for book in (0, 5):
        case.check(model.quantizer.embeddings[book].weight, f"new_codebook{book}")
    case.check(model.quantizer.embed_prob, "new_embed_prob", tolerance=1e-6)


@parity("sage_quantizer_train")
def test_quantizer_train(case: Case) -> None:
    quantizer = AnchoredQuantizer(512, 384, 8)
    import_official(quantizer, case.weights("quantizer"))
    z = case["z"].requires_grad_()
    output = quantizer(z)
    (output.loss.mean() + (output.z_q * case["w"]).mean()).backward()
    case.check(output.z_q, "z_q")
    case.check(output.loss, "loss")
    case.check(output.indices, "indices")
    case.check(z.grad, "grad_z")
    case.check(quantizer.embed_prob, "embed_prob1", tolerance=1e-6)
    for book in (0, 1, 7):
        case.check(quantizer.embeddings[book].weight, f"book{book}_after1")
    again = quantizer(case["z"])
    case.check(again.loss, "loss2")
    case.check(again.indices, "indices2")
    case.check(quantizer.embed_prob, "embed_prob2", tolerance=1e-6)


def check_vq_losses(case: Case) -> None:
    """The VQ part of the case sage_losses."""
    rest = torch.from_numpy(sage_body(case).skeleton.rest_positions[:22])
    for part in ("upper", "lower"):
        prefix = f"vq_{part}"
        prediction = case[f"{prefix}_pred"].requires_grad_()
        losses = VQLoss(part, rest)(
            prediction, case[f"{prefix}_gt"], case[f"{prefix}_quant"], case[f"{prefix}_sparse"]
        )
        losses.total.backward()
        case.check(losses.total, f"{prefix}_loss", tolerance=1e-5)
        case.check(losses.reconstruction, f"{prefix}_recons", tolerance=1e-5)
        case.check(losses.kinematics, f"{prefix}_fk", tolerance=1e-5)
        case.check(losses.hand, f"{prefix}_hand", tolerance=1e-5)
        case.check(losses.quantizer, f"{prefix}_vq", tolerance=1e-5)
        case.check(prediction.grad, f"{prefix}_grad")
