"""Bodies of other proportions in 3D, with keypoints that follow (docs/specs/scail_pose.md, section 9).

The original's training augmentation: one body type is drawn per clip, and the same lengths change in all its frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from contrapposto.errors import ConfigError, nearest
from contrapposto.systems.scail_pose.camera import default_intrinsics, project
from contrapposto.systems.scail_pose.wholebody import WholeBodyPose

_FACES = (-0.4, -0.2, 0.0, 0.2, 0.4)
_FACE_WEIGHTS = (0.2, 0.15, 0.3, 0.15, 0.2)
_BODY_TYPES = ("normal_human", "dwarf", "slender", "elf", "random_long_arm_long_leg", "king-kong")
BODY_WEIGHTS = {
    "low": (0.8, 0.0, 0.0, 0.1, 0.1, 0.0),
    "normal": (0.4, 0.1, 0.1, 0.1, 0.2, 0.1),
    "high": (0.3, 0.2, 0.1, 0.1, 0.2, 0.1),
    "dongman": (0.1, 0.2, 0.2, 0.2, 0.2, 0.1),
}
"""How strongly bodies change -> weights of the body types, as `draw_body_type` takes them."""

# (anchor, end, joints that move) of each length; joints are SMPL's.
_LENGTHS = {
    "body": ((12, 1, (1, 4, 7, 10)), (12, 2, (2, 5, 8, 11))),
    "shoulder": ((12, 16, (16, 18, 20, 22)), (12, 17, (17, 19, 21, 23))),
    "upper_arm": ((16, 18, (18, 20, 22)), (17, 19, (19, 21, 23))),
    "forearm": ((18, 20, (20, 22)), (19, 21, (21, 23))),
    "thigh": ((1, 4, (4, 7, 10)), (2, 5, (5, 8, 11))),
    "calf": ((4, 7, (7, 10)), (5, 8, (8, 11))),
}
_METHODS = {
    "body": ("body",),
    "shoulder": ("shoulder",),
    "arm": ("upper_arm", "forearm"),
    "leg": ("thigh", "calf"),
}
# Body keypoint that a joint's shift is added to; one joint off in the original, for keypoints that are not drawn.
_KEYPOINT_OF_JOINT = {4: 11, 7: 12, 10: 13, 5: 8, 8: 9, 11: 10, 20: 6, 22: 7, 21: 3, 23: 4, 18: 5, 19: 2}
_HAND_OF_JOINT = {22: 0, 23: 1}
_EYES_AND_EARS = [14, 15, 16, 17]


@dataclass(frozen=True)
class BodyType:
    """Shares by which lengths grow, and the parts that change, in order.

    Attributes:
        shoulder, upper_arm, forearm, body, thigh, calf, face: 0 leaves a length as it is.
        methods: of `body`, `shoulder`, `arm`, `leg`.
    """

    shoulder: float = 0.0
    upper_arm: float = 0.0
    forearm: float = 0.0
    body: float = 0.0
    thigh: float = 0.0
    calf: float = 0.0
    face: float = 0.0
    methods: tuple[str, ...] = ()

    @property
    def alphas(self) -> tuple[float, ...]:
        """The seven shares."""
        return (
            self.shoulder,
            self.upper_arm,
            self.forearm,
            self.body,
            self.thigh,
            self.calf,
            self.face,
        )


_ALL = ("body", "shoulder", "arm", "leg")
FIXED_TYPES = {
    "king-kong": BodyType(0.3, 0.2, 0.2, 0.1, -0.25, -0.25, 0.0, _ALL),
    "slender": BodyType(0.2, 0.3, 0.2, 0.0, 0.1, 0.1, -0.2, _ALL[1:]),
    "test_case_1": BodyType(-0.3, -0.4, -0.4, 0.1, 0.2, 0.2, 0.4, _ALL),
    "test_case_2": BodyType(0.3, 0.4, 0.4, -0.2, -0.2, -0.25, -0.2, _ALL),
    "test_case_3": BodyType(0.2, 0.2, 0.2, 0.3, 0.4, 0.4, 0.15, _ALL),
    "normal_human_test": BodyType(),
}
"""Body types in which nothing is drawn by lot."""


def draw_body_type(strength: str, generator: Random) -> BodyType:
    """A body type by lot.

    Args:
        strength: a key of `BODY_WEIGHTS`.
        generator: Python's, so that a seed gives the original's bodies.

    Raises:
        ConfigError: another strength.
    """
    if strength not in BODY_WEIGHTS:
        raise ConfigError(f"Body types of strength {strength!r}.", expected=nearest(strength, BODY_WEIGHTS))
    face = generator.choices(_FACES, weights=_FACE_WEIGHTS)[0]
    if strength == "dongman":
        face = generator.choices((-0.4, -0.2, 0.4), weights=(0.4, 0.2, 0.4))[0]
    name = generator.choices(_BODY_TYPES, weights=BODY_WEIGHTS[strength])[0]
    if name in FIXED_TYPES:
        return FIXED_TYPES[name]
    if name == "normal_human":
        return BodyType(face=face)
    if name == "dwarf":
        arm, leg = generator.uniform(-0.3, -0.2), generator.uniform(-0.3, -0.2)
        return BodyType(-0.2, arm, arm, 0.0, leg, leg, 0.2, _ALL[1:])
    if name == "elf":
        return BodyType(0.1, 0.1, 0.1, generator.uniform(-0.2, 0.2), 0.25, 0.25, 0.0, _ALL)
    upper, fore, thigh, calf = (generator.uniform(-0.2, 0.2) for _ in range(4))
    trunk = generator.uniform(-0.1, 0.1)
    return BodyType(0.0, upper, fore, trunk, thigh, calf, face, ("body", "arm", "leg"))


def reshape_body(
    joints: Sequence[np.ndarray | None], pose: WholeBodyPose, body: BodyType, height: int, width: int
) -> tuple[list[np.ndarray | None], WholeBodyPose]:
    """The people of a frame with other lengths.

    Args:
        joints: (24, 3) of each person, millimetres in the camera of 55 degrees; a joint whose coordinates sum to 0 is
            missing. None where there are none: that person stays as it is, but for the face.
        pose: keypoints of the same people, hands as pairs.
        body: what changes. Where the start of a length is missing, the length stays, and the person's keypoints count
            as not seen, as in the original.
        height, width: of the image in pixels.
    """
    work = WholeBodyPose(*(part.copy() for part in (pose.candidate, pose.subset, pose.faces, pose.hands)))
    moved = [None if one is None else one.copy() for one in joints]
    camera = default_intrinsics(height, width)
    size = np.array([width, height])
    for person, here in enumerate(moved):
        if here is None:
            continue
        for name in (length for method in body.methods for length in _METHODS[method]):
            for anchor, end, carried in _LENGTHS[name]:
                if here[anchor].sum() == 0:
                    _forget(work, person)
                    continue
                offset = getattr(body, name) * (here[end] - here[anchor])
                for joint in carried:
                    if here[joint].sum() != 0:
                        before = project(here[joint], camera)[:2]
                        here[joint] += offset
                        _carry(work, person, joint, (project(here[joint], camera)[:2] - before) / size)
    _grow_faces(work, body.face)
    return moved, work


def _carry(pose: WholeBodyPose, person: int, joint: int, shift: np.ndarray) -> None:
    """Add a joint's shift in the image to the keypoints that go with it."""
    if joint in _KEYPOINT_OF_JOINT:
        point = _KEYPOINT_OF_JOINT[joint]
        if pose.subset[person, point] != -1:
            pose.candidate[person, point] += shift
    if joint in _HAND_OF_JOINT:
        # Points that were not seen move too, as in the original; they stay negative and are not drawn.
        pose.hands[2 * person + _HAND_OF_JOINT[joint]] += shift


def _forget(pose: WholeBodyPose, person: int) -> None:
    pose.subset[person] = -1
    pose.faces[person] = -1
    pose.hands[2 * person : 2 * person + 2] = -1


def _grow_faces(pose: WholeBodyPose, share: float) -> None:
    for person in range(len(pose.candidate)):
        if pose.subset[person, 0] == -1:
            continue
        nose = pose.candidate[person, 0].copy()
        face = pose.faces[person]
        seen = (face != -1).any(axis=-1)
        face[seen] += share * (face[seen] - nose)
        around = [point for point in _EYES_AND_EARS if pose.subset[person, point] != -1]
        pose.candidate[person, around] += share * (pose.candidate[person, around] - nose)
