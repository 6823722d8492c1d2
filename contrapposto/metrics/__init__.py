"""Metrics: pure functions (`functional`) and torchmetrics classes over them.

| class | inputs of `update` | unit |
|---|---|---|
| `MPJPE(joints)`, `PAMPJPE(joints)` | pred_joints, true_joints, lengths | cm |
| `MPJVE(joints)` | pred_joints, true_joints, fps, lengths | cm/s |
| `MPJRE(kind, joints)` | pred_rotations, true_rotations (matrices or axis-angles), lengths | degrees |
| `PCK(radius)` | pred_joints, true_joints, lengths | % |
| `Jitter(joints)` | joints, fps, lengths | m/s^3 |
| `FootSkate(joints, floor, height)` | joints, fps, lengths | cm/s |
| `FloorPenetration(joints, floor)` | points, lengths | cm |
| `CodebookUse`, `CodebookPerplexity`, `CodebookHistogram` `(num_books, book_size)` | indices | - |
| `FrechetDistance(num_features)` | pred_features, true_features | - |
| `Diversity()` | features | - |
| `Multimodality()` | features, labels (k-hot) | - |
| `MeanAveragePrecision(absent)` | logits, labels (k-hot) | 0 to 1 |
| `ActionAccuracy(num_actions, average)` | logits, labels (k-hot) | 0 to 1 |
| `ActionMovementKept(kind, unsigned)` | movements by name of generated and real motions, labels (k-hot) | 1 is all |
| `ADE()`, `FDE()` | pred_joints (B, S, T, J, 3), true_joints | that of the joints |
| `APD()` | pred_joints (B, S, T, J, 3) | that of the joints |
| `PeopleInVideo(radius, reach)` | pred_joints (T, M, J, 3), true_joints (T, N, J, 3), in_view (T, N), fps | see there |
| `NamedMeans(names)` | values (..., K) | theirs |

`joints` of the constructors is a name (`all`, `body`, `root`, `upper`, `lower`, `hands`, `feet`), indices, or
None.
"""

from contrapposto.metrics.clip import (
    JOINT_GROUPS,
    MPJPE,
    MPJRE,
    MPJVE,
    PAMPJPE,
    ClipMetric,
    FloorPenetration,
    FootSkate,
    Jitter,
)
from contrapposto.metrics.distribution import (
    CodebookHistogram,
    CodebookPerplexity,
    CodebookUse,
    FrechetDistance,
)
from contrapposto.metrics.generation import (
    ADE,
    APD,
    FDE,
    ActionAccuracy,
    Diversity,
    MeanAveragePrecision,
    Multimodality,
)
from contrapposto.metrics.movement import ActionMovementKept, FootSlide, MovementKept
from contrapposto.metrics.pck import PCK
from contrapposto.metrics.people import NamedMeans, PeopleInVideo

__all__ = [
    "ADE",
    "APD",
    "FDE",
    "JOINT_GROUPS",
    "MPJPE",
    "MPJRE",
    "MPJVE",
    "PAMPJPE",
    "PCK",
    "ActionAccuracy",
    "ActionMovementKept",
    "ClipMetric",
    "CodebookHistogram",
    "CodebookPerplexity",
    "CodebookUse",
    "Diversity",
    "FloorPenetration",
    "FootSkate",
    "FootSlide",
    "FrechetDistance",
    "Jitter",
    "MeanAveragePrecision",
    "MovementKept",
    "Multimodality",
    "NamedMeans",
    "PeopleInVideo",
]
