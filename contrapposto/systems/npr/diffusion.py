"""New poses: diffusion of keypoints, then of their features (docs/specs/npr.md, section 9).

The networks are those of the SALAD paper (Koo et al., ICCV 2023), from which NPR states its own are adapted, in NPR's
sizes; the state dicts have that code's names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.diffusion import timestep_features
from contrapposto.nn.random import keyed_normal
from contrapposto.systems.npr.schedule import NoiseSchedule

TimeInput = Literal["beta", "step"]
Noise = Callable[[int], Tensor]


class _TimeEmbedding(nn.Module):
    def __init__(self, width: int, features: int = 256) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))
        self.features = features

    def forward(self, time: Tensor) -> Tensor:
        return self.mlp(timestep_features(time, self.features))


class _GatedLinear(nn.Module):
    """(W x + b) * sigmoid(Wg c + bg) + Wb c."""

    def __init__(self, inputs: int, outputs: int, context: int) -> None:
        super().__init__()
        self._layer = nn.Linear(inputs, outputs)
        self._hyper_bias = nn.Linear(context, outputs, bias=False)
        self._hyper_gate = nn.Linear(context, outputs)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        gate = torch.sigmoid(self._hyper_gate(context))
        return torch.addcmul(self._hyper_bias(context), self._layer(tokens), gate)


class _MLP(nn.Module):
    def __init__(self, width: int, hidden: int, context: int) -> None:
        super().__init__()
        if context:
            self.fc1: nn.Module = _GatedLinear(width, hidden, context)
            self.fc2: nn.Module = _GatedLinear(hidden, width, context)
        else:
            self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, tokens: Tensor, context: Tensor | None) -> Tensor:
        extra = () if context is None else (context,)
        return self.fc2(F.relu(self.fc1(tokens, *extra)), *extra)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.to_queries, self.to_keys_values = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.project, self.heads = nn.Linear(width, width), heads

    def forward(self, tokens: Tensor) -> Tensor:
        key, value = self.to_keys_values(tokens).chunk(2, dim=-1)
        split = [
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.to_queries(tokens), key, value)
        ]
        return self.project(F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))


class _Layer(nn.Module):
    """Post-norm transformer layer; its MLP is gated by the context where there is one."""

    def __init__(self, width: int, heads: int, context: int) -> None:
        super().__init__()
        self.attn, self.attn_norm = _Attention(width, heads), nn.LayerNorm(width)
        self.mlp, self.norm = _MLP(width, 2 * width, context), nn.LayerNorm(width)

    def forward(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        tokens = self.attn_norm(self.attn(tokens) + tokens)
        return self.norm(self.mlp(tokens, context) + tokens)


class _Stack(nn.Module):
    def __init__(self, width: int, heads: int, layers: int, context: int, outputs: int = 0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(width, heads, context) for _ in range(layers))
        if outputs:
            self.fc = nn.Linear(width, outputs)

    def forward(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            tokens = layer(tokens, context)
        return self.fc(tokens) if hasattr(self, "fc") else tokens


class PointDiffusion(nn.Module):
    """What both diffusions share: the schedule, the scaling of the data, training noise and sampling.

    Args:
        channels: of a point.
        schedule: of the noise; 1000 steps where absent.
        time_input: the time that the network reads: `beta` of the step (as the original) or the `step` itself.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int, schedule: NoiseSchedule | None, time_input: TimeInput) -> None:
        super().__init__()
        if time_input not in ("beta", "step"):
            raise ValueError(f"time_input: expected beta or step, got {time_input!r}")
        self.channels, self.time_input = channels, time_input
        self.schedule = schedule or NoiseSchedule()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    def fit_scaling(self, data: Tensor, *, per_channel: bool) -> None:
        """Take mean and scale of training data (N, K, C), which travel in the checkpoint.

        Args:
            data: unscaled points.
            per_channel: a scale for each channel (features) or one for all (keypoints, whose axes belong together).
        """
        flat = data.detach().flatten(0, -2).float()
        self.mean.copy_(flat.mean(0))
        centred = flat - self.mean
        scale = centred.square().mean(0).sqrt() if per_channel else centred.square().mean().sqrt()
        self.scale.copy_(scale.clamp_min(1e-6).expand(self.channels))

    def normalize(self, data: Tensor) -> Tensor:
        """Data to what the network works on."""
        return (data - self.mean) / self.scale

    def denormalize(self, data: Tensor) -> Tensor:
        """And back."""
        return data * self.scale + self.mean

    def time(self, steps: Tensor) -> Tensor:
        """(B,) steps to the (B,) times that the network reads."""
        return self.schedule.betas[steps] if self.time_input == "beta" else steps.float()

    def loss(self, clean: Tensor, noise: Tensor, steps: Tensor, condition: Tensor | None = None) -> Tensor:
        """Squared error of the predicted noise.

        Args:
            clean: (B, K, C) unscaled.
            noise: (B, K, C) standard normal.
            steps: (B,) from 1 to T.
            condition: (B, K, 3) unscaled keypoints, for the features.
        """
        noisy = self.schedule.add_noise(self.normalize(clean), noise, steps)
        return F.mse_loss(self(noisy, self.time(steps), condition), noise)

    @torch.no_grad()
    def sample(
        self,
        seed: int,
        ids: Tensor,
        num_points: int = 100,
        condition: Tensor | None = None,
        *,
        steps: int | None = None,
        noise: Noise | None = None,
    ) -> Tensor:
        """Draw poses; a draw depends on its seed and number alone.

        Args:
            seed: of the noise.
            ids: (B,) int64 numbers of the draws.
            num_points: K.
            condition: (B, K, 3) keypoints, for the features.
            steps: None: all of the schedule, with noise at each; a number: as many deterministic ones (DDIM).
            noise: step to (B, K, C), in place of the keyed noise; step T + 1 is the start.

        Returns:
            (B, K, C) unscaled.
        """
        shape = (num_points, self.channels)
        stream = type(self).__name__
        draw = noise or (lambda step: keyed_normal(seed, step, ids, shape, stream))
        last = self.schedule.num_steps
        current = draw(last + 1)
        for step, target in _path(last, steps):
            time = self.time(torch.full((len(current),), step, device=current.device))
            predicted = self(current, time, condition)
            if steps is None:
                current = self.schedule.previous(current, predicted, step, draw(step) if step > 1 else None)
            else:
                current = self.schedule.jump(current, predicted, step, target)
        return self.denormalize(current)


def _path(last: int, count: int | None) -> list[tuple[int, int]]:
    """(step, next) pairs from the last step down to 0."""
    if count is None:
        return [(step, step - 1) for step in range(last, 0, -1)]
    if not 1 <= count <= last:
        raise ValueError(f"steps: expected 1 to {last}, got {count}")
    marks: Sequence[int] = [round(last * (count - number) / count) for number in range(count + 1)]
    return list(pairwise(marks))


class KeypointDiffusion(PointDiffusion):
    """First stage: keypoints (B, K, 3) from noise.

    Args:
        width, heads, layers: of the transformer.
        time_width: of the embedded time.
        schedule, time_input: see `PointDiffusion`.
    """

    def __init__(
        self,
        width: int = 512,
        heads: int = 4,
        layers: int = 6,
        time_width: int = 128,
        schedule: NoiseSchedule | None = None,
        time_input: TimeInput = "beta",
    ) -> None:
        super().__init__(3, schedule, time_input)
        self.time_embedder = _TimeEmbedding(time_width)
        self.embedding = nn.Linear(3, width)
        self.encoder = _Stack(width, heads, layers, time_width, 3)

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """Scaled noisy keypoints (B, K, 3) and (B,) time to the predicted noise; there is no condition."""
        context = self.time_embedder(time)[:, None]
        return noisy + self.encoder(self.embedding(noisy), context)


class FeatureDiffusion(PointDiffusion):
    """Second stage: features (B, K, C) of given keypoints.

    Args:
        channels: C.
        width, heads, layers, time_width, schedule, time_input: as the first stage.

    Attributes:
        condition_mean, condition_scale: (3,) scaling of the keypoints that come in; that of the first stage
            (`share_scaling`).
    """

    condition_mean: Tensor
    condition_scale: Tensor

    def __init__(
        self,
        channels: int = 256,
        width: int = 512,
        heads: int = 4,
        layers: int = 6,
        time_width: int = 128,
        schedule: NoiseSchedule | None = None,
        time_input: TimeInput = "beta",
    ) -> None:
        super().__init__(channels, schedule, time_input)
        self.register_buffer("condition_mean", torch.zeros(3))
        self.register_buffer("condition_scale", torch.ones(3))
        self.time_embedder = _TimeEmbedding(time_width)
        self.context_embedding = nn.Linear(3, width)
        self.encoder = _Stack(width, heads, layers, 0)
        self.query_embedding = nn.Linear(channels, width)
        self.decoder = _Stack(width, heads, layers, time_width + width, channels)

    def share_scaling(self, keypoints: KeypointDiffusion) -> None:
        """Scale incoming keypoints as the first stage scales its own."""
        self.condition_mean.copy_(keypoints.mean)
        self.condition_scale.copy_(keypoints.scale)

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """Scaled noisy features (B, K, C), (B,) time and unscaled keypoints (B, K, 3) to the predicted noise."""
        if condition is None:
            raise ValueError("condition: the second stage needs the keypoints")
        keypoints = (condition - self.condition_mean) / self.condition_scale
        known = self.encoder(self.context_embedding(keypoints))
        embedded = self.time_embedder(time)[:, None].expand(-1, noisy.shape[1], -1)
        context = torch.cat([embedded, known], dim=-1)
        return noisy + cast(Tensor, self.decoder(self.query_embedding(noisy), context))
