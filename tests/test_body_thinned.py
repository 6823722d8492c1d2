"""The shipped body with fewer vertices: those that stay move as before, the mesh is closed, and it looks the same."""

import numpy as np
import torch
import trimesh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from contrapposto.body import BodyModel, load_body
from contrapposto.body.thinned import thinned
from contrapposto.render import Camera, Mesh, Scene, render


def test_vertices_that_stay_move_with_the_whole_body():
    whole = load_body()
    few = thinned(whole)
    assert few.num_vertices < 0.4 * whole.num_vertices
    distances, kept = cKDTree(whole.v_template.numpy()).query(few.v_template.numpy())
    assert distances.max() == 0 and len(set(kept.tolist())) == few.num_vertices
    random = np.random.default_rng(4)
    turns = Rotation.from_rotvec(random.normal(0, 0.4, (2 * 52, 3))).as_matrix().reshape(2, 52, 3, 3)
    betas = torch.from_numpy(random.normal(0, 1, 16)).float()
    pose = torch.from_numpy(turns).float(), torch.tensor([[0.1, 0.2, 0.3], [1.0, 0.0, 0.0]]), betas
    expected, actual = whole(*pose), few(*pose)
    np.testing.assert_allclose(actual.vertices, expected.vertices[:, kept], atol=1e-5)
    np.testing.assert_array_equal(actual.joints, expected.joints)


def test_it_is_closed_and_looks_the_same():
    whole = load_body()
    meshes = [Mesh(body.v_template.numpy(), body.faces.numpy()) for body in (whole, thinned(whole))]
    assert trimesh.Trimesh(meshes[1].vertices, meshes[1].faces, process=False).is_watertight
    for eye in ((1.5, -4.5, 0.5), (-3.0, 3.5, 1.0)):
        camera = Camera.look_at(eye, (0, 0, -0.2), fov_degrees=28, size=(384, 384))
        images = [render(Scene([mesh]), camera) for mesh in meshes]
        error = ((images[0].color.astype(float) - images[1].color) ** 2).mean()
        assert 10 * np.log10(255**2 / error) > 38
        assert (images[0].mask ^ images[1].mask).mean() < 0.002


def test_other_bodies_stay_whole():
    body = BodyModel.from_arrays(
        {
            "v_template": np.eye(4, 3),
            "f": np.array([[0, 1, 2]]),
            "shapedirs": np.zeros((4, 3, 1)),
            "J_regressor": np.full((2, 4), 0.25),
            "weights": np.full((4, 2), 0.5),
            "kintree_table": np.array([[-1, 0], [0, 1]]),
        }
    )
    assert thinned(body) is body
