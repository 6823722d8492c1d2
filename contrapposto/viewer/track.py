"""Motion of a body in the viewer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from contrapposto import rotations as rot
from contrapposto.body import BodyModel, clip_betas
from contrapposto.io.glb import continuous
from contrapposto.motion import Motion
from contrapposto.skeleton import forward_kinematics


@dataclass(frozen=True, eq=False)
class Track:
    """Motion of a body, ready to send.

    Args:
        name: shown above its head.
        motion: the clip on the body's skeleton.
        quaternions: (F, J, 4) wxyz global rotations of the joints.
        positions: (F, J, 3) metres.
        centre: (F, 2) the pelvis on the ground, smoothed, for the camera to follow.
    """

    name: str
    motion: Motion
    quaternions: np.ndarray
    positions: np.ndarray
    centre: np.ndarray

    @classmethod
    def of(cls, name: str, motion: Motion, body: BodyModel) -> Track:
        """Run the kinematics of a whole clip.

        Raises:
            InputError: the clip's skeleton is not of the SMPL family.
        """
        clip = motion.to_skeleton(body.skeleton)
        rest = body.rest_joints(torch.from_numpy(clip_betas(body, motion)))[0]
        parents = body.skeleton.parents
        offsets = rest - torch.where(
            torch.tensor(parents)[:, None] < 0, 0.0, rest[[max(parent, 0) for parent in parents]]
        )
        translation = torch.from_numpy(clip.root_translation)
        turns, positions = forward_kinematics(parents, clip.local_matrices(), offsets, translation)
        quaternions = continuous(rot.matrix_to_quaternion(turns).numpy())
        places = positions.numpy()
        centre = gaussian_filter1d(
            places[:, 0, :2].astype(np.float64), 0.5 * clip.fps, axis=0, mode="nearest"
        )
        return cls(name, clip, quaternions, places, centre)

    def frame_at(self, seconds: float) -> int:
        """The frame shown at a time; after the end, the last one."""
        return int(np.clip(round(seconds * self.motion.fps), 0, self.motion.num_frames - 1))

    def label_at(self, seconds: float) -> str:
        """Texts of the labels at a time."""
        texts = [label.text for label in self.motion.labels if label.start <= seconds < label.end]
        return ", ".join(dict.fromkeys(texts))

    def describe(self, seconds: float) -> str:
        """Name, label at a time, length, source and licence, as Markdown."""
        clip, label = self.motion, self.label_at(seconds)
        lines = [
            f"**{self.name}**" + (f" {label}" if label else ""),
            f"{clip.num_frames} frames, {clip.fps:g} frames/s, {clip.duration:.1f} s",
        ]
        lines += [clip.metadata[key] for key in ("source", "licence") if clip.metadata.get(key)]
        return "  \n".join(lines)
