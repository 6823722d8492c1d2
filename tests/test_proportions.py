"""Bodies of unusual proportions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrapposto.body import BodyModel, load_body
from contrapposto.body.proportions import RANGES, proportioned, random_proportions


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


def index(body: BodyModel, name: str) -> int:
    return body.skeleton.joint_names.index(name)


def distance(body: BodyModel, first: str, second: str) -> float:
    """Between two joints of the rest pose, metres."""
    joints = body.rest_joints()[0]
    return float((joints[index(body, first)] - joints[index(body, second)]).norm())


def test_factors_of_one_change_nothing(body: BodyModel) -> None:
    same = proportioned(body, dict.fromkeys(RANGES, 1.0))
    assert torch.allclose(same.rest_vertices(), body.rest_vertices(), atol=1e-6)
    assert torch.allclose(same.rest_joints(), body.rest_joints(), atol=1e-6)


def test_parts_grow_and_bones_with_them(body: BodyModel) -> None:
    odd = proportioned(body, {"head": 2.0, "legs": 0.5, "girth": 1.5})
    for first, second, factor in (
        ("left_hip", "left_knee", 0.5),
        ("left_knee", "left_ankle", 0.5),
        ("left_shoulder", "left_elbow", 1.0),
        ("neck", "head", 2.0),
    ):
        wanted = factor * distance(body, first, second)
        assert distance(odd, first, second) == pytest.approx(wanted, rel=1e-4)
    # What hangs on the head alone is twice as large about it, and a thigh's middle is half as wide again.
    weights = body.skinning.weights
    only = (weights[:, index(body, "head")] > 0.999).nonzero().flatten()
    for before, after in zip(
        np.ptp(body.v_template[only].numpy(), 0), np.ptp(odd.v_template[only].numpy(), 0)
    ):
        assert after == pytest.approx(2 * before, rel=1e-3)
    thigh = (weights[:, index(body, "left_hip")] > 0.999).nonzero().flatten()
    widths = [float(np.ptp(which.v_template[thigh].numpy()[:, 2])) for which in (body, odd)]
    assert widths[1] / widths[0] == pytest.approx(1.5, rel=0.1)


def test_posing_turns_about_the_new_joints(body: BodyModel) -> None:
    """The bent knee's vertices keep their distance from the moved knee."""
    odd = proportioned(body, {"legs": 0.6, "girth": 1.3}, torch.randn(body.num_betas))
    turns = torch.eye(3).repeat(1, odd.skeleton.num_joints, 1, 1)
    knee = index(odd, "left_knee")
    turns[0, knee] = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    posed = odd(turns, None)
    shin = (odd.skinning.weights[:, knee] > 0.999).nonzero().flatten()
    before = (odd.rest_vertices()[0, shin] - odd.rest_joints()[0, knee]).norm(dim=1)
    after = (posed.vertices[0, shin] - posed.joints[0, knee]).norm(dim=1)
    assert len(shin) > 50 and torch.allclose(before, after, atol=1e-5)
    assert not torch.allclose(posed.vertices[0, shin], odd.rest_vertices()[0, shin], atol=0.05)


def test_unknown_parts_are_named(body: BodyModel) -> None:
    with pytest.raises(KeyError, match="nose"):
        proportioned(body, {"nose": 3.0})
    assert set(random_proportions(np.random.default_rng(0))) == set(RANGES)
