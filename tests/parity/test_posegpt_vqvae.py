"""PoseGPT's auto-encoders and their losses against the original's numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.body import BodyModel
from contrapposto.systems.posegpt.losses import PoseLoss, VertexSampler
from contrapposto.systems.posegpt.official import import_vqvae
from contrapposto.systems.posegpt.poses import network_input, split_pose
from contrapposto.systems.posegpt.vqvae import DecodedMotion, PoseVQVAE, VQVAEOutput
from tests.parity.golden import Case, parity

# The manifests' `config` says l2 everywhere; the case list of the sheet (section 13) says which loss it was.
LOSSES = {"posegpt_ae_multiscale": "gaussian", "posegpt_ae_offline_l1": "laplacian"}


def vqvae_of(config: dict[str, Any]) -> PoseVQVAE:
    return PoseVQVAE(
        config["class"].removesuffix("VQVAE").lower(),
        num_joints=(config["in_dim"] - 3) // 6,
        hidden=config["hid_dim"][0],
        num_layers=config["n_layers"],
        heads=config["heads"],
        num_books=config["n_codebook"],
        num_codes=config["n_e"],
        code_dim=config["e_dim"],
        beta=config["beta"],
        positions=config["pos_type"],
        position_every_block=bool(config["pos_all"]),
        block_size=config["block_size"],
        original_padding=True,
    ).eval()


def check_where(case: Case, found: Tensor, key: str, valid: Tensor, tolerance: float = 1e-4) -> None:
    """As `case.check`, at valid places only."""
    expected = case[key]
    assert found.shape == expected.shape, f"{key}: {tuple(found.shape)}, expected {tuple(expected.shape)}"
    error = (found - expected).abs()[valid].max() / expected[valid].abs().max()
    assert error <= tolerance, f"{key}: error {error:.2e}"


def scalar(case: Case, found: Tensor, key: str, tolerance: float = 1e-4) -> None:
    assert float(found) == pytest.approx(case.manifest["scalars"][key], rel=tolerance, abs=1e-6), key


@parity(
    "posegpt_ae_offline",
    "posegpt_ae_causal",
    "posegpt_ae_online",
    "posegpt_ae_multiscale",
    "posegpt_ae_offline_l1",
)
def test_auto_encoder(case: Case) -> None:
    model = vqvae_of(case.manifest["config"])
    import_vqvae(model, case.weights())
    x, valid = case["x"], case["valid"]
    case.check(network_input(case["pose"]), "x")
    hidden, tokens_valid = model.hidden_features(x, valid)
    check_where(case, hidden, "enc_hid", tokens_valid)
    output = model(x, valid)
    check_forward(case, output, valid.bool())
    check_decode(case, model, output.token_valid)
    check_losses(case, model, output)


def check_forward(case: Case, output: VQVAEOutput, valid: Tensor) -> None:
    tokens_valid = output.token_valid
    case.check(tokens_valid.long(), "enc_mask")
    check_where(case, output.latent, "z", tokens_valid)
    case.check(output.quantized.z_q, "z_q")
    case.check(output.quantized.indices, "indices")
    check_where(case, output.motion.matrices[..., :2], "rotmat_hat", valid)
    check_where(case, output.motion.deltas, "trans_delta_hat", valid)
    case.check(output.motion.translation(valid), "trans_hat")


def check_decode(case: Case, model: PoseVQVAE, tokens_valid: Tensor) -> None:
    valid, codes = case["valid"].bool(), case["indices"].clamp_min(0)
    decoded = model.decode_tokens(codes, tokens_valid)
    check_where(case, decoded.matrices[:, :, :4, :, :2], "rotmat_from_indices", valid)
    check_where(case, decoded.deltas, "trans_delta_from_indices", valid)
    case.check(model.decode_tokens(codes).deltas, "trans_delta_from_indices_allvalid")


def check_losses(case: Case, model: PoseVQVAE, output: VQVAEOutput) -> None:
    config = case.manifest["config"]
    loss = PoseLoss(LOSSES.get(case.name, "l2"), quantizer_weight=config["alpha_codebook"])
    loss.train_spreads(model.log_sigmas)
    model.log_sigmas["vert"].requires_grad_(False)  # these cases have no vertices
    losses = loss(
        output.motion,
        case["pose"],
        case["valid"],
        output.quantized.loss,
        output.token_valid,
        model.log_sigmas,
    )
    losses.total.backward()
    case.check(losses.quantizer, "quant_loss")
    for found, key in (
        (losses.total, "total_loss"),
        (losses.root, "nll/root"),
        (losses.body, "nll/body"),
        (losses.trans, "nll/trans"),
    ):
        scalar(case, found, key)
    information = model.num_books * output.token_valid.sum(1) * math.log(model.book_size)
    case.check(information.float(), "valid_kl")
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    names = case.manifest["grad_names"]
    assert set(names) == set(gradients)
    check_gradient_norms(case, [gradients[name] for name in names])
    for key in case.arrays:
        if key.startswith("grad__"):
            case.check(gradients[key.removeprefix("grad__")], key)
    rows = gradients["quantizer.embeddings.0.weight"][case["grad_codebook0_rows"]]
    case.check(rows, "grad_codebook0")


def check_gradient_norms(case: Case, gradients: list[Tensor]) -> None:
    """Each to 1e-3 of itself; those of key biases are zero in theory and 1e-8 in practice."""
    norms = torch.stack([gradient.norm() for gradient in gradients])
    expected = case["grad_norms"]
    errors = (norms - expected).abs() / (expected + 1e-3 * expected.max())
    case.check_error(float(errors.max()), "grad_norms", 1e-3)


@parity("posegpt_body_losses")
def test_body_losses(case: Case) -> None:
    arrays = {key.removeprefix("bm_"): value for key, value in case.arrays.items() if key.startswith("bm_")}
    body = BodyModel.from_arrays(arrays)
    hands = torch.cat([case["bm_hands_meanl"], case["bm_hands_meanr"]])
    config = case.manifest["config"]
    sampler = VertexSampler(body, frame_share=config["tprop_vert"], hand_mean=hands)
    pose = case["pose"]
    matrices, position = rot.axis_angle_to_matrix(split_pose(pose)[0]), pose[..., -3:]
    vertices = sampler.vertices(matrices, position)
    check_vertices(case, vertices)
    still = VertexSampler(body, hand_mean=hands, use_translation=False)
    case.check(still.vertices(matrices[:1, :2], position[:1, :2]), "verts_alpha0")
    bent = split_pose(pose[0])[0].clone()
    bent[:, 25:] += hands.view(30, 3)
    joints = body.joints(rot.axis_angle_to_matrix(bent), position[0])
    joints[1] += (case["verts"][0, 1] - vertices[0, 1]).mean(0)
    case.check(joints, "joints55")
    for tag in ("l2", "l2_l2verts", "l1", "gaussian", "laplacian", "novert"):
        check_body_loss(case, sampler, tag)
    check_vertex_error(case, sampler)


def check_vertices(case: Case, found: Tensor) -> None:
    """All frames. The stored translation of frame 1 of sequence 0 is zero, but the stored vertices are not
    those of a zero translation: there, the shape is compared."""
    expected, found = case["verts"].clone(), found.clone()
    for vertices in (expected, found):
        vertices[0, 1] -= vertices[0, 1].mean(0)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


class WholeMatrices(DecodedMotion):
    """A motion given by rotation matrices, not by 6D."""

    def __init__(self, matrices: Tensor, deltas: Tensor) -> None:
        super().__init__(rot.matrix_to_sixd_interleaved(matrices), deltas)
        self.__dict__["matrices"] = matrices


def check_body_loss(case: Case, sampler: VertexSampler, tag: str) -> None:
    config = case.manifest["config"]
    names = ("body", "root", "trans", "vert", "fast_vert")
    sigmas = {name: torch.tensor([config["log_sigma"].get(name, 0.0)]).requires_grad_() for name in names}
    matrices = rot.sixd_interleaved_to_matrix(case["rotmat_hat"].flatten(-2)).requires_grad_()
    deltas = case["trans_delta_hat"].clone().requires_grad_()
    # The gradient is with regard to whole matrices, and in the original vertices are posed by axis-angles,
    # which matters for the part of the gradient that leads away from rotations.
    motion = WholeMatrices(matrices, deltas)
    posed = WholeMatrices(rot.axis_angle_to_matrix(rot.matrix_to_axis_angle(matrices)), deltas)
    kind = "l2" if tag in ("l2_l2verts", "novert") else tag
    loss = PoseLoss(kind, gaussian_vertices=tag == "l2_l2verts")
    assert sampler.period == config["period"]
    valid = case["valid"]
    vertices = None if tag == "novert" else sampler(posed, case["pose"], valid, config["vert_frame_offset"])
    assert vertices is None or vertices[0].shape[1] == config["tdim"]
    quantizer = torch.full((2, 10), case.manifest["scalars"][f"{tag}:quant_loss"])
    losses = loss(motion, case["pose"], valid, quantizer, torch.ones(2, 10), sigmas, vertices)
    losses.total.backward()
    for found, key in (
        (losses.total, "total_loss"),
        (losses.root, "nll/root"),
        (losses.body, "nll/body"),
        (losses.trans, "nll/trans"),
        (losses.vert, "nll/vert"),
        (deltas.grad.norm(), "grad_trans_norm"),
        (matrices.grad.norm(), "grad_rot_norm"),
    ):
        scalar(case, found, f"{tag}:{key}", 1e-3 if "grad" in key else 1e-4)
    if tag == "l2":
        case.check(deltas.grad, "grad_trans_l2", tolerance=1e-3)
    for name in names:
        key = f"{tag}:grad_log_sigma_{name}"
        if key in case.manifest["scalars"]:
            gradient = sigmas[name].grad
            scalar(case, torch.zeros(()) if gradient is None else gradient, key, 1e-3)


def check_vertex_error(case: Case, sampler: VertexSampler) -> None:
    """The validation metric: mean vertex distance over valid frames, with and without the translation."""
    pose, valid = case["pose"], case["valid"]
    motion = DecodedMotion(case["rotmat_hat"].flatten(-2), case["trans_delta_hat"])
    position = motion.translation(valid)
    pred = sampler.vertices(motion.matrices, position)
    true = sampler.vertices(rot.axis_angle_to_matrix(split_pose(pose)[0]), pose[..., -3:])
    shift = (position - pose[..., -3:])[:, :, None]
    for found, key in ((pred, "pve_mm"), (pred - shift, "pve_wo_trans_mm")):
        error = 1000 * (found - true).norm(dim=-1).mean(-1)
        scalar(case, error[valid.bool()].mean(), key)
