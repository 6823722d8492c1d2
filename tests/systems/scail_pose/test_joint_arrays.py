"""Positions of joints from text-to-motion programs: the motion has them again, or they are refused in plain words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from contrapposto.errors import InputError
from contrapposto.skeleton import SMPL22
from contrapposto.synthetic import generate
from contrapposto.systems.scail_pose.joint_arrays import joint_motions, positions_of_features

_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    """A walk, (T, 22, 3), y up."""
    clip = generate("walk", seconds=1, seed=4).to_skeleton(SMPL22).resample(20)
    return np.asarray(clip.joint_positions() @ _Y_UP.T, np.float32)


def features_of(places: np.ndarray) -> np.ndarray:
    """What HumanML3D states of positions: turn and path per frame, height of the pelvis, joints in own axes."""
    across = (places[:, 1] - places[:, 2]) + (places[:, 16] - places[:, 17])
    ahead = np.arctan2(-across[:, 2], across[:, 0])  # about y; 0 where the left is along x
    back = Rotation.from_rotvec(-ahead[:, None] * [0, 1, 0]).as_matrix()
    result = np.zeros((len(places), 263))
    result[:-1, 0] = -np.diff(np.unwrap(ahead)) / 2
    step = np.einsum("tij,tj->ti", back[1:], np.diff(places[:, 0], axis=0))
    result[:-1, 1:3] = step[:, [0, 2]]
    result[:, 3] = places[:, 0, 1]
    own = np.einsum("tij,tkj->tki", back, places[:, 1:] - places[:, :1] * [1, 0, 1])
    result[:, 4:67] = own.reshape(len(places), 63)
    return result


def test_features_are_positions_in_the_axes_of_the_first_frame(places: np.ndarray) -> None:
    turn = Rotation.from_rotvec(np.linspace(0, 1.5, len(places))[:, None] * [0, 1, 0]).as_matrix()
    curve = np.einsum("tij,tkj->tki", turn, places)
    found = positions_of_features(features_of(curve))
    assert not found[0, 0, [0, 2]].any()
    for frame in (0, 7, len(places) - 1):  # distances do not depend on where the figure begins and looks
        np.testing.assert_allclose(
            np.linalg.norm(found[frame, :, None] - found[0], axis=-1),
            np.linalg.norm(curve[frame, :, None] - curve[0], axis=-1),
            atol=1e-5,
        )


@pytest.mark.parametrize("kind", ["positions", "features", "results"])
def test_the_figure_goes_where_the_joints_go(kind: str, places: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    content = {
        "motion": places.transpose(1, 2, 0)[None],
        "lengths": np.array([len(places)]),
        "text": ["walk"],
    }
    arrays = {
        "positions": places,
        "features": features_of(places),
        "results": np.array(content, dtype=object),
    }
    np.save(path, arrays[kind], allow_pickle=True)
    (motion,) = joint_motions(path).values()
    joints = motion.to_skeleton(SMPL22).joint_positions()
    assert motion.fps == 20 and len(joints) == len(places)
    expected = (places if kind != "features" else positions_of_features(features_of(places))) @ _Y_UP
    both = [clip - clip[:, :1] for clip in (joints, expected)]
    assert (
        np.linalg.norm(both[0] - both[1], axis=-1).mean() < 0.05
    )  # metres; the figure has its own proportions


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:, :17],
        lambda x: 100 * x,
        lambda x: x * [1, -1, -1],
        lambda x: np.where(np.arange(22)[:, None] == 3, np.nan, x),
        lambda x: x[:0],
        lambda x: x + 1e9 * (np.arange(len(x)) == 3)[:, None, None],
        lambda x: x * np.where(np.arange(len(x)) == 3, 50, 1)[:, None, None],
    ],
)
def test_what_is_no_person_is_refused(
    change: Callable[[np.ndarray], np.ndarray], places: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", change(places))
    with pytest.raises(InputError):
        joint_motions(tmp_path / "a.npy")
