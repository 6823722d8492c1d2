"""A start without quantisation, after which the codebooks begin from the latents."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from contrapposto.nn.ema_quantizer import EMAQuantizer
from contrapposto.nn.quantizer import ProductQuantizer


def start_quantizing(
    quantizer: ProductQuantizer | EMAQuantizer,
    step: int,
    first: int,
    seed: int,
    latent: Callable[[], Tensor],
) -> None:
    """Call it before every training step.

    Codebooks that start far from the latents can leave a deep auto-encoder on a plateau where the decoder ignores them.

    Args:
        quantizer: passes latents as they are before step `first`.
        step: number of the step.
        first: step from which on latents are quantised; 0 quantises from the beginning, with the codebooks as they are.
        seed: of the codebooks.
        latent: gives the latents (B, L, D) of the batch; called in step `first` only, without gradients.
    """
    quantizer.bypass = step < first
    if step == first > 0:
        with torch.no_grad():
            quantizer.initialize_codebooks(latent(), seed)
