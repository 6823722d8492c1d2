"""Motion clips as things to draw: the skinned body where the skeleton has one, capsules for bones elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from contrapposto.motion import Motion
from contrapposto.render.scene import Capsules, Mesh
from contrapposto.skeleton import SKELETONS, Skeleton

if TYPE_CHECKING:
    from contrapposto.body import BodyModel

Figure = Mesh | Capsules


class AnimatedFigure:
    """A clip that yields what to draw for a stretch of frames.

    Args:
        motion: the clip.
        color: (3,) sRGB.
        body: skinned body; None takes the shipped one when the skeleton belongs to the SMPL family, else capsules.
        small: whether images are so small that a third of the shipped body's vertices shows the same.
    """

    def __init__(
        self, motion: Motion, color: Sequence[float], body: BodyModel | None = None, *, small: bool = False
    ) -> None:
        self.motion, self.color = motion, color
        self._base: Mesh | None = None
        self.body = body
        if body is None and is_smpl_family(motion.skeleton):
            from contrapposto.body import load_body

            self.body = load_body()
        if small and self.body is not None:
            from contrapposto.body.thinned import thinned

            self.body = thinned(self.body)

    def frames(self, start: int, stop: int) -> list[Figure]:
        """What to draw in frames `start` to `stop` (exclusive)."""
        if self.body is None:
            positions = self.motion.frames(start, stop).joint_positions()
            return [bones(frame, self.motion.skeleton, self.color) for frame in positions]
        from contrapposto.body import motion_vertices

        vertices = motion_vertices(self.body, self.motion, slice(start, stop))
        if self._base is None:
            self._base = Mesh(vertices[0], self.body.faces.cpu().numpy(), self.color)
        return [self._base.moved(frame) for frame in vertices]


def is_smpl_family(skeleton: Skeleton) -> bool:
    """Whether the SMPL bodies can carry this skeleton: its joints have the names of one of the family."""
    return any(skeleton.joint_names == known.joint_names for known in SKELETONS.values())


def figure_height(skeleton: Skeleton) -> float:
    """Extent of the rest pose along its longest axis, metres."""
    rest = skeleton.rest_positions
    return float(max((rest.max(0) - rest.min(0)).max(), 1e-3))


def bones(positions: np.ndarray, skeleton: Skeleton, color: Sequence[float]) -> Capsules:
    """Capsules from every joint (J, 3) to its parent, thinner for short bones, and a ball for the head."""
    height, parents = figure_height(skeleton), skeleton.parents
    children = [joint for joint, parent in enumerate(parents) if parent >= 0] or [0]
    starts, ends = positions[[max(parents[joint], 0) for joint in children]], positions[children]
    radii = np.clip(0.25 * np.linalg.norm(ends - starts, axis=1), 0.005 * height, 0.018 * height)
    for joint, name in enumerate(skeleton.joint_names):
        if "head" in name.lower() and joint not in parents and joint > 0:
            along = positions[joint] - positions[parents[joint]]
            centre = positions[joint] + 0.05 * height * along / max(float(np.linalg.norm(along)), 1e-6)
            starts, ends = np.vstack([starts, centre]), np.vstack([ends, centre])
            radii = np.append(radii, 0.052 * height)
    return Capsules(starts, ends, radii, color)
