"""Hands and head put exactly where their devices were seen: what the networks only approach (not in the original)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrapposto.ik import InverseKinematics
from contrapposto.rotations import matrix_to_sixd_columns, sixd_columns_to_matrix
from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.body_losses import BodyKinematics
from contrapposto.systems.sage.joints import DEVICES, HEAD, NUM_JOINTS
from contrapposto.systems.sage.tracker import TrackedBody, place

# How easily joints turn away from the prediction, radians: arms rather than trunk, legs not at all.
_FREEDOM = {3: 0.03, 6: 0.03, 9: 0.03, 12: 0.1, 15: 0.3, 13: 0.1, 14: 0.1} | dict.fromkeys(range(16, 22), 1.0)


class Reach(nn.Module):
    """Changes predicted poses as little as it takes for head and hands to stand where the devices are.

    Every frame by itself, all frames at once.

    Args:
        rest_positions: (22, 3) of the body, metres; the default skeleton's where absent.
        iterations: of the solver; some 3 ms each for a frame alone, so that a live tracker takes fewer.
    """

    def __init__(self, rest_positions: Tensor | None = None, *, iterations: int = 8) -> None:
        super().__init__()
        rest = torch.from_numpy(SMPL22.rest_positions) if rest_positions is None else rest_positions
        self.kinematics = BodyKinematics(rest)
        above = torch.stack([rest[p] if p >= 0 else torch.zeros(3) for p in SMPL22.parents])
        freedom = torch.zeros(NUM_JOINTS)
        freedom[list(_FREEDOM)] = torch.tensor(list(_FREEDOM.values()))
        self.solver = InverseKinematics(
            SMPL22.parents, rest - above, DEVICES, freedom, root_freedom=0.02, iterations=iterations
        )

    @torch.no_grad()
    def forward(self, sixd: Tensor, sparse: Tensor) -> Tensor:
        """Poses that reach their devices.

        Args:
            sixd: (N, 132) predicted local 6D rotations, columns layout.
            sparse: (N, 3, 18) device features of the same frames.

        Returns:
            (N, 132).
        """
        # In double precision where the device has it: the solver weighs millimetres against radians.
        exact = sixd.dtype if sixd.device.type == "mps" else torch.float64
        self.solver.to(sixd.device, exact)
        devices, positions = sixd_columns_to_matrix(sparse[..., :6]), sparse[..., 12:15]
        before = place(self.kinematics, sixd, positions[:, DEVICES.index(HEAD)])
        reached, _ = self.solver(
            before.rotations.to(exact),
            before.root_translation.to(exact),
            positions.to(exact),
            devices.to(exact),
        )
        return matrix_to_sixd_columns(reached).flatten(1).to(sixd.dtype)

    def body(self, body: TrackedBody, sparse: Tensor) -> TrackedBody:
        """The same for tracked bodies of N frames."""
        return place(self.kinematics, self(body.sixd, sparse), sparse[:, DEVICES.index(HEAD), 12:15])
