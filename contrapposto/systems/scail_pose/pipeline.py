"""From the people of a clip to the frames of its pose video: capsules in one scene, keypoints painted over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from contrapposto.systems.scail_pose import validate as check
from contrapposto.systems.scail_pose.attach import attach, hide_hands
from contrapposto.systems.scail_pose.cylinders import (
    SMPL_FIGURE,
    SMPL_FIGURE_METRES,
    Cylinders,
    StickFigure,
    make_cylinders,
)
from contrapposto.systems.scail_pose.draw2d import compose, draw_overlay
from contrapposto.systems.scail_pose.interface import NUM_JOINTS, Person
from contrapposto.systems.scail_pose.palette import SINGLE, Palette, palettes_for
from contrapposto.systems.scail_pose.people import ClipPoses, join_poses, pack_people
from contrapposto.systems.scail_pose.reference import Alignment
from contrapposto.systems.scail_pose.render import CapsuleRenderer, Drawing, depth_range
from contrapposto.systems.scail_pose.retarget import follow_camera, scale_face
from contrapposto.systems.scail_pose.wholebody import THRESHOLD, WholeBodyPose

_LEFT_HAND, _RIGHT_HAND = slice(92, 113), slice(113, 134)
PARTS: dict[str, tuple[list[int], list[int]]] = {
    "nose": ([0], []),
    "eyes": ([14, 15], []),
    "ears": ([16, 17], []),
    "brows": (list(range(41, 51)), []),
    "face_eyes": (list(range(60, 72)), []),
    "mouth": (list(range(72, 92)), []),
    "left_hand": (list(range(92, 113)), []),
    "right_hand": (list(range(113, 134)), []),
    "head": ([0, *range(14, 18), *range(24, 92)], [15]),
    "left_arm": (list(range(92, 113)), [18, 20]),
    "right_arm": (list(range(113, 134)), [19, 21]),
    "left_leg": ([], [4, 7]),
    "right_leg": ([], [5, 8]),
}
"""Names of parts that can be left out: keypoints of the overlay, and joints whose limbs go with them."""


@dataclass(frozen=True)
class Look:
    """What is drawn, and how.

    Attributes:
        cheeks, hands, face: keypoints that are laid over the capsules.
        palettes: colours of the first, second, ... person of the clip; None: the original's, by how many there are.
        figure: limbs and their radii.
        samples: samples x samples rays per pixel; 1 is the original's look.
        depth_percentile: share in percent of the nearest and of the farthest ends that dimming with depth leaves out.
        stray: paint keypoints of people whose body is not drawn, as the original does.
        wrap: keypoints of several people are added in 8 bits, as the original does.
        attach: hands and faces are moved to the skeleton's wrists and head, see `attach`.
        hide: hands behind nearer limbs are left out, see `hide_hands`.
        hand_scale: size of the hands about their wrists.
        threshold: score from which a keypoint is drawn.
        remove: names of `PARTS` that are not drawn.
    """

    cheeks: bool = True
    hands: bool = True
    face: bool = True
    palettes: Sequence[Palette] | None = None
    figure: StickFigure = SMPL_FIGURE
    samples: int = 1
    depth_percentile: float = 0.0
    stray: bool = False
    wrap: bool = False
    attach: bool = False
    hide: bool = False
    hand_scale: float = 1.0
    threshold: float = THRESHOLD
    remove: Sequence[str] = ()

    def __post_init__(self) -> None:
        check.number("look.hand_scale", self.hand_scale, 0.1, 10)
        check.number("look.threshold", self.threshold, 0, 1)
        for name in self.remove:
            check.choice("look.remove", name, PARTS)
        check.number("look.samples", self.samples, 1, 8)
        check.number("look.depth_percentile", self.depth_percentile, 0, 49)


def chosen_points(person: Person, look: Look) -> Person:
    """The person with hands of the size, and without the keypoints, that the look asks for."""
    points, scores = np.array(person.keypoints), np.array(person.scores)
    if look.hand_scale != 1:
        for hand in (_LEFT_HAND, _RIGHT_HAND):
            points[hand] = points[hand.start] + look.hand_scale * (points[hand] - points[hand.start])
    if look.threshold != THRESHOLD:  # what is drawn has at least the usual threshold's score
        scores = np.where(scores >= look.threshold, np.maximum(scores, THRESHOLD + 1e-3), 0).astype(
            scores.dtype
        )
    for name in look.remove:
        scores[PARTS[name][0]] = 0
    return replace(person, keypoints=points, scores=scores)


def without_joints(joints: np.ndarray, remove: Sequence[str]) -> np.ndarray:
    """Joints (24, 3) with NaN at the ends of limbs that are not drawn; other skeletons unchanged."""
    rows = [row for name in remove for row in PARTS[name][1]]
    if not rows or len(joints) != NUM_JOINTS:
        return joints
    kept = np.array(joints)
    kept[rows] = np.nan
    return kept


@dataclass(frozen=True, eq=False)
class PoseFrame:
    """One frame: the finished image and its keypoints, both (H, W, 3) uint8, and the capsules alone."""

    rgb: np.ndarray
    overlay: np.ndarray
    capsules: Drawing

    @property
    def rgba(self) -> np.ndarray:
        """(H, W, 4) uint8, the finished image with the capsules' alpha."""
        return np.concatenate([self.rgb, self.capsules.rgba[..., 3:]], axis=-1)


class ClipDrawer:
    """Draws a clip frame by frame.

    Args:
        clip: everybody to draw.
        look: what and how.
        alignments: of people by their id; people without one are seen by the camera of the first one that has.
        device: see `CapsuleRenderer`.
    """

    def __init__(
        self,
        clip: ClipPoses,
        look: Look = Look(),
        alignments: Mapping[int, Alignment] | None = None,
        device: str | None = None,
    ) -> None:
        self.clip, self.look, self.alignments = clip, look, dict(alignments or {})
        ids = clip.ids
        self.number = {person: number for number, person in enumerate(ids)}
        base = SINGLE if look.figure in (SMPL_FIGURE, SMPL_FIGURE_METRES) else look.figure.colors
        self.palettes = look.palettes or palettes_for(len(ids), base)
        first = next((self.alignments[i] for i in ids if i in self.alignments), None)
        self.intrinsics = np.asarray(clip.intrinsics if first is None else first.intrinsics, np.float64)
        self.depths = depth_range((self.cylinders(frame) for frame in clip.frames), look.depth_percentile)
        self.renderer = CapsuleRenderer(
            clip.height, clip.width, self.intrinsics, self.depths, samples=look.samples, device=device
        )

    def __iter__(self) -> Iterator[PoseFrame]:
        drawings = self.renderer.stream(self.cylinders(frame) for frame in self.clip.frames)
        for people, drawing in zip(self.clip.frames, drawings):
            look = self.look
            overlay = draw_overlay(
                self.keypoints(people, drawing),
                self.clip.height,
                self.clip.width,
                cheeks=look.cheeks,
                hands=look.hands,
                face=look.face,
                wrap=look.wrap,
            )
            yield PoseFrame(compose(drawing.rgba, overlay), overlay, drawing)

    def camera_of(self, person: Person) -> np.ndarray:
        """(3, 3) the camera that sees a person."""
        alignment = self.alignments.get(person.id)
        return self.intrinsics if alignment is None else np.asarray(alignment.intrinsics, np.float64)

    def cylinders(self, people: Sequence[Person]) -> Cylinders:
        """The capsules of a frame's people, in the space of the drawing's camera.

        A person who is seen by another camera is moved so that this one sees the same image; depths stay.
        """
        moved, zooms = [], []
        for person in people:
            change = np.linalg.inv(self.intrinsics) @ self.camera_of(person)
            joints = without_joints(person.joints, self.look.remove)
            moved.append(joints @ change.T)
            zooms.append(np.sqrt(change[0, 0] * change[1, 1]))
        numbers = [self.number[person.id] for person in people]
        joints = np.stack(moved) if moved else np.zeros((0, self.look.figure.num_joints, 3))
        capsules = make_cylinders(joints, self.palettes, persons=numbers, figure=self.look.figure)
        by_number = np.ones(len(self.number))
        by_number[numbers] = zooms
        return replace(capsules, radius=(capsules.radius * by_number[capsules.person]).astype(np.float32))

    def keypoints(self, people: Sequence[Person], drawing: Drawing | None = None) -> WholeBodyPose:
        """The keypoints of a frame's people, carried along with their cameras; `drawing` hides hands if wanted."""
        height, width = self.clip.height, self.clip.width
        poses = []
        for person in people:
            if not self.look.stray and not np.isfinite(person.joints).any():
                continue
            if self.look.attach and len(person.joints) == NUM_JOINTS:  # other skeletons have no keypoints
                person = attach(person, self.clip.intrinsics)
            person = chosen_points(person, self.look)
            pose = pack_people([person], height, width)
            alignment = self.alignments.get(person.id)
            if alignment is not None:
                pose = scale_face(pose, alignment.face)
            camera = self.camera_of(person)
            if not np.array_equal(camera, self.clip.intrinsics):
                pose = follow_camera(pose, person.joints, self.clip.intrinsics, camera, height, width)
            if self.look.hide and drawing is not None and len(person.joints) == NUM_JOINTS:
                pose = hide_hands(pose, person.joints, drawing.depth)
            poses.append(pose)
        return join_poses(poses)
