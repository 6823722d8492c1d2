"""People of a video: matches, switches and errors counted by hand, distances by SciPy."""

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes

from contrapposto.metrics import NamedMeans, PeopleInVideo
from contrapposto.metrics.people import match_people


def crowd(places, frames=6, joints=4, seed=0):
    """(T, N, J, 3) metres of stiff figures that stand at (x, z)."""
    shape = np.random.default_rng(seed).normal(0, 0.2, (joints, 3))
    shape[0] = 0
    spots = np.array([[x, 0, z] for x, z in places])
    return torch.from_numpy(np.broadcast_to(spots[:, None] + shape, (frames, len(places), joints, 3)).copy())


def values(pred, true, in_view=None, fps=10.0):
    metric = PeopleInVideo()
    everybody = torch.ones(true.shape[:2], dtype=torch.bool)
    metric.update(pred, true, everybody if in_view is None else in_view, fps)
    return {name: float(value) for name, value in metric.compute().items()}


def test_the_truth_itself():
    true = crowd([(-1, 4), (1, 5)])
    found = values(true.clone(), true)
    for name in ("mpjpe", "pa_mpjpe", "root", "false", "switches", "jitter", "true_jitter"):
        assert found[name] == pytest.approx(0, abs=1e-6), name
    assert found["pck"] == found["found"] == 100


def test_numbers_that_change_places_are_switches():
    true = crowd([(-1, 4), (1, 4)])
    pred = true.clone()
    pred[3:] = pred[3:].flip(1)
    assert match_people(pred, true).tolist() == [[0, 1]] * 3 + [[1, 0]] * 3
    assert values(pred, true)["switches"] == 2 and values(pred, true)["mpjpe"] == pytest.approx(0, abs=1e-6)


def test_a_match_is_kept_while_it_is_near():
    """Somebody else may come nearer for a moment."""
    true = crowd([(0, 4)])
    pred = torch.cat([true + torch.tensor([0.2, 0, 0]), true + torch.tensor([9.0, 0, 0])], dim=1)
    pred[3, 1] = true[3, 0]
    assert match_people(pred, true)[:, 0].tolist() == [0] * 6


def test_who_comes_back_under_another_number_is_one_switch():
    true = crowd([(0, 4)], frames=5)
    pred = torch.full((5, 2, 4, 3), torch.nan, dtype=torch.float64)
    pred[:2, 0], pred[3:, 1] = true[:2, 0], true[3:, 0]
    found = values(pred, true)
    assert found["switches"] == 1 and found["found"] == 80 and found["pck"] == 80 and found["false"] == 0


def test_nobody_found_and_people_who_are_not_there():
    true = crowd([(0, 4)])
    far = true + torch.tensor([5.0, 0, 0])
    found = values(far, true)
    assert found["found"] == found["pck"] == found["switches"] == 0 and found["false"] == 100
    assert np.isnan(found["mpjpe"])
    assert values(far[:, :0], true)["found"] == 0


def test_who_is_out_of_view_does_not_count():
    true = crowd([(0, 4), (3, 4)])
    in_view = torch.ones(6, 2, dtype=torch.bool)
    in_view[:, 1] = False
    found = values(true[:, :1], true, in_view)
    assert found["found"] == found["pck"] == 100
    found = values(true.clone(), true, in_view)  # and may be found all the same
    assert found["found"] == 100 and found["false"] == 0


def test_errors_against_scipy():
    generator = np.random.default_rng(3)
    true = torch.from_numpy(generator.normal([0, 0, 4], 0.3, (5, 1, 8, 3)))
    pred = true + torch.from_numpy(generator.normal(0, 0.05, true.shape)) + torch.tensor([0.1, 0, 0.3])
    found = values(pred, true)
    a, b = (v[:, 0].numpy() - v[:, 0, :1].numpy() for v in (pred, true))
    apart = np.linalg.norm(a - b, axis=-1)
    assert found["mpjpe"] == pytest.approx(100 * apart.mean())
    assert found["pck"] == pytest.approx(100 * (apart <= 0.15).mean())
    assert found["root"] == pytest.approx(100 * np.linalg.norm((pred - true)[:, 0, 0], axis=-1).mean())
    aligned = []
    for one, other in zip(pred[:, 0].numpy(), true[:, 0].numpy()):
        first, second, _ = procrustes(other, one)
        aligned.append(np.linalg.norm(first - second, axis=-1) * np.linalg.norm(other - other.mean(0)))
    assert found["pa_mpjpe"] == pytest.approx(100 * np.mean(aligned), rel=1e-6)
    third = np.linalg.norm(np.diff(pred[:, 0].numpy(), n=3, axis=0), axis=-1) * 10**3
    assert found["jitter"] == pytest.approx(third.mean())


def test_means_by_name_leave_out_what_is_unknown():
    metric = NamedMeans(["a", "b"])
    metric.update(torch.tensor([[1.0, torch.nan]]))
    metric.update(torch.tensor([[3.0, torch.nan]]))
    assert metric.compute()["a"] == 2 and metric.compute()["b"].isnan()


def test_joints_that_the_image_hides_are_left_out_of_pck_seen():
    true = crowd([(0, 4)])
    pred, seen = true.clone(), torch.ones(true.shape[:-1], dtype=torch.bool)
    pred[:, 0, 3] += 1.0  # one joint of four is wrong, and hidden in half of the frames
    seen[:3, 0, 3] = False
    metric = PeopleInVideo()
    metric.update(pred, true, torch.ones(6, 1, dtype=torch.bool), 10.0, seen)
    found = metric.compute()
    assert found["pck"] == 75 and found["pck_seen"] == pytest.approx(100 * 18 / 21)
