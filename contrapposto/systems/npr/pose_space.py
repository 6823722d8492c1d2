"""New poses for the residual network: diffusion in the principal components of its codes.

Keypoints and places of a residual code lie on the template's rest pose and never change, so that a pose is a vector:
Jacobians and features. A few dozen principal components hold most of it (training prints the share), and a small network
removes the noise from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from contrapposto.devices import Device, device_of
from contrapposto.nn.diffusion import timestep_features
from contrapposto.pretrained import Pretrained, load_pretrained
from contrapposto.systems.npr.diffusion import PointDiffusion
from contrapposto.systems.npr.generation import MODEL as FEATURES
from contrapposto.systems.npr.generation import PoseGenerator
from contrapposto.systems.npr.pretrained import PretrainedNetwork, network_of
from contrapposto.systems.npr.residual import ResidualCode, ResidualNPR
from contrapposto.systems.npr.schedule import NoiseSchedule

MODEL = "npr_residual_diffusion"


class PoseSpace(nn.Module):
    """Residual codes of one template as points of few coordinates, and back.

    Args:
        components: number of coordinates.
        keypoints, places: how many a code has.
        width: of a feature.
    """

    center: Tensor
    basis: Tensor
    unit: Tensor
    keypoints: Tensor
    places: Tensor

    def __init__(self, components: int, keypoints: int, places: int, width: int) -> None:
        super().__init__()
        self.shapes = ((places, 9), (keypoints, width))
        size = places * 9 + keypoints * width
        self.register_buffer("center", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(components, size))
        self.register_buffer("unit", torch.ones(2))
        self.register_buffer("keypoints", torch.zeros(keypoints, 3))
        self.register_buffer("places", torch.zeros(places, 3))

    @classmethod
    def of_network(cls, network: ResidualNPR, components: int) -> PoseSpace:
        """An empty space for the codes of a network."""
        return cls(components, network.encoder.points[-1], network.blend_points, network.encoder.width)

    @torch.no_grad()
    def fit(self, codes: ResidualCode) -> float:
        """Take the principal components of codes (N); returns the share of the variance that they hold.

        Raises:
            ValueError: there are fewer codes than components, or their keypoints differ.
        """
        if len(codes.features) <= len(self.basis):
            raise ValueError(f"{len(codes.features)} poses: expected more than {len(self.basis)} components")
        if codes.jacobians.shape[1:] != self.shapes[0] or codes.features.shape[1:] != self.shapes[1]:
            raise ValueError(
                f"a template of few faces: {codes.jacobians.shape[1]} of {self.shapes[0][0]} places"
            )
        if not torch.allclose(codes.keypoints, codes.keypoints[:1].expand_as(codes.keypoints), atol=1e-5):
            raise ValueError("keypoints: expected the codes of one template")
        self.keypoints.copy_(codes.keypoints[0])
        self.places.copy_(codes.places[0])
        parts = (codes.jacobians, codes.features)
        # Both parts weigh the same, whatever their units and sizes.
        self.unit.copy_(torch.stack([part.flatten(1).var(0).sum().sqrt().clamp_min(1e-6) for part in parts]))
        vectors = self._vectors(codes)
        self.center.copy_(vectors.mean(0))
        _, singular, axes = torch.linalg.svd(vectors - self.center, full_matrices=False)
        self.basis.copy_(axes[: len(self.basis)])
        variance = singular.square()
        return float(variance[: len(self.basis)].sum() / variance.sum())

    def encode(self, codes: ResidualCode) -> Tensor:
        """(B, components)."""
        return (self._vectors(codes) - self.center) @ self.basis.T

    def decode(self, points: Tensor, network: ResidualNPR) -> ResidualCode:
        """Codes of points (B, components)."""
        vectors = points @ self.basis + self.center
        split = vectors.split([rows * columns for rows, columns in self.shapes], dim=1)
        jacobians, features = (
            part.unflatten(1, shape) * unit for part, shape, unit in zip(split, self.shapes, self.unit)
        )
        count = len(points)
        code = network.encoder.assemble(self.keypoints.expand(count, -1, -1), features)
        return ResidualCode(
            code.keypoints, code.features, code.code, self.places.expand(count, -1, -1), jacobians
        )

    def _vectors(self, codes: ResidualCode) -> Tensor:
        parts = (codes.jacobians.flatten(1) / self.unit[0], codes.features.flatten(1) / self.unit[1])
        return torch.cat(parts, dim=1)


class SpaceDiffusion(PointDiffusion):
    """Diffusion of single points (B, 1, components): residual blocks that read the time.

    Args:
        components: of a point.
        width, layers: of the network.
        schedule: see `PointDiffusion`.
        dropout: in training, of what a block adds.
    """

    def __init__(
        self,
        components: int = 96,
        width: int = 384,
        layers: int = 4,
        schedule: NoiseSchedule | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(components, schedule, "step")
        self.embedding = nn.Linear(components, width)
        self.time_embedding = nn.Sequential(nn.Linear(128, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
            )
            for _ in range(layers)
        )
        self.times = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.result = nn.Linear(width, components)

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """Scaled noisy points (B, 1, components) and (B,) time to the predicted noise; there is no condition."""
        context = self.time_embedding(timestep_features(time, 128))[:, None]
        hidden = self.embedding(noisy)
        for block, shift in zip(self.blocks, self.times):
            hidden = hidden + self.dropout(block(hidden + shift(context)))
        result: Tensor = self.result(hidden)
        return result


@dataclass(frozen=True, eq=False)
class ResidualGenerator:
    """Samples codes of the residual network.

    Args:
        network: that the codes belong to.
        space: of its codes.
        diffusion: of the space's points.
        trained: the network with its templates and the origin of its data, where it was loaded.
    """

    network: ResidualNPR
    space: PoseSpace
    diffusion: SpaceDiffusion
    trained: PretrainedNetwork | None = None

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path = MODEL, *, device: Device = None) -> ResidualGenerator:
        """Load a model of `npr_residual_diffusion`; `device` as in `load_network`.

        Raises:
            MissingError, ConfigError, InputError: see `contrapposto.pretrained`.
        """
        return cls.of_trained(load_pretrained(name_or_path, (MODEL,)), device=device)

    @classmethod
    def of_trained(cls, trained: Pretrained, *, device: Device = None) -> ResidualGenerator:
        """Of a loaded file."""
        described = network_of(trained, device=device)
        assert isinstance(described.network, ResidualNPR)
        options = dict(trained.options.get("network") or {})
        schedule = NoiseSchedule(**(trained.options.get("schedule") or {}))
        diffusion = SpaceDiffusion(schedule=schedule, **options)
        space = PoseSpace.of_network(described.network, diffusion.channels)
        trained.load_into(space, "space.")
        trained.load_into(diffusion, "diffusion.")
        place = device_of(described.network)
        return cls(described.network, space.to(place), diffusion.eval().to(place), described)

    @torch.no_grad()
    def generate(self, count: int, seed: int, first: int = 0, steps: int | None = None) -> ResidualCode:
        """New poses, see `PoseGenerator.generate`."""
        ids = torch.arange(first, first + count, device=device_of(self.network))
        points = self.diffusion.sample(seed, ids, 1, steps=steps)
        return self.space.decode(points[:, 0], self.network)


def load_generator(name_or_path: str | Path, *, device: Device = None) -> PoseGenerator | ResidualGenerator:
    """A generator of either kind; `device` as in `load_network`.

    Raises:
        MissingError, ConfigError, InputError: see `contrapposto.pretrained`.
    """
    trained = load_pretrained(name_or_path, (MODEL, FEATURES))
    kind = ResidualGenerator if trained.model == MODEL else PoseGenerator
    return kind.of_trained(trained, device=device)
