"""A body posed by the `smplx` package (an extra: its licence is non-commercial), in place of our own skinning."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from contrapposto.body.arrays import BodyArrays
from contrapposto.body.model import BodyModel, BodyOutput
from contrapposto.errors import MissingError


class SmplxBodyModel(BodyModel):
    """`BodyModel` whose `forward` is `smplx.lbs.lbs`; numbers agree to float32 rounding, and it is several times slower.

    Raises:
        MissingError: `smplx` is not installed.
    """

    regressor: Tensor
    weights: Tensor

    def __init__(self, arrays: BodyArrays) -> None:
        try:
            from smplx.lbs import lbs
        except ImportError as error:
            raise MissingError(
                "body.backend=smplx needs the package smplx.", fix="pip install smplx (the extra `smpl`)"
            ) from error
        super().__init__(arrays)
        self._lbs = lbs
        self._buffer("regressor", arrays.regressor)
        self._buffer("weights", arrays.weights)

    def forward(
        self, rotations: Tensor, root_translation: Tensor | None = None, betas: Tensor | None = None
    ) -> BodyOutput:
        """See `BodyModel.forward`."""
        self._kinematics(rotations[:1], None, self.rest_joints())  # checks the shape
        count, template = len(rotations), self.v_template
        shape = template.new_zeros(1, self.num_betas) if betas is None else torch.atleast_2d(betas)
        correctives = self.pose_directions
        if correctives is None:
            correctives = template.new_zeros(9 * (self.skeleton.num_joints - 1), 3 * self.num_vertices)
        vertices, joints = self._lbs(
            shape.to(template).expand(count, -1),
            rotations.to(template),
            template,
            self.shape_directions[: shape.shape[1]].T.unflatten(0, (-1, 3)),
            correctives,
            self.regressor,
            torch.from_numpy(np.array(self.skeleton.parents)).to(template.device),
            self.weights,
            pose2rot=False,
        )
        if root_translation is None:
            return BodyOutput(vertices, joints)
        moved = root_translation.to(template)[:, None]
        return BodyOutput(vertices + moved, joints + moved)
