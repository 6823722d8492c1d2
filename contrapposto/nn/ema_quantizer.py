"""Codebooks that follow the latents by moving averages, with a restart of dead codes: product or residual.

Sources: van den Oord et al., "Neural discrete representation learning", 2017, appendix A.1 (moving averages); Zeghidour
et al., "SoundStream", 2021 (residual codebooks, k-means initialisation, restart of codes that are hardly used).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.distributed import all_sum, gather_rows
from contrapposto.nn.quantizer import Quantized


class EMAQuantizer(nn.Module):
    """K codebooks of V codes that are no parameters: each code is the moving average of the latents that it stands for.

    The loss per token is the commitment mean((sg(z_q) - z)^2). While `bypass` is set, the latent passes unquantised in
    training mode, without a loss, and the latest latents are kept for `initialize_codebooks`.

    Args:
        num_codes: of all codebooks together.
        code_dim: size D of the latent.
        num_books: K.
        residual: every codebook has the whole width and quantises what the ones before left over; else each
            quantises its own chunk of the latent.
        decay: of the moving averages.
        dead_below: share of the even usage below which a code is restarted at a random latent of the batch.

    Raises:
        ValueError: K does not divide the number of codes or, without `residual`, the latent.
    """

    books: Tensor
    usage: Tensor
    sums: Tensor
    steps: Tensor

    def __init__(
        self,
        num_codes: int,
        code_dim: int,
        num_books: int,
        *,
        residual: bool = True,
        decay: float = 0.98,
        dead_below: float = 0.03,
    ) -> None:
        super().__init__()
        if num_codes % num_books or (code_dim % num_books and not residual):
            raise ValueError(
                f"{num_books} codebooks cannot share {num_codes} codes and {code_dim} dimensions evenly"
            )
        self.num_books, self.book_size, self.residual = num_books, num_codes // num_books, residual
        self.decay, self.dead_below, self.bypass = decay, dead_below, False
        self.width = code_dim if residual else code_dim // num_books
        shape = (num_books, self.book_size, self.width)
        self.register_buffer("books", torch.randn(shape) / self.width**0.5)
        self.register_buffer("usage", torch.ones(shape[:2]))
        self.register_buffer("sums", self.books.clone())
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.recent: list[Tensor] = []
        self.keep_recent = 20

    def forward(self, z: Tensor, valid: Tensor | None = None) -> Quantized:
        """Quantise (B, L, D), in float32 whatever the autocast setting; `valid` (B, L) is False for padding."""
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            valid = torch.ones_like(z[..., 0], dtype=torch.bool) if valid is None else valid.bool()
            flat = z[valid]
            if self.training and self.bypass:
                self.recent = [*self.recent[1 - self.keep_recent :], flat.detach()]
                codes = torch.full((*z.shape[:2], self.num_books), -1, device=z.device)
                return Quantized(z * valid[..., None], torch.zeros_like(z[..., 0]), codes, z.new_zeros(()))
            rows, codes_flat = self._quantize(flat)
            z_q = torch.zeros_like(z)
            z_q[valid] = flat + (rows - flat).detach()
            codes = torch.full((*z.shape[:2], self.num_books), -1, device=z.device)
            codes[valid] = codes_flat
            loss = torch.zeros_like(z[..., 0])
            loss[valid] = (flat - rows.detach()).square().mean(-1)
        return Quantized(z_q, loss, codes, z.new_zeros(()))

    def _quantize(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised rows (N, D) and codes (N, K); in training mode the codebooks follow."""
        rest, parts, codes = flat.detach(), [], []
        for book in range(self.num_books):
            x = rest if self.residual else rest[:, book * self.width : (book + 1) * self.width]
            code = nearest_code(x, self.books[book])
            part = self.books[book][code]
            parts.append(part)
            codes.append(code)
            if self.training:
                self._follow(book, x, code)
            if self.residual:
                rest = rest - part
        rows = torch.stack(parts).sum(0) if self.residual else torch.cat(parts, dim=-1)
        if self.training:
            self.steps += 1
        return rows, torch.stack(codes, dim=-1)

    @torch.no_grad()
    def _follow(self, book: int, x: Tensor, code: Tensor) -> None:
        """Move a codebook towards the latents (N, width) of all processes; restart its dead codes."""
        count, total = cluster_sums(x, code, self.book_size)
        count, total = all_sum(count), all_sum(total)
        self.usage[book].mul_(self.decay).add_(count, alpha=1 - self.decay)
        self.sums[book].mul_(self.decay).add_(total, alpha=1 - self.decay)
        self.books[book] = self.sums[book] / self.usage[book].clamp_min(1e-4)[:, None]
        even = count.sum() / self.book_size
        dead = self.usage[book] < self.dead_below * even
        if dead.any():
            rows = gather_rows(x)
            generator = torch.Generator().manual_seed(int(self.steps) * self.num_books + book)
            drawn = torch.randint(len(rows), (int(dead.sum()),), generator=generator).to(x.device)
            self.books[book][dead] = rows[drawn]
            self.usage[book][dead] = even
            self.sums[book][dead] = rows[drawn] * even

    @torch.no_grad()
    def initialize_codebooks(self, z: Tensor, seed: int, rounds: int = 10) -> None:
        """Initialise the codebooks by k-means of the latents (..., D) of all processes, one codebook after the other."""
        rest = gather_rows(z.reshape(-1, z.shape[-1]).float())
        for book in range(self.num_books):
            x = rest if self.residual else rest[:, book * self.width : (book + 1) * self.width]
            self.books[book] = k_means(x, self.book_size, seed + book, rounds)
            code = nearest_code(x, self.books[book])
            count, _ = cluster_sums(x, code, self.book_size)
            self.usage[book] = (count / len(x) * self.book_size).clamp_min(0.1)
            self.sums[book] = self.books[book] * self.usage[book][:, None]
            if self.residual:
                rest = rest - self.books[book][code]
        self.recent = []

    def lookup(self, indices: Tensor) -> Tensor:
        """(B, L, K) codes to (B, L, D) latents; a code of -1 gives zeros."""
        known = (indices >= 0).unsqueeze(-1)
        first = torch.arange(self.num_books, device=indices.device) * self.book_size
        rows = F.embedding(indices.clamp_min(0) + first, self.books.flatten(0, 1)) * known
        return rows.sum(-2) if self.residual else rows.flatten(-2)


def nearest_code(x: Tensor, book: Tensor) -> Tensor:
    """(N,) the code of (V, d) that is nearest to each row of (N, d)."""
    return torch.addmm(book.square().sum(-1), x, book.t(), alpha=-2).argmin(-1)


def cluster_sums(x: Tensor, code: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Number (V,) and sum (V, d) of the rows (N, d) of each code."""
    total = torch.zeros(size, x.shape[-1], device=x.device).index_add_(0, code, x)
    return torch.bincount(code, minlength=size).to(x.dtype), total


def k_means(x: Tensor, size: int, seed: int, rounds: int) -> Tensor:
    """(V, d) means of clusters of (N, d) by Lloyd's algorithm; an empty cluster begins again at a random row."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator).to(x.device)
    means = x[order.repeat(-(-size // len(x)))[:size]].clone()
    for _ in range(rounds):
        count, total = cluster_sums(x, nearest_code(x, means), size)
        drawn = torch.randint(len(x), (size,), generator=generator).to(x.device)
        means = torch.where(count[:, None] > 0, total / count.clamp_min(1)[:, None], x[drawn])
    return means
