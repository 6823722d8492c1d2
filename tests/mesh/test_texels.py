"""Pixels of textures and the places of surfaces that they show."""

import numpy as np

from contrapposto.body import load_body
from contrapposto.body.texture_layout import texture_layout
from contrapposto.mesh.texels import paint, texels


def test_pixels_show_the_place_that_lies_under_them():
    """A square of two triangles that fills the lower left quarter: coordinates are the place itself."""
    coordinates = np.array([[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    pixels, owner, shares = texels(coordinates, faces, 64)
    place = np.einsum("pc,pcd->pd", shares, coordinates[faces[owner]])
    centres = np.stack([(pixels[:, 1] + 0.5) / 64, 1 - (pixels[:, 0] + 0.5) / 64], axis=1)
    inside = (centres < 0.5).all(1)
    assert inside.sum() == 32 * 32
    np.testing.assert_allclose(place[inside], centres[inside], atol=1e-6)
    across = np.abs(centres[:, 0] - centres[:, 1]) > 1 / 64
    assert ((owner == 1) == (centres[:, 1] > centres[:, 0]))[inside & across].all()


def test_empty_pixels_take_the_nearest_colour():
    image = paint(np.array([[255, 0, 0], [0, 0, 255]], np.uint8), np.array([[1, 1], [1, 6]]), 8)
    assert (image[:, :3] == [255, 0, 0]).all() and (image[:, 5:] == [0, 0, 255]).all()


def test_the_layout_belongs_to_the_body():
    """Faces that share an edge share it in the texture too, except at the seams; no face is turned over."""
    coordinates, layout = texture_layout()
    faces = load_body("smpl").faces.numpy()
    assert layout.shape == faces.shape and coordinates.min() > 0 and coordinates.max() < 1
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    textured = np.concatenate([layout[:, [0, 1]], layout[:, [1, 2]], layout[:, [2, 0]]])
    order = np.argsort(edges, axis=1)
    edges, textured = (np.take_along_axis(pairs, order, 1) for pairs in (edges, textured))
    _, inverse = np.unique(edges, axis=0, return_inverse=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    first, second = textured[order[0::2]], textured[order[1::2]]
    assert (first == second).all(1).mean() > 0.94
    a, b, c = np.moveaxis(coordinates[layout], 1, 0)
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert (area > 0).mean() > 0.98
