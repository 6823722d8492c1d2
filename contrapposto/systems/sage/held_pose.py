"""Baseline without learning: the last pose is held, and inverse kinematics puts head and hands where they are seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from contrapposto.ik import InverseKinematics
from contrapposto.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_sixd_columns,
    sixd_columns_to_matrix,
)
from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.joints import DEVICES, HEAD, NUM_JOINTS

# How easily joints turn, radians: the spine a little, the arms much, the legs not at all.
_FREEDOM = {0: 0.3, 3: 0.1, 6: 0.1, 9: 0.1, 12: 0.2, 15: 0.3, 13: 0.15, 14: 0.15}
_FREEDOM |= {joint: 1.0 for joint in range(16, 22)}


class HeldPose(nn.Module):
    """Sequential tracker: the pose of the frame before, moved as little as the devices ask for.

    Spine, neck and the uprightness of the pelvis fall back to rest with the time constant `relaxation`, so that a turn
    of the head becomes a turn of the body after a while. Legs stay straight. The first frame starts from a standing
    figure with hanging arms that faces as the head does.

    Args:
        rest_positions: (22, 3) of the body, metres; the default skeleton's where absent.
        relaxation: seconds.
        iterations: of the solver per frame.
        fps: frames per second.
    """

    upright: Tensor
    standing: Tensor

    def __init__(
        self,
        rest_positions: Tensor | None = None,
        *,
        relaxation: float = 0.5,
        iterations: int = 3,
        fps: float = 60.0,
    ) -> None:
        super().__init__()
        rest = torch.from_numpy(SMPL22.rest_positions) if rest_positions is None else rest_positions
        above = torch.stack([rest[p] if p >= 0 else torch.zeros(3) for p in SMPL22.parents])
        freedom = torch.zeros(NUM_JOINTS)
        freedom[list(_FREEDOM)] = torch.tensor(list(_FREEDOM.values()))
        self.solver = InverseKinematics(SMPL22.parents, rest - above, DEVICES, freedom, iterations=iterations)
        self.rate, self.iterations = 1.0 / (relaxation * fps), iterations
        turn = torch.tensor([math.pi / 2, 0.0, 0.0])
        self.register_buffer("upright", axis_angle_to_matrix(turn), persistent=False)
        self.register_buffer("standing", hanging_arms(), persistent=False)

    @torch.no_grad()
    def forward(self, sparse: Tensor) -> Tensor:
        """Device features (N, 3, 18) of a clip to 6D (N, 132), columns layout."""
        # In double precision where the device has it: the solver weighs millimetres against radians.
        exact = self.standing.dtype if sparse.device.type == "mps" else torch.float64
        rotations = sixd_columns_to_matrix(sparse[..., :6]).to(exact)
        positions = sparse[..., 12:15].to(exact)
        self.solver.to(exact)
        pose, root = self._first(rotations[0]), positions[0, 0]
        frames = []
        for index in range(len(sparse)):
            self.solver.iterations = 10 * self.iterations if index == 0 else self.iterations
            pose, root = self.solver(self._relaxed(pose), root, positions[index], rotations[index])
            frames.append(matrix_to_sixd_columns(pose).flatten())
        return torch.stack(frames).to(sparse.dtype)

    def _first(self, devices: Tensor) -> Tensor:
        """(22, 3, 3): standing, facing as the head does."""
        pose = self.standing.to(devices).clone()
        pose[0] = self._facing(devices[DEVICES.index(HEAD)])
        return pose

    def _facing(self, rotation: Tensor) -> Tensor:
        """An upright pelvis (3, 3) that faces where the z axis of a rotation points."""
        angle = torch.atan2(rotation[0, 2], -rotation[1, 2])
        turn = axis_angle_to_matrix(torch.stack([torch.zeros_like(angle), torch.zeros_like(angle), angle]))
        return turn @ self.upright.to(turn)

    def _relaxed(self, pose: Tensor) -> Tensor:
        """The pose a moment later without targets: the trunk on its way back to rest."""
        rest = self.standing.to(pose).clone()
        rest[0] = self._facing(pose[0])
        joints = [0, 3, 6, 9, 12, 13, 14, 15]
        way = matrix_to_axis_angle(pose[joints].mT @ rest[joints])
        relaxed = pose.clone()
        relaxed[joints] = pose[joints] @ axis_angle_to_matrix(self.rate * way)
        return relaxed


def hanging_arms() -> Tensor:
    """(22, 3, 3) local rotations of a standing figure in the rest frame: arms down, elbows a little bent."""
    vectors = torch.zeros(NUM_JOINTS, 3)
    vectors[16, 2], vectors[17, 2] = -1.2, 1.2
    vectors[18, 1], vectors[19, 1] = -0.4, 0.4
    return axis_angle_to_matrix(vectors)
