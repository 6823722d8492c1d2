"""`Motion`: a clip of one figure, the currency of the suite.

Canonical frame (that of AMASS): z up, metres, seconds, radians; local rotations as axis-angles; `root_translation` is
added to the rest position of the root joint, so the pelvis stands at `skeleton.rest_positions[0] + root_translation`
and the rest pose, which is y up, is turned upright by the root rotation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.errors import InputError
from contrapposto.skeleton import SMPLH52, Skeleton, forward_kinematics


@dataclass(frozen=True)
class Label:
    """A text that holds from `start` to `end`, in seconds from the clip's first frame."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Motion:
    """A clip of F frames.

    Args:
        rotations: (F, J, 3) float32 local axis-angles, radians.
        root_translation: (F, 3) float32 metres, z up.
        fps: frames per second.
        skeleton: J joints; the SMPL-H layout unless said otherwise.
        betas: (S,) shape coefficients of the body, empty for the mean shape.
        gender: `neutral`, `male` or `female`.
        labels: what happens when.
        metadata: free text by key; `source`, `licence` and `attribution` travel with the data.

    Raises:
        InputError: shapes that do not fit, no frames, a frame rate that is not positive, or values that are not finite.
    """

    rotations: np.ndarray
    root_translation: np.ndarray
    fps: float
    skeleton: Skeleton = SMPLH52
    betas: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    gender: str = "neutral"
    labels: tuple[Label, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("rotations", "root_translation", "betas"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float32))
        object.__setattr__(self, "labels", tuple(self.labels))
        _check(self)

    def __repr__(self) -> str:
        """One line: length, rate, skeleton, labels and origin, not the arrays."""
        labels = ", ".join(dict.fromkeys(label.text for label in self.labels))
        parts = [
            f"{self.num_frames} frames",
            f"{self.fps:g} frames/s",
            f"{self.duration:.2f} s",
            f"{self.skeleton.name}, {self.skeleton.num_joints} joints",
            *([labels if len(labels) <= 60 else f"{labels[:57]}..."] if labels else []),
        ]
        return f"Motion({'; '.join(parts)})"

    @property
    def num_frames(self) -> int:
        """Number of frames F."""
        return len(self.rotations)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return (self.num_frames - 1) / self.fps

    @property
    def credits(self) -> list[str]:
        """Attribution and licence of the clip, which must travel with what is made of it; those that are stated."""
        return [self.metadata[key] for key in ("attribution", "licence") if self.metadata.get(key)]

    def local_matrices(self) -> torch.Tensor:
        """(F, J, 3, 3) local rotation matrices."""
        return rot.axis_angle_to_matrix(torch.from_numpy(self.rotations))

    def joint_positions(self) -> np.ndarray:
        """(F, J, 3) float32 joint positions in metres, with this clip's skeleton as it is (see `Skeleton.offsets`)."""
        return self.kinematics()[1].numpy()

    def kinematics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Global rotations (F, J, 3, 3) and joint positions (F, J, 3)."""
        return forward_kinematics(
            self.skeleton.parents,
            self.local_matrices(),
            torch.from_numpy(self.skeleton.offsets),
            torch.from_numpy(self.root_translation),
        )

    def resample(self, fps: float) -> Motion:
        """The same clip at another frame rate: slerp of the rotations, linear translation.

        The first frame stays the first; the last one kept is at or before the old last one.
        """
        if not np.isfinite(fps) or fps <= 0:
            raise InputError(
                f"A clip cannot be resampled to {fps} frames/s.", expected="a positive frame rate"
            )
        if fps == self.fps:
            return self
        times = np.arange(int(np.floor(self.duration * fps + 1e-6)) + 1) / fps
        return self.at_times(times, fps)

    def at_times(self, times: np.ndarray, fps: float) -> Motion:
        """Sample the clip at (N,) seconds from its start; times outside are held at the ends."""
        position = np.clip(np.asarray(times, np.float64) * self.fps, 0, self.num_frames - 1)
        low = np.minimum(position.astype(np.int64), max(self.num_frames - 2, 0))
        high = np.minimum(low + 1, self.num_frames - 1)
        fraction = torch.from_numpy((position - low).astype(np.float32))
        quaternions = rot.axis_angle_to_quaternion(torch.from_numpy(self.rotations))
        mixed = rot.slerp(
            quaternions[low], quaternions[high], fraction[:, None].expand(-1, self.skeleton.num_joints)
        )
        weight = fraction[:, None].numpy()
        return replace(
            self,
            rotations=rot.quaternion_to_axis_angle(mixed).numpy(),
            root_translation=(1 - weight) * self.root_translation[low] + weight * self.root_translation[high],
            fps=float(fps),
        )

    def frames(self, start: int, stop: int) -> Motion:
        """Frames `start` to `stop` (exclusive), with the labels cut to them.

        Raises:
            InputError: nothing would be left.
        """
        start, stop, _ = slice(start, stop).indices(self.num_frames)
        if stop <= start:
            raise InputError(
                f"No frames between {start} and {stop}.", found=f"a clip of {self.num_frames} frames"
            )
        begin, end = start / self.fps, stop / self.fps
        labels = [
            Label(label.text, max(label.start, begin) - begin, min(label.end, end) - begin)
            for label in self.labels
            if label.start < end and label.end > begin
        ]
        return replace(
            self,
            rotations=self.rotations[start:stop],
            root_translation=self.root_translation[start:stop],
            labels=tuple(labels),
        )

    def trim(self, start: float, end: float) -> Motion:
        """The part from `start` to `end` seconds; times before the beginning mean the beginning.

        Raises:
            InputError: nothing would be left.
        """
        return self.frames(max(round(start * self.fps), 0), max(round(end * self.fps), 0))

    def mirror(self) -> Motion:
        """The clip seen in a mirror: left and right change places.

        Raises:
            InputError: the skeleton's joint names do not tell left from right as the SMPL family's do.
        """
        if (self.skeleton.mirror_map == np.arange(self.skeleton.num_joints)).all():
            raise InputError(
                f"A clip on {self.skeleton.name} cannot be mirrored.",
                found="no joints named left_... and right_...",
                fix="map it with contrapposto.retarget.to_smpl first",
            )
        # A reflection at x = 0 keeps the x component of an axis-angle (a pseudo-vector) and turns the other two.
        rotations = self.rotations[:, self.skeleton.mirror_map] * np.array([1, -1, -1], np.float32)
        rest = self.skeleton.rest_positions[0]
        translation = (self.root_translation + rest) * np.array([-1, 1, 1], np.float32) - rest
        swap = {"left": "right", "right": "left"}
        labels = [
            replace(label, text=" ".join(swap.get(word, word) for word in label.text.split(" ")))
            for label in self.labels
        ]
        return replace(self, rotations=rotations, root_translation=translation, labels=tuple(labels))

    def canonical(self) -> Motion:
        """Moved and turned about the vertical so that the first frame stands above the origin facing -y.

        (A figure of this frame whose root rotation is just the turn from y up to z up faces -y.)
        """
        heading = float(self.headings()[0])
        cosine, sine = np.cos(-heading), np.sin(-heading)
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float32)
        return self.transform(turn, origin=True)

    def transform(
        self, turn: np.ndarray, shift: Sequence[float] = (0, 0, 0), *, origin: bool = False
    ) -> Motion:
        """Rotate the whole clip by a (3, 3) matrix about the world's origin, then shift it by metres.

        With `origin`, the first frame's pelvis is placed above the origin before the shift.
        """
        turn = np.asarray(turn, np.float32)
        root = rot.axis_angle_to_matrix(torch.from_numpy(self.rotations[:, 0]))
        rotations = self.rotations.copy()
        rotations[:, 0] = rot.matrix_to_axis_angle(torch.from_numpy(turn) @ root).numpy()
        rest = self.skeleton.rest_positions[0]
        pelvis = (rest + self.root_translation) @ turn.T
        if origin:
            pelvis -= pelvis[0] * np.array([1, 1, 0], np.float32)
        translation = pelvis - rest + np.asarray(shift, np.float32)
        return replace(self, rotations=rotations, root_translation=translation)

    def headings(self) -> np.ndarray:
        """(F,) angle in radians by which the figure's forward direction is turned from -y about the vertical."""
        root = rot.axis_angle_to_matrix(torch.from_numpy(self.rotations[:, 0])).numpy()
        forward = root[:, :, 2]
        return np.arctan2(forward[:, 0], -forward[:, 1])

    def to_skeleton(self, skeleton: Skeleton) -> Motion:
        """Another skeleton of the same family: joints matched by name, those without a counterpart at rest."""
        if skeleton is self.skeleton:
            return self
        index = self.skeleton.map_to(skeleton)
        if index[0] < 0:
            raise InputError(
                f"A clip on {self.skeleton.name} cannot be read as {skeleton.name}: the root joint has no counterpart.",
                fix="map it with contrapposto.retarget.to_smpl first",
            )
        rotations = np.where(index[:, None] >= 0, self.rotations[:, index], 0)
        return replace(self, rotations=rotations, skeleton=skeleton)


def concatenate(clips: Sequence[Motion], blend: float = 0.0) -> Motion:
    """Join clips end to end: each is turned and moved to where the one before ended.

    Args:
        clips: at least one; all with the first one's skeleton; resampled to its frame rate.
        blend: seconds over which the pose of one clip is mixed into the next (0: cut).

    Raises:
        InputError: no clips, or skeletons that differ.
    """
    if not clips:
        raise InputError("There is nothing to concatenate.", found="an empty list of clips")
    result = clips[0]
    for clip in clips[1:]:
        result = _append(result, clip.resample(result.fps), blend)
    return result


def _append(first: Motion, second: Motion, blend: float) -> Motion:
    if first.skeleton.joint_names != second.skeleton.joint_names:
        raise InputError(f"Clips on {first.skeleton.name} and {second.skeleton.name} cannot be joined.")
    overlap = min(round(blend * first.fps), first.num_frames, second.num_frames)
    anchor = first.num_frames - max(overlap, 1)
    angle = float(first.headings()[anchor] - second.headings()[0])
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float32)
    rest = first.skeleton.rest_positions[0]
    start = (first.root_translation[anchor] + rest) * np.array([1, 1, 0], np.float32)
    moved = second.transform(turn, start, origin=True)
    weight = (np.arange(1, overlap + 1) / (overlap + 1)).astype(np.float32)
    tail, head = first.frames(first.num_frames - overlap, first.num_frames) if overlap else None, moved
    parts = [
        (first.rotations[: first.num_frames - overlap], first.root_translation[: first.num_frames - overlap])
    ]
    if tail is not None:
        quaternions = [
            rot.axis_angle_to_quaternion(torch.from_numpy(c.rotations[:overlap])) for c in (tail, head)
        ]
        fraction = torch.from_numpy(weight)[:, None].expand(-1, first.skeleton.num_joints)
        mixed = rot.quaternion_to_axis_angle(rot.slerp(quaternions[0], quaternions[1], fraction)).numpy()
        mixed_root = (1 - weight[:, None]) * tail.root_translation + weight[:, None] * head.root_translation[
            :overlap
        ]
        parts.append((mixed, mixed_root))
    parts.append((moved.rotations[overlap:], moved.root_translation[overlap:]))
    shift = (first.num_frames - overlap) / first.fps
    labels = [*first.labels, *(Label(x.text, x.start + shift, x.end + shift) for x in second.labels)]
    return replace(
        first,
        rotations=np.concatenate([part[0] for part in parts]),
        root_translation=np.concatenate([part[1] for part in parts]),
        labels=tuple(labels),
    )


def _check(motion: Motion) -> None:
    frames, joints = len(motion.rotations), motion.skeleton.num_joints
    if motion.rotations.shape != (frames, joints, 3) or motion.root_translation.shape != (frames, 3):
        raise InputError(
            "The arrays of a motion clip do not fit together.",
            found=f"rotations {motion.rotations.shape}, root_translation {motion.root_translation.shape}",
            expected=f"(F, {joints}, 3) and (F, 3) for the skeleton {motion.skeleton.name}",
        )
    if frames == 0:
        raise InputError("A motion clip has no frames.", expected="at least one frame")
    if not np.isfinite(motion.fps) or motion.fps <= 0:
        raise InputError(f"A motion clip has the frame rate {motion.fps}.", expected="a positive number")
    for name in ("rotations", "root_translation", "betas"):
        values = getattr(motion, name)
        bad = ~np.isfinite(values.reshape(len(values), -1)).all(1) if values.size else np.zeros(0, bool)
        if bad.any():
            raise InputError(
                f"A motion clip has values that are not finite in {name}.",
                found=f"{int(bad.sum())} of {len(values)} rows, the first is number {int(bad.argmax())}",
                fix="repair or cut these frames",
            )
