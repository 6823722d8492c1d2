"""Motion of the human figure as poses of its skinned body, in the frame that NPR is trained in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree

from contrapposto.body import BodyModel, load_body, named_shapes
from contrapposto.errors import InputError
from contrapposto.mesh.asset import MeshAsset
from contrapposto.motion import Motion

_Z_UP_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
_NEAR = 1e-4  # metres: a template whose vertices are nearer than this to the body's is that body
_CHUNK = 32


@dataclass(frozen=True, eq=False)
class FigurePoses:
    """Poses of a body without their turn and place in the world, and these. Axes: y up, the rest pose faces z.

    Args:
        mesh: the template.
        vertices: (T, V, 3) metres.
        rotations: (T, 3, 3) of the figure as a whole.
        means: (T, 3) place of the mean vertex; the figure starts over the template, the floor lies under its feet.
        world: (T, V, 3) vertices with both.
    """

    mesh: MeshAsset
    vertices: np.ndarray
    rotations: np.ndarray
    means: np.ndarray
    world: np.ndarray


def figure_poses(
    motion: Motion, template: MeshAsset | None = None, body: BodyModel | None = None
) -> FigurePoses:
    """Pose a body by a clip.

    Args:
        motion: of the SMPL family.
        template: the body, with all its vertices or some of them, in one of the shipped shapes; None: all of the
            average one.
        body: None: the shipped one.

    Raises:
        InputError: the template is not that body.
    """
    body = load_body() if body is None else body
    motion = motion.to_skeleton(body.skeleton)
    if template is None:
        betas, chosen = torch.zeros(1), np.arange(len(body.v_template))
        rest = body.rest_vertices()[0].double().numpy()
        template = MeshAsset(rest, body.faces.cpu().numpy(), name="figure")
    else:
        betas, chosen = _recognised(template, body)
    turned = motion.local_matrices().float()
    still = turned.clone()
    still[:, 0] = torch.eye(3)
    with torch.no_grad():
        parts = [body(part, None, betas).vertices[:, chosen] for part in still.split(_CHUNK)]
        root = body.rest_joints(betas)[0, 0].double().numpy()
    vertices = torch.cat(parts).double().numpy()
    rotations = _Z_UP_TO_Y_UP @ turned[:, 0].double().numpy()
    places = (root + motion.root_translation.astype(np.float64)) @ _Z_UP_TO_Y_UP.T
    world = (vertices - root) @ rotations.transpose(0, 2, 1) + places[:, None]
    shift = template.vertices.mean(axis=0) - world[0].mean(axis=0)
    shift[1] = template.vertices[:, 1].min()  # the floor is at height 0 of the world
    world = world + shift
    return FigurePoses(template, vertices, rotations, world.mean(axis=1), world)


def whole_body(template: MeshAsset) -> MeshAsset | None:
    """The shipped body with all of its vertices, in the shape of a template that has some; None: another mesh."""
    body = load_body()
    try:
        betas = _recognised(template, body)[0]
    except InputError:
        return None
    vertices = body.rest_vertices(betas[None])[0].double().numpy()
    return MeshAsset(vertices, body.faces.cpu().numpy(), name=template.name)


def _recognised(template: MeshAsset, body: BodyModel) -> tuple[torch.Tensor, np.ndarray]:
    """Shape coefficients, and the body's vertex that each of the template's is."""
    shapes = {"average": np.zeros(1), **named_shapes()}
    for betas in shapes.values():
        coefficients = torch.as_tensor(np.asarray(betas, np.float32))
        rest = body.rest_vertices(coefficients[None])[0].double().numpy()
        distance, index = cKDTree(rest).query(template.vertices)
        if distance.max() < _NEAR:
            return coefficients, index
    raise InputError(
        "The source of this network is not the shipped body, so motion cannot be put on it.",
        found=f"a mesh of {len(template.vertices)} vertices",
        expected=f"a body in one of the shapes {', '.join(shapes)}",
        fix="give poses of that mesh: a folder of meshes or an animated GLB",
    )
