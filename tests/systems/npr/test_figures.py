"""Motion as poses of the body: against the body's own vertices in the world."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrapposto.body import load_body, motion_vertices, named_shapes
from contrapposto.errors import InputError
from contrapposto.mesh import MeshAsset
from contrapposto.synthetic import generate
from contrapposto.systems.npr.body_poses import figure_poses, whole_body
from tests.mesh.shapes import sphere


def test_poses_with_turn_and_place_are_the_body_in_the_world():
    motion = generate("walk", seconds=1.0, seed=0).resample(5)
    posed = figure_poses(motion)
    world = motion_vertices(load_body(), motion) @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # y up
    shift = posed.world[0] - world[0]
    assert np.ptp(shift, axis=0).max() < 1e-5  # the same but for where it starts
    assert np.abs(posed.world - world - shift[0]).max() < 1e-5
    assert shift[0, 1] == pytest.approx(posed.mesh.vertices[:, 1].min(), abs=1e-6)
    centred = posed.vertices - posed.vertices.mean(axis=1, keepdims=True)
    back = centred @ posed.rotations.transpose(0, 2, 1) + posed.means[:, None]
    assert np.abs(back - posed.world).max() < 1e-6


def test_a_part_of_the_body_is_recognised_and_a_stranger_is_not():
    motion = generate("walk", seconds=0.5, seed=0).resample(5)
    whole = figure_poses(motion)
    used = np.arange(0, len(whole.mesh.vertices), 7)
    some = MeshAsset(whole.mesh.vertices[used], np.array([[0, 1, 2]]))
    part = figure_poses(motion, some)
    assert np.abs(part.vertices - whole.vertices[:, used]).max() < 1e-6
    with pytest.raises(InputError, match="not the shipped body"):
        figure_poses(motion, sphere(2))


def test_the_whole_body_comes_back_from_a_part_of_it():
    body = load_body()
    heavy = body.rest_vertices(torch.as_tensor(named_shapes()["heavy"][None]).float())[0].double().numpy()
    some = MeshAsset(heavy[::29], np.array([[0, 1, 2]]))
    whole = whole_body(some)
    assert whole is not None and np.array_equal(whole.faces, body.faces.numpy())
    assert np.abs(whole.vertices - heavy).max() < 1e-6
    assert whole_body(sphere(2)) is None
