"""Position tables that are added to token features.

Sources: docs/specs/posegpt.md, section 3; docs/specs/sage.md, section 2.1.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

PositionKind = Literal["sine_frozen", "sine_ft", "learned", "none"]


def sine_table(length: int, width: int) -> Tensor:
    """(1, length, width) float32: even columns sin(p w_i), odd columns cos(p w_i), w_i = 10000^(-2i / width).

    An odd width is cut from the table of width + 1.
    """
    even = width + width % 2
    # In float32 throughout, as the released tables were built: in float64 the last rows differ by 1e-4.
    frequency = torch.exp(torch.arange(0, even, 2).float() * (-math.log(10000.0) / even))
    angle = torch.arange(length).float()[:, None] * frequency
    return (
        torch.stack([torch.sin(angle), torch.cos(angle)], dim=-1)
        .reshape(1, length, even)[..., :width]
        .contiguous()
    )


class PositionTable(nn.Module):
    """Adds row p of a table `pe` (1, length, width) to token p.

    Args:
        length: the largest number of tokens.
        width: feature size.
        kind: `sine_frozen` (buffer), `sine_ft` (sine start, trained), `learned` (N(0, 1) start, trained),
            `none` (zeros).
        persistent: whether a frozen table is part of the state dict (released SAGE files hold it). Files with
            and
            without it load either way.
        scale: of the table at the start.
    """

    pe: Tensor

    def __init__(
        self,
        length: int,
        width: int,
        kind: PositionKind = "sine_frozen",
        *,
        persistent: bool = True,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.kind, self.persistent = kind, persistent
        if kind == "sine_ft":
            self.pe = nn.Parameter(scale * sine_table(length, width))
        elif kind == "learned":
            self.pe = nn.Parameter(scale * torch.randn(1, length, width))
        elif kind in ("sine_frozen", "none"):
            table = (
                scale * sine_table(length, width) if kind == "sine_frozen" else torch.zeros(1, length, width)
            )
            self.register_buffer("pe", table, persistent=persistent)
        else:
            raise ValueError(f"kind: expected sine_frozen, sine_ft, learned or none, got {kind!r}")

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, width) plus the first T rows.

        Raises:
            ValueError: more tokens than rows.
        """
        if tokens.shape[1] > self.pe.shape[1]:
            raise ValueError(
                f"{tokens.shape[1]} tokens do not fit a position table of {self.pe.shape[1]} rows"
            )
        return tokens if self.kind == "none" else tokens + self.pe[:, : tokens.shape[1]]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # A frozen table is made by the constructor, so files may hold it or not.
        key = prefix + "pe"
        if self.kind in ("sine_frozen", "none"):
            if not self.persistent:
                state_dict.pop(key, None)
            elif key not in state_dict:
                state_dict[key] = self.pe
        super()._load_from_state_dict(state_dict, prefix, *args)
