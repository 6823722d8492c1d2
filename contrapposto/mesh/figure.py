"""The skeleton of a rigged glTF file: its joints in a rest pose, in its world, named as a humanoid if it states so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.mesh.rig import Rig
from contrapposto.retarget import SourceSkeleton, joint_index, recognise, with_joint_map
from contrapposto.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Figure:
    """A rig as a skeleton.

    Args:
        skeleton: J joints; the rest pose is that of the skin (or of the nodes), in the file's world axes and unit.
        nodes: (J,) of the joints.
        rest: (J, 3, 3) world rotations of the nodes in that pose.
        source: which joint is which.
        index: SMPL joint to joint.
    """

    skeleton: Skeleton
    nodes: tuple[int, ...]
    rest: np.ndarray
    source: SourceSkeleton
    index: dict[str, int]


def read_figure(rig: Rig, joint_map: Mapping[str, str] | None = None, *, bind: bool = True) -> Figure:
    """The figure that the joints of a file make.

    Args:
        rig: the file.
        joint_map: its joint names to SMPL's, where they do not tell.
        bind: take the pose of the skin's bind matrices, else that of the file's nodes.

    Raises:
        InputError: no joints, or joints of no human figure.
    """
    nodes = _joints(rig)
    names = _names(rig, nodes)
    world = rig.rest_transforms()
    places = _bind_pose(rig, nodes, world) if bind else world[nodes]
    figure = _skeleton(rig, nodes, names, places)
    source = recognise(figure) if joint_map is None else with_joint_map(figure, joint_map)
    index = joint_index(figure, source)
    kept = _below(figure, set(index.values()))
    nodes, places = [nodes[joint] for joint in kept], places[kept]
    skeleton = _skeleton(rig, nodes, [figure.joint_names[joint] for joint in kept], places)
    return Figure(skeleton, tuple(nodes), rotation_of(places), source, joint_index(skeleton, source))


def humanoid_bones(document: Mapping[str, Any]) -> dict[int, str]:
    """Node to name of the humanoid bone, as VRM 0.x, 1.0 and VRM animations state it; empty for other files."""
    extensions = document.get("extensions") or {}
    bones: dict[int, str] = {}
    for entry in ((extensions.get("VRM") or {}).get("humanoid") or {}).get("humanBones") or []:
        if isinstance(entry, dict) and isinstance(entry.get("node"), int):
            bones[entry["node"]] = str(entry.get("bone"))
    stated = extensions.get("VRMC_vrm") or extensions.get("VRMC_vrm_animation") or {}
    for name, entry in ((stated.get("humanoid") or {}).get("humanBones") or {}).items():
        if isinstance(entry, dict) and isinstance(entry.get("node"), int):
            bones[entry["node"]] = str(name)
    return bones


def rotation_of(transforms: np.ndarray) -> np.ndarray:
    """(..., 3, 3) the rotations nearest to (..., 4, 4) transforms that may scale."""
    left, _, right = np.linalg.svd(transforms[..., :3, :3])
    sign = np.sign(np.linalg.det(left @ right))
    left[..., -1] *= sign[..., None]
    return np.asarray(left @ right)


def _joints(rig: Rig) -> list[int]:
    """Nodes of skins and humanoid bones, or all nodes; with those between them and their common node, parents first."""
    skins = rig.file.items("skins")
    chosen = {
        joint for number in range(len(skins)) for joint in rig.file.entry("skins", number).get("joints", [])
    }
    chosen |= set(humanoid_bones(rig.file.json))
    chosen = {node for node in chosen if isinstance(node, int) and 0 <= node < len(rig.nodes)}
    if not chosen:
        chosen = _largest_tree(rig)
    if not chosen:
        raise InputError(
            f"{rig.path} has no joints.",
            expected="a rigged figure",
            fix="make joints for a figure with its arms out: task=rig target=FILE; or pose it: task=npr_transfer",
        )
    root = _common(rig, sorted(chosen))
    if root is None:
        raise InputError(f"The joints of {rig.path} do not hang on one node.", expected="one skeleton")
    for node in list(chosen):
        while node != root:
            chosen.add(node)
            node = rig.parents[node]
    chosen.add(root)
    return [node for node in rig.order if node in chosen]


def _largest_tree(rig: Rig) -> set[int]:
    """The nodes without meshes below that root which has most of them: lamps and cameras stand apart."""
    trees: dict[int, set[int]] = {}
    for node in rig.order:
        root = node
        while rig.parents[root] >= 0:
            root = rig.parents[root]
        if "mesh" not in rig.nodes[node]:
            trees.setdefault(root, set()).add(node)
    return max(trees.values(), key=len, default=set())


def _common(rig: Rig, nodes: list[int]) -> int | None:
    shared: set[int] | None = None
    for node in nodes:
        path = set()
        while node >= 0:
            path.add(node)
            node = rig.parents[node]
        shared = path if shared is None else shared & path
    inside = shared or set()
    return next((node for node in reversed(rig.order) if node in inside), None)


def _names(rig: Rig, nodes: list[int]) -> list[str]:
    bones = humanoid_bones(rig.file.json)
    names: list[str] = []
    for node in nodes:
        name = bones.get(node) or str(rig.nodes[node].get("name", f"node{node}"))
        names.append(name if name not in names else f"{name}_{node}")
    return names


def _bind_pose(rig: Rig, nodes: list[int], world: np.ndarray) -> np.ndarray:
    """(J, 4, 4) of the joints in the pose in which the skin was bound, moved to where the nodes stand."""
    binds: dict[int, np.ndarray] = {}
    for number in range(len(rig.file.items("skins"))):
        joints = rig.file.entry("skins", number).get("joints", [])
        matrices = rig.binds(number)
        if (
            len(joints) > 1
            and not np.allclose(matrices, np.eye(4))
            and np.abs(np.linalg.det(matrices)).min() > 1e-12
        ):
            binds |= dict(zip(joints, np.linalg.inv(matrices)))
    known = [node for node in nodes if node in binds]
    if not known:
        return np.asarray(world[nodes])
    move = world[known[0]] @ np.linalg.inv(binds[known[0]])  # from the skin's space to the world
    result: dict[int, np.ndarray] = {}
    for node in nodes:
        if node in binds:
            result[node] = move @ binds[node]
        else:
            parent = rig.parents[node]
            local = np.linalg.inv(world[parent]) @ world[node] if parent >= 0 else world[node]
            result[node] = result[parent] @ local if parent in result else world[node]
    return np.stack([result[node] for node in nodes])


def _skeleton(rig: Rig, nodes: list[int], names: list[str], places: np.ndarray) -> Skeleton:
    number = {node: joint for joint, node in enumerate(nodes)}
    parents, offsets = [], []
    for joint, node in enumerate(nodes):
        above = rig.parents[node]
        while above >= 0 and above not in number:
            above = rig.parents[above]
        parent = number[above] if joint and above >= 0 else -1
        parents.append(parent)
        offsets.append(places[joint, :3, 3] - (places[parent, :3, 3] if parent >= 0 else 0))
    return Skeleton(rig.path.stem, tuple(names), tuple(parents), np.array(offsets))


def _below(skeleton: Skeleton, joints: set[int]) -> list[int]:
    """The lowest joint above all of these, and everything that hangs on it."""
    paths = []
    for joint in joints:
        path = []
        while joint >= 0:
            path.append(joint)
            joint = skeleton.parents[joint]
        paths.append(set(path))
    root = max(set.intersection(*paths))
    kept = {root}
    for joint, parent in enumerate(skeleton.parents):
        if parent in kept:
            kept.add(joint)
    return sorted(kept)
