"""New poses from noise: keypoints, then their features (docs/specs/npr.md, section 9)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from contrapposto.devices import Device, device_of
from contrapposto.pretrained import Pretrained, load_pretrained
from contrapposto.systems.npr.diffusion import FeatureDiffusion, KeypointDiffusion
from contrapposto.systems.npr.extractor import PoseCode
from contrapposto.systems.npr.model import NPR
from contrapposto.systems.npr.pretrained import PretrainedNetwork, network_of
from contrapposto.systems.npr.schedule import NoiseSchedule

MODEL = "npr_feature_diffusion"


@dataclass(frozen=True, eq=False)
class PoseGenerator:
    """Samples pose codes.

    Args:
        network: the auto-encoder that the codes belong to.
        keypoints, features: the two diffusions.
        trained: the auto-encoder with its templates and the origin of its data, where it was loaded.
    """

    network: NPR
    keypoints: KeypointDiffusion
    features: FeatureDiffusion
    trained: PretrainedNetwork | None = None

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path = MODEL, *, device: Device = None) -> PoseGenerator:
        """Load a model of `npr_feature_diffusion`.

        `device`: where it runs, see `contrapposto.devices.find_device`.

        Raises:
            MissingError, ConfigError, InputError: see `contrapposto.pretrained`.
        """
        return cls.of_trained(load_pretrained(name_or_path, (MODEL,)), device=device)

    @classmethod
    def of_trained(cls, trained: Pretrained, *, device: Device = None) -> PoseGenerator:
        """Of a loaded file."""
        described = network_of(trained, device=device)
        assert isinstance(described.network, NPR)
        options = trained.options
        schedule = options.get("schedule") or {}
        keypoints = KeypointDiffusion(
            schedule=NoiseSchedule(**schedule), **(options.get("keypoint_network") or {})
        )
        features = FeatureDiffusion(
            channels=described.network.encoder.width,
            schedule=NoiseSchedule(**schedule),
            **(options.get("network") or {}),
        )
        features.share_scaling(keypoints)
        trained.load_into(keypoints, "keypoints.")
        trained.load_into(features, "diffusion.")
        place = device_of(described.network)
        return cls(described.network, keypoints.eval().to(place), features.eval().to(place), described)

    @torch.no_grad()
    def generate(self, count: int, seed: int, first: int = 0, steps: int | None = None) -> PoseCode:
        """New poses; a pose depends on the seed and its number alone.

        Args:
            count: how many.
            seed: of the noise.
            first: number of the first.
            steps: None: ancestral sampling over the whole schedule; a number: as many DDIM steps.
        """
        device = device_of(self.network)
        ids = torch.arange(first, first + count, device=device)
        points = self.network.encoder.points[-1]
        keypoints = self.keypoints.sample(seed, ids, points, steps=steps)
        features = self.features.sample(seed, ids, points, keypoints, steps=steps)
        return self.network.encoder.assemble(keypoints, features)
