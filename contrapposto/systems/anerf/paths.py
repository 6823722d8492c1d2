"""What a rendering shows: lists of poses and cameras, one of each per image (docs/specs/anerf.md, section 10).

Every mode takes frames of a data set and gives a `PosePath`. World axes: y down; the ground is the x-z plane.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.systems.anerf.cameras import orbit, rotation_about
from contrapposto.systems.anerf.kinematics import NUM_JOINTS, pose_bones
from contrapposto.systems.anerf.view import View

LEVEL_ROOT = (1.5708, 0.0, 0.0)
"""What the published option `undo_rot` puts in place of a root's rotation. It comes from older axes: in today's a
figure stands upright at (pi, 0, 0)."""


@dataclass(frozen=True)
class PoseFrames:
    """Frames of a data set: each has a pose and a camera.

    Args:
        bones: (N, 24, 3) axis-angles, radians.
        root: (N, 3) root joints in the world.
        rest_pose: (24, 3), root at the origin.
        cameras: (N, 4, 4) NeRF camera to world.
        focals: (N,) or (N, 2) pixels.
        centres: (N, 2) principal points; None: the middle of the image.
    """

    bones: Tensor
    root: Tensor
    rest_pose: Tensor
    cameras: Tensor
    focals: Tensor
    centres: Tensor | None = None

    def __len__(self) -> int:
        return len(self.bones)

    def at(self, index: Tensor) -> PoseFrames:
        """Some of them, index (K,)."""
        parts = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "rest_pose"}
        chosen: dict[str, Any] = {name: None if part is None else part[index] for name, part in parts.items()}
        return replace(self, **chosen)

    def refined(self, bones: Tensor, root: Tensor) -> PoseFrames:
        """The same frames with other poses: (N, 24, 3) and (N, 3)."""
        return replace(self, bones=bones, root=root)


@dataclass(frozen=True)
class PosePath:
    """One pose and one camera for each of F images.

    Args:
        joints: (F, 24, 3) world.
        world_to_bone: (F, 24, 4, 4).
        bones: (F, 24, 3) axis-angles.
        cameras: (F, 4, 4) NeRF camera to world.
        focals: (F,) or (F, 2) pixels.
        centres: (F, 2) principal points; None: the middle.
        frames: (F,) int64 the frame whose camera, background and frame code an image has.
    """

    joints: Tensor
    world_to_bone: Tensor
    bones: Tensor
    cameras: Tensor
    focals: Tensor
    centres: Tensor | None
    frames: Tensor

    def __len__(self) -> int:
        return len(self.joints)

    def view(self, number: int, size: tuple[int, int]) -> View:
        """The camera of one image, with an image of the given height and width."""
        centre = None if self.centres is None else self.centres[number]
        return View(self.cameras[number], self.focals[number], *size, centre)


def retarget(
    frames: PoseFrames,
    selected: Sequence[int],
    *,
    length: int = 1,
    skip: int = 1,
    centre_root: bool = False,
    level_root: bool = False,
) -> PosePath:
    """The selected frames as they are.

    Args:
        frames: the data set, or `PoseFrames.refined`.
        selected: frame numbers; with a length and a skip above 1 each starts a run of `length` frames of which every
            `skip`-th is taken (with a skip of 1 the original takes the start only, and so does this).
        length, skip: of the runs.
        centre_root: put the root at the origin.
        level_root: put `LEVEL_ROOT` in place of the root's rotation.
    """
    if length > 1 and skip > 1:
        selected = [i for s in selected for i in range(s, min(s + length, len(frames)), skip)]
    index = torch.as_tensor(selected, dtype=torch.int64)
    chosen = _prepared(frames.at(index), centre_root=centre_root, level_root=level_root)
    return _path(chosen, index)


def selected(frames: PoseFrames, selected: Sequence[int]) -> PosePath:
    """The selected frames, with their backgrounds; `val` is this too, with the mean frame code."""
    return retarget(frames, selected)


def bullet(
    frames: PoseFrames,
    selected: Sequence[int],
    *,
    count: int = 10,
    centre_camera: bool = True,
    centre_root: bool = False,
    level_root: bool = False,
) -> PosePath:
    """Every selected pose from `count` cameras on a full circle about the vertical through the world's origin.

    Args:
        frames, selected, centre_root, level_root: see `retarget`.
        count: cameras of a circle.
        centre_camera: put the camera's x and y to zero; the root, unless centred, moves along.
    """
    index = torch.as_tensor(selected, dtype=torch.int64)
    chosen = _prepared(
        frames.at(index), centre_root=centre_root, level_root=level_root, centre_camera=centre_camera
    )
    turned = orbit(chosen.cameras, count).transpose(0, 1).flatten(0, 1)
    repeat = torch.arange(len(index)).repeat_interleave(count)
    return _path(replace(chosen.at(repeat), cameras=turned), index[repeat])


def interpolate(
    frames: PoseFrames,
    selected: Sequence[int],
    *,
    steps: int = 10,
    joints: Sequence[int] | None = None,
    centre_camera: bool = False,
    centre_root: bool = False,
    level_root: bool = False,
) -> PosePath:
    """Linear blends of the axis-angles of consecutive selected poses, before the first one's camera, at its root.

    Args:
        frames, selected, centre_root, level_root: see `retarget`.
        steps: images from each pose to the next; the last pose adds one.
        joints: the joints that move, the others stay as in the first pose; None: all (mode `animate` has some).
        centre_camera: see `bullet`.
    """
    index = torch.as_tensor(selected, dtype=torch.int64)
    chosen = _prepared(
        frames.at(index), centre_root=centre_root, level_root=level_root, centre_camera=centre_camera
    )
    share = (torch.arange(steps, dtype=torch.float64) / steps)[:, None, None]
    bones = chosen.bones.double()
    blends = [(1 - share) * first + share * second for first, second in pairwise(bones)]
    blended = torch.cat([*blends, bones[-1:]])
    if joints is not None:
        fixed = [joint for joint in range(NUM_JOINTS) if joint not in set(joints)]
        blended[:, fixed] = bones[0, fixed]
    first = chosen.at(torch.zeros(len(blended), dtype=torch.int64))
    return _path(replace(first, bones=blended), index[:1].expand(len(blended)))


def animate(
    frames: PoseFrames,
    selected: Sequence[int],
    *,
    joints: Sequence[int],
    steps: int = 10,
    centre_camera: bool = True,
    centre_root: bool = True,
    level_root: bool = False,
) -> PosePath:
    """`interpolate` of some joints."""
    return interpolate(
        frames,
        selected,
        steps=steps,
        joints=joints,
        centre_camera=centre_camera,
        centre_root=centre_root,
        level_root=level_root,
    )


def bubble(
    frames: PoseFrames,
    selected: Sequence[int],
    *,
    steps: int = 30,
    centre_camera: bool = True,
    centre_root: bool = True,
) -> PosePath:
    """Every selected pose, root and camera centred, from a camera that wobbles about it for `steps` images."""
    index = torch.as_tensor(selected, dtype=torch.int64)
    chosen = _prepared(frames.at(index), centre_root=centre_root, centre_camera=centre_camera)
    repeat = torch.arange(len(index)).repeat_interleave(steps)
    cameras = wobble(chosen.cameras, steps).flatten(0, 1)
    return _path(replace(chosen.at(repeat), cameras=cameras), index[repeat])


def wobble(cameras: Tensor, steps: int) -> Tensor:
    """(N, steps, 4, 4) a full turn of the wobble of cameras (N, 4, 4): to the sides, downwards, and back and forth.

    The way back and forth is measured by the first camera's depth, as published.
    """
    turn = torch.linspace(0, 2 * math.pi, steps, dtype=torch.float64)
    about_x = rotation_about("x", (turn.cos() - 1) * math.radians(15))
    about_y = rotation_about("y", turn.sin() * math.radians(25))
    moved = cameras.double()[:, None].repeat(1, steps, 1, 1)
    moved[..., 2, 3] += 0.1 * cameras[0, 2, 3].double() * (turn.sin() + 1)
    return (about_x @ about_y @ moved).to(cameras.dtype)


def two_circles(count: int, radius: float = 3.0) -> Tensor:
    """(2 count, 4, 4) cameras that look at the origin from two circles about y, `count` each.

    On the first, level one the distance varies by a sixth, on the second the height, 30 degrees, by 15.
    """
    turn = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    wave, level = (2 * turn).sin(), torch.zeros_like(turn)
    distance = radius * torch.cat([1 - wave / 6, torch.ones_like(turn)])
    height = torch.cat([level, torch.deg2rad(30 - 15 * wave)])
    around = (math.pi / 2 - turn).repeat(2)
    x = torch.stack([around.cos(), level.repeat(2), -around.sin()], dim=-1)
    z = torch.stack([around.sin() * height.cos(), height.sin(), around.cos() * height.cos()], dim=-1)
    matrix = torch.eye(4, dtype=torch.float64).repeat(2 * count, 1, 1)
    columns = [x, torch.linalg.cross(z, x), z, distance[:, None] * z]
    matrix[:, :3] = torch.stack(columns, dim=-1)
    return matrix.float()


def pose_turn(frames: PoseFrames, selected: Sequence[int], *, count: int = 30) -> PosePath:
    """The first selected pose turned about the world's y, then x, then z, `count` / 3 images each (`poserot`)."""
    index = torch.as_tensor(selected, dtype=torch.int64)[:1]
    part = count // 3
    steps = torch.arange(part, dtype=torch.float64) * (2 * math.pi / part)
    turns = torch.cat([rotation_about(axis, steps)[:, :3, :3] for axis in "yxz"])
    chosen = frames.at(index.expand(3 * part))
    bones = chosen.bones.double().clone()
    bones[:, 0] = rot.matrix_to_axis_angle(turns @ rot.axis_angle_to_matrix(bones[:, 0]))
    return _path(replace(chosen, bones=bones), index.expand(3 * part))


def correction(
    frames: PoseFrames, selected: Sequence[int], refined: PoseFrames, *, steps: int = 30
) -> PosePath:
    """From the initial towards the refined bones of every selected frame, at the refined root.

    As published, the `steps` images of a frame end one step before the refined bones.
    """
    index = torch.as_tensor(selected, dtype=torch.int64)
    share = (torch.arange(steps, dtype=torch.float64) / steps)[:, None, None]
    first, last = (part.bones[index].double()[:, None] for part in (frames, refined))
    bones = ((1 - share) * first + share * last).flatten(0, 1)
    repeat = index.repeat_interleave(steps)
    return _path(replace(refined.at(repeat), bones=bones), repeat)


def before_camera(frames: PoseFrames, bones: Tensor, root: Tensor, camera: int = 0) -> PosePath:
    """Any poses before the camera of one frame.

    Args:
        frames: the data set.
        bones: (F, 24, 3) axis-angles.
        root: (F, 3) root joints in the world.
        camera: frame number.
    """
    index = torch.full((len(bones),), camera, dtype=torch.int64)
    return _path(replace(frames.at(index), bones=bones, root=root), index)


def positions(wanted: Sequence[int], available: Sequence[int]) -> list[int]:
    """Places in `available` of the numbers in `wanted`; those that are not there are left out.

    For data sets that keep only some frames of the numbering that a catalogue uses.
    """
    place = {int(number): i for i, number in enumerate(available)}
    return [place[int(number)] for number in wanted if int(number) in place]


MODES: dict[str, Callable[..., PosePath]] = {
    "retarget": retarget,
    "bullet": bullet,
    "interpolate": interpolate,
    "animate": animate,
    "bubble": bubble,
    "poserot": pose_turn,
    "correction": correction,
    "selected": selected,
    "val": selected,
}
"""By the published names of the render types."""


def _prepared(
    frames: PoseFrames,
    *,
    centre_root: bool = False,
    level_root: bool = False,
    centre_camera: bool = False,
) -> PoseFrames:
    root, bones, cameras = frames.root.clone(), frames.bones.clone(), frames.cameras.clone()
    if centre_camera:
        root[:, :2] -= cameras[:, :2, 3]
        cameras[:, :2, 3] = 0
    if centre_root:
        root[:] = 0
    if level_root:
        bones[:, 0] = bones.new_tensor(LEVEL_ROOT)
    return replace(frames, root=root, bones=bones, cameras=cameras)


def _path(frames: PoseFrames, index: Tensor) -> PosePath:
    rest = frames.rest_pose.double()
    matrices = rot.axis_angle_to_matrix(frames.bones.double())
    posed = pose_bones(matrices, rest, frames.root.double() - rest[0])
    return PosePath(
        posed.joints.float(),
        posed.world_to_bone.float(),
        frames.bones.float(),
        frames.cameras.float(),
        frames.focals.float(),
        None if frames.centres is None else frames.centres.float(),
        index,
    )
