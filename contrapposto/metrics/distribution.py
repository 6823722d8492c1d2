"""Metrics of sets: use of codebooks, Fréchet distance of features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from contrapposto.metrics import functional as F


class _Codebook(Metric):
    full_state_update = False
    higher_is_better = True
    counts: Tensor

    def __init__(self, num_books: int, book_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.book_size = book_size
        zeros = torch.zeros(num_books, book_size, dtype=torch.int64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, indices: Tensor) -> None:
        """Add codes (..., K); -1 is padding."""
        if indices.shape[-1] != len(self.counts):
            raise ValueError(
                f"indices {tuple(indices.shape)}: expected {len(self.counts)} codebooks in the last place"
            )
        self.counts += F.codebook_counts(indices, self.book_size)


class CodebookUse(_Codebook):
    """Share of codes that occurred at least once, averaged over codebooks, 0 to 1.

    Args:
        num_books: K.
        book_size: codes V per codebook.
        kwargs: torchmetrics' own.
    """

    def compute(self) -> Tensor:
        """Scalar."""
        return (self.counts > 0).float().mean()


class CodebookPerplexity(_Codebook):
    """exp of the entropy of the codes, averaged over codebooks, 1 to V.

    Args:
        num_books: K.
        book_size: codes V per codebook.
        kwargs: torchmetrics' own.
    """

    def compute(self) -> Tensor:
        """Scalar."""
        return F.perplexity(self.counts).mean()


class CodebookHistogram(_Codebook):
    """How often each code occurred, as a share of its codebook.

    Args:
        num_books: K.
        book_size: codes V per codebook.
        kwargs: torchmetrics' own.
    """

    def compute(self) -> Tensor:
        """(K, V), each row summing to 1."""
        return self.counts / self.counts.sum(1, keepdim=True).clamp_min(1)


class FrechetDistance(Metric):
    """Fréchet distance between features of generated and of real samples ("FID").

    Only sums are kept (float64), so memory does not grow and processes add up exactly.

    Args:
        num_features: D.
        kwargs: torchmetrics' own.
    """

    full_state_update = False
    higher_is_better = False

    def __init__(self, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_features = num_features
        for side in ("pred", "true"):
            self.add_state(f"{side}_count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
            self.add_state(
                f"{side}_sum", torch.zeros(num_features, dtype=torch.float64), dist_reduce_fx="sum"
            )
            square = torch.zeros(num_features, num_features, dtype=torch.float64)
            self.add_state(f"{side}_outer", square, dist_reduce_fx="sum")

    def update(self, pred_features: Tensor | None = None, true_features: Tensor | None = None) -> None:
        """Add features (..., D) of either side or both; their numbers may differ."""
        for side, features in (("pred", pred_features), ("true", true_features)):
            if features is None:
                continue
            if features.shape[-1] != self.num_features:
                raise ValueError(
                    f"{side}_features {tuple(features.shape)}: expected (..., {self.num_features})"
                )
            rows = features.detach().reshape(-1, self.num_features).double()
            setattr(self, f"{side}_count", getattr(self, f"{side}_count") + len(rows))
            setattr(self, f"{side}_sum", getattr(self, f"{side}_sum") + rows.sum(0))
            setattr(self, f"{side}_outer", getattr(self, f"{side}_outer") + rows.T @ rows)

    def compute(self) -> Tensor:
        """Scalar float32; NaN where a side has fewer than two samples."""
        if min(int(getattr(self, f"{side}_count")) for side in ("pred", "true")) < 2:
            return torch.tensor(torch.nan, device=self.device)
        return F.frechet_distance(*self._moments("pred"), *self._moments("true")).float()

    def _moments(self, side: str) -> tuple[Tensor, Tensor]:
        count, total, outer = (getattr(self, f"{side}_{name}") for name in ("count", "sum", "outer"))
        mean = total / count
        return mean, (outer - count * torch.outer(mean, mean)) / (count - 1)
