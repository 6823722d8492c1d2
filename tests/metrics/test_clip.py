"""Clip metrics against NumPy loops and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from contrapposto import metrics
from contrapposto.metrics import functional


def clips(lengths=(9, 6, 12), joints=22, seed=0, frames=None):
    """Padded clips (B, T, J, 3) whose padding is NaN, and the clips alone."""
    rng = np.random.default_rng(seed)
    single = [rng.normal(size=(length, joints, 3)).astype(np.float32) for length in lengths]
    padded = np.full((len(lengths), frames or max(lengths), joints, 3), np.nan, np.float32)
    for row, clip in zip(padded, single):
        row[: len(clip)] = clip
    return torch.from_numpy(padded), single


def compute(metric, *arguments, **keywords):
    metric.update(*arguments, **keywords)
    return float(metric.compute())


def loop_mpjpe(pred, true, joints):
    total = 0.0
    for p, t in zip(pred, true):
        total += np.mean([np.sqrt(((p[f, j] - t[f, j]) ** 2).sum()) for f in range(len(p)) for j in joints])
    return 100 * total / len(pred)


@pytest.mark.parametrize("group", ["all", "hands", "upper", "lower", "root"])
def test_mpjpe_is_the_mean_of_clip_means(group):
    lengths = torch.tensor([9, 6, 12])
    (pred, p), (true, t) = clips(seed=1), clips(seed=2)
    expected = loop_mpjpe(p, t, metrics.JOINT_GROUPS[group])
    assert compute(metrics.MPJPE(group), pred, true, lengths) == pytest.approx(expected, rel=1e-5)


def test_mpjpe_weighted_by_frames():
    (pred, p), (true, t) = clips(seed=1), clips(seed=2)
    errors = [np.linalg.norm(a - b, axis=-1).mean(-1) for a, b in zip(p, t)]
    expected = 100 * np.concatenate(errors).mean()
    metric = metrics.MPJPE(weighting="frame")
    assert compute(metric, pred, true, [9, 6, 12]) == pytest.approx(expected, rel=1e-5)


def test_batches_single_clips_and_splits_agree():
    (pred, p), (true, t) = clips(seed=1), clips(seed=2)
    one = metrics.MPJVE()
    one.update(pred, true, torch.tensor([60.0, 30.0, 120.0]), [9, 6, 12])
    other = metrics.MPJVE()
    for a, b, fps in zip(p, t, (60.0, 30.0, 120.0)):
        other.update(torch.from_numpy(a), torch.from_numpy(b), fps)
    assert float(one.compute()) == pytest.approx(float(other.compute()), rel=1e-5)
    expected = np.mean(
        [
            np.linalg.norm(np.diff(a, axis=0) - np.diff(b, axis=0), axis=-1).mean() * fps * 100
            for a, b, fps in zip(p, t, (60, 30, 120))
        ]
    )
    assert float(one.compute()) == pytest.approx(expected, rel=1e-5)


def test_jitter_of_a_cubic_is_its_third_derivative():
    times = torch.arange(20, dtype=torch.float64) / 60
    joints = torch.zeros(20, 3, 3, dtype=torch.float64)
    joints[:, 0, 0] = times**3  # third derivative 6 m/s^3
    joints[:, 1, 2] = -2 * times**3
    assert compute(metrics.Jitter(), joints, 60.0) == pytest.approx((6 + 12 + 0) / 3, rel=1e-4)
    assert compute(metrics.Jitter(joints=[1]), joints, 60.0) == pytest.approx(12, rel=1e-4)


def test_clips_too_short_for_a_derivative_are_left_out():
    joints, single = clips(lengths=(3, 9))
    metric = metrics.Jitter()
    metric.update(joints, 60.0, [3, 9])
    alone = compute(metrics.Jitter(), torch.from_numpy(single[1]), 60.0)
    assert float(metric.compute()) == pytest.approx(alone, rel=1e-6)
    empty = metrics.Jitter()
    empty.update(joints[:1, :3], 60.0)
    assert torch.isnan(empty.compute())


def test_pa_mpjpe_against_scipy():
    _, pred = clips(lengths=(5,), joints=14, seed=3)
    _, true = clips(lengths=(5,), joints=14, seed=4)
    expected = []
    for p, t in zip(pred[0], true[0]):
        # SciPy normalises both and allows reflections: turn one over where it used one.
        a, b, _ = procrustes(t, p)
        centred = t - t.mean(0)
        flip = np.linalg.det((p - p.mean(0)).T @ centred) < 0
        if not flip:
            expected.append(np.linalg.norm(a - b, axis=1).mean() * np.linalg.norm(centred))
    keep = [np.linalg.det((p - p.mean(0)).T @ (t - t.mean(0))) > 0 for p, t in zip(pred[0], true[0])]
    got = functional.position_error(
        functional.procrustes_align(torch.from_numpy(pred[0]), torch.from_numpy(true[0])),
        torch.from_numpy(true[0]),
    ).mean(-1)[torch.tensor(keep)]
    assert 0 < len(expected) < 5
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4)


def test_pa_mpjpe_removes_similarities_but_no_reflections():
    pose = torch.randn(4, 22, 3, generator=torch.Generator().manual_seed(0))
    turn = torch.from_numpy(Rotation.random(4, random_state=0).as_matrix()).float()
    moved = 1.7 * pose @ turn + torch.tensor([1.0, 2.0, 3.0])
    assert compute(metrics.PAMPJPE(), moved, pose) < 1e-3
    mirrored = moved * torch.tensor([-1.0, 1.0, 1.0])
    # The best proper fit of a mirror image, by brute force over many starts.
    from scipy.optimize import minimize

    def distance(x, p, t):
        fit = np.exp(x[3]) * p @ Rotation.from_rotvec(x[:3]).as_matrix().T
        return ((fit - t) ** 2).sum()

    p = (mirrored[0] - mirrored[0].mean(0)).double().numpy()
    t = (pose[0] - pose[0].mean(0)).double().numpy()
    starts = [np.append(Rotation.random(random_state=i).as_rotvec(), 0) for i in range(8)]
    best = min(minimize(distance, s, args=(p, t)).fun for s in starts)
    aligned = functional.procrustes_align(mirrored[0].double(), pose[0].double())
    assert float((aligned - pose[0]).square().sum()) == pytest.approx(best, rel=1e-4)
    coincident = torch.zeros(1, 22, 3)
    assert torch.isfinite(functional.procrustes_align(coincident, pose[:1])).all()


def test_mpjre_kinds_against_scipy():
    rng = np.random.default_rng(0)
    pred, true = (Rotation.from_rotvec(rng.normal(size=(7 * 22, 3))) for _ in range(2))
    angle = np.rad2deg((pred.inv() * true).magnitude()).reshape(7, 22)
    wrapped = Rotation.from_rotvec(true.as_rotvec() - pred.as_rotvec()).as_rotvec()
    component = np.rad2deg(np.abs(wrapped).mean(-1)).reshape(7, 22)
    matrices = [torch.from_numpy(r.as_matrix()).float().view(7, 22, 3, 3) for r in (pred, true)]
    vectors = [torch.from_numpy(r.as_rotvec()).float().view(7, 22, 3) for r in (pred, true)]
    for inputs in (matrices, vectors):
        assert compute(metrics.MPJRE("geodesic"), *inputs) == pytest.approx(angle[:, 1:].mean(), rel=1e-4)
        assert compute(metrics.MPJRE(), *inputs) == pytest.approx(component[:, 1:].mean(), rel=1e-4)
        upper = metrics.MPJRE(joints="upper")
        expected = component[:, list(metrics.JOINT_GROUPS["upper"])].mean()
        assert compute(upper, *(x[None] for x in inputs)) == pytest.approx(expected, rel=1e-4)


def test_foot_skate_counts_only_sliding_near_the_floor():
    joints = torch.zeros(31, 22, 3)
    joints[..., 2] = 1.0
    joints[:, 10, 0] = torch.arange(31) / 30 * 0.5  # slides at 0.5 m/s on the floor
    joints[:, 10, 2] = 0.0
    joints[:, 11, 0] = torch.arange(31) / 30 * 0.5  # as fast, but in the air
    assert compute(metrics.FootSkate(joints=[10]), joints, 30.0) == pytest.approx(50, rel=1e-4)
    assert compute(metrics.FootSkate(joints=[11]), joints, 30.0) == 0
    joints[:, 10, 2] = 0.05
    half = compute(metrics.FootSkate(joints=[10], height=0.1), joints, 30.0)
    assert half == pytest.approx(50 * (2 - 2**0.5), rel=1e-4)


def test_floor_penetration():
    points = torch.ones(4, 5, 3)
    points[1, 2, 2] = -0.02
    points[1, 3, 2] = -0.04
    assert compute(metrics.FloorPenetration(), points) == pytest.approx(1.0)
    assert compute(metrics.FloorPenetration(floor=-0.03), points) == pytest.approx(0.25)


@pytest.mark.parametrize(
    "make",
    [
        lambda: metrics.MPJPE("elbows"),
        lambda: metrics.MPJPE(weighting="joint"),
        lambda: metrics.MPJRE(kind="angle"),
        lambda: metrics.MPJPE().update(torch.zeros(4, 3), torch.zeros(4, 3)),
        lambda: metrics.MPJPE().update(torch.zeros(4, 22, 3), torch.zeros(5, 22, 3)),
        lambda: metrics.MPJPE().update(torch.zeros(2, 4, 22, 3), torch.zeros(2, 4, 22, 3), [4, 5]),
        lambda: metrics.MPJPE().update(torch.zeros(2, 4, 22, 3), torch.zeros(2, 4, 22, 3), [4]),
    ],
)
def test_wrong_arguments_are_named(make):
    with pytest.raises(ValueError, match=r"expected|differ|do not fit"):
        make()
