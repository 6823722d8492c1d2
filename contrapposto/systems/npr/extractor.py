"""Pose extractor g: a posed mesh to keypoints with features (docs/specs/npr.md, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contrapposto.mesh.surface_sampling import furthest_points
from contrapposto.systems.npr.attention import take
from contrapposto.systems.npr.blocks import AttentionBlock, SetAbstraction
from contrapposto.systems.npr.layers import ElementwiseMLP, mlp


@dataclass(frozen=True)
class PoseCode:
    """A pose without an identity.

    Args:
        keypoints: (B, K, 3) on the posed source, in its units.
        features: (B, K, D).
        code: (B, D) of the whole pose: a function of the features (`PoseExtractor.code_of`).
    """

    keypoints: Tensor
    features: Tensor
    code: Tensor

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, index: slice | Tensor) -> PoseCode:
        return PoseCode(self.keypoints[index], self.features[index], self.code[index])


class _Down(nn.Module):
    """Holds the set abstraction under the original's name, `transition_downs.N.sa`."""

    def __init__(self, width: int, neighbours: int) -> None:
        super().__init__()
        self.sa = SetAbstraction(width, neighbours)

    def forward(self, positions: Tensor, features: Tensor, chosen: Tensor) -> Tensor:
        return self.sa(positions, features, chosen)


class PoseExtractor(nn.Module):
    """Point transformer over all faces (or vertices) of a posed mesh. The state dict has the original's names.

    Args:
        points: how many points remain after each set abstraction; the last number is that of the keypoints.
        width: D of the result and of the later layers.
        reduced: width of the first layers.
        neighbours: of the set abstractions and later blocks.
        first_neighbours: of the first block, which sees all points.
        final_blocks: blocks in which every keypoint sees every other.
        features: channels of the input features (9: Jacobians); 0: positions only.
    """

    def __init__(
        self,
        points: Sequence[int] = (500, 100),
        width: int = 256,
        reduced: int = 120,
        neighbours: int = 16,
        first_neighbours: int = 10,
        final_blocks: int = 3,
        features: int = 9,
    ) -> None:
        super().__init__()
        if not points:
            raise ValueError("points: expected at least one number of points to keep")
        self.points, self.width, self.num_features = tuple(points), width, features
        widths = [reduced, *[width] * (len(points) - 1)]
        self.fc_middle = mlp(width, width)
        if features:
            self.enc_sdf = nn.Linear(features, reduced)
        self.transformer_begin = AttentionBlock(reduced, first_neighbours, positions_only=not features)
        self.transition_downs = nn.ModuleList(_Down(size, neighbours) for size in widths)
        self.transformer_downs = nn.ModuleList(AttentionBlock(size, neighbours) for size in widths)
        self.elementwise = nn.ModuleList(ElementwiseMLP(width) for _ in widths)
        self.elementwise_extras = nn.ModuleList(ElementwiseMLP(size) for size in widths)
        self.fc1 = nn.Linear(reduced, width)
        self.final_transformers = nn.ModuleList(AttentionBlock(width, None) for _ in range(final_blocks))
        self.final_elementwise = nn.ModuleList(ElementwiseMLP(width) for _ in range(final_blocks))

    def forward(self, positions: Tensor, features: Tensor | None = None) -> PoseCode:
        """Extract.

        Args:
            positions: (B, N, 3) centroids of the posed faces (vertices in the variant without features); (1, N, 3)
                where they are the same in all poses, which is faster.
            features: (B, N, 9) Jacobians of the same faces, row by row; None in that variant.

        Raises:
            ValueError: features given and not expected, or the other way round.
        """
        if (features is None) != (self.num_features == 0):
            raise ValueError(f"features: this network expects {self.num_features} channels")
        hidden = self.transformer_begin(positions, None if features is None else self.enc_sdf(features))
        for stage, count in enumerate(self.points):
            chosen = furthest_points(positions, count)
            hidden = self.transition_downs[stage](positions, hidden, chosen)
            positions = take(positions, chosen)
            hidden = self.elementwise_extras[stage](hidden)
            hidden = self.transformer_downs[stage](positions, hidden)
            hidden = self.elementwise[stage](self.fc1(hidden) if stage == 0 else hidden)
        for block, elementwise in zip(self.final_transformers, self.final_elementwise):
            hidden = elementwise(block(positions, hidden))
        return PoseCode(positions.expand(len(hidden), -1, -1), hidden, self.code_of(hidden))

    def code_of(self, features: Tensor) -> Tensor:
        """(B, K, D) features of any origin (extracted, refined, generated) to the code (B, D) of the pose."""
        return self.fc_middle(features.amax(dim=1))

    def assemble(self, keypoints: Tensor, features: Tensor) -> PoseCode:
        """A pose from keypoints (B, K, 3) and features (B, K, D) that did not come from this network."""
        return PoseCode(keypoints, features, self.code_of(features))


def interpolate_codes(extractor: PoseExtractor, first: PoseCode, second: PoseCode, share: float) -> PoseCode:
    """Between two poses (B = 1 each): keypoints are matched by their distance, then both parts are blended.

    Args:
        extractor: computes the blended pose's code.
        first, second: poses.
        share: 0 gives the first, 1 the second.
    """
    from scipy.optimize import linear_sum_assignment

    distance = torch.cdist(first.keypoints[0], second.keypoints[0]).square().detach().cpu().numpy()
    partner = torch.from_numpy(linear_sum_assignment(distance)[1]).to(first.keypoints.device)
    keypoints = torch.lerp(first.keypoints, second.keypoints[:, partner], share)
    return extractor.assemble(keypoints, torch.lerp(first.features, second.features[:, partner], share))
