"""Targets as rigged GLB files: an animation on the joints that they have, or joints and weights that they get."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.io.glb import continuous
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.gltf_write import split_seams, write_mesh_glb
from contrapposto.mesh.rig_write import GltfEditor
from contrapposto.mesh.rigged import RiggedMesh, Track
from contrapposto.retarget import KNOWN
from contrapposto.systems.npr.decomposition import FittedRig
from contrapposto.systems.npr.humanoid import JOINTS, NUM_JOINTS, PARENTS, JointMotion
from contrapposto.systems.npr.skin import Skin

NAMINGS = ("smpl", "mixamo")


def joint_names(naming: str) -> list[str]:
    """Names of the 22 joints: `smpl` (pelvis, left_hip, ...) or `mixamo` (mixamorig:Hips, ...)."""
    if naming == "smpl":
        return list(JOINTS)
    return [f"mixamorig:{KNOWN['mixamo'].joints[name]}" for name in JOINTS]


def write_animated(path: Path, rig: RiggedMesh, tracks: Sequence[Track], name: str, credit: str = "") -> Path:
    """Write a rigged file again with one more animation, which comes first."""
    editor = GltfEditor(rig.file)
    editor.animate(name, tracks)
    return editor.write(path, credit)


def write_skinned(
    path: Path,
    mesh: MeshAsset,
    original: RiggedMesh | None,
    skin: Skin,
    axes: np.ndarray,
    motion: JointMotion | None = None,
    *,
    naming: str = "smpl",
    name: str = "motion",
    credit: str = "",
) -> Path:
    """Write a mesh with joints, weights and, where there is one, a motion.

    Args:
        path: the .glb file.
        mesh: V vertices in file axes and units.
        original: the glTF file that the mesh is all of, if it has no skins: it is written again, and only the nodes that
            carry meshes change; None: the mesh is written anew.
        skin: of these V vertices, upright.
        axes: (3, 3) file axes to upright ones.
        motion: on the skin's joints.
        naming: of `NAMINGS`.
        name: of the animation.
        credit: licences of what went into it.
    """
    bones = _Bones(skin.weights, joint_names(naming), PARENTS, skin.rest @ axes)

    def tracks(joints: Sequence[int]) -> list[Track]:
        return [] if motion is None else _tracks(joints, axes, motion)

    return _write(path, mesh, original, bones, tracks, name, credit)


def write_fitted(
    path: Path,
    mesh: MeshAsset,
    original: RiggedMesh | None,
    rig: FittedRig,
    fps: float,
    *,
    name: str = "motion",
    credit: str = "",
) -> Path:
    """Write a mesh with bones that were fitted to a sequence, and the sequence as their motion.

    Args:
        path: the .glb file.
        mesh, original: see `write_skinned`.
        rig: of the V vertices, in file axes and units.
        fps: frames per second.
        name: of the animation.
        credit: licences of what went into it.
    """
    count = rig.weights.shape[1]
    names = ["root", *(f"bone_{number:02d}" for number in range(count))]
    weights = np.concatenate([np.zeros((len(rig.weights), 1)), rig.weights], axis=1)
    places = np.concatenate([np.zeros((1, 3)), rig.places])
    times = np.arange(len(rig.transforms)) / fps
    turns, shifts = rig.transforms[..., :3], rig.transforms[..., 3]
    moved = np.einsum("tbij,bj->tbi", turns, rig.places) + shifts

    def tracks(joints: Sequence[int]) -> list[Track]:
        result = []
        for bone, node in enumerate(joints[1:]):
            quaternions = continuous(Rotation.from_matrix(turns[:, bone]).as_quat())
            result.append(Track(node, "translation", times, moved[:, bone], "LINEAR"))
            result.append(Track(node, "rotation", times, quaternions, "LINEAR"))
        return result

    bones = _Bones(weights, names, (-1, *[0] * count), places)
    return _write(path, mesh, original, bones, tracks, name, credit)


@dataclass(frozen=True, eq=False)
class _Bones:
    """Weights (V, B), names, parents and places (B, 3) at rest, without rotation, in the file's world."""

    weights: np.ndarray
    names: Sequence[str]
    parents: Sequence[int]
    places: np.ndarray


def _write(
    path: Path,
    mesh: MeshAsset,
    original: RiggedMesh | None,
    bones: _Bones,
    tracks: Callable[[Sequence[int]], list[Track]],
    name: str,
    credit: str,
) -> Path:
    if original is not None and not original.file.items("skins"):
        return _skin_file(path, original, np.arange(len(mesh.vertices)), bones, tracks, name, credit)
    with tempfile.TemporaryDirectory() as folder:
        plain = RiggedMesh(write_mesh_glb(Path(folder) / "mesh.glb", mesh))
        sources = split_seams(mesh)[0]
        order = np.tile(sources, len(plain.mesh.vertices) // len(sources))  # primitives share their vertices
        return _skin_file(path, plain, order, bones, tracks, name, credit)


def _skin_file(
    path: Path,
    original: RiggedMesh,
    order: np.ndarray,
    bones: _Bones,
    tracks: Callable[[Sequence[int]], list[Track]],
    name: str,
    credit: str,
) -> Path:
    """`order`: the row of the weights that each vertex of the file has."""
    editor = GltfEditor(original.file)
    joints = editor.add_joints(bones.names, bones.parents, bones.places)
    world = original.rest_transforms()
    table = np.pad(bones.weights, ((0, 0), (0, max(0, 4 - bones.weights.shape[1]))))  # glTF has rows of four
    columns = np.argsort(-table, axis=1, kind="stable")[:, :4]
    weights = np.take_along_axis(table, columns, axis=1)
    columns = np.where(weights > 0, columns, 0)[order].astype(np.uint8)
    weights = weights[order].astype(np.float32)
    start = 0
    for node, primitives in original.mesh_nodes():
        entry = editor.json["nodes"][node]
        mesh = copy.deepcopy(original.file.entry("meshes", entry["mesh"]))
        shared: dict[int, dict[str, int]] = {}  # primitives of one mesh often share their vertices
        for number, count in primitives:
            vertices, primitive = slice(start, start + count), mesh["primitives"][number]
            start += count
            position = primitive["attributes"]["POSITION"]
            if position not in shared:
                shared[position] = editor.skin_attributes(columns[vertices], weights[vertices])
            primitive["attributes"] |= shared[position]
        entry["mesh"] = editor.append("meshes", mesh)
        binds = np.tile(np.eye(4), (len(bones.places), 1, 1))
        binds[:, :3, 3] = -bones.places
        entry["skin"] = editor.add_skin(joints, binds @ world[node], "skin")
    animated = tracks(joints)
    if animated:
        editor.animate(name, animated)
    return editor.write(path, credit)


def _tracks(joints: Sequence[int], axes: np.ndarray, motion: JointMotion) -> list[Track]:
    times = np.arange(len(motion.pelvis)) / motion.fps
    turns = axes.T @ motion.rotations[:, :NUM_JOINTS] @ axes
    tracks = [Track(joints[0], "translation", times, motion.pelvis @ axes, "LINEAR")]
    for joint, (node, parent) in enumerate(zip(joints, PARENTS)):
        local = turns[:, joint] if parent < 0 else turns[:, parent].transpose(0, 2, 1) @ turns[:, joint]
        tracks.append(
            Track(node, "rotation", times, continuous(Rotation.from_matrix(local).as_quat()), "LINEAR")
        )
    return tracks
