"""Made motion: what is asked for comes out, the same for the same seed, on the ground, within human limits."""

import numpy as np
import pytest
from figures import LEFT, RIGHT, Measured

from contrapposto.errors import InputError
from contrapposto.skeleton import SMPLH52
from contrapposto.synthetic import ACTIONS, STYLES, generate, generate_sequence

GAITS = ["walk", "walk backwards", "walk in a circle", "march", "jog", "run", "sidestep left", "turn right"]


def test_there_are_enough_actions_and_styles():
    assert len(ACTIONS) >= 25 and len(set(ACTIONS)) == len(ACTIONS)
    assert len(STYLES) >= 6 and STYLES[0] == "neutral"


@pytest.mark.parametrize(
    "seconds, fps, frames", [(4, 60, 240), (1.0, 30, 30), (2.5, 25, 62), (1 / 60, 60, 1), (0.5, 120, 60)]
)
def test_length_rate_and_label_are_exact(seconds, fps, frames):
    clip = generate("wave left hand", seconds=seconds, fps=fps)
    assert clip.num_frames == frames and clip.fps == fps and clip.skeleton is SMPLH52
    (label,) = clip.labels
    assert (label.text, label.start) == ("wave left hand", 0.0)
    assert label.end == pytest.approx(frames / fps)
    assert clip.metadata["licence"] == "CC0-1.0" and "no recorded motion" in clip.metadata["source"]


def test_same_seed_same_clip_other_seed_another():
    first, again, other = (generate("walk", seconds=2, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.rotations, again.rotations)
    np.testing.assert_array_equal(first.root_translation, again.root_translation)
    assert np.abs(first.rotations - other.rotations).max() > 0.02
    assert generate("walk", seconds=1, seed=-3).num_frames == 60


def test_frame_rate_only_samples():
    slow, fast = generate("kick", seconds=2, fps=30), generate("kick", seconds=2, fps=60)
    np.testing.assert_allclose(slow.joint_positions(), fast.joint_positions()[::2], atol=1e-6)


def test_starts_above_the_origin_facing_forward():
    for action in ("walk", "stand"):
        clip = generate(action, seconds=1, seed=5)
        assert np.linalg.norm(clip.joint_positions()[0, 0, :2]) < 0.12
        assert abs(clip.headings()[0]) < np.deg2rad(12)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_in_every_style_is_human(action):
    for number, style in enumerate(STYLES):
        clip = generate(action, style=style, seconds=1.5, seed=number)
        body = Measured(clip)
        assert np.isfinite(clip.rotations).all() and np.isfinite(clip.root_translation).all()
        assert min(body.heel.min(), body.ball.min()) > -0.002, style
        knees = body.knees()
        assert knees.min() > 1.0 and knees.max() < 150, style
        assert np.abs(body.angular_velocity()[:, :22]).max() < 28, style
        assert body.joints[:, 0, 2].max() < 1.5


@pytest.mark.parametrize(
    "action", [*GAITS, "squat", "punch", "kick", "sit down", "bow", "jumping jack", "throw"]
)
def test_planted_feet_stay(action):
    for seed in range(2):
        step, stance = Measured(generate(action, seconds=4, seed=seed)).slides()
        assert step < 0.0008 and stance < 0.004


def test_gestures_keep_both_feet_exactly():
    for action in ("bow", "squat", "clap", "sit down", "look around"):
        joints = Measured(generate(action, seconds=3, seed=1)).joints
        assert np.ptp(joints[:, [7, 8, 10, 11]], axis=0).max() < 1e-4


@pytest.mark.parametrize("seed", range(4))
def test_walk_has_human_speed_cadence_and_rhythm(seed):
    body = Measured(generate("walk", seconds=10, seed=seed))
    travelled = np.linalg.norm(np.diff(body.joints[:, 0, :2], axis=0), axis=1).sum() / 10
    assert 1.1 < travelled < 1.6
    left, right = body.landings(LEFT), body.landings(RIGHT)
    steps = np.sort(np.concatenate([left, right]))
    cadence = 60 / np.diff(steps).mean()
    assert 100 < cadence < 125
    sides = np.array([LEFT] * len(left) + [RIGHT] * len(right))[np.argsort(np.concatenate([left, right]))]
    assert (np.diff(sides) != 0).all(), "feet must alternate"
    contact = body.on_ground(0.004)
    assert contact.any(1).mean() > 0.995, "a walker never flies"
    assert 0.12 < contact.all(1).mean() < 0.35, "double support"


@pytest.mark.parametrize("action, slowest, fastest", [("jog", 1.9, 2.8), ("run", 2.8, 4.0)])
def test_runners_fly(action, slowest, fastest):
    body = Measured(generate(action, seconds=6, seed=2))
    speed = np.linalg.norm(np.diff(body.joints[:, 0, :2], axis=0), axis=1).mean() * 60
    assert slowest < speed < fastest
    contact = body.on_ground(0.004)
    assert not contact.all(1).any() and 0.06 < (~contact.any(1)).mean() < 0.5
    steps = np.sort(np.concatenate([body.landings(LEFT), body.landings(RIGHT)]))
    assert 145 < 60 / np.diff(steps).mean() < 195


def test_directions():
    forward = [0.0, -1.0]
    for action, way in {"walk": 1, "run": 1, "walk backwards": -1}.items():
        moved = generate(action, seconds=3, seed=1)
        pelvis = moved.joint_positions()[:, 0, :2]
        assert way * float((pelvis[-1] - pelvis[0]) @ forward) > 1.0
    for action, way in {"sidestep left": 1, "sidestep right": -1}.items():
        pelvis = generate(action, seconds=3, seed=1).joint_positions()[:, 0, :2]
        assert way * float(pelvis[-1, 0] - pelvis[0, 0]) > 0.7
    for action, way in {"turn left": 1, "turn right": -1}.items():
        headings = np.unwrap(generate(action, seconds=2.5, seed=1).headings())
        assert way * np.degrees(headings[-1] - headings[0]) == pytest.approx(90, abs=12)


def test_arms_and_legs_swing_against_each_other():
    body = Measured(generate("walk", seconds=6, seed=3))
    forward = body.rotations[:, 0, :, 2]
    hand, foot = ((body.joints[:, j] - body.joints[:, 0]) * forward for j in (20, 7))
    assert np.corrcoef(hand.sum(1), foot.sum(1))[0, 1] < -0.6


def test_a_jump_follows_gravity():
    body = Measured(generate("jump", seconds=2.6, seed=0, fps=120))
    flights = [run for run in _runs_without_contact(body) if run[1] - run[0] > 20]
    assert len(flights) == 1
    start, stop = flights[0]
    height = body.joints[start + 4 : stop - 4, 0, 2]
    times = np.arange(len(height)) / 120
    acceleration = 2 * np.polyfit(times, height, 2)[0]
    assert acceleration == pytest.approx(-9.81, rel=0.12)


def _runs_without_contact(body):
    from figures import runs

    return runs(~body.on_ground(0.004).any(1))


@pytest.mark.parametrize("action", ["squat", "raise both arms", "point", "bow"])
def test_the_mesh_is_balanced_over_the_feet(action):
    trimesh = pytest.importorskip("trimesh")
    from contrapposto.body import load_body, motion_vertices

    clip = generate(action, seconds=2.5, seed=1)
    body = load_body()
    joints = clip.joint_positions()
    for frame, points in zip(range(0, 150, 15), motion_vertices(body, clip, range(0, 150, 15))):
        centre = trimesh.Trimesh(points, body.faces.numpy(), process=False).center_mass
        ankles, balls = joints[frame, [7, 8], :2].mean(0), joints[frame, [10, 11], :2].mean(0)
        forward = (balls - ankles) / np.linalg.norm(balls - ankles)
        along = float((centre[:2] - ankles) @ forward)
        assert -0.02 < along < np.linalg.norm(balls - ankles) + 0.02
        assert points[:, 2].min() > -0.012


def test_hands_meet_in_a_clap_and_rise_in_a_wave():
    clap = Measured(generate("clap", seconds=4, seed=0)).joints
    distance = np.linalg.norm(clap[:, 25] - clap[:, 40], axis=1)
    assert (
        0.01 < distance.min() < 0.08 and len([v for v in np.diff(np.sign(np.diff(distance))) if v > 0]) >= 5
    )
    wave = Measured(generate("wave right hand", seconds=3, seed=0)).joints
    assert wave[:, 21, 2].max() > wave[:, 17, 2].max() > wave[:, 20, 2].max()


def test_sequence_is_one_path_with_its_labels():
    actions = [
        ("stand", 1.5),
        ("walk", 3.0),
        ("punch", 3.0),
        ("turn left", 2.5),
        ("run", 3.0),
        ("sit down", 3.0),
        ("walk", 4.0),
    ]
    clip = generate_sequence(actions, seed=4)
    assert clip.num_frames == round(sum(s for _, s in actions) * 60)
    assert [label.text for label in clip.labels] == [name for name, _ in actions]
    starts = np.cumsum([0.0, *(s for _, s in actions)])
    np.testing.assert_allclose([label.start for label in clip.labels], starts[:-1])
    np.testing.assert_allclose([label.end for label in clip.labels], starts[1:])
    body = Measured(clip)
    speed = np.linalg.norm(np.diff(body.joints, axis=0), axis=-1) * 60
    assert speed[:, 0].max() < 5 and speed.max() < 16
    assert np.abs(body.angular_velocity()[:, :22]).max() < 28
    step, stance = body.slides()
    assert step < 0.002 and stance < 0.01
    seated = body.joints[round(15.5 * 60), 0, 2]
    assert 0.45 < seated < 0.6 and body.joints[-1, 0, 2] > 0.8


def test_short_neighbours_do_not_tear_the_feet():
    generator = np.random.default_rng(0)
    for seed in range(6):
        actions = [(str(generator.choice(ACTIONS)), float(generator.uniform(0.5, 2.5))) for _ in range(5)]
        body = Measured(generate_sequence(actions, seed=seed, style=str(generator.choice(STYLES))))
        assert body.slides()[0] < 0.002, actions
        assert np.abs(body.angular_velocity()[:, :22]).max() < 32, actions


@pytest.mark.parametrize("clip, kind", [("cmu/02_01", "walk"), ("cmu/02_03", "run")])
def test_no_rougher_than_recorded_motion(shared_data, clip, kind):
    from contrapposto.io.amass import read_amass

    path = shared_data / "motion" / f"{clip}.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    real = Measured(read_amass(path).resample(60))
    created = Measured(generate(kind, seconds=4, seed=0))
    assert created.jerk().mean() < real.jerk().mean()
    assert np.percentile(created.jerk(), 99) < 2.5 * np.percentile(real.jerk(), 99)
    for joints in ([1, 2], [3, 6, 9], [16, 17], [18, 19]):
        fast = np.percentile(np.abs(created.angular_velocity()[:, joints]), 99.5)
        assert fast < 2.0 * np.percentile(np.abs(real.angular_velocity()[:, joints]), 99.5) + 1.0
    assert abs(np.ptp(created.joints[:, 0, 2]) - np.ptp(real.joints[:, 0, 2])) < 0.08


@pytest.mark.parametrize(
    "wrong, text",
    [
        (lambda: generate("wlk"), "walk"),
        (lambda: generate("walk", style="hapy"), "happy"),
        (lambda: generate("walk", seconds=0), "at least one frame"),
        (lambda: generate("walk", seconds=-1), "at least one frame"),
        (lambda: generate("walk", seconds=float("nan")), "at least one frame"),
        (lambda: generate("walk", seconds=1e9), "at most 600 s"),
        (lambda: generate("walk", fps=0), "5 to 480"),
        (lambda: generate("walk", fps=float("inf")), "5 to 480"),
        (lambda: generate_sequence([]), "at least one"),
        (lambda: generate_sequence([("walk", 2), ("flyy", 1)]), "flyy"),
    ],
)
def test_wrong_input_is_answered(wrong, text):
    with pytest.raises(InputError, match=text):
        wrong()
