"""Bones fitted to vertex tracks, against skinned meshes whose bones are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from contrapposto.mesh import MeshAsset, RiggedMesh
from contrapposto.systems.npr.decomposition import fit_rig
from contrapposto.systems.npr.rigged_files import write_fitted


def bent_rod(count: int = 300, frames: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A rod along x whose far half turns about z, with weights that change smoothly around the middle."""
    rest = np.random.default_rng(0).uniform([-1, -0.1, -0.1], [1, 0.1, 0.1], (count, 3))
    share = np.clip((rest[:, 0] + 0.2) / 0.4, 0, 1)[:, None]
    turns = Rotation.from_rotvec(np.outer(np.linspace(0, 1.2, frames), [0, 0, 1])).as_matrix()
    drift = np.linspace([0, 0, 0], [0.3, 0.1, -0.2], frames)
    return rest, (1 - share) * rest + share * (rest @ turns.swapaxes(1, 2)) + drift[:, None]


def test_the_bones_of_a_skinned_mesh_are_found():
    rest, frames = bent_rod()
    rig = fit_rig(rest, frames, bones=2, rounds=20)
    assert rig.weights.shape == (300, 2) and rig.error < 2e-3
    np.testing.assert_allclose(rig.weights.sum(1), 1, atol=1e-9)
    away = np.sqrt(np.square(rig.pose(rest) - frames).sum(-1).mean()) / np.ptp(rest, axis=0).max()
    assert abs(away - rig.error) < 1e-9
    # each half hangs on a bone of its own
    near, far = rig.weights[rest[:, 0] < -0.5], rig.weights[rest[:, 0] > 0.5]
    assert near.mean(0).argmax() != far.mean(0).argmax() and near.max(1).mean() > 0.95


def test_one_rigid_motion_needs_one_bone():
    rest, _ = bent_rod()
    frames = rest @ Rotation.from_euler("xyz", [0.3, 1.0, 2.0]).as_matrix().T + [1.0, 2.0, 3.0]
    rig = fit_rig(rest, np.stack([rest, frames]), bones=8)
    assert rig.weights.shape == (300, 1) and rig.worst < 1e-9


def test_weights_have_at_most_four_bones():
    generator = np.random.default_rng(1)
    rest = generator.normal(size=(200, 3))
    rig = fit_rig(
        rest, rest + 0.1 * np.cumsum(generator.normal(size=(5, 200, 3)), axis=0), bones=10, rounds=2
    )
    assert (rig.weights > 0).sum(1).max() <= 4 and (rig.weights >= 0).all()


def test_the_rigged_file_shows_the_poses(tmp_path):
    rest, frames = bent_rod()
    faces = np.random.default_rng(2).permutation(300).reshape(100, 3)
    mesh = MeshAsset(rest, faces)
    rig = fit_rig(rest, frames, bones=2, rounds=20)
    written = RiggedMesh(write_fitted(tmp_path / "rod.glb", mesh, None, rig, 10.0, name="bend"))
    assert list(written.clips) == ["bend"] and written.clips["bend"] == pytest.approx(1.1)
    posed = written.posed_by(written.tracks["bend"], np.arange(12) / 10.0)
    # the file has its vertices in an order of its own: compare by the place at rest
    order = np.linalg.norm(written.mesh.vertices[:, None] - rest, axis=-1).argmin(axis=1)
    np.testing.assert_allclose(posed, rig.pose(rest)[:, order], atol=1e-5)


def test_vertices_that_move_at_random_come_to_an_end():
    """Whatever group is split off there is absorbed again, so that there are never 24."""
    generator = np.random.default_rng(0)
    rest = generator.standard_normal((30, 3))
    rig = fit_rig(rest, rest + 0.3 * generator.standard_normal((6, 30, 3)))
    assert rig.weights.shape[1] < 24
    np.testing.assert_allclose(rig.weights.sum(axis=1), 1)
