"""The A-NeRF model: rays and bones in, colours out (sheet, sections 3 to 5).

The same numbers as the published algorithm by less work: local points are affine along a ray, the view layer is solved
per ray and joint, the fine network's outputs are sorted instead of its inputs, and rays that miss the body's cylinder
are not computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrapposto.models.anerf.encoding import (
    CutoffEncoding,
    relative_direction,
    relative_distance,
    rotate_to_bones,
    to_bones,
)
from contrapposto.models.anerf.kinematics import EXT_SCALE, NUM_JOINTS
from contrapposto.models.anerf.network import RadianceNetwork
from contrapposto.models.anerf.sampling import (
    coarse_depths,
    cylinder_span,
    importance_depths,
    mean_for_misses,
)
from contrapposto.models.anerf.volume import Composite, composite
from contrapposto.nn.random import keyed_normal, keyed_uniform


@dataclass(frozen=True)
class ANeRFConfig:
    """Options of the model; defaults are the published two-network setting.

    Args:
        coarse_samples, fine_samples: per ray (64 + 16; the single-network setting has 96 + 48).
        distance_frequencies, view_frequencies: of the encodings (7 and 4; single-network 7 and 0).
        cutoff: initial cutoff distance, world units.
        weigh_input, learn_cutoff: see `CutoffEncoding`.
        depth, width: of the density branch.
        single_network: one network for both passes.
        num_codes, code_size: frame codes; 0 codes for none.
        density: "relu" or "softplus".
        density_scale: the raw density is divided by it.
        inverse_depth: sample uniformly in inverse depth.
    """

    coarse_samples: int = 64
    fine_samples: int = 16
    distance_frequencies: int = 7
    view_frequencies: int = 4
    cutoff: float = 500 * EXT_SCALE
    weigh_input: bool = True
    learn_cutoff: bool = False
    depth: int = 8
    width: int = 256
    single_network: bool = False
    num_codes: int = 0
    code_size: int = 16
    density: str = "relu"
    density_scale: float = 1.0
    inverse_depth: bool = False


@dataclass(frozen=True)
class Draws:
    """Random numbers of one training pass over R rays.

    Args:
        jitter: (R, coarse) uniform: coarse depths inside their strata.
        coarse_noise: (R, coarse) normal: added to the coarse density.
        uniform: (R, fine) uniform: importance samples.
        fine_noise: (R, coarse + fine) normal: added to the fine density, in order of depth.
    """

    jitter: Tensor | None = None
    coarse_noise: Tensor | None = None
    uniform: Tensor | None = None
    fine_noise: Tensor | None = None

    @classmethod
    def keyed(
        cls,
        config: ANeRFConfig,
        seed: int,
        step: int,
        ray_ids: Tensor,
        *,
        jitter: bool = True,
        noise: float = 1.0,
    ) -> Draws:
        """Draws that depend on seed, step and ray only (R,) int64, wherever the ray is computed."""
        coarse, union = (config.coarse_samples,), (config.coarse_samples + config.fine_samples,)
        key = (seed, step, ray_ids)
        return cls(
            keyed_uniform(*key, coarse, "jitter") if jitter else None,
            keyed_normal(*key, coarse, "coarse_noise") * noise if noise else None,
            keyed_uniform(*key, (config.fine_samples,), "importance") if jitter else None,
            keyed_normal(*key, union, "fine_noise") * noise if noise else None,
        )

    def at(self, rays: Tensor | slice) -> Draws:
        """The draws of some rays."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return Draws(**{name: None if value is None else value[rays] for name, value in parts.items()})


@dataclass(frozen=True)
class Rendering:
    """What R rays show, by the fine and by the coarse pass; nothing where a ray misses the cylinder."""

    fine: Composite
    coarse: Composite
    hit: Tensor


@dataclass(frozen=True)
class _Rays:
    """Rays in the frames of all bones."""

    origins: Tensor  # (R, J, 3)
    directions: Tensor  # (R, J, 3)
    view_rows: Tensor  # (R, rows, 3 J)


class ANeRF(nn.Module):
    """A radiance field driven by 24 bones.

    Args:
        config: options.
    """

    def __init__(self, config: ANeRFConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ANeRFConfig()
        shared: dict[str, Any] = {"cutoff": config.cutoff, "learn_cutoff": config.learn_cutoff}
        self.distance_encoding = CutoffEncoding(
            config.distance_frequencies, weigh_input=config.weigh_input, **shared
        )
        # The view layer is solved per joint, which needs every row of the view encoding to fade.
        self.view_encoding = CutoffEncoding(config.view_frequencies, channels=3, **shared)
        self.coarse = self._network()
        self.fine = self.coarse if config.single_network else self._network()

    def _network(self) -> RadianceNetwork:
        config = self.config
        return RadianceNetwork(
            self.distance_encoding.width + 3 * NUM_JOINTS,
            self.view_encoding.width,
            depth=config.depth,
            width=config.width,
            num_codes=config.num_codes,
            code_size=config.code_size,
        )

    def set_step(self, step: int) -> None:
        """Harden the cutoffs as after training step `step` (sheet, section 3)."""
        self.distance_encoding.set_step(step)
        self.view_encoding.set_step(step)

    def encode(self, local: Tensor) -> tuple[Tensor, Tensor]:
        """Density encoding (..., 432) and joint distances (..., J) of local points (..., J, 3)."""
        distance = relative_distance(local)
        return torch.cat(
            [self.distance_encoding(distance, distance), relative_direction(local, distance)], dim=-1
        ), distance

    def density(self, points: Tensor, world_to_bone: Tensor) -> Tensor:
        """Raw density (N,) of the fine network at world points (N, 3) around one pose (J, 4, 4)."""
        return self.fine.density(self.encode(to_bones(points, world_to_bone))[0])

    def forward(
        self,
        origins: Tensor,
        directions: Tensor,
        world_to_bone: Tensor,
        cylinders: Tensor,
        *,
        pose_index: Tensor | None = None,
        code_index: Tensor | None = None,
        draws: Draws | None = None,
        near: float = 0.0,
        far: float = 1.0,
        mean_span: bool = False,
    ) -> Rendering:
        """Render R rays at once.

        Args:
            origins, directions: (R, 3) world; depth is counted in directions, which need not be unit vectors.
            world_to_bone: (P, J, 4, 4), one per pose, or per ray without `pose_index`.
            cylinders: (R, 5) bounding cylinders, see `bounding_cylinder`.
            pose_index: (R,) pose of each ray.
            code_index: (R,) or (R, 3) frame codes, where the model has them.
            draws: random numbers of training; without, sampling is deterministic.
            near, far: parameters of the line.
            mean_span: sample rays that miss the cylinder too, in the mean span of the others, as the original does.
        """
        entry, leave, hit = cylinder_span(origins, directions, cylinders, near, far)
        if mean_span:
            entry, leave = mean_for_misses(entry, leave, hit)
            kept: Tensor | None = None
        else:
            kept = None if bool(hit.all()) else hit.nonzero().squeeze(1)
        pose_index = torch.arange(len(origins), device=origins.device) if pose_index is None else pose_index
        draws = draws or Draws()
        if kept is not None:
            origins, directions, entry, leave = (x[kept] for x in (origins, directions, entry, leave))
            pose_index, draws = pose_index[kept], draws.at(kept)
            code_index = None if code_index is None else code_index[kept]
        rays = self._to_bones(origins, directions, world_to_bone, pose_index)
        coarse, fine = self._passes(rays, directions, entry, leave, code_index, draws)
        if kept is not None:
            coarse, fine = _spread(coarse, kept, hit), _spread(fine, kept, hit)
        return Rendering(fine, coarse, hit)

    def _to_bones(
        self, origins: Tensor, directions: Tensor, world_to_bone: Tensor, pose_index: Tensor
    ) -> _Rays:
        bones = world_to_bone[pose_index]
        local_directions = rotate_to_bones(directions, bones)
        unit = F.normalize(local_directions, dim=-1).flatten(-2)
        return _Rays(to_bones(origins[:, None], bones)[:, 0], local_directions, self.view_encoding.rows(unit))

    def _passes(
        self,
        rays: _Rays,
        directions: Tensor,
        entry: Tensor,
        leave: Tensor,
        code_index: Tensor | None,
        draws: Draws,
    ) -> tuple[Composite, Composite]:
        config = self.config
        options: dict[str, Any] = {"density": config.density, "density_scale": config.density_scale}
        depths = coarse_depths(
            entry, leave, config.coarse_samples, jitter=draws.jitter, inverse=config.inverse_depth
        )
        samples = self._samples(rays, depths)
        table = self.coarse.view_table(rays.view_rows)
        raw = self.coarse.along_rays(*samples, table, code_index)
        coarse = composite(raw, depths, directions, noise=draws.coarse_noise, **options)
        new = importance_depths(
            depths, coarse.weights, config.fine_samples, uniform=draws.uniform, smoothed=config.single_network
        )
        if self.fine is not self.coarse:
            table = self.fine.view_table(rays.view_rows)
            raw = self.fine.along_rays(*samples, table, code_index)
        raw_new = self.fine.along_rays(*self._samples(rays, new), table, code_index)
        union, order = torch.cat([depths, new], dim=1).sort(dim=1)
        merged = torch.cat([raw, raw_new], dim=1).gather(1, order[..., None].expand(-1, -1, 4))
        return coarse, composite(merged, union, directions, noise=draws.fine_noise, **options)

    def _samples(self, rays: _Rays, depths: Tensor) -> tuple[Tensor, Tensor]:
        """Density encodings (R, S, 432) and view fading (R, S, J) at depths (R, S)."""
        local = rays.origins[:, None] + depths[..., None, None] * rays.directions[:, None]
        encoded, distance = self.encode(local)
        return encoded, self.view_encoding.weights(distance)


@torch.no_grad()
def render_chunks(
    model: ANeRF,
    origins: Tensor,
    directions: Tensor,
    world_to_bone: Tensor,
    cylinder: Tensor,
    *,
    code_index: int | None = None,
    chunk: int = 1024,
) -> Iterator[tuple[slice, Composite]]:
    """Render many rays (R, 3) of one pose, chunk by chunk, without gradients.

    Args:
        model: in eval mode.
        origins, directions: as of `ANeRF.forward`.
        world_to_bone: (J, 4, 4).
        cylinder: (5,).
        code_index: frame code of the picture, -1 for the mean code; needed where the model has codes.
        chunk: rays at once: about 0.6 MB each while they are computed.
    """
    for start in range(0, len(origins), chunk):
        part = slice(start, min(start + chunk, len(origins)))
        count = part.stop - part.start
        index = torch.zeros(count, dtype=torch.int64, device=origins.device)
        codes = None if code_index is None else index + code_index
        found = model(
            origins[part],
            directions[part],
            world_to_bone[None],
            cylinder.expand(count, 5),
            pose_index=index,
            code_index=codes,
        )
        yield part, found.fine


def _spread(found: Composite, kept: Tensor, hit: Tensor) -> Composite:
    """Results of some rays among all; the others are empty."""

    def place(value: Tensor) -> Tensor:
        return value.new_zeros(len(hit), *value.shape[1:]).index_copy(0, kept, value)

    return Composite(*(place(getattr(found, f.name)) for f in fields(found)))
