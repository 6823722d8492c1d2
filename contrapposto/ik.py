"""Inverse kinematics of any skeleton: poses in which some joints stand where they were seen.

Of all poses that meet the targets, the one closest to a given pose is taken, where every joint may be looser or stiffer
than others: least squares with a prior, solved by damped Gauss-Newton steps. A step solves a system of the size of the
targets (6 rows per joint), not of the skeleton, for any number of poses at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from contrapposto.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from contrapposto.skeleton import forward_kinematics


class _State(NamedTuple):
    """A pose with what is left to its targets, the derivative of that, its distance from the prior, and its cost."""

    rotations: Tensor
    root_translation: Tensor
    error: Tensor
    jacobian: Tensor
    away: Tensor
    cost: Tensor


class InverseKinematics(nn.Module):
    """Poses that put chosen joints at target positions and orientations.

    Minimises sum |p - p_target|^2 / position_tolerance^2 + sum |angle to R_target|^2 / rotation_tolerance^2
    + sum |turn of joint j|^2 / freedom_j^2 + |shift of the root|^2 / root_freedom^2, the turns and the shift counted
    from the prior pose. Targets out of reach are approached.

    Args:
        parents: J parent indices, root first.
        offsets: (J, 3) rest offsets, metres; the root's is its rest position.
        targets: joints that have a target, K of them.
        freedom: (J,) radians by which a joint may easily turn; a joint with 0 does not turn.
        root_freedom: metres by which the root may easily move; 0 holds it.
        position_tolerance: metres.
        rotation_tolerance: radians.
        iterations: at most this many steps.
        max_turn: radians that a joint turns in one step at most.
    """

    offsets: Tensor
    spread: Tensor
    above: Tensor

    def __init__(
        self,
        parents: Sequence[int],
        offsets: Tensor,
        targets: Sequence[int],
        freedom: Tensor,
        *,
        root_freedom: float = 1.0,
        position_tolerance: float = 0.002,
        rotation_tolerance: float = 0.01,
        iterations: int = 10,
        max_turn: float = 0.8,
    ) -> None:
        super().__init__()
        self.parents, self.targets = tuple(parents), list(targets)
        lines = [_ancestors(self.parents, joint) for joint in self.targets]
        # Joints that move no target keep their rotation.
        self.moving = sorted(joint for joint in set().union(*lines) if freedom[joint] > 0)
        self.iterations, self.max_turn = iterations, max_turn
        self.tolerances = (position_tolerance, rotation_tolerance)
        self.register_buffer("offsets", offsets.clone(), persistent=False)
        turns = freedom[self.moving].to(offsets).repeat_interleave(3)
        self.register_buffer(
            "spread", torch.cat([turns, turns.new_full((3,), root_freedom)]).square(), persistent=False
        )
        above = torch.tensor([[joint in line for joint in self.moving] for line in lines])
        self.register_buffer("above", above.to(offsets), persistent=False)

    def forward(
        self,
        rotations: Tensor,
        root_translation: Tensor,
        target_positions: Tensor,
        target_rotations: Tensor | None = None,
        start: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Solve for any number of poses.

        Args:
            rotations: (..., J, 3, 3) local rotations of the prior pose.
            root_translation: (..., 3) metres.
            target_positions: (..., K, 3) metres, in the order of `targets`.
            target_rotations: (..., K, 3, 3) global; positions alone where absent.
            start: rotations and root translation to begin at; the prior pose where absent.

        Returns:
            Local rotations (..., J, 3, 3) and root translation (..., 3).
        """
        prior = (rotations[..., self.moving, :, :], root_translation)
        targets = (target_positions, target_rotations)
        best = self._at(*(start or (rotations, root_translation)), prior, targets)
        damping = torch.zeros_like(best.cost)
        for _ in range(self.iterations):
            turns, shift = self._step(best, damping)
            current = best.rotations.clone()
            current[..., self.moving, :, :] = current[..., self.moving, :, :] @ axis_angle_to_matrix(turns)
            tried = self._at(current, best.root_translation + shift, prior, targets)
            better = tried.cost <= best.cost
            damping = torch.where(better, damping / 4, (4 * damping).clamp_min(0.5))
            best = _State(*(_choose(better, new, old) for new, old in zip(tried, best)))
            if float(torch.linalg.vector_norm(turns, dim=-1).max()) < 1e-4:
                break
        return best.rotations, best.root_translation

    def _at(
        self,
        rotations: Tensor,
        root: Tensor,
        prior: tuple[Tensor, Tensor],
        targets: tuple[Tensor, Tensor | None],
    ) -> _State:
        """A pose with all that the next step needs."""
        turned = matrix_to_axis_angle(prior[0].mT @ rotations[..., self.moving, :, :])
        away = torch.cat([turned.flatten(-2), root - prior[1]], dim=-1)
        error, jacobian = self._linearise(rotations, root, *targets)
        noise = self._noise(error)
        held = torch.where(self.spread > 0, away.square() / self.spread.clamp_min(1e-30), 0.0)
        cost = (error.square() / noise).sum(-1) + held.sum(-1)
        return _State(rotations, root, error, jacobian, away, cost)

    def _noise(self, error: Tensor) -> Tensor:
        position, rotation = self.tolerances
        noise = error.new_full((error.shape[-1],), position**2)
        noise[3 * len(self.targets) :] = rotation**2
        return noise

    def _step(self, state: _State, damping: Tensor) -> tuple[Tensor, Tensor]:
        """Turns (..., m, 3) and shift (..., 3): of the changes that meet the targets the one nearest to the prior.

        Damping is a second prior at the current pose (Levenberg and Marquardt): both together are one that is tighter
        and lies nearer.
        """
        looser = 1 / (1 + damping)[..., None]
        away = state.away * looser
        weighted = (self.spread * looser)[..., :, None] * state.jacobian.mT
        system = state.jacobian @ weighted + torch.diag(self._noise(state.error))
        right = state.error + (state.jacobian @ away[..., None]).squeeze(-1)
        factor = torch.linalg.cholesky(system)
        step = (weighted @ torch.cholesky_solve(right[..., None], factor)).squeeze(-1) - away
        turns = step[..., :-3].unflatten(-1, (-1, 3))
        largest = torch.linalg.vector_norm(turns, dim=-1).amax(-1)
        share = (self.max_turn / largest.clamp_min(1e-9)).clamp_max(1.0)[..., None]
        return turns * share[..., None], step[..., -3:] * share

    def _linearise(
        self, current: Tensor, moved: Tensor, positions: Tensor, rotations: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What is left to the targets (..., R), and its derivative by turns and shift (..., R, M)."""
        turn, place = forward_kinematics(self.parents, current, self.offsets, moved)
        axes = turn[..., self.moving, :, :].transpose(-1, -2)  # (..., m, 3 turns, 3): world axis of each turn
        ends = place[..., self.targets, :]
        lever = ends[..., :, None, :] - place[..., None, self.moving, :]
        levers = torch.linalg.cross(
            axes[..., None, :, :, :], lever[..., None, :].expand(*lever.shape[:-1], 3, 3)
        )
        error, rows = [positions - ends], [self._rows(levers)]
        if rotations is not None:
            apart = rotations @ turn[..., self.targets, :, :].mT
            error.append(matrix_to_axis_angle(apart))
            rows.append(self._rows(axes[..., None, :, :, :].expand_as(levers)))
        jacobian = torch.cat(rows, dim=-2)
        shift = torch.eye(3).to(jacobian).repeat(len(self.targets), 1)
        shift = torch.cat([shift, shift.new_zeros(jacobian.shape[-2] - len(shift), 3)])
        jacobian = torch.cat([jacobian, shift.expand(*jacobian.shape[:-1], 3)], dim=-1)
        return torch.cat(error, dim=-2).flatten(-2), jacobian

    def _rows(self, derivatives: Tensor) -> Tensor:
        """(..., K, m, 3 turns, 3) to (..., 3 K, 3 m), zero where a joint does not carry the target."""
        masked = derivatives * self.above[:, :, None, None]
        return masked.movedim(-1, -3).flatten(-4, -3).flatten(-2)


def _choose(chosen: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Per pose: the new value where chosen (...), else the old."""
    return torch.where(chosen.reshape(chosen.shape + (1,) * (new.ndim - chosen.ndim)), new, old)


def _ancestors(parents: Sequence[int], joint: int) -> set[int]:
    """The joint and all above it."""
    line = set()
    while joint >= 0:
        line.add(joint)
        joint = parents[joint]
    return line
