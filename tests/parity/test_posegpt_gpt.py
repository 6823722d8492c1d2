"""PoseGPT's generator and classifier against the original's numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from contrapposto.systems.posegpt.classifier import PoseClassifier
from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.losses import (
    classification_loss,
    token_accuracy,
    token_nll,
    token_nll_with_end,
)
from contrapposto.systems.posegpt.official import import_classifier, import_gpt
from contrapposto.systems.posegpt.prepared import PreparedGPT
from contrapposto.systems.posegpt.vqvae import PoseVQVAE
from tests.parity.golden import Case, parity
from tests.parity.test_posegpt_vqvae import check_gradient_norms, scalar


def gpt_of(config: dict[str, Any], vqvae: PoseVQVAE | None = None) -> PoseGPT:
    return PoseGPT(
        vqvae,
        num_books=config["n_codebook"],
        num_codes=config["n_e"],
        width=config["gpt_nembd"],
        num_layers=config["gpt_nlayer"],
        heads=config["gpt_nhead"],
        block_size=config["gpt_blocksize"],
        actions=bool(config["class_conditional"]),
        lengths=bool(config["seqlen_conditional"]),
        every_step=bool(config["embed_every_step"]),
        concatenate=bool(config["concat_emb"]),
        end_token=bool(config["gen_eos"]),
        head="mlp" if config["head_type"] == "mlp" else "linear",
        positions=config["pos_emb"],
        length_positions=config["seqlen_emb"],
        causal=bool(config["causal_gpt"]),
        original_offsets=True,
        original_shift=True,
    ).eval()


@parity(
    "posegpt_gpt_default",
    "posegpt_gpt_none",
    "posegpt_gpt_class_prepend",
    "posegpt_gpt_class_every_sum",
    "posegpt_gpt_class_seqlen_sum",
    "posegpt_gpt_class_concat",
    "posegpt_gpt_seqlen_concat",
    "posegpt_gpt_eos_mlp",
    "posegpt_gpt_books4",
    "posegpt_gpt_noncausal",
    "posegpt_gpt_perframe",
)
def test_generator(case: Case) -> None:
    config = case.manifest["config"]
    model = gpt_of(config)
    import_gpt(model, case.weights())
    indices, valid = case["indices"], case["zvalid"]
    if "actions_emb" in case.arrays:
        case.check(model.action_embedding(case["actions"]), "actions_emb", tolerance=1e-5)
    if "seqlens_emb" in case.arrays:
        case.check(model.length_embedding(case["seqlens"]), "seqlens_emb", tolerance=1e-5)
    logits = model(indices, case["actions"], case["seqlens"])
    case.check(logits, "gpt_logits_full")
    ends = bool(config["gen_eos"])
    if ends:
        loss = token_nll_with_end(logits[:, :-1], indices, valid, original=True)
    else:
        loss = token_nll(logits[:, :-1], indices, valid)
        scalar(case, 100 * token_accuracy(logits[:, :-1], indices, valid), "correct_token_accuracy")
    case.check(loss, "nll")
    scalar(case, loss, "nll")
    loss.backward()
    check_gradients(case, model)
    if config["causal_gpt"]:
        check_cache(case, model)


def check_gradients(case: Case, model: PoseGPT) -> None:
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    names = case.manifest["grad_names"]
    assert set(names) == set(gradients)
    check_gradient_norms(case, [gradients[name] for name in names])
    case.check(gradients["gpt.ln_f.weight"], "grad__ln_f")


@torch.no_grad()
def check_cache(case: Case, model: PoseGPT) -> None:
    """The cached path gives the original's numbers too."""
    indices = case["indices"]
    condition, prepended = model.condition(case["actions"], case["seqlens"])
    stream = PreparedGPT(model.gpt).start(len(indices), indices.shape[1] + 1, condition, prepended)
    steps = [stream.extend(indices[:, :0])]
    steps += [stream.extend(indices[:, step : step + 1]) for step in range(indices.shape[1])]
    case.check(torch.stack(steps, dim=1), "gpt_logits_full")


@parity("posegpt_classifier")
def test_classifier(case: Case) -> None:
    config = case.manifest["config"]
    model = PoseClassifier(
        config["output_size"],
        (config["in_dim"] - 3) // 3,
        config["n_embd"],
        config["n_layer"],
        config["n_head"],
        block_size=config["block_size"],
    ).eval()
    import_classifier(model, case.weights())
    logits, features = model(case["pose"], case["valid"])
    case.check(logits, "logits")
    case.check(features, "features")
    case.check(classification_loss(logits, case["y"], exclusive=True), "ce")
    loss: Tensor = classification_loss(logits, case["y"])
    case.check(loss, "bce")
    loss.backward()
    gradients = dict(model.named_parameters())
    names = case.manifest["grad_names"]
    assert set(names) == set(gradients)
    check_gradient_norms(case, [gradients[name].grad for name in names])
