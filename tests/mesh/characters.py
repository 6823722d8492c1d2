"""Rigged characters in the tests' own files: named, posed and turned as other programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.body import load_body
from contrapposto.mesh.gltf_document import Document, pack_glb, top_four
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22
from tests.retarget.rigs import bone_axes

NAMES = SMPL22.joint_names
_VRM = (
    "hips leftUpperLeg rightUpperLeg spine leftLowerLeg rightLowerLeg chest leftFoot rightFoot upperChest leftToes "
    "rightToes neck leftShoulder rightShoulder head leftUpperArm rightUpperArm leftLowerArm rightLowerArm leftHand "
    "rightHand"
).split()


def write_character(
    path: Path,
    names: tuple[str, ...] = NAMES,
    *,
    vrm: str = "",
    size: float = 1.2,
    turn: float = 0.0,
    armature: float = 1.0,
    bones: str = "",
    clip: Motion | None = None,
    stocky: bool = False,
) -> Path:
    """A skinned figure of the SMPL skeleton's shape.

    Args:
        path: .glb or .vrm.
        names: of the 22 joints.
        vrm: `0` or `1`: humanoid bones are stated as VRM 0.x or 1.0 do.
        size: of the figure against the SMPL figure's.
        turn: degrees about the vertical by which the figure is turned.
        armature: scale of a node above the skeleton, as Blender writes for centimetres; joints are larger to match.
        bones: `y`: joints have y along their bones, as after an import and export with Blender; else the world's axes.
        clip: a motion on SMPL22 that the figure performs, in its own size.
        stocky: short legs, hips wide apart and large feet, as of a figure in a game.
    """
    document = Document()
    body = load_body()
    whole = Rotation.from_euler("y", turn, degrees=True)
    rest = whole.apply((stocky_places() if stocky else SMPL22.rest_positions) * size)
    vertices = whole.apply(body.rest_vertices()[0].numpy() * size).astype(np.float32)
    parents52 = body.skeleton.parents
    owner = list(range(22))
    for joint in range(22, 52):
        owner.append(owner[parents52[joint]])
    weights = np.zeros((len(vertices), 22))
    np.add.at(weights.T, owner, body.skinning.weights.numpy().T)
    joints, shares = top_four(weights)
    frames = [whole * (bone_axes(joint, bones) if bones else Rotation.identity()) for joint in range(22)]
    for joint, parent in enumerate(SMPL22.parents):
        above = frames[parent].inv() if parent >= 0 else Rotation.identity()
        offset = above.apply(rest[joint] - (rest[parent] if parent >= 0 else 0)) / armature
        children = [child for child, other in enumerate(SMPL22.parents) if other == joint]
        node: dict[str, Any] = {"name": names[joint], "translation": offset.tolist()}
        node["rotation"] = (above * frames[joint]).as_quat().tolist()
        document.nodes.append(node | ({"children": children} if children else {}))
    document.nodes.append({"name": "Armature", "scale": [armature] * 3, "children": [0]})
    document.nodes.append({"name": "body", "mesh": 0, "skin": 0})
    document.roots += [22, 23]
    faces = body.faces.numpy().astype(np.uint16)
    attributes = {
        "POSITION": document.array(vertices, 34962, bounds=True),
        "JOINTS_0": document.array(joints, 34962),
        "WEIGHTS_0": document.array(shares, 34962),
    }
    document.materials.append(
        {"name": "cloth", "pbrMetallicRoughness": {"baseColorFactor": [0.2, 0.4, 0.6, 1]}}
    )
    primitive = {"attributes": attributes, "indices": document.array(faces.ravel(), 34963), "material": 0}
    document.meshes.append({"name": "body", "primitives": [primitive]})
    binds = np.tile(np.eye(4), (22, 1, 1))
    for joint, frame in enumerate(frames):  # column-major: rows here are columns there
        binds[joint, :3, :3] = frame.as_matrix() / armature
        binds[joint, 3, :3] = -frame.inv().apply(rest[joint]) / armature
    if clip is not None:
        _perform(document, clip, frames, whole, size / armature)
    matrices = document.array(binds.astype(np.float32))
    document.skins.append({"joints": list(range(22)), "inverseBindMatrices": matrices})
    content = document.content("a licence")
    if vrm == "0":
        bones: Any = [{"bone": bone, "node": joint} for joint, bone in enumerate(_VRM)]
        content |= {"extensionsUsed": ["VRM"], "extensions": {"VRM": {"humanoid": {"humanBones": bones}}}}
    elif vrm == "1":
        bones = {bone: {"node": joint} for joint, bone in enumerate(_VRM)}
        extension = {"VRMC_vrm": {"specVersion": "1.0", "humanoid": {"humanBones": bones}}}
        content |= {"extensionsUsed": ["VRMC_vrm"], "extensions": extension}
    path.write_bytes(
        pack_glb({key: value for key, value in content.items() if value != []}, bytes(document.binary))
    )
    return path


def stocky_places() -> np.ndarray:
    """(22, 3) rest positions of such a figure, whose feet stand where SMPL's do."""
    offsets = SMPL22.offsets.astype(np.float64)
    for side in ("left", "right"):
        for part, share in (("hip", [1.7, 1, 1]), ("knee", 0.6), ("ankle", 0.6), ("foot", [1, 1, 1.4])):
            offsets[NAMES.index(f"{side}_{part}")] *= share
    places = np.zeros((22, 3))
    for joint, parent in enumerate(SMPL22.parents):
        places[joint] = offsets[joint] + (places[parent] if parent >= 0 else 0)
    ball = NAMES.index("left_foot")
    return places + np.array([0, SMPL22.rest_positions[ball, 1] - places[ball, 1], 0])


def _perform(document: Document, clip: Motion, frames: list[Rotation], whole: Rotation, scale: float) -> None:
    """Tracks of all joints: a joint's axes turn as the clip's joint does."""
    y_up = whole * Rotation.from_euler("x", -90, degrees=True)
    turned, places = (tensor.double().numpy() for tensor in clip.kinematics())
    world = [
        y_up * Rotation.from_matrix(turned[:, joint]) * whole.inv() * frame
        for joint, frame in enumerate(frames)
    ]
    times = document.array((np.arange(clip.num_frames) / clip.fps).astype(np.float32), bounds=True)
    document.track(0, "translation", times, (y_up.apply(places[:, 0]) * scale).astype(np.float32))
    for joint, parent in enumerate(SMPL22.parents):
        local = world[joint] if parent < 0 else world[parent].inv() * world[joint]
        document.track(joint, "rotation", times, local.as_quat(canonical=True).astype(np.float32))
