"""Write clips as skinned, animated GLB (glTF 2.0 binary): opens in Blender, three.js, game engines, phones.

glTF is y up, metres, column-major matrices, quaternions xyzw (Khronos glTF 2.0 specification, sections 3.4 to 3.11).
The mesh and the joints lie in the body's rest frame, which is y up too; only the root's track is turned from our z up.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.colors import linear_of_srgb
from contrapposto.mesh.gltf_document import INDEX_DATA, VERTEX_DATA, Document, top_four, vertex_normals
from contrapposto.mesh.gltf_write import split_seams
from contrapposto.motion import Motion
from contrapposto.retarget.names import written_name

if TYPE_CHECKING:
    from contrapposto.body import BodyModel

_COLORS = ((0.17, 0.34, 0.60), (0.78, 0.28, 0.14), (0.25, 0.47, 0.28), (0.47, 0.30, 0.58))  # linear RGB
_Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)  # z-up coordinates to y-up ones


def write_glb(
    path: str | Path,
    motion: Motion | Mapping[str, Motion],
    body: BodyModel | None = None,
    fps: float | None = None,
    colors: np.ndarray | None = None,
    names: str = "smplh",
    texture: MeshAsset | None = None,
) -> Path:
    """Write one clip, or several as figures that move in the same space at the same time.

    Args:
        path: the .glb file.
        motion: a clip on a skeleton of the SMPL family, or clips by the names of their figures.
        body: the mesh; the shipped body where absent. A clip's own betas are used as in `motion_vertices`.
        fps: key frames per second; each clip's own rate where absent.
        colors: (V, 3) uint8 sRGB of the body's vertices, in place of one colour for each figure.
        names: of the joints: `smplh` (ours), `smpl` (L_Hip), `mixamo` or `vrm`.
        texture: the body's surface with an image on it (`contrapposto.mesh.painted`), in place of colours.

    Returns:
        The path.

    Raises:
        InputError: no clip, a skeleton that is not of the SMPL family, or a file that cannot be written.
    """
    from contrapposto.body import load_body

    clips = {"figure": motion} if isinstance(motion, Motion) else dict(motion)
    if not clips:
        raise InputError(
            "There is no clip to write.", found="an empty mapping", expected="at least one Motion"
        )
    body = body or load_body()
    document = Document()
    for name, clip in clips.items():
        _add_figure(document, name, clip if fps is None else clip.resample(fps), body, colors, texture)
    for node in document.nodes:
        if node.get("name") in body.skeleton.joint_names:
            node["name"] = written_name(str(node["name"]), names)
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.write_bytes(document.encode(_credits(clips)))
    return path


def _add_figure(
    document: Document,
    name: str,
    clip: Motion,
    body: BodyModel,
    colors: np.ndarray | None,
    texture: MeshAsset | None,
) -> None:
    from contrapposto.body import clip_betas

    betas = torch.from_numpy(clip_betas(body, clip))
    clip = clip.to_skeleton(body.skeleton)
    rest = body.rest_joints(betas)[0].cpu().numpy()
    vertices = body.rest_vertices(betas)[0].cpu().numpy()
    first = _add_joints(document, body, rest)
    _add_mesh(document, name, body, vertices, colors, texture)
    inverse_binds = np.tile(np.eye(4, dtype=np.float32), (len(rest), 1, 1))
    inverse_binds[:, 3, :3] = -rest  # column-major: the translation stands in the last row
    document.skins.append(
        {
            "name": name,
            "skeleton": first,
            "joints": list(range(first, first + len(rest))),
            "inverseBindMatrices": document.array(inverse_binds),
        }
    )
    # The mesh's node stands at the top: glTF ignores the transforms above a skinned mesh.
    mesh = {"name": name, "mesh": len(document.meshes) - 1, "skin": len(document.skins) - 1}
    document.nodes += [{"name": f"{name} joints", "children": [first]}, mesh]
    document.roots += [len(document.nodes) - 2, len(document.nodes) - 1]
    _animate(document, clip, first, rest)


def _add_joints(document: Document, body: BodyModel, rest: np.ndarray) -> int:
    """Append the joint nodes in their order; returns the root's number."""
    first, parents = len(document.nodes), body.skeleton.parents
    for joint, parent in enumerate(parents):
        offset = rest[joint] - (rest[parent] if parent >= 0 else 0)
        node: dict[str, Any] = {"name": body.skeleton.joint_names[joint], "translation": offset.tolist()}
        children = [first + child for child, above in enumerate(parents) if above == joint]
        document.nodes.append(node | ({"children": children} if children else {}))
    return first


def _add_mesh(
    document: Document,
    name: str,
    body: BodyModel,
    vertices: np.ndarray,
    colors: np.ndarray | None,
    texture: MeshAsset | None,
) -> None:
    faces = body.faces.cpu().numpy()
    joints, weights = top_four(body.skinning.weights.cpu().numpy())
    normals = vertex_normals(vertices, faces)
    sources, coordinates = np.arange(len(vertices)), None
    if texture is not None:
        sources, faces, coordinates = split_seams(texture)
    index_type = np.uint16 if len(sources) < 65535 else np.uint32
    attributes = {
        "POSITION": document.array(vertices[sources], VERTEX_DATA, bounds=True),
        "NORMAL": document.array(normals[sources], VERTEX_DATA),
        "JOINTS_0": document.array(joints[sources], VERTEX_DATA),
        "WEIGHTS_0": document.array(weights[sources], VERTEX_DATA),
    }
    color = _COLORS[len(document.materials) % len(_COLORS)]
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 0.65}
    if texture is not None and coordinates is not None and texture.materials[0].texture is not None:
        flipped = (coordinates * [1.0, -1.0] + [0.0, 1.0]).astype(np.float32)  # glTF counts from the top
        attributes["TEXCOORD_0"] = document.array(flipped, VERTEX_DATA)
        surface["baseColorTexture"] = {"index": document.image(texture.materials[0].texture)}
        color = (1.0, 1.0, 1.0)
    elif colors is not None:
        shades = linear_of_srgb(colors[sources] / 255).astype(np.float32)
        attributes["COLOR_0"] = document.array(shades, VERTEX_DATA)
        color = (1.0, 1.0, 1.0)
    surface["baseColorFactor"] = [*color, 1.0]
    document.materials.append({"name": name, "pbrMetallicRoughness": surface, "doubleSided": True})
    indices = document.array(faces.astype(index_type).ravel(), INDEX_DATA)
    primitive = {"attributes": attributes, "indices": indices, "material": len(document.materials) - 1}
    document.meshes.append({"name": body.name, "primitives": [primitive]})


def _animate(document: Document, clip: Motion, first: int, rest: np.ndarray) -> None:
    """Tracks of the root's place and of every joint that turns; the others keep one rotation."""
    times = document.array((np.arange(clip.num_frames) / clip.fps).astype(np.float32), bounds=True)
    matrices = clip.local_matrices()
    matrices[:, 0] = torch.from_numpy(_Y_UP) @ matrices[:, 0]
    quaternions = continuous(rot.matrix_to_quaternion(matrices).numpy())
    quaternions = np.roll(quaternions, -1, axis=-1).astype(np.float32)  # glTF stores the real part last
    document.track(first, "translation", times, (clip.root_translation + rest[0]) @ _Y_UP.T)
    for joint in range(quaternions.shape[1]):
        track = quaternions[:, joint]
        if np.abs(track - track[0]).max() > 1e-6:
            document.track(first + joint, "rotation", times, track)
        else:
            document.nodes[first + joint]["rotation"] = track[0].tolist()


def continuous(quaternions: np.ndarray) -> np.ndarray:
    """(F, ..., 4) quaternions with signs such that neighbours in time lie in the same half of the sphere."""
    flips = np.where((quaternions[1:] * quaternions[:-1]).sum(-1) < 0, -1.0, 1.0)
    signs = np.concatenate([np.ones_like(flips[:1]), np.cumprod(flips, axis=0)]) if len(flips) else 1.0
    return quaternions * np.asarray(signs)[..., None]


def _credits(clips: Mapping[str, Motion]) -> str:
    """Licences and attributions of the clips, which must travel with what is made of them."""
    return "; ".join(dict.fromkeys(line for clip in clips.values() for line in clip.credits))
