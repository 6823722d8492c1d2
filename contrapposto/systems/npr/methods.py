"""Ways to pose a target: by its own rig, by a skin that it is given, or by a network; and which of them suits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from contrapposto.errors import ContrappostoError, InputError
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.files import read_mesh
from contrapposto.mesh.operators import unique_edges
from contrapposto.mesh.rigged import RiggedMesh
from contrapposto.mesh.shared_rig import borrowed_tracks
from contrapposto.mesh.template import Normalize, Template
from contrapposto.motion import Motion
from contrapposto.systems.npr.decomposition import FittedRig, fit_rig
from contrapposto.systems.npr.humanoid import JOINTS, HumanoidRig, drive
from contrapposto.systems.npr.orientation import Orientation, orientation
from contrapposto.systems.npr.rigged_files import write_animated, write_fitted, write_skinned
from contrapposto.systems.npr.skin import Skin, body_rotations, skin_fault, transferred_skin

METHODS = ("auto", "rig", "skin", "npr", "original")
_MOST_STRETCH = 3.0  # edges that grow more are torn
_MOST_TORN = 0.02  # share of such edges
RigWriter = Callable[[Path, str, str], Path]


@dataclass(frozen=True, eq=False)
class Posed:
    """A target in poses.

    Args:
        frames: (T, V, 3) float64 in the target's vertex order, axes and units.
        method: of `METHODS`, without `auto`.
        reason: why this method.
        axes: (3, 3) from the target's axes to upright ones, facing z.
        write: writes the target as a rigged GLB with the motion as its animation, from a path, a naming of joints and a
            line of credit; None: this method gives no rig.
        rig_error: of a rig that was fitted to the frames: root mean square distance, as a share of the longest side.
    """

    frames: np.ndarray
    method: str
    reason: str
    axes: np.ndarray
    write: RigWriter | None = None
    rig_error: float | None = None


class Target:
    """A mesh that takes poses.

    Args:
        path: the file.
        parts: names of the parts of a glTF file to take.
        up, forward: how it stands, see `orientation`; None: found.
        normalize: see `Template`.
    """

    def __init__(
        self,
        path: Path,
        parts: Sequence[str] | None = None,
        *,
        up: str | None = None,
        forward: str | None = None,
        normalize: Normalize = "unit_cube",
    ) -> None:
        self.path, self._all = path, parts is None
        self.rigged = RiggedMesh(path, parts) if path.suffix.lower() in (".glb", ".gltf") else None
        self.mesh: MeshAsset = read_mesh(path) if self.rigged is None else self.rigged.mesh
        self._up, self._forward, self._normalize = up, forward, normalize

    @cached_property
    def standing(self) -> Orientation:
        """How the mesh stands in its file."""
        return orientation(self.mesh, self._up, self._forward)

    @cached_property
    def template(self) -> Template:
        """The mesh turned upright: y up, facing z."""
        return Template(self.mesh.moved(self.mesh.vertices @ self.standing.axes.T), normalize=self._normalize)

    @cached_property
    def skin(self) -> Skin:
        """A skin carried over from the shipped body, for the mesh in its own vertex order, upright, in its own units.

        Raises:
            InputError: the mesh is no figure, or the skin cannot be trusted.
        """
        if self.standing.landmarks is None:
            raise InputError(self.standing.reason)
        template = self.template
        vertices, faces = template.solver.vertices.numpy(), template.clean.faces
        skin = transferred_skin(
            vertices, faces, self.standing.landmarks.scaled(template.centre, template.side)
        )
        fault = skin_fault(vertices, faces, skin)
        if fault is not None:
            raise InputError(fault)
        weights = skin.weights[template.clean.place]
        return Skin(weights, skin.rest * template.side + template.centre, skin.corrections, skin.arm_turns)

    @property
    def unskinned_file(self) -> RiggedMesh | None:
        """The glTF file itself, where all of it is taken."""
        return self.rigged if self._all else None

    def face_turns(self) -> torch.Tensor | None:
        """(F, 3, 3) rotation that brings each face from the rest pose of its arm to the body's; None: arms are alike."""
        try:
            skin = self.skin
        except InputError:
            return None
        if skin.arm_turns == (0.0, 0.0):
            return None
        kept = self.template.clean
        return torch.from_numpy(body_rotations(skin, kept.source[kept.faces]))


@dataclass(frozen=True, eq=False)
class SourceClip:
    """What a source does, for targets with joints.

    Args:
        motion: of a human figure; None: the source is a mesh.
        lows: (T,) height of the source's lowest vertex above the floor, metres.
        animated: a glTF file and the name of its clip, whose joints another rig may share.
        fps: frames per second.
        name: of the animation.
    """

    motion: Motion | None
    lows: np.ndarray | None
    animated: tuple[RiggedMesh, str] | None
    fps: float | None
    name: str


def pose_by_rig(target: Target, clip: SourceClip) -> Posed:
    """Drive a rigged target by its own joints.

    Raises:
        InputError: it has no rig, or not one that can do this motion.
    """
    if target.rigged is None or not target.rigged.skin_joints():
        raise InputError(f"{target.path.name} has no rig")
    if clip.motion is None:
        return _by_shared_rig(target, target.rigged, clip)
    rig = HumanoidRig(target.rigged)
    upright = target.mesh.vertices @ rig.axes.T
    ground = float(upright[:, 1].min())
    motion = drive(clip.motion, rig.rest, rig.corrections, ground)
    times = np.arange(len(motion.pelvis)) / motion.fps
    frames = target.rigged.posed_by(rig.tracks(motion), times)
    lift = _lift(frames @ rig.axes[1], ground, motion.scale, clip.lows)
    tracks = rig.tracks(motion.lifted(lift))
    rigged = target.rigged

    def write(path: Path, naming: str, credit: str) -> Path:
        return write_animated(path, rigged, tracks, clip.name, credit)

    reason = f"its own rig has {sum(name in rig.nodes for name in JOINTS)} of the body's {len(JOINTS)} joints"
    return Posed(frames + lift[:, None, None] * rig.axes[1], "rig", reason, rig.axes, write)


def _by_shared_rig(target: Target, rigged: RiggedMesh, clip: SourceClip) -> Posed:
    """Two files whose joints have the same names."""
    if clip.animated is None or clip.fps is None:
        raise InputError("the source has no joints")
    other, name = clip.animated
    tracks = borrowed_tracks(rigged, other, name)
    moved = {track.node for track in other.tracks[name]}
    if len({track.node for track in tracks}) < 0.8 * len(moved):
        raise InputError("its rig lacks joints of the source")
    count = int(other.clips[name] * clip.fps + 1e-6) + 1
    frames = rigged.posed_by(tracks, np.arange(count) / clip.fps)

    def write(path: Path, naming: str, credit: str) -> Path:
        return write_animated(path, rigged, tracks, clip.name, credit)

    return Posed(frames, "rig", "its rig has the joints of the source", np.eye(3), write)


def pose_by_skin(target: Target, clip: SourceClip) -> Posed:
    """Give a figure the skin of the shipped body and move it.

    Raises:
        InputError: the source has no joints, the target is no figure, or the result is torn.
    """
    if clip.motion is None:
        raise InputError("the source has no joints")
    skin, axes = target.skin, target.standing.axes
    upright = target.mesh.vertices @ axes.T
    ground = float(upright[:, 1].min())
    motion = drive(clip.motion, skin.rest, skin.corrections, ground)
    frames = skin.pose(upright, motion)
    lift = _lift(frames[..., 1], ground, motion.scale, clip.lows)
    motion = motion.lifted(lift)
    frames = (frames + lift[:, None, None] * [0.0, 1.0, 0.0]) @ axes
    torn = torn_edges(target, frames)
    if torn > _MOST_TORN:
        raise InputError(f"{torn:.0%} of the edges would be torn")

    def write(path: Path, naming: str, credit: str) -> Path:
        file = target.unskinned_file
        return write_skinned(
            path, target.mesh, file, skin, axes, motion, naming=naming, name=clip.name, credit=credit
        )

    arms = (
        ""
        if skin.arm_turns == (0.0, 0.0)
        else f"; arms rest {max(map(abs, skin.arm_turns)):.0f} degrees lower, corrected"
    )
    return Posed(
        frames, "skin", f"{target.standing.reason}: it takes the skin of the shipped body{arms}", axes, write
    )


def rig_of_frames(target: Target, frames: np.ndarray, fps: float, name: str) -> tuple[FittedRig, RigWriter]:
    """Bones fitted to poses (T, V, 3) that have none, and what writes them as one rigged file.

    Args:
        target: whose poses these are.
        frames: in the target's vertex order, axes and units.
        fps: frames per second.
        name: of the animation.
    """
    rig = fit_rig(target.mesh.vertices, frames)

    def write(path: Path, naming: str, credit: str) -> Path:
        return write_fitted(path, target.mesh, target.unskinned_file, rig, fps, name=name, credit=credit)

    return rig, write


def torn_edges(target: Target, frames: np.ndarray) -> float:
    """Share of the edges that get several times as long, on average over some poses (T, V, 3)."""
    edges = unique_edges(target.mesh.faces)
    rest = np.linalg.norm(target.mesh.vertices[edges[:, 0]] - target.mesh.vertices[edges[:, 1]], axis=1)
    floor = 1e-3 * float(np.ptp(target.mesh.vertices, axis=0).max())
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, 16).astype(int))]
    lengths = np.linalg.norm(chosen[:, edges[:, 0]] - chosen[:, edges[:, 1]], axis=2)
    return float((lengths > _MOST_STRETCH * rest + floor).mean())


def choose(target: Target, clip: SourceClip) -> tuple[Posed | None, list[str]]:
    """The first of rig and skin that suits a target; None: neither does. And why those before it do not."""
    reasons: list[str] = []
    for name, method in (("rig", pose_by_rig), ("skin", pose_by_skin)):
        try:
            return method(target, clip), reasons
        except ContrappostoError as error:
            reasons.append(f"{name}: {str(error).splitlines()[0].rstrip('.')}")
    return None, reasons


def _lift(heights: np.ndarray, ground: float, scale: float, lows: np.ndarray | None) -> np.ndarray:
    """(T,) by which frames at heights (T, V) go up, so that their lowest vertex is as high as the source's."""
    if lows is None:
        return np.zeros(len(heights))
    result: np.ndarray = ground + scale * lows - heights.min(axis=1)
    return result
