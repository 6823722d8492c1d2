"""Whole clips through one of SAGE's auto-encoders, frame by frame as in its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.devices import Device, device_of, find_device
from contrapposto.motion import Motion
from contrapposto.pretrained import load_pretrained
from contrapposto.systems.sage.features import part_columns, sage_features
from contrapposto.systems.sage.tracker import windows_of
from contrapposto.systems.sage.vqvae import SageVQVAE


class PartAutoencoder:
    """An auto-encoder of one part applied to clips.

    Args:
        network: in evaluation mode.
        window: frames per window.
        batch_size: windows per forward pass.
    """

    def __init__(self, network: SageVQVAE, window: int = 20, batch_size: int = 512) -> None:
        self.network, self.window, self.batch_size = network, window, batch_size
        self.columns = part_columns(network.joints)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> PartAutoencoder:
        """Build it, without weights, from the options of its training (`part`, `network`, `window`)."""
        network = SageVQVAE(options["part"], **(options.get("network") or {}))
        return cls(network, int(options.get("window", 20)))

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, device: Device = None) -> PartAutoencoder:
        """Load a trained one: a run directory, a published folder or a checkpoint.

        `device`: where it runs, see `contrapposto.devices.find_device`.

        Raises:
            ContrappostoError: see `load_pretrained`.
        """
        pretrained = load_pretrained(name_or_path, models=("sage_upper_vqvae", "sage_lower_vqvae"))
        part = pretrained.model.split("_")[1]
        autoencoder = cls.from_options({**pretrained.options, "part": part})
        pretrained.load_into(autoencoder.network, "network.")
        autoencoder.network.eval().requires_grad_(False).to(find_device(device))
        return autoencoder

    def sixd(self, sixd: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Every frame as the last one of its window; the first windows are padded with frame 0.

        Args:
            sixd: (N, 132) local 6D rotations of the whole body.
            sparse: (N, 3, 18) device features.

        Returns:
            (N, 132) 6D with the part replaced, and (N, tokens, codebooks) codes.
        """
        part = sixd[:, self.columns]
        frames, codes = [], []
        for last in torch.arange(len(sixd), device=sixd.device).split(self.batch_size):
            windows = (windows_of(values, last, self.window) for values in (part, sparse))
            output = self.network(*windows, last_only=True)
            frames.append(output.reconstruction[:, -1])
            codes.append(output.indices)
        result = sixd.clone()
        result[:, self.columns] = torch.cat(frames).to(result.dtype)
        return result, torch.cat(codes)

    @torch.inference_mode()
    def reconstruct(self, motion: Motion) -> Motion:
        """A clip at 60 frames/s with the part's rotations replaced by their reconstruction (N - 1 frames)."""
        device = device_of(self.network)
        features = {name: value.to(device) for name, value in sage_features(motion).items()}
        sixd, _ = self.sixd(features["rotation_local_6d"], features["sparse"])
        matrices = rot.sixd_columns_to_matrix(sixd.float().cpu().view(-1, 22, 6))
        rest = motion.frames(1, motion.num_frames)
        rotations, joints = rest.rotations.copy(), list(self.network.joints)
        rotations[:, joints] = rot.matrix_to_axis_angle(matrices[:, joints]).numpy()
        return replace(rest, rotations=rotations)
