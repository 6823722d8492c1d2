"""PoseGPT's whole inference path against the original's numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.official import import_gpt
from contrapposto.systems.posegpt.poses import network_input, pose_of, repeat_last_valid
from contrapposto.systems.posegpt.rollout import roll_out
from contrapposto.systems.posegpt.sampler import PoseGPTSampler
from contrapposto.systems.posegpt.token_sampling import Draw
from tests.parity.golden import Case, parity
from tests.parity.test_posegpt_gpt import gpt_of
from tests.parity.test_posegpt_vqvae import check_where, vqvae_of


def model_of(case: Case) -> PoseGPT:
    config = {"class": case.manifest["config"]["vq_model"], "in_dim": 333, "beta": 0.25, "block_size": 2048}
    model = gpt_of(case.manifest["config"], vqvae_of({**config, **case.manifest["config"]}))
    import_gpt(model, case.weights())
    return model


def rollout(
    case: Case, model: PoseGPT, draw: Draw, past: Tensor | None = None, *, cached: bool = True
) -> Tensor:
    """Tokens (B, L, K) for the case's conditions; with a past, of sequence 0 alone."""
    rows = slice(0, None) if past is None else slice(0, 1)
    count = case["zidx"].shape[1]
    codebooks, first = model.gpt.num_books, 0 if past is None else past.shape[1]
    steps = roll_out(
        model,
        count,
        case["actions"][rows],
        case["seqlens"][rows],
        draw=draw,
        noise=lambda token: case["noise"][token - first].unflatten(0, (-1, codebooks))[rows],
        past=past,
        may_end_after=0,
        cached=cached,
    )
    codes = torch.stack([step.codes for step in steps], dim=1)
    return codes if past is None else torch.cat([past, codes], dim=1)


@parity("posegpt_sampling", "posegpt_sampling_eos")
@torch.no_grad()
def test_sampling(case: Case) -> None:
    model = model_of(case)
    codes, _ = model.tokens(network_input(case["pose"]), case["valid"])
    case.check(codes, "zidx")
    for cached in (True, False):
        check_rollouts(case, model, codes, cached)
    greedy = case["greedy"]
    logits = model(greedy, case["actions"], case["seqlens"])[:, :-1]
    case.check(logits, "greedy_logits")
    check_greedy_motion(case, model)
    check_drawn_motion(case, model)


def check_rollouts(case: Case, model: PoseGPT, codes: Tensor, cached: bool) -> None:
    top = case.manifest["config"]["n_e"] // case.manifest["config"]["n_codebook"]
    case.check(rollout(case, model, Draw(greedy=True), cached=cached), "greedy")
    quarter = codes[:1, : codes.shape[1] // 4]
    case.check(rollout(case, model, Draw(greedy=True), quarter, cached=cached), "greedy_cond")
    case.check(rollout(case, model, Draw(), cached=cached), "sample_stoch")
    options = {name: case.number("sample_topk", rf"{name} ([\d.]+)") for name in ("temperature", "top_k")}
    drawn = Draw(temperature=options["temperature"], top_k=min(int(options["top_k"]), top))
    case.check(rollout(case, model, drawn, cached=cached), "sample_topk")
    options = {name: case.number("sample_cond", rf"{name} ([\d.]+)") for name in ("temperature", "top_k")}
    drawn = Draw(temperature=options["temperature"], top_k=min(int(options["top_k"]), top))
    past = codes[:1, : int(case.number("sample_cond", r"cond_steps (\d+)"))]
    case.check(rollout(case, model, drawn, past, cached=cached), "sample_cond")


def check_greedy_motion(case: Case, model: PoseGPT) -> None:
    """Decoded by the sampler's own path, as the original does it."""
    window = case["pose"].shape[1]
    sampler = PoseGPTSampler(model, window=window, overlap=4, original_decode=True)
    tokens = case["greedy"]
    ended = (tokens < 0).any(-1).cumsum(1).bool()
    motion = model.vqvae.decode_tokens(tokens.masked_fill(ended[..., None], 0), ~ended)
    valid = case["greedy_valid"]
    check_where(case, motion.matrices[:, :, ::3, :, :2], "greedy_rotmat", valid)
    check_where(case, motion.translation(), "greedy_trans", valid)
    lengths = case["seqlens"]
    if valid.all():
        pose, frames = sampler._decode(
            tokens, torch.ones(tokens.shape[:2], dtype=torch.bool), lengths, int(lengths.max())
        )
        case.check(pad(pose, window), "greedy_pose", tolerance=1e-3)
        assert (frames.sum(1) == lengths).all()
    else:
        frames = torch.arange(window) < lengths[:, None]
        pose = repeat_last_valid(pose_of(motion.matrices, motion.translation()), frames)
        case.check(pose, "greedy_pose", tolerance=1e-3)


def pad(pose: Tensor, frames: int) -> Tensor:
    """(B, T, D) with the last frame repeated."""
    return torch.cat([pose, pose[:, -1:].expand(-1, frames - pose.shape[1], -1)], dim=1)


def check_drawn_motion(case: Case, model: PoseGPT) -> None:
    tokens = case["sample_stoch"]
    token_valid = ~(tokens < 0).any(-1).cumsum(1).bool()
    valid = case["stoch_valid"].bool()
    assert (token_valid.repeat_interleave(2, dim=1) == valid).all()
    motion = model.vqvae.decode_tokens(tokens.masked_fill(~token_valid[..., None], 0), token_valid)
    check_where(case, motion.matrices[:, :, [0, 5, 20], :, :2], "stoch_rotmat", valid)
    check_where(case, motion.deltas, "stoch_trans_delta", valid)
