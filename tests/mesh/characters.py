"""Rigged characters in the tests' own files: named, posed and turned as other programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.body import load_body
from contrapposto.mesh.gltf_document import Document, pack_glb, top_four
from contrapposto.skeleton import SMPL22

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
) -> Path:
    """A skinned figure of the SMPL skeleton's shape.

    Args:
        path: .glb or .vrm.
        names: of the 22 joints.
        vrm: `0` or `1`: humanoid bones are stated as VRM 0.x or 1.0 do.
        size: of the figure against the SMPL figure's.
        turn: degrees about the vertical by which the figure is turned.
        armature: scale of a node above the skeleton, as Blender writes for centimetres; joints are larger to match.
    """
    document = Document()
    body = load_body()
    whole = Rotation.from_euler("y", turn, degrees=True)
    rest = whole.apply(SMPL22.rest_positions * size)
    vertices = whole.apply(body.rest_vertices()[0].numpy() * size).astype(np.float32)
    parents52 = body.skeleton.parents
    owner = list(range(22))
    for joint in range(22, 52):
        owner.append(owner[parents52[joint]])
    weights = np.zeros((len(vertices), 22))
    np.add.at(weights.T, owner, body.skinning.weights.numpy().T)
    joints, shares = top_four(weights)
    for joint, parent in enumerate(SMPL22.parents):
        offset = (rest[joint] - (rest[parent] if parent >= 0 else 0)) / armature
        children = [child for child, above in enumerate(SMPL22.parents) if above == joint]
        node: dict[str, Any] = {"name": names[joint], "translation": offset.tolist()}
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
    binds[:, :3, :3] /= armature
    binds[:, 3, :3] = -rest / armature
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
