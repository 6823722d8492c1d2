"""Methods side by side on rigged targets: what a target's own rig does is the truth, and is hidden from the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree

from contrapposto.errors import InputError
from contrapposto.mesh.blend import polar
from contrapposto.mesh.operators import face_centroids
from contrapposto.mesh.template import Template
from contrapposto.metrics.mesh import point_distance
from contrapposto.systems.npr.body_poses import figure_poses
from contrapposto.systems.npr.methods import SourceClip, Target, pose_by_rig, pose_by_skin
from contrapposto.systems.npr.residual import ResidualNPR, surface_jacobians
from contrapposto.systems.npr.transfer import PoseTransfer


@dataclass(frozen=True)
class Interval:
    """A mean over poses, and where it lies with a probability of 95 % (bootstrap over poses)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


def interval(values: Sequence[float] | np.ndarray, seed: int = 0, draws: int = 1000) -> Interval:
    """Mean of values (N,) with its interval."""
    array = np.asarray(values, np.float64)
    generator = np.random.default_rng(seed)
    means = array[generator.integers(0, len(array), (draws, len(array)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(array.mean()), float(low), float(high))


def nearest_face(
    source: Template, poses: torch.Tensor, target: Template, places: torch.Tensor | None
) -> torch.Tensor:
    """The plainest transfer: every face turns as the source's nearest face does, then one Poisson solve.

    Args:
        source: template.
        poses: (T, V, 3) of it, normalised.
        target: template.
        places: (F', 3) where the target's faces lie on the source; None: where they are.

    Returns:
        (T, V', 3) normalised, mean vertex at the origin.
    """
    turns = polar(surface_jacobians(source.solver, poses))[0]
    own = face_centroids(source.solver.vertices, source.solver.faces)
    asked = face_centroids(target.solver.vertices, target.solver.faces) if places is None else places
    near = cKDTree(own.numpy()).query(asked.numpy())[1]
    return target.solve(turns[:, near])


def rig_truth(
    target: Target, clip: SourceClip, transfers: Mapping[str, PoseTransfer]
) -> dict[str, np.ndarray]:
    """Errors of all methods on one rigged target, see `errors_of_methods`.

    Raises:
        InputError: the target has no humanoid rig, or the clip no motion.
    """
    return errors_of_methods(target, clip, transfers, pose_by_rig(target, clip).frames)


def errors_of_methods(
    target: Target, clip: SourceClip, transfers: Mapping[str, PoseTransfer], truth: np.ndarray
) -> dict[str, np.ndarray]:
    """PMD (T,) of all methods on a target in thousandths, in units of the target's longest side.

    Methods: `template` (left as it is), `nearest face`, `skin`, and the networks. One that cannot be used is left out.

    Args:
        target: a figure; its rig, if it has one, is not used.
        clip: motion of a figure, T frames.
        transfers: networks by name; their sources are bodies that motion can be put on.
        truth: (T, V, 3) in the target's vertex order and axes.

    Raises:
        InputError: the clip has no motion.
    """
    if clip.motion is None:
        raise InputError("The source has no joints.", expected="motion of a human figure")
    template, axes = target.template, target.standing.axes
    posed = {"template": np.broadcast_to(target.mesh.vertices, truth.shape)}
    for name, transfer in transfers.items():
        figure = figure_poses(clip.motion, transfer.source.mesh)
        encoded = transfer.encode(figure.vertices, figure.rotations, figure.means)
        turns = target.face_turns() if isinstance(transfer.model, ResidualNPR) else None
        posed[name] = transfer.transfer(encoded, template, turns=turns) @ axes
        if "nearest face" not in posed:
            shape = nearest_face(
                transfer.source,
                transfer.source.normalized(figure.vertices),
                template,
                transfer.places(template),
            )
            posed["nearest face"] = template.restored(shape @ encoded.rotations.transpose(-1, -2)) @ axes
    with suppress(InputError):
        posed["skin"] = pose_by_skin(target, clip).frames
    side = template.side
    goal = torch.from_numpy(truth / side)
    return {
        name: 1000 * point_distance(torch.from_numpy(np.array(frames) / side), goal, centred=True).numpy()
        for name, frames in posed.items()
    }
