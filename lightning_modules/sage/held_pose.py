"""The baseline that learns nothing: the last pose held, inverse kinematics on the devices. Evaluation only."""

from __future__ import annotations

from torch import Tensor

from contrapposto.systems.sage.held_pose import HeldPose
from lightning_modules.sage.common import SageBodyModule


class HeldPoseModule(SageBodyModule):
    """Evaluates `HeldPose`; there is nothing to train.

    Args:
        relaxation, iterations: see `HeldPose`.
        body, skip_seconds: see `SageBodyModule`.
    """

    def __init__(
        self,
        relaxation: float = 0.5,
        iterations: int = 3,
        body: str | None = None,
        skip_seconds: float = 0.0,
    ) -> None:
        super().__init__(body, skip_seconds)
        self.save_hyperparameters()
        self.network = HeldPose(self.rest_positions, relaxation=relaxation, iterations=iterations)

    def predict_sixd(self, sparse: Tensor) -> Tensor:
        """Frame after frame."""
        sixd: Tensor = self.network(sparse)
        return sixd
