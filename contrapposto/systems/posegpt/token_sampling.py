"""Drawing codes from logits: temperature, top-k, top-p, and draws keyed by sample and step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from contrapposto.errors import ConfigError
from contrapposto.nn.random import keyed_uniform


@dataclass(frozen=True)
class Draw:
    """How codes are drawn.

    Args:
        temperature: logits are divided by it.
        top_k: keep the k likeliest codes of a codebook; more than there are keeps all.
        top_p: keep the likeliest codes whose probabilities first reach p together (Holtzman et al., "The
            curious case of neural text degeneration", 2020).
        greedy: take the likeliest code always.
        seed: of the draws.

    Raises:
        ConfigError: a value out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    greedy: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("temperature", self.temperature > 0, "a number above 0 (or greedy=true)"),
            ("top_k", self.top_k is None or self.top_k >= 1, "1 or more"),
            ("top_p", self.top_p is None or 0 < self.top_p <= 1, "a number above 0, at most 1"),
        ):
            if not good:
                raise ConfigError(f"{name} is {getattr(self, name)}.", expected=expected)

    def _kept(self, logits: Tensor) -> Tensor:
        """Log-probabilities (..., V) of what may be drawn, up to a constant; -inf elsewhere."""
        logits = logits.float() / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k, dim=-1).values[..., -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if self.top_p is not None and self.top_p < 1:
            ordered, order = logits.sort(dim=-1, descending=True, stable=True)
            share = ordered.softmax(-1)
            beyond = share.cumsum(-1) - share >= self.top_p
            logits = logits.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), -torch.inf)
        return logits

    def choose(self, logits: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Codes (...) and margins (...) of logits (..., V).

        Args:
            logits: of the next token.
            noise: Exp(1) numbers of the same shape; the code with the largest probability / noise is drawn,
                which is a draw from the probabilities. Not needed if `greedy`.

        Returns:
            The codes, and by how much each one's log(probability / noise) exceeds the second's: a choice with
            a margin near the rounding error may differ between devices or batch sizes.
        """
        scores = self._kept(logits)
        if not self.greedy:
            if noise is None:
                raise ValueError("noise: needed unless greedy")
            scores = scores - noise.log()
        best = scores.topk(min(2, scores.shape[-1]), dim=-1)
        # The first of equals, which topk does not promise.
        return scores.argmax(-1), best.values[..., 0] - best.values[..., -1]


USUAL = Draw(top_p=0.95)
"""What predict.py and evaluate.py draw by default: an unlikely token is seen as a fall or a leap."""


def keyed_exponential(seed: int, step: int, sample_ids: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(B, *shape) float32 Exp(1) numbers that depend on seed, step and sample only, never on the batch."""
    uniform = keyed_uniform(seed, step, sample_ids, shape, "posegpt token")
    return -torch.log(uniform + 2.0**-25)  # the middle of each of the 2^24 steps: never 0, never infinite
