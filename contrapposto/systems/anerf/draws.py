"""Random numbers of a training step on rays."""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import Tensor

from contrapposto.nn.random import keyed_normal, keyed_uniform


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
        coarse_samples: int,
        fine_samples: int,
        seed: int,
        step: int,
        ray_ids: Tensor,
        *,
        jitter: bool = True,
        noise: float = 1.0,
    ) -> Draws:
        """Draws that depend on seed, step and ray only (R,) int64, wherever the ray is computed."""
        coarse, union = (coarse_samples,), (coarse_samples + fine_samples,)
        key = (seed, step, ray_ids)
        return cls(
            keyed_uniform(*key, coarse, "jitter") if jitter else None,
            keyed_normal(*key, coarse, "coarse_noise") * noise if noise else None,
            keyed_uniform(*key, (fine_samples,), "importance") if jitter else None,
            keyed_normal(*key, union, "fine_noise") * noise if noise else None,
        )

    def at(self, rays: Tensor | slice) -> Draws:
        """The draws of some rays."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return Draws(**{name: None if value is None else value[rays] for name, value in parts.items()})
