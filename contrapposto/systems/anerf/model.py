"""The A-NeRF model: rays and bones in, colours out (docs/specs/anerf.md, sections 3 to 5).

The same numbers as the published algorithm by less work: local points are affine along a ray, the view layer is solved
per ray and joint, the fine network's outputs are sorted instead of its inputs, and rays that miss the body's cylinder
are not computed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrapposto.systems.anerf.capsules import (
    NUM_SEGMENTS,
    Capsules,
    Kept,
    Segments,
    bone_segments,
    clipped,
    segment_distance,
)
from contrapposto.systems.anerf.draws import Draws
from contrapposto.systems.anerf.encoding import (
    CutoffEncoding,
    relative_direction,
    relative_distance,
    rotate_to_bones,
    to_bones,
)
from contrapposto.systems.anerf.joint_volumes import BoneVolumes
from contrapposto.systems.anerf.kinematics import EXT_SCALE, NUM_JOINTS
from contrapposto.systems.anerf.network import RadianceNetwork
from contrapposto.systems.anerf.ray_sampling import (
    coarse_depths,
    cylinder_span,
    importance_depths,
    mean_for_misses,
)
from contrapposto.systems.anerf.volume_rendering import Composite, composite, transmittance_before


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
        capsule_radius: world units around the bones outside of which nothing is; samples are spread over what is inside
            (not in the original). None: the density may be anywhere in the cylinder.
        volume_channels, volume_size, volume_extent: of `BoneVolumes`, whose features are added to the density's inputs
            (not in the original); 0 channels for none.
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
    capsule_radius: float | None = None
    volume_channels: int = 0
    volume_size: int = 16
    volume_extent: float = 0.5


@dataclass(frozen=True)
class Rendering:
    """What R rays show.

    Args:
        fine, coarse: by the two passes; nothing where a ray misses the cylinder, or all capsules.
        depths: (R, S) samples of the fine pass.
        hit: (R,) false where a ray misses.
    """

    fine: Composite
    coarse: Composite
    depths: Tensor
    hit: Tensor


@dataclass(frozen=True)
class _Rays:
    """Rays in the frames of all bones."""

    origins: Tensor  # (R, J, 3)
    directions: Tensor  # (R, J, 3)
    view_rows: Tensor  # (R, rows, 3 J)
    code_index: Tensor | None  # (R,) or (R, 3)


@dataclass(frozen=True)
class _Samples:
    """N samples to be computed, of R rays."""

    encoded: Tensor  # (N, density inputs)
    fade: Tensor  # (R, places, J) fading of the view features
    slot: Tensor | None  # (N,) place of every sample in `fade`; None: all places in order
    kept: tuple[Tensor, Tensor] | None  # mask (R, S) and the samples' flat places in it; None: all


_BLOCK = 4  # samples of a ray at a time where rays may end early
_EMPTY = -1e4  # raw density of what is not computed: no noise lifts it above 0
_NOTHING = 1e-4  # opacity of a ray that found nothing


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
        self.volumes: BoneVolumes | None = None
        if config.volume_channels:
            self.volumes = BoneVolumes(config.volume_channels, config.volume_size, config.volume_extent)
        self.coarse = self._network()
        self.fine = self.coarse if config.single_network else self._network()

    def _network(self) -> RadianceNetwork:
        config = self.config
        return RadianceNetwork(
            self.distance_encoding.width + 3 * NUM_JOINTS + config.volume_channels,
            self.view_encoding.width,
            depth=config.depth,
            width=config.width,
            num_codes=config.num_codes,
            code_size=config.code_size,
        )

    def set_step(self, step: int, *, tau_step: float = 250) -> None:
        """Harden the cutoffs as after training step `step`: tenfold in `tau_step` thousand steps.

        See docs/specs/anerf.md, section 3.
        """
        self.distance_encoding.set_step(step, tau_step=tau_step)
        self.view_encoding.set_step(step, tau_step=tau_step)

    def encode(self, local: Tensor) -> tuple[Tensor, Tensor]:
        """Density encoding (..., inputs) and joint distances (..., J) of local points (..., J, 3)."""
        distance = relative_distance(local)
        encoding, width = self.distance_encoding, self.distance_encoding.width
        if self.volumes is None and not torch.is_grad_enabled() and local.ndim == 3 and encoding.is_plain:
            encoded = local.new_empty(len(local), self.fine.density_inputs)
            encoding.write(distance, encoded[:, :width])
            places = encoded[:, width:].unflatten(1, (-1, 3))
            torch.div(local, distance.clamp_min(1e-12)[..., None], out=places)
            return encoded, distance
        parts = [encoding(distance, distance), relative_direction(local, distance)]
        if self.volumes is not None:
            parts.append(self.volumes(local, distance))
        return torch.cat(parts, dim=-1), distance

    def density(self, points: Tensor, world_to_bone: Tensor) -> Tensor:
        """Raw density (N,) of the fine network at world points (N, 3) around one pose (J, 4, 4)."""
        if self.config.capsule_radius is None:
            return self.fine.density(self.encode(to_bones(points, world_to_bone))[0])
        near = segment_distance(points, bone_segments(world_to_bone)).amin(-1) < self.config.capsule_radius
        result = points.new_full((len(points),), _EMPTY)
        result[near] = self.fine.density(self.encode(to_bones(points[near], world_to_bone))[0])
        return result

    def colours(
        self,
        points: Tensor,
        directions: Tensor,
        world_to_bone: Tensor,
        *,
        code_index: Tensor | None = None,
    ) -> Tensor:
        """Colours (N, 3) of the fine network at points (N, 3) around a pose (J, 4, 4), seen along directions (N, 3)."""
        index = torch.zeros(len(points), dtype=torch.int64, device=points.device)
        rays = self._to_bones(points, directions, world_to_bone[None], index, code_index)
        samples = self._samples(rays, points.new_zeros(len(points), 1))
        return torch.sigmoid(self._raw(self.fine, rays, samples)[:, 0, :3]) * 1.002 - 0.001

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
        capsules: Capsules | None = None,
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
            capsules: what lies outside of them is taken for empty, wherever samples are.
        """
        # Where samples lie is no function of the cameras: a root's gradient has no bound at the rims.
        still = origins.detach(), directions.detach()
        entry, leave, hit = cylinder_span(*still, cylinders, near, far)
        if mean_span:
            entry, leave = mean_for_misses(entry, leave, hit)
            hit = torch.ones_like(hit)
        pose_index = torch.arange(len(origins), device=origins.device) if pose_index is None else pose_index
        spans: tuple[Tensor, Tensor] | None = None
        own = self.config.capsule_radius
        if own is not None or capsules is not None:
            segments = bone_segments(world_to_bone.detach())
            lines = (*still, Segments(*(part[pose_index] for part in segments)), entry, leave)
            if own is not None:
                spans = clipped(*lines, entry.new_full((NUM_SEGMENTS,), own))
                entry = spans[0].masked_fill(spans[0] >= spans[1], torch.inf).amin(1)
                leave = spans[1].masked_fill(spans[0] >= spans[1], -torch.inf).amax(1)
            if capsules is not None:
                spans = clipped(*lines, capsules.radii.to(entry))
            assert spans is not None
            hit = hit & (spans[0] < spans[1]).any(1) & (entry < leave)
        kept: Tensor | None = None
        if (
            spans is not None or not mean_span
        ):  # else every ray counts, which is known without a wait for the GPU
            chosen = hit.nonzero().squeeze(1)
            kept = chosen if len(chosen) < len(hit) else None
        draws = draws or Draws()
        if kept is not None:
            origins, directions, entry, leave = (x[kept] for x in (origins, directions, entry, leave))
            pose_index, draws = pose_index[kept], draws.at(kept)
            code_index = None if code_index is None else code_index[kept]
            spans = None if spans is None else (spans[0][kept], spans[1][kept])
        rays = self._to_bones(origins, directions, world_to_bone, pose_index, code_index)
        kept_parts = None if spans is None else Kept(origins.detach(), directions.detach(), spans, capsules)
        share = self.fine is self.coarse or (capsules is not None and capsules.share_coarse)
        coarse, fine, depths = self._passes(rays, directions, entry, leave, draws, kept_parts, share)
        if kept is not None:
            coarse, fine = _spread(coarse, kept, hit), _spread(fine, kept, hit)
            depths = depths.new_zeros(len(hit), depths.shape[1]).index_copy(0, kept, depths)
        return Rendering(fine, coarse, depths, hit)

    def _to_bones(
        self,
        origins: Tensor,
        directions: Tensor,
        world_to_bone: Tensor,
        pose_index: Tensor,
        code_index: Tensor | None = None,
    ) -> _Rays:
        bones = world_to_bone[pose_index]
        local_directions = rotate_to_bones(directions, bones)
        unit = F.normalize(local_directions, dim=-1).flatten(-2)
        local_origins = to_bones(origins[:, None], bones)[:, 0]
        return _Rays(local_origins, local_directions, self.view_encoding.rows(unit), code_index)

    def _passes(
        self,
        rays: _Rays,
        directions: Tensor,
        entry: Tensor,
        leave: Tensor,
        draws: Draws,
        parts: Kept | None,
        share_coarse: bool,
    ) -> tuple[Composite, Composite, Tensor]:
        config = self.config
        options: dict[str, Any] = {"density": config.density, "density_scale": config.density_scale}
        depths = coarse_depths(
            entry, leave, config.coarse_samples, jitter=draws.jitter, inverse=config.inverse_depth
        )
        mask = None if parts is None else parts.mask(depths)
        stop = 0.0 if parts is None or self.training or not share_coarse else parts.stop
        table = self.fine.view_table(rays.view_rows)
        samples: _Samples | None = None
        if stop and mask is not None:
            raw = self._front_to_back(rays, depths, directions, mask, stop, table)
        else:
            samples = self._samples(rays, depths, mask)
            raw = (
                self._raw(self.fine, rays, samples, table)
                if share_coarse
                else self._raw(self.coarse, rays, samples)
            )
        coarse = composite(raw, depths, directions, noise=draws.coarse_noise, **options)
        new = importance_depths(
            depths, coarse.weights, config.fine_samples, uniform=draws.uniform, smoothed=config.single_network
        )
        if not share_coarse:
            assert samples is not None
            raw = self._raw(self.fine, rays, samples, table)
        mask = None
        if parts is not None:
            mask = parts.mask(new)
            if not self.training:  # nothing was found on the ray
                mask &= coarse.opacity[:, None] > _NOTHING
            if stop:
                left = transmittance_before(raw, depths, directions, **options)
                before = torch.searchsorted(depths, new.contiguous(), right=True).sub(1).clamp_min(0)
                mask &= left.gather(1, before) > stop
        raw_new = self._raw(self.fine, rays, self._samples(rays, new, mask), table)
        union, order = torch.cat([depths, new], dim=1).sort(dim=1)
        merged = torch.cat([raw, raw_new], dim=1).gather(1, order[..., None].expand(-1, -1, 4))
        return coarse, composite(merged, union, directions, noise=draws.fine_noise, **options), union

    def _front_to_back(
        self, rays: _Rays, depths: Tensor, directions: Tensor, mask: Tensor, stop: float, table: Tensor
    ) -> Tensor:
        """(R, S, 4) raw outputs at depths (R, S) in the mask, a few at a time; none in the dark."""
        config, rank = self.config, mask.cumsum(1)
        raw = depths.new_full((*depths.shape, 4), _EMPTY)
        most = int(rank.max()) if len(rank) else 0
        for first in range(0, most, _BLOCK):
            left = transmittance_before(
                raw, depths, directions, density=config.density, density_scale=config.density_scale
            )
            part = mask & (rank > first) & (rank <= first + _BLOCK) & (left > stop)
            result = self._raw(self.fine, rays, self._samples(rays, depths, part), table)
            raw = torch.where(part[..., None], result, raw)
        return raw

    def _samples(self, rays: _Rays, depths: Tensor, mask: Tensor | None = None) -> _Samples:
        """Encodings at depths (R, S), of those in the mask."""
        if mask is None:
            local = torch.addcmul(rays.origins[:, None], depths[..., None, None], rays.directions[:, None])
            encoded, distance = self.encode(local.flatten(0, 1))
            weights = self.view_encoding.weights(distance)
            return _Samples(encoded, weights.view(*depths.shape, weights.shape[1]), None, None)
        ranks = mask.cumsum(1)
        # One wait for the GPU, in place of one for the samples and one for the places.
        count, most = torch.stack([ranks[:, -1].sum(), ranks[:, -1].max()]).tolist() if len(mask) else (0, 0)
        flat = positions_of(mask.flatten(), count)
        ray = flat.div(depths.shape[1], rounding_mode="floor")
        local = torch.addcmul(rays.origins[ray], depths.flatten()[flat, None, None], rays.directions[ray])
        encoded, distance = self.encode(local)
        # The samples of a ray side by side, as many places as the fullest ray needs.
        rank = (ranks - 1).flatten()[flat]
        places = max(most, 1)
        slot = ray * places + rank
        weights = self.view_encoding.weights(distance)
        fade = weights.new_zeros(len(depths) * places, weights.shape[1]).index_copy(0, slot, weights)
        return _Samples(encoded, fade.view(len(depths), places, weights.shape[1]), slot, (mask, flat))

    def _raw(
        self, network: RadianceNetwork, rays: _Rays, samples: _Samples, table: Tensor | None = None
    ) -> Tensor:
        """(R, S, 4) raw outputs of a network; no density outside of the mask. `table`: its `view_table`, if known."""
        table = network.view_table(rays.view_rows) if table is None else table
        share = network.view_share(samples.fade, table, rays.code_index)
        share = share.flatten(0, 1)
        if samples.kept is None:
            return network.outputs(samples.encoded, share).view(*samples.fade.shape[:2], 4)
        assert samples.slot is not None
        mask, flat = samples.kept
        result = network.outputs(samples.encoded, share[samples.slot])
        empty = result.new_full((mask.numel(), 4), _EMPTY)
        return empty.index_copy(0, flat, result).view(*mask.shape, 4)


def positions_of(mask: Tensor, count: int) -> Tensor:
    """(count,) int64 positions of what is true in (N,), of which there are `count`: `nonzero` without its wait."""
    slot = torch.where(mask, mask.cumsum(0) - 1, count)
    result = slot.new_empty(count + 1)
    return result.scatter_(0, slot, torch.arange(len(mask), device=mask.device))[:count]


def _spread(result: Composite, kept: Tensor, hit: Tensor) -> Composite:
    """Results of some rays among all; the others are empty."""

    def place(value: Tensor) -> Tensor:
        return value.new_zeros(len(hit), *value.shape[1:]).index_copy(0, kept, value)

    return Composite(*(place(getattr(result, f.name)) for f in fields(result)))
