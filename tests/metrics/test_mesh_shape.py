"""Self-intersections against trimesh's solids and brute force, volumes, and the network that tells meshes apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from contrapposto.metrics.mesh_shape import self_intersections, volume_change
from contrapposto.metrics.mesh_views import train_view_network, view_scores
from tests.mesh.shapes import bent, grid, rotation, sphere, together


def plane_crossings(vertices, faces):
    """Brute force by other means: edges cut with planes, then barycentric coordinates by least squares."""
    crossed = np.zeros(len(faces), bool)
    for one in range(len(faces)):
        for two in range(len(faces)):
            if set(faces[one]) & set(faces[two]):
                continue
            a, b, c = vertices[faces[two]]
            normal = np.cross(b - a, c - a)
            for i in range(3):
                p, q = vertices[faces[one][i]], vertices[faces[one][(i + 1) % 3]]
                heights = (p - a) @ normal, (q - a) @ normal
                if heights[0] * heights[1] >= 0:
                    continue
                spot = p + heights[0] / (heights[0] - heights[1]) * (q - p)
                weights = np.linalg.lstsq(np.stack([b - a, c - a], 1), spot - a, rcond=None)[0]
                if weights.min() > 0 and weights.sum() < 1:
                    crossed[[one, two]] = True
    return crossed


def test_crossings_are_those_of_brute_force():
    mesh = together(sphere(1), sphere(0, centre=(0.7, 0.3, 0.2)))
    vertices = mesh.vertices @ rotation(3)
    actual = self_intersections(vertices, mesh.faces)
    assert np.array_equal(actual, plane_crossings(vertices, mesh.faces)) and 4 < actual.sum() < len(actual)


def test_what_does_not_cross():
    for mesh in (sphere(2), grid(6), together(sphere(1), sphere(1, centre=(2.5, 0, 0)))):
        assert not self_intersections(mesh.vertices, mesh.faces).any()


def test_volumes_are_those_of_trimesh():
    mesh = sphere(2)
    poses = np.stack([mesh.vertices * [1, 2, 1] + 5, bent(mesh.vertices, 0.8), mesh.vertices])
    expected = [trimesh.Trimesh(pose, mesh.faces).volume for pose in poses]
    rest = trimesh.Trimesh(mesh.vertices, mesh.faces).volume
    assert np.allclose(
        volume_change(poses, mesh.vertices, mesh.faces), np.array(expected) / rest - 1, atol=1e-9
    )
    assert volume_change(poses, mesh.vertices, mesh.faces)[0] == pytest.approx(1, abs=1e-9)


def discs(count, wide, generator):
    """Pictures of ellipses at random places: two 'identities' differ in their shape."""
    y, x = np.mgrid[:32, :32]
    places = generator.uniform(14, 18, (count, 2))
    size = (10, 4) if wide else (4, 10)
    inside = ((x - places[:, :1, None]) / size[0]) ** 2 + ((y - places[:, 1:, None]) / size[1]) ** 2 < 1
    return (200 * inside).astype(np.uint8)


def test_pictures_of_the_same_kind_are_near_and_of_another_far():
    generator = np.random.default_rng(0)
    images = np.concatenate([discs(40, wide, generator) for wide in (False, True)])
    network = train_view_network(images, np.repeat([0, 1], 40), steps=40)
    true = discs(30, True, generator)
    same = view_scores(network, discs(30, True, generator), true, 1)
    other = view_scores(network, discs(30, False, generator), true, 1)
    assert same.accuracy == 1 and other.accuracy == 0 and same.true_accuracy == 1
    assert same.fid < 0.2 * other.fid and same.kid < 0.2 * other.kid
    again = train_view_network(images, np.repeat([0, 1], 40), steps=2)
    once_more = train_view_network(images, np.repeat([0, 1], 40), steps=2)
    assert torch.equal(again.head.weight, once_more.head.weight)
