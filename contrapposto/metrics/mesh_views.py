"""Whose mesh is this image of? FID, KID and identity accuracy on four rendered views (docs/specs/npr.md, section 10).

The paper names neither renderer nor network, so figures can be compared only within one protocol. Ours: grey images
of 64 x 64 pixels from front, right, back and left (`render.meshes.four_views`); a small residual network that learns to
tell the identities apart on images of their true poses; its 128 features before the last layer for FID and KID; its
answers for the accuracy. The network's seed is fixed, and so is what it learns from: the same data, the same network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.metrics.functional import frechet_distance
from contrapposto.metrics.mesh import kernel_distance

NUM_FEATURES = 128
_BATCH = 64


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride=2)
        self.norms = nn.ModuleList(nn.GroupNorm(8, outputs) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(hidden)) + self.skip(x))


class ViewNetwork(nn.Module):
    """Images (N, H, W) in 0 to 255 to logits over identities.

    Args:
        num_identities: to tell apart.
    """

    def __init__(self, num_identities: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 5, stride=2, padding=2)
        self.blocks = nn.Sequential(_Residual(16, 32), _Residual(32, 64), _Residual(64, NUM_FEATURES))
        self.head = nn.Linear(NUM_FEATURES, num_identities)

    def features(self, images: Tensor) -> Tensor:
        """(N, H, W) to (N, 128)."""
        hidden = self.blocks(F.relu(self.stem(images[:, None].float() / 127.5 - 1)))
        pooled: Tensor = hidden.mean((-1, -2))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W) to (N, num_identities)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def train_view_network(
    images: np.ndarray, identities: np.ndarray, *, steps: int = 800, seed: int = 0
) -> ViewNetwork:
    """Train a classifier of identities.

    Args:
        images: (N, H, W) uint8.
        identities: (N,) numbers from 0.
        steps: of Adam, 64 images each. The images are not augmented: bodies are centred and differ little.
        seed: of weights and order.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ViewNetwork(int(identities.max()) + 1)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps, pct_start=0.1)
        inputs, labels = torch.from_numpy(images), torch.from_numpy(np.asarray(identities, np.int64))
        for _ in range(steps):
            chosen = torch.randint(len(inputs), (_BATCH,))
            loss = F.cross_entropy(network(inputs[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


@dataclass(frozen=True)
class ViewScores:
    """Of transferred poses against true poses of the same target.

    Args:
        fid, kid: distances of the features; both times 100 in the paper's tables, not here.
        accuracy: share of images taken for the target, 0 to 1.
        true_accuracy: the same of the true poses: the network's own bound.
    """

    fid: float
    kid: float
    accuracy: float
    true_accuracy: float


@torch.no_grad()
def view_scores(network: ViewNetwork, predicted: np.ndarray, true: np.ndarray, identity: int) -> ViewScores:
    """Compare images (N, H, W) of transferred poses with images (M, H, W) of true ones; N and M at least 2."""
    sides = []
    for images in (predicted, true):
        parts = torch.from_numpy(images).split(4 * _BATCH)
        features = torch.cat([network.features(part) for part in parts])
        share = (network.head(features).argmax(1) == identity).float().mean()
        sides.append((features, float(share)))
    (features, accuracy), (true_features, true_accuracy) = sides
    moments = [(f.mean(0), torch.cov(f.T)) for f in (features, true_features)]
    fid = float(frechet_distance(*moments[0], *moments[1]))
    return ViewScores(fid, float(kernel_distance(features, true_features)), accuracy, true_accuracy)
