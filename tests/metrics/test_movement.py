"""Movement kept and sliding feet, on motions with known movements."""

import math

import pytest
import torch

from contrapposto.metrics import FootSlide, MovementKept
from contrapposto.metrics.movement import movements


def turning(degrees, frames=31):
    """Root rotations (1, T, 3, 3) whose left side turns by so many degrees about y."""
    angle = torch.linspace(0.3, 0.3 + math.radians(degrees), frames)
    c, s, o = angle.cos(), angle.sin(), torch.zeros(frames)
    return torch.stack([c, o, -s, o, o + 1, o, s, o, c], -1).view(1, frames, 3, 3)


def going(x=0.0, y=0.0, z=0.0, frames=31):
    return torch.linspace(0, 1, frames)[None, :, None] * torch.tensor([x, y, z])


def test_turns_beyond_half_a_turn_are_counted_whole():
    lengths = torch.tensor([31])
    for degrees in (90, -200, 700):
        assert float(movements(turning(degrees), going(), lengths)["turn"]) == pytest.approx(
            degrees, abs=0.01
        )
    assert float(movements(turning(90), going(), torch.tensor([16]))["turn"]) == pytest.approx(45, abs=0.01)


def test_ahead_and_side_are_seen_from_the_first_frame():
    lengths = torch.tensor([31])
    still = torch.eye(3).expand(1, 31, 3, 3)
    actual = movements(still, going(z=-2.0), lengths)
    assert float(actual["ahead"]) == pytest.approx(2) and float(actual["side"]) == pytest.approx(0)
    actual = movements(turning(0), going(x=math.sin(0.3), z=-math.cos(0.3)), lengths)
    assert float(actual["ahead"]) == pytest.approx(1, abs=1e-5) and float(actual["side"]) == pytest.approx(
        0, abs=1e-5
    )
    assert float(movements(still, going(x=0.7), lengths)["side"]) == pytest.approx(0.7)


def joints(position):
    return position[:, :, None].expand(-1, -1, 2, -1)


def test_the_slope_is_that_of_large_movements_only():
    metric = MovementKept("turn")
    for true, pred in ((90, 45), (-120, -60), (10, 500)):
        metric.update(
            turning(pred)[:, :, None],
            joints(going()),
            turning(true)[:, :, None],
            joints(going()),
            torch.tensor([31]),
        )
    assert float(metric.compute()) == pytest.approx(0.5, abs=1e-4)
    assert math.isnan(float(MovementKept("back").compute()))
    with pytest.raises(ValueError, match="kind"):
        MovementKept("up")


def test_drops_and_backward_steps():
    still = torch.eye(3).expand(1, 31, 1, 3, 3)
    for kind, true, pred in (("back", going(z=1.0), going(z=0.25)), ("drop", going(y=0.4), going(y=0.1))):
        metric = MovementKept(kind)
        metric.update(still, joints(pred), still, joints(true), torch.tensor([31]))
        assert float(metric.compute()) == pytest.approx(0.25, abs=1e-4)


def test_foot_slide_is_the_speed_where_the_true_foot_stands():
    true = torch.zeros(1, 31, 1, 3)
    true[0, 16:, 0, 0] = torch.linspace(0, 3, 15)  # moves in the second half
    pred = torch.zeros(1, 31, 1, 3)
    pred[0, :, 0, 2] = torch.arange(31) * 0.01
    metric = FootSlide(feet=[0])
    metric.update(pred, true, 30.0, torch.tensor([31]))
    assert float(metric.compute()) == pytest.approx(30, abs=1e-3)
