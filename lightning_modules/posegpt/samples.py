"""Samples of every action and their tokens, for the media callback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from contrapposto.render.token_timeline import draw_token_timeline
from contrapposto.systems.posegpt.plan import Segment
from contrapposto.systems.posegpt.poses import FPS, to_motion
from contrapposto.systems.posegpt.sampler import PoseGPTSampler
from contrapposto.systems.posegpt.token_sampling import Draw

PANELS = 16  # of a video
FEW = 8  # actions, where there is little time


@torch.no_grad()
def sample_media(
    module: Any, actions: Sequence[int] | None, *, seed: int, everything: bool
) -> dict[str, Any]:
    """A sample of each action of the training part, the commonest first, in videos of 16; an image of their tokens.

    Args:
        module: a `PoseGPTModule`.
        actions: classes that the training part has, the commonest first; None: all.
        seed: of the draws: the same in all validations, so that videos can be compared.
        everything: two videos; else one of eight actions.
    """
    chosen = list(range(len(module.vocabulary)) if actions is None else actions)[
        : 2 * PANELS if everything else FEW
    ]
    sampler = PoseGPTSampler(
        module.network,
        window=module.window,
        per_frame=module.per_frame,
        canonical=module.canonical,
        height=module.height,
    )
    hot = None if module.network.action_emb is None else torch.eye(len(module.vocabulary))[chosen]
    sampled = sampler.generate([Segment(hot, module.window)], len(chosen), draw=Draw(seed=seed))
    titles = [module.vocabulary.names[index] for index in chosen]
    clips = {
        name: to_motion(pose, module.skeleton, height=module.height)
        for name, pose in zip(titles, sampled.pose)
    }
    items: dict[str, Any] = {
        f"samples_{start // PANELS + 1}": {name: clips[name] for name in titles[start : start + PANELS]}
        for start in range(0, len(titles), PANELS)
    }
    codes = sampled.tokens[:PANELS].cpu().numpy()
    items["tokens"] = draw_token_timeline(codes, module.window / FPS, titles=titles[:PANELS])
    return items
