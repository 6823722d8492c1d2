"""The parts of the generator against closed forms and SciPy."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from contrapposto.skeleton import SMPLH52
from contrapposto.synthetic import turns
from contrapposto.synthetic.balance import SEGMENTS, centre_of_mass
from contrapposto.synthetic.curves import capped, keyed, minimum_jerk, slow_noise, soft_minimum
from contrapposto.synthetic.rig import ANKLE_HEIGHT, CHANNELS, INDEX, Feet, pose, solve


def test_minimum_jerk_is_the_quintic_with_still_ends():
    u = np.linspace(0, 1, 2001)
    curve = minimum_jerk(u)
    assert curve[0] == 0 and curve[-1] == 1 and minimum_jerk(np.array([-1.0, 2.0])).tolist() == [0, 1]
    velocity = np.gradient(curve, u)
    assert velocity[0] < 1e-4 and velocity[-1] < 1e-4
    assert velocity.max() == pytest.approx(1.875, rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_capped_never_exceeds_the_bound_and_leaves_the_rest(seed):
    generator = np.random.default_rng(seed)
    curve, bound = generator.standard_normal(500).cumsum(), np.full(500, np.inf)
    bound[200:220] = generator.uniform(-5, 0, 20)
    result = capped(curve, bound, 15)
    assert (result <= bound + 1e-12).all() and (result <= curve + 1e-12).all()
    np.testing.assert_allclose(result[:180], curve[:180], atol=1e-12)
    np.testing.assert_allclose(result[240:], curve[240:], atol=1e-12)


def test_keyed_goes_through_its_keys_without_overshoot():
    times = np.arange(0, 3, 0.01)
    curve = keyed(times, [(0.5, 0.0), (1.0, 2.0), (2.0, 2.0), (2.5, -1.0)], 0.0, 100)
    assert curve[[50, 100, 200, 250]].tolist() == [0, 2, 2, -1]
    assert curve.max() == 2 and curve.min() == -1 and curve[0] == 0 and curve[-1] == -1


def test_slow_noise_has_unit_variance_and_no_fast_part():
    times = np.arange(0, 400, 0.05)
    noise = slow_noise(times, np.random.default_rng(0), 40, 0.1, 0.5)
    assert noise.var(0).mean() == pytest.approx(1.0, rel=0.1)
    power = np.abs(np.fft.rfft(noise, axis=0)) ** 2
    frequency = np.fft.rfftfreq(len(times), 0.05)
    assert power[frequency > 0.6].sum() < 0.01 * power.sum()


def test_soft_minimum():
    first, second = np.array([0.0, 1.0, 5.0]), np.array([1.0, 1.0, 1.0])
    result = soft_minimum(first, second, np.full(3, 0.01))
    assert (result <= np.minimum(first, second)).all()
    np.testing.assert_allclose(result, np.minimum(first, second), atol=0.006)


def test_turns_agree_with_scipy():
    degrees = np.array([-170.0, -20, 0, 33, 90])
    for name, axis in (("turn_x", "x"), ("turn_y", "y")):
        expected = Rotation.from_euler(axis, degrees[:, None], degrees=True).as_matrix()
        np.testing.assert_allclose(getattr(turns, name)(degrees), expected, atol=1e-12)
    about_z = Rotation.from_euler("z", degrees[:, None], degrees=True).as_matrix()
    np.testing.assert_allclose(turns.turn_z(np.deg2rad(degrees)), about_z, atol=1e-12)
    angles = np.array([[20.0, -40, 10], [5, 100, -60]])
    expected = Rotation.from_euler("YXZ", angles[:, [1, 0, 2]], degrees=True).as_matrix()
    np.testing.assert_allclose(turns.euler(*angles.T), expected, atol=1e-12)


def _standing(places, lift=0.0):
    ones = np.ones((1, 2))
    return Feet(np.array([places]), 0 * ones, 0 * ones, 0 * ones, lift * ones, ones, 0 * ones)


def _joints(channels, feet):
    from figures import Measured

    from contrapposto.motion import Motion

    local, translation = solve(channels[None], np.zeros((1, 2)), np.zeros(1), feet, 120.0)
    vectors = Rotation.from_matrix(local[0]).as_rotvec()[None]
    return Measured(Motion(vectors, translation, 60.0))


@pytest.mark.parametrize("crouch", [0.05, 0.2, 0.4])
def test_legs_reach_their_feet_and_bend_by_the_law_of_cosines(crouch):
    places = [[0.13, 0.02], [-0.11, -0.08]]
    body = _joints(pose({"pelvis_up": -crouch, "pelvis_yaw": 10.0, "pelvis_roll": 4.0}), _standing(places))
    rest = SMPLH52.rest_positions
    for side in (0, 1):
        ankle, hip = body.joints[0, 7 + side], body.joints[0, 1 + side]
        np.testing.assert_allclose(ankle, [*places[side], ANKLE_HEIGHT], atol=1e-4)
        a = np.linalg.norm(rest[4 + side] - rest[1 + side])
        b = np.linalg.norm(rest[7 + side] - rest[4 + side])
        d = np.linalg.norm(ankle - hip)
        bend = 180 - np.degrees(np.arccos((a * a + b * b - d * d) / (2 * a * b)))
        assert body.knees()[0, side] == pytest.approx(bend, abs=0.1)
        knee = body.joints[0, 4 + side] - (ankle + hip) / 2
        assert knee[1] < -0.02, "knees point forward (-y)"
        np.testing.assert_allclose(
            body.rotations[0, 7 + side], Rotation.from_euler("x", 90, degrees=True).as_matrix(), atol=1e-5
        )


def test_sides_mean_the_same_on_both():
    values = {
        "arm_forward": 40.0,
        "arm_side": 30.0,
        "arm_twist": -20.0,
        "elbow": 70.0,
        "forearm": 30.0,
        "wrist": 20.0,
        "curl": 40.0,
    }
    feet = _standing([[0.1, 0.0], [-0.1, 0.0]])
    right, left = (
        _joints(pose({f"{side}_{k}": v for k, v in values.items()}), feet) for side in ("right", "left")
    )
    shoulder_to_hand = right.joints[0, 37:52] - right.joints[0, 17]
    mirrored = (left.joints[0, 22:37] - left.joints[0, 16]) * [-1, 1, 1]
    # The figure itself is not quite symmetric.
    np.testing.assert_allclose(shoulder_to_hand, mirrored, atol=0.015)


def test_centre_of_mass_weighs_the_whole_body_once():
    assert sum(share for *_, share, _ in SEGMENTS) == pytest.approx(1.0, abs=0.02)
    assert len(CHANNELS) == len(INDEX)
    same = np.tile([0.3, -2.0, 1.0], (52, 1))
    np.testing.assert_allclose(centre_of_mass(same), same[0])
