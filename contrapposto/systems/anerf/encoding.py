"""A-NeRF's skeleton-relative inputs and their cutoff-weighted Fourier features (docs/specs/anerf.md, section 3)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from contrapposto.devices import full_precision
from contrapposto.systems.anerf.kinematics import EXT_SCALE, NUM_JOINTS


def to_bones(points: Tensor, world_to_bone: Tensor) -> Tensor:
    """(..., S, J, 3): points (..., S, 3) in the frames of bones (..., J, 4, 4)."""
    rotation, shift = world_to_bone[..., :3, :3], world_to_bone[..., :3, 3]
    with full_precision(points):
        turned = torch.einsum("...jik,...sk->...sji", rotation, points)
    return turned + shift[..., None, :, :]


def rotate_to_bones(directions: Tensor, world_to_bone: Tensor) -> Tensor:
    """(..., J, 3): directions (..., 3) turned into the frames of bones (..., J, 4, 4)."""
    with full_precision(directions):
        return torch.einsum("...jik,...k->...ji", world_to_bone[..., :3, :3], directions)


def relative_distance(local: Tensor) -> Tensor:
    """(..., J) distances to the joints of local points (..., J, 3)."""
    return torch.linalg.vector_norm(local, dim=-1)


def relative_direction(local: Tensor, distance: Tensor | None = None) -> Tensor:
    """(..., 3 J) unit vectors of local points (..., J, 3), joint by joint; `distance` (..., J) if known."""
    distance = relative_distance(local) if distance is None else distance
    return (local / distance.clamp_min(1e-12)[..., None]).flatten(-2)


def ray_angle(local: Tensor, local_direction: Tensor) -> Tensor:
    """(..., J) angle between local points and directions (..., J, 3), minus a right angle."""
    cosine = (F.normalize(local, dim=-1) * F.normalize(local_direction, dim=-1)).sum(-1)
    return torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6)) - math.pi / 2


def fourier_rows(values: Tensor, count: int) -> Tensor:
    """(..., 1 + 2 count, D): rows x, sin x, cos x, sin 2x, cos 2x, sin 4x, ... of values (..., D)."""
    if count == 0:
        return values[..., None, :]
    frequencies = 2.0 ** torch.arange(count, dtype=values.dtype, device=values.device)
    angles = values[..., None, :] * frequencies[:, None]
    waves = torch.stack([angles.sin(), angles.cos()], dim=-2).flatten(-3, -2)
    return torch.cat([values[..., None, :], waves], dim=-2)


class CutoffEncoding(nn.Module):
    """Fourier features of per-joint values, faded out with the distance to the joint.

    Row-major output: every row of `fourier_rows` times w_j = 1 - sigmoid(tau (v_j - c_j)) with the joint distance v.

    Args:
        num_frequencies: n; the output has 2n + 1 rows.
        channels: values per joint: 1 for distances, 3 for view directions.
        cutoff: initial c, world units.
        weigh_input: whether the first row fades too.
        learn_cutoff: train c; the original's option of this name never did.
        values: "plain"; "to_cutoff" encodes c - v; "shifted" takes the waves of 2 v / c - 1.
        normalise: scale groups of 3 channels to unit length after weighting.
        schedule_from: coarse to fine: `alpha` starts here and rises to n - 1 (`set_step`); None: all frequencies.
    """

    tau: Tensor
    sched_alpha: Tensor

    def __init__(
        self,
        num_frequencies: int,
        *,
        channels: int = 1,
        cutoff: float = 500 * EXT_SCALE,
        weigh_input: bool = True,
        learn_cutoff: bool = False,
        values: str = "plain",
        normalise: bool = False,
        schedule_from: float | None = None,
        num_joints: int = NUM_JOINTS,
    ) -> None:
        super().__init__()
        if values not in ("plain", "to_cutoff", "shifted"):
            raise ValueError(f"values is {values!r}; expected plain, to_cutoff or shifted")
        self.num_frequencies, self.channels, self.weigh_input = num_frequencies, channels, weigh_input
        self.values, self.normalise, self.schedule_from = values, normalise, schedule_from
        self.cutoff_dist = nn.Parameter(torch.full((num_joints,), cutoff), requires_grad=learn_cutoff)
        self.register_buffer("tau", torch.tensor(20.0))
        if schedule_from is not None:
            self.register_buffer("sched_alpha", torch.tensor(float(schedule_from)))

    @property
    def num_rows(self) -> int:
        """Rows of the output."""
        return 2 * self.num_frequencies + 1

    @property
    def width(self) -> int:
        """Numbers per sample."""
        return self.num_rows * self.channels * len(self.cutoff_dist)

    def set_step(
        self, step: int, *, tau_step: float = 250, rate: float = 10.0, frequency_step: int = 5
    ) -> None:
        """Harden the cutoff and open the frequencies as after training step `step` (steps counted in thousands)."""
        self.tau.fill_(min(20 * rate ** (step / (tau_step * 1000)), 2000))
        if self.schedule_from is not None:
            rise = (self.num_frequencies - 1 - self.schedule_from) * step / (frequency_step * 1000)
            self.sched_alpha.fill_(self.schedule_from + rise)

    def weights(self, distance: Tensor) -> Tensor:
        """(..., J) fading weights of joint distances (..., J)."""
        # 1 - sigmoid(x) = sigmoid(-x), without the cancellation
        return torch.sigmoid(self.tau * (self.cutoff_dist - distance))

    def rows(self, values: Tensor) -> Tensor:
        """(..., rows, J channels) features before fading of values (..., J channels)."""
        if self.values == "to_cutoff":
            values = self.cutoff_dist.repeat_interleave(self.channels) - values
        if self.values == "shifted":
            shifted = 2 * values / self.cutoff_dist.repeat_interleave(self.channels) - 1
            waves = fourier_rows(shifted, self.num_frequencies)[..., 1:, :]
            rows = torch.cat([values[..., None, :], waves], dim=-2)
        else:
            rows = fourier_rows(values, self.num_frequencies)
        if self.schedule_from is None:
            return rows
        order = torch.arange(self.num_frequencies, dtype=rows.dtype, device=rows.device)
        opened = (1 - torch.cos(math.pi * (self.sched_alpha - order).clamp(0, 1))) / 2
        factor = torch.cat([torch.ones_like(opened[:1]), opened.repeat_interleave(2)])
        return rows * factor[:, None]

    @property
    def is_plain(self) -> bool:
        """Whether `write` can take the place of `forward`."""
        return (
            self.values == "plain" and self.weigh_input and not self.normalise and self.schedule_from is None
        )

    def write(self, distance: Tensor, out: Tensor) -> None:
        """`forward` of distances (N, J) into the columns of `out` (N, width): nothing is copied, no gradients."""
        fade, size = self.weights(distance), distance.shape[1]
        torch.mul(distance, fade, out=out[:, :size])
        for index in range(self.num_frequencies):
            angle, column = distance * 2.0**index, (2 * index + 1) * size
            torch.mul(angle.sin(), fade, out=out[:, column : column + size])
            torch.mul(angle.cos_(), fade, out=out[:, column + size : column + 2 * size])

    def forward(self, values: Tensor, distance: Tensor, weights: Tensor | None = None) -> Tensor:
        """(..., width) encoding of values (..., J channels) at joint distances (..., J)."""
        rows = self.rows(values)
        fade = self.weights(distance) if weights is None else weights
        fade = fade.repeat_interleave(self.channels, dim=-1)[..., None, :]
        faded = rows * fade
        if not self.weigh_input:
            faded = torch.cat([rows[..., :1, :].expand_as(faded[..., :1, :]), faded[..., 1:, :]], dim=-2)
        if self.normalise:
            unit = F.normalize(rearrange(faded, "... (j xyz) -> ... j xyz", xyz=3), dim=-1)
            faded = rearrange(unit, "... j xyz -> ... (j xyz)")
        return faded.flatten(-2)
