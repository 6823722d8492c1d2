"""Measurements of clips that share nothing with the generator: kinematics by SciPy, contacts by height."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.motion import Motion

LEFT, RIGHT = 0, 1


class Measured:
    """Joint positions and rotations of a clip, and where its feet touch the ground.

    `heel` (F, 2) and `ball` (F, 2) are the heights of heel and ball above where they are in flat standing, metres;
    `heel_place` and `ball_place` (F, 2, 3) their positions.
    """

    def __init__(self, motion: Motion) -> None:
        rest = motion.skeleton.rest_positions.astype(float)
        parents = motion.skeleton.parents
        count = motion.skeleton.num_joints
        self.fps, self.frames = motion.fps, motion.num_frames
        self.rotations = np.empty((self.frames, count, 3, 3))
        self.joints = np.empty((self.frames, count, 3))
        for joint in range(count):
            local = Rotation.from_rotvec(motion.rotations[:, joint]).as_matrix()
            if joint == 0:
                self.rotations[:, 0], self.joints[:, 0] = local, rest[0] + motion.root_translation
                continue
            parent = parents[joint]
            self.rotations[:, joint] = self.rotations[:, parent] @ local
            offset = self.rotations[:, parent] @ (rest[joint] - rest[parent])
            self.joints[:, joint] = self.joints[:, parent] + offset
        self.local = (
            Rotation.from_rotvec(motion.rotations.reshape(-1, 3)).as_matrix().reshape(-1, count, 3, 3)
        )
        floor = -1.1438
        down = np.array([0.0, floor - rest[7, 1], -0.045])
        heels = [self.joints[:, 7 + side] + self.rotations[:, 7 + side] @ down for side in (LEFT, RIGHT)]
        self.heel_place = np.stack(heels, 1)
        self.ball_place = self.joints[:, 10:12]
        self.heel = self.heel_place[..., 2]
        self.ball = self.ball_place[..., 2] - (rest[10, 1] - floor)

    def knees(self) -> np.ndarray:
        """(F, 2) degrees between thigh and shin, 0 when the leg is straight."""
        thigh = self.joints[:, [4, 5]] - self.joints[:, [1, 2]]
        shin = self.joints[:, [7, 8]] - self.joints[:, [4, 5]]
        cross = np.linalg.norm(np.cross(thigh, shin), axis=-1)
        return np.degrees(np.arctan2(cross, (thigh * shin).sum(-1)))

    def angular_velocity(self) -> np.ndarray:
        """(F - 1, J, 3) radians per second of every joint against its parent."""
        change = np.swapaxes(self.local[:-1], -1, -2) @ self.local[1:]
        return (
            Rotation.from_matrix(change.reshape(-1, 3, 3)).as_rotvec().reshape(*change.shape[:2], 3)
            * self.fps
        )

    def angular_acceleration(self) -> np.ndarray:
        """(F - 2, J) radians per second squared."""
        return np.linalg.norm(np.diff(self.angular_velocity(), axis=0), axis=-1) * self.fps

    def jerk(self) -> np.ndarray:
        """(F - 3, 22) metres per second cubed of the body's joints."""
        return np.linalg.norm(np.diff(self.joints[:, :22], n=3, axis=0), axis=-1) * self.fps**3

    def on_ground(self, tolerance: float = 0.001) -> np.ndarray:
        """(F, 2) whether heel or ball of each foot is within `tolerance` metres of the ground."""
        return (self.heel < tolerance) | (self.ball < tolerance)

    def slides(self) -> tuple[float, float]:
        """Furthest way along the ground, in metres, of a standing ball in one frame and during one stance."""
        step, stance = 0.0, 0.0
        for side in (LEFT, RIGHT):
            for start, stop in runs(self.ball[:, side] < 0.0003):
                place = self.ball_place[start:stop, side, :2]
                if len(place) > 1:
                    step = max(step, float(np.linalg.norm(np.diff(place, axis=0), axis=1).max()))
                    stance = max(stance, float(np.linalg.norm(place - place[0], axis=1).max()))
        return step, stance

    def landings(self, side: int) -> np.ndarray:
        """Seconds at which a foot comes to the ground."""
        down = self.on_ground(0.004)[:, side]
        return np.array([start for start, stop in runs(down) if start > 0 and stop - start > 3]) / self.fps


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))
