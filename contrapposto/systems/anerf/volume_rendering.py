"""Raw network outputs along rays become colours, opacities and disparities (docs/specs/anerf.md, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Composite:
    """What rays show.

    Args:
        colour: (R, 3), premultiplied by the opacity: the background is added outside.
        disparity: (R,) 1 / depth, 0 where nothing is.
        opacity: (R,) in [0, 1].
        weights: (R, S) share of every sample.
        alpha: (R, S) opacity of every sample.
    """

    colour: Tensor
    disparity: Tensor
    opacity: Tensor
    weights: Tensor
    alpha: Tensor

    def over(self, background: Tensor) -> Tensor:
        """Colours (R, 3) on a background (R, 3) or (3,)."""
        return self.colour + (1 - self.opacity[:, None]) * background


def composite(
    raw: Tensor,
    depths: Tensor,
    directions: Tensor,
    *,
    density: str = "relu",
    density_scale: float = 1.0,
    noise: Tensor | None = None,
) -> Composite:
    """Volume rendering of raw outputs.

    Args:
        raw: (R, S, 4) red, green, blue, density, before any activation.
        depths: (R, S), growing.
        directions: (R, 3); depth is counted in their length.
        density: "relu", or "softplus" shifted by 1.
        density_scale: the raw density is divided by it.
        noise: (R, S) normal numbers added to the density, scaled as it is.
    """
    steps = _steps(depths, directions)
    sigma = raw[..., 3] / density_scale
    if noise is not None:
        sigma = sigma + noise * density_scale
    alpha = 1 - torch.exp(-activated(sigma, density) * steps)
    passed = torch.cumprod(1 - alpha + 1e-10, dim=1)
    weights = alpha * torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], dim=1)
    colours = torch.sigmoid(raw[..., :3]) * 1.002 - 0.001
    total = weights.sum(1)
    depth = (weights * depths).sum(1)
    disparity = 1 / (depth / (total + 1e-10)).clamp_min(1e-10)
    disparity = torch.where(
        torch.isclose(total, torch.zeros_like(total)), torch.zeros_like(disparity), disparity
    )
    colour = (weights[..., None] * colours).sum(1)
    return Composite(colour, disparity, total.clamp_max(1), weights, alpha)


def activated(raw: Tensor, density: str) -> Tensor:
    """Densities of raw ones by "relu" or by "softplus", shifted by 1.

    Raises:
        ValueError: another name.
    """
    if density not in ("relu", "softplus"):
        raise ValueError(f"density is {density!r}; expected relu or softplus")
    return F.relu(raw) if density == "relu" else F.softplus(raw - 1)


def transmittance_before(
    raw: Tensor, depths: Tensor, directions: Tensor, *, density: str = "relu", density_scale: float = 1.0
) -> Tensor:
    """(R, S) share of the light that reaches every sample; the arguments are those of `composite`."""
    absorbed = activated(raw[..., 3] / density_scale, density) * _steps(depths, directions)
    return torch.exp(-torch.cat([torch.zeros_like(absorbed[:, :1]), absorbed[:, :-1].cumsum(1)], dim=1))


def _steps(depths: Tensor, directions: Tensor) -> Tensor:
    """(R, S) lengths of the stretches that samples stand for; the last one's is endless."""
    steps = torch.cat([depths.diff(dim=1), torch.full_like(depths[:, :1], 1e10)], dim=1)
    return steps * torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
