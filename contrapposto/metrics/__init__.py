"""Metrics: pure functions (`functional`) and torchmetrics classes over them.

| class | inputs of `update` | unit |
|---|---|---|
| `MPJPE(joints)`, `PAMPJPE(joints)` | pred_joints, true_joints, lengths | cm |
| `MPJVE(joints)` | pred_joints, true_joints, fps, lengths | cm/s |
| `MPJRE(kind, joints)` | pred_rotations, true_rotations (matrices or axis-angles), lengths | degrees |
| `Jitter(joints)` | joints, fps, lengths | m/s^3 |
| `FootSkate(joints, floor, height)` | joints, fps, lengths | cm/s |
| `FloorPenetration(joints, floor)` | points, lengths | cm |
| `CodebookUse`, `CodebookPerplexity`, `CodebookHistogram` `(num_books, book_size)` | indices | - |
| `FrechetDistance(num_features)` | pred_features, true_features | - |

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

__all__ = [
    "JOINT_GROUPS",
    "MPJPE",
    "MPJRE",
    "MPJVE",
    "PAMPJPE",
    "ClipMetric",
    "CodebookHistogram",
    "CodebookPerplexity",
    "CodebookUse",
    "FloorPenetration",
    "FootSkate",
    "FrechetDistance",
    "Jitter",
]
