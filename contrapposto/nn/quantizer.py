"""Product quantisation: a latent is split into chunks, each replaced by the nearest code of its own codebook.

`ProductQuantizer` is the common part, and all that PoseGPT needs (docs/specs/posegpt.md, section 4, "Quantiser").
`AnchoredQuantizer` adds SAGE's training (docs/specs/sage.md, section 2.2): usage average, reset of dead codes,
contrastive term. Statistics, resets and the contrastive term cover all processes of a run, so two processes
compute what one process computes on the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.distributed import all_sum, gather_rows


@dataclass(frozen=True)
class Quantized:
    """Result of a quantiser.

    Args:
        z_q: (B, L, D) quantised latent with the straight-through gradient; zero at invalid tokens.
        loss: (B, L) loss per token; at invalid tokens too, for the caller to mask.
        indices: (B, L, K) int64 codes; -1 at invalid tokens.
        extra: scalar that is part of every token's loss: the contrastive term, which belongs to the batch as
            a whole and is the same in every process; else zero.
    """

    z_q: Tensor
    loss: Tensor
    indices: Tensor
    extra: Tensor


class ProductQuantizer(nn.Module):
    """K codebooks of num_codes / K codes, trained by gradient.

    The loss per token is mean((sg(z_q) - z)^2) + beta mean((z_q - sg(z))^2): beta scales the term of the
    codebooks.

    Args:
        num_codes: total number of codes over all codebooks (the originals' `n_e`).
        code_dim: size D of the latent, cut into K chunks.
        num_books: K.
        beta: weight of the codebook term.
        track_usage: keep a running histogram per codebook (`usage.bins`), as PoseGPT does; see `UsageTracker`.

    While `bypass` is set, training mode skips quantisation and its loss: a warm-up before the codebooks are
    initialised (`initialize_codebooks`).

    Raises:
        ValueError: K does not divide the number of codes or the latent.
    """

    def __init__(
        self, num_codes: int, code_dim: int, num_books: int, *, beta: float = 0.25, track_usage: bool = False
    ) -> None:
        super().__init__()
        if num_codes % num_books or code_dim % num_books:
            raise ValueError(
                f"{num_books} codebooks cannot share {num_codes} codes and {code_dim} dimensions evenly"
            )
        self.num_books, self.book_size, self.beta = num_books, num_codes // num_books, beta
        self.embeddings: Iterable[nn.Embedding] = nn.ModuleList(  # type: ignore[assignment]
            nn.Embedding(self.book_size, code_dim // num_books) for _ in range(num_books)
        )
        for codebook in self.embeddings:
            nn.init.uniform_(codebook.weight, -1 / self.book_size, 1 / self.book_size)
        self.bypass = False
        self.usage = UsageTracker(num_books, self.book_size) if track_usage else None

    def codebooks(self) -> Tensor:
        """(K, V, D / K) all codebooks."""
        return torch.stack([codebook.weight for codebook in self.embeddings])

    def forward(
        self,
        z: Tensor,
        valid: Tensor | None = None,
        *,
        quantized_share: float = 1.0,
        quantized_mask: Tensor | None = None,
    ) -> Quantized:
        """Quantise, in float32 whatever the autocast setting.

        Args:
            z: (B, L, D).
            valid: (B, L) bool, False for tokens that are padding.
            quantized_share: probability with which an entry is quantised; the others stay as they are.
            quantized_mask: (B, L, D) of 0 and 1, the draw itself, in place of the probability.
        """
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            codebooks = self.codebooks()
            scores = self._scores(z, codebooks)
            indices = scores.detach().argmin(-1)  # (K, B L); the first of equals
            if self.training and self.bypass:
                # Zero times the codebooks: distributed training needs a gradient for every parameter.
                loss = torch.zeros_like(z[..., 0]) + 0 * codebooks.sum()
                codes = indices.t().reshape(*z.shape[:2], self.num_books)
                return Quantized(z, loss, codes, z.new_zeros(()))
            raw = self._lookup(indices, codebooks).view_as(z)
            loss = (raw.detach() - z).square().mean(-1) + self.beta * (raw - z.detach()).square().mean(-1)
            extra = z.new_zeros(())
            if self.training:
                extra = self._training_extras(z, codebooks, scores, indices, valid)
                loss = loss + extra
            z_q = z + (raw - z).detach()
            if quantized_mask is None and quantized_share < 1:
                quantized_mask = torch.bernoulli(torch.full_like(z, quantized_share))
            if quantized_mask is not None:
                z_q = torch.where(quantized_mask.bool(), z_q, z)
        codes = indices.t().reshape(*z.shape[:2], self.num_books)
        if valid is not None:
            z_q = z_q * valid[..., None]
            codes = codes.masked_fill(~valid[..., None], -1)
        return Quantized(z_q, loss, codes, extra)

    @torch.no_grad()
    def initialize_codebooks(self, z: Tensor, seed: int, rounds: int = 10) -> Tensor:
        """Initialise the codebooks by k-means on the latents (B, L, D) of all processes, by Lloyd's algorithm.

        Codebooks that start far from the latents, at the originals' +-1/V, can leave a deep auto-encoder with one code for
        everything; from here every code is in use.

        Args:
            z: latents of one batch.
            seed: of the first choice of means.
            rounds: of the algorithm.

        Returns:
            (V, K) share of the latents that each code has.
        """
        chunks = gather_rows(z.reshape(-1, z.shape[-1]).float())
        chunks = chunks.view(len(chunks), self.num_books, -1).transpose(0, 1)  # (K, N, D / K)
        order = torch.randperm(chunks.shape[1], generator=torch.Generator().manual_seed(seed))
        start = order.to(z.device).repeat(-(-self.book_size // len(order)))[: self.book_size]
        codebooks = chunks[:, start].clone()
        for _ in range(rounds):
            nearest = torch.cdist(chunks, codebooks).argmin(-1)
            member = F.one_hot(nearest, self.book_size).to(chunks.dtype)  # (K, N, V)
            count = member.sum(1)[..., None]
            codebooks = torch.where(
                count > 0, member.transpose(1, 2) @ chunks / count.clamp_min(1), codebooks
            )
        for codebook, values in zip(self.embeddings, codebooks):
            codebook.weight.copy_(values)
        return member.mean(1).t()

    def lookup(self, indices: Tensor) -> Tensor:
        """(B, L, K) codes to (B, L, D) latents; a code of -1 gives zeros."""
        flat = indices.clamp_min(0).flatten(0, -2).t()
        latent = self._lookup(flat, self.codebooks()).view(*indices.shape[:-1], -1)
        known = (indices >= 0).repeat_interleave(latent.shape[-1] // self.num_books, dim=-1)
        return latent * known

    def _chunks(self, z: Tensor) -> Tensor:
        """(B, L, D) to (K, B L, D / K)."""
        return z.reshape(-1, self.num_books, z.shape[-1] // self.num_books).transpose(0, 1)

    def _scores(self, z: Tensor, codebooks: Tensor) -> Tensor:
        """(K, B L, V) squared distance less |z|^2, which no comparison within a row needs."""
        return torch.baddbmm(
            codebooks.square().sum(-1)[:, None, :], self._chunks(z), codebooks.transpose(1, 2), alpha=-2
        )

    def _lookup(self, indices: Tensor, codebooks: Tensor) -> Tensor:
        """(K, N) to (N, D)."""
        first = torch.arange(self.num_books, device=indices.device)[:, None] * self.book_size
        return F.embedding((indices + first).t(), codebooks.flatten(0, 1)).flatten(1)

    def _training_extras(
        self, z: Tensor, codebooks: Tensor, scores: Tensor, indices: Tensor, valid: Tensor | None
    ) -> Tensor:
        """What else happens in training mode; returns a scalar that is added to every token's loss."""
        if self.usage is not None:
            self.usage.update(indices, valid)
        return z.new_zeros(())


class UsageTracker(nn.Module):
    """Running histogram of codes per codebook.

    bins = (1 - a) bins + a count / N with a = max(0.05, 1 / (steps + 1)).

    The state is `bins` (K, V), starting uniform, and `steps`. Unlike the original it leaves invalid tokens
    out;
    `count_invalid` brings them back.
    """

    bins: Tensor
    steps: Tensor

    def __init__(self, num_books: int, book_size: int, *, count_invalid: bool = False) -> None:
        super().__init__()
        self.count_invalid = count_invalid
        self.register_buffer("bins", torch.full((num_books, book_size), 1 / book_size))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, indices: Tensor, valid: Tensor | None = None) -> None:
        """Count (K, N) codes; `valid` has N entries."""
        counts = _counts(indices, self.bins.shape[1], None if self.count_invalid else valid)
        self.steps += 1
        rate = (1 / (self.steps + 1)).clamp_min(0.05).to(self.bins.dtype)
        total = counts.sum(1, keepdim=True)
        self.bins.copy_(
            torch.where(total > 0, (1 - rate) * self.bins + rate * counts / total.clamp_min(1), self.bins)
        )

    def balance(self) -> Tensor:
        """Scalar, 1 for uniform use: the mean over codebooks and codes of 1 - |1 - V bin|."""
        return (1 - (1 - self.bins.shape[1] * self.bins).abs()).mean()


class AnchoredQuantizer(ProductQuantizer):
    """SAGE's quantiser: in training mode, dead codes are moved onto the nearest feature of the batch.

    Every training-mode call updates the usage average `embed_prob` (V, K), then moves code c of codebook i:
    code = (1 - a) code + a (nearest feature), a = exp(-embed_prob[c, i] rule_size 10 / (1 - decay) - 0.001).
    For every codebook of `contrastive_books` a term sets the nearest features against the farther half.

    Args:
        num_codes, code_dim, num_books, beta: see `ProductQuantizer`.
        decay: of the usage average.
        contrastive_books: the original covers codebooks 0 and 1 only; None for all.
        rule_size: number of codes in the two rules (the factor above, and the N / rule_size nearest features
            that are
            positives); the original takes the total number (None) where the size of a codebook is meant.
        temperature: of the contrastive term.
        reset: move dead codes at all.
    """

    embed_prob: Tensor

    def __init__(
        self,
        num_codes: int,
        code_dim: int,
        num_books: int,
        *,
        beta: float = 1.0,
        decay: float = 0.99,
        contrastive_books: Sequence[int] | None = (0, 1),
        rule_size: int | None = None,
        temperature: float = 0.07,
        reset: bool = True,
    ) -> None:
        super().__init__(num_codes, code_dim, num_books, beta=beta)
        self.decay, self.temperature, self.reset = decay, temperature, reset
        self.contrastive_books = list(range(num_books) if contrastive_books is None else contrastive_books)
        self.rule_size = num_codes if rule_size is None else rule_size
        self.register_buffer("embed_prob", torch.zeros(self.book_size, num_books))

    @torch.no_grad()
    def initialize_codebooks(self, z: Tensor, seed: int, rounds: int = 10) -> Tensor:
        """As `ProductQuantizer.initialize_codebooks`; the usage average starts with the shares of the clusters."""
        share = super().initialize_codebooks(z, seed, rounds)
        self.embed_prob.copy_(share)
        return share

    def _training_extras(
        self, z: Tensor, codebooks: Tensor, scores: Tensor, indices: Tensor, valid: Tensor | None
    ) -> Tensor:
        self._update_usage(indices, valid)
        if self.reset:
            self._reset_dead_codes(z.detach(), scores.detach(), valid)
        return self._contrastive(z, codebooks, valid)

    @torch.no_grad()
    def _update_usage(self, indices: Tensor, valid: Tensor | None) -> None:
        counts = _counts(indices, self.book_size, valid)
        frequency = counts / counts.sum(1, keepdim=True).clamp_min(1)
        self.embed_prob.mul_(self.decay).add_(frequency.t(), alpha=1 - self.decay)

    @torch.no_grad()
    def _reset_dead_codes(self, z: Tensor, scores: Tensor, valid: Tensor | None) -> None:
        chunks = self._chunks(z)
        distance = scores + chunks.square().sum(-1, keepdim=True)
        if valid is not None:
            distance = distance.masked_fill(~valid.flatten()[None, :, None], torch.inf)
        best, row = distance.min(1)  # (K, V): the nearest feature of this process
        features = chunks.gather(1, row[..., None].expand(-1, -1, chunks.shape[2]))
        # The nearest over all processes: the first of them wins a tie, as the first row does within one.
        candidates = gather_rows(torch.cat([best[..., None], features], dim=-1)[None])
        winner = candidates[..., 0].argmin(0)
        nearest = candidates.gather(0, winner[None, ..., None].expand(1, -1, -1, candidates.shape[-1]))[0]
        rate = torch.exp(-self.embed_prob.t() * self.rule_size * 10 / (1 - self.decay) - 1e-3)
        rate = torch.where(nearest[..., 0].isfinite(), rate, 0)[..., None]
        for codebook, share, feature in zip(self.embeddings, rate, nearest[..., 1:]):
            # Through .data, after the codebooks were stacked: the gradient of this step belongs to the old codes.
            codebook.weight.data.mul_(1 - share).add_(share * feature)

    def _contrastive(self, z: Tensor, codebooks: Tensor, valid: Tensor | None) -> Tensor:
        """Sum over codebooks of the mean cross entropy of a code's nearest features against its farther half."""
        if not self.contrastive_books:
            return z.new_zeros(())
        tokens = z.flatten(0, 1) if valid is None else z[valid]
        width = z.shape[-1] // self.num_books
        tokens = tokens.view(-1, self.num_books, width)[:, self.contrastive_books]
        features = gather_rows(tokens).transpose(0, 1)  # (codebooks, N, D / K)
        chosen = codebooks[self.contrastive_books]
        distance = torch.baddbmm(
            chosen.square().sum(-1)[:, :, None], chosen, features.transpose(1, 2), alpha=-2
        )
        distance = distance + features.square().sum(-1)[:, None, :]
        count = distance.shape[2]
        nearest = max(1, count // self.rule_size)
        similarity = -distance / self.temperature  # (codebooks, V, N)
        positive = similarity.topk(nearest, sorted=False).values.mean(-1, keepdim=True)
        negative = similarity.topk(count // 2, largest=False, sorted=False).values
        logits = torch.cat([positive, negative], dim=-1)
        return (logits.logsumexp(-1) - positive.squeeze(-1)).mean(-1).sum()


def _counts(indices: Tensor, size: int, valid: Tensor | None) -> Tensor:
    """(K, V) float32 occurrences of (K, N) codes over all processes."""
    counts = torch.zeros(len(indices), size, device=indices.device)
    ones = torch.ones_like(indices, dtype=counts.dtype)
    if valid is not None:
        ones = ones * valid.flatten()
    return all_sum(counts.scatter_add_(1, indices, ones))
