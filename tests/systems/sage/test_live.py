"""Live tracking: uneven packets to even frames, damage of all kinds, wearers of other sizes, no drift."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from contrapposto.errors import InputError
from contrapposto.io.devices import JOINTS, devices_of
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.features import sage_features
from contrapposto.systems.sage.live.calibration import (
    calibrate_t_pose,
    figure_height,
    fitted_betas,
    lift_of_t_pose,
    scale_of_head,
    scale_of_height,
)
from contrapposto.systems.sage.live.clock import DeviceClock
from contrapposto.systems.sage.live.lost_devices import DropoutGuard
from contrapposto.systems.sage.live.recording import Recording, track_recording
from contrapposto.systems.sage.live.resampling import PoseSampler
from contrapposto.systems.sage.live.tracker import SparseTracker
from contrapposto.systems.sage.live.wearer import Wearer
from contrapposto.systems.sage.stream import LiveStream
from contrapposto.systems.sage.tracker import SageTracker
from tests.systems.sage.test_features import motion
from tests.systems.sage.test_tracker import networks

UPRIGHT = Rotation.from_euler("x", 90, degrees=True).as_matrix()


@pytest.fixture
def model():
    return SageTracker(*networks(), seed=5).eval()


@pytest.fixture
def clip():
    return motion(frames=61)


def packets(track):
    for time, turns, places in zip(track.times, track.rotations.numpy(), track.positions.numpy()):
        yield float(time), turns, places


class Plain:
    """A stream that stands upright below the head and remembers what it was shown."""

    def __init__(self):
        self.shown, self.resets = [], 0
        self.tracker = SageTracker(*networks(), seed=5).eval()

    def push(self, sparse, seen=None):
        self.shown.append(sparse)
        upright = torch.eye(3)[:2].flatten().repeat(1, 22)
        return self.tracker.place(upright, sparse[None, 0, 12:15])

    def reset(self):
        self.resets += 1


def poses_at(times, seed=0):
    """Smooth random poses of three devices at any times, by SciPy: (F, 3, 3, 3) and (F, 3, 3)."""
    rng = np.random.default_rng(seed)
    keys = np.arange(0, 700, 0.25) if times[-1] > 100 else np.arange(0, 12, 0.25)
    vectors = 0.3 * rng.normal(size=(len(keys), 3, 3))
    start = np.array([[0, 0, 1.6], [0.5, 0, 1], [-0.5, 0, 1]])
    places = start + np.cumsum(0.03 * rng.normal(size=(len(keys), 3, 3)), 0)
    turns = [Slerp(keys, Rotation.from_rotvec(vectors[:, d]))(times).as_matrix() for d in range(3)]
    moved = np.stack([np.interp(times, keys, column) for column in places.reshape(len(keys), 9).T], -1)
    return UPRIGHT @ np.stack(turns, 1), moved.reshape(-1, 3, 3)


def test_at_60_hz_it_is_the_offline_tracker(model, clip):
    whole = model.track(sage_features(clip)["sparse"])
    tracker, found = SparseTracker(model), []
    for packet in packets(devices_of(clip)):
        found.append(tracker.push(*packet))
    assert found[0] is None and len(found) == 61  # the first frame gives no velocity
    joints = torch.cat([frame.body.joints for frame in found[1:]])
    torch.testing.assert_close(joints, whole.joints, atol=1e-5, rtol=1e-5)
    recording, counts = track_recording(model, [devices_of(clip)])
    np.testing.assert_allclose(recording.motion().joint_positions(), whole.joints, atol=1e-4)
    assert not counts and recording.start == pytest.approx(1 / 60)


@pytest.mark.parametrize("rate", [60, 72, 90, 120, 47.3])
def test_any_rate_is_resampled_by_its_time_stamps(rate):
    rng = np.random.default_rng(1)
    times = 100 + np.arange(int(6 * rate)) / rate + rng.uniform(-0.3, 0.3, int(6 * rate)) / rate
    times = np.delete(times, rng.choice(np.arange(5, len(times) - 5), 8, replace=False))  # lost packets
    turns, places = poses_at(times - times[0])
    sampler, ticks = PoseSampler(), []
    for packet in zip(times, turns, places):
        found = sampler.push(*packet)
        ticks += found
        assert packet[0] - times[0] - ticks[-1].number / 60 < 1 / 60 + 1e-6  # never behind the newest packet
    assert [tick.number for tick in ticks] == list(range(len(ticks)))
    wanted = np.array([tick.number / 60 for tick in ticks])
    for device in range(3):
        expected = Slerp(times - times[0], Rotation.from_matrix(turns[:, device]))(wanted)
        found = Rotation.from_matrix(np.stack([tick.rotations[device] for tick in ticks]))
        assert (expected.inv() * found).magnitude().max() < 1e-6
        for axis in range(3):
            line = np.interp(wanted, times - times[0], places[:, device, axis])
            np.testing.assert_allclose([tick.positions[device, axis] for tick in ticks], line, atol=1e-9)


def test_the_clock_passes_over_what_repeats_and_goes_on_after_it_was_set():
    clock = DeviceClock()
    stamps = [50.0, 50.1, 50.1, 50.05, 50.2, np.nan, 3.0, 3.1, 4000.0, 4000.1, 4002.1]
    found = [clock.accept(stamp) for stamp in stamps]
    assert [value is None for value in found] == [False, False, True, True, False, True] + [False] * 5
    accepted = np.array([value for value in found if value is not None])
    period = 1 / 72
    np.testing.assert_allclose(np.diff(accepted), [0.1, 0.1, period, 0.1, period, 0.1, 2.0], atol=1e-9)
    assert clock.counts == {"repeated": 1, "late": 1, "without a time": 1, "clock set anew": 2}


def test_disordered_packets_change_nothing(model, clip):
    good = list(packets(devices_of(clip)))
    disordered = [*good[:20], good[18], good[19], *good[20:30], (np.nan, *good[30][1:]), *good[30:]]
    for stream, bodies in ((good, []), (disordered, [])):
        tracker = SparseTracker(model)
        bodies += [frame for packet in stream if (frame := tracker.push(*packet))]
        joints = torch.cat([frame.body.joints for frame in bodies])
        if stream is good:
            expected = joints
    torch.testing.assert_close(joints, expected)
    assert tracker.counts == {"late": 1, "repeated": 1, "without a time": 1}


def test_silence_begins_anew(model, clip):
    good = list(packets(devices_of(clip)))
    later = [(time + 2.0, *rest) for time, *rest in good]
    tracker = SparseTracker(model)
    first = [frame for packet in good if (frame := tracker.push(*packet))]
    second = [frame for packet in later if (frame := tracker.push(*packet))]
    assert len(first) == len(second) == 60 and second[0].number == 121  # time went on
    model.seed = 5
    torch.testing.assert_close(second[-1].body.sixd, first[-1].body.sixd)


def test_a_slow_tracker_passes_over_frames_but_sees_them(model, clip):
    """Without a refiner, whose state depends on all bodies, the others are exactly those of the offline tracker."""
    torch.nn.init.zeros_(model.refiner.linear.weight)
    torch.nn.init.zeros_(model.refiner.linear.bias)
    whole = model.track(sage_features(clip)["sparse"])
    tracker = SparseTracker(model)
    for index, packet in enumerate(packets(devices_of(clip))):
        tracker.feed(*packet)
        if index % 7 == 6:
            frame = tracker.pose()
            assert frame.passed == (5 if index == 6 else 6)
            torch.testing.assert_close(frame.body.joints[0], whole.joints[index - 1], atol=1e-5, rtol=1e-5)
    assert tracker.pose() is not None and tracker.pose() is None


def test_the_refiner_lives_on_at_60_hz(model):
    """A body that does not move: the refiner has seen as many frames as there were, computed or not."""
    sparse = sage_features(motion(frames=3))["sparse"][:1].expand(40, 3, 18)
    stream, other = LiveStream(model), LiveStream(model)
    model.latents = lambda windows, frames, noise=None: (torch.zeros(len(windows), 10, 16),) * 2
    for index, features in enumerate(sparse):
        body = stream.push(features)
        if index % 4 == 3:
            last = other.push(features)
        else:
            other.observe(features)
    torch.testing.assert_close(last.sixd, body.sixd)


def test_any_stream_will_do(clip):
    stream = Plain()
    tracker = SparseTracker(stream)
    for packet in packets(devices_of(clip)):
        frame = tracker.push(*packet)
    torch.testing.assert_close(torch.stack(stream.shown), sage_features(clip)["sparse"], atol=1e-6, rtol=0)
    assert frame.body.joints.shape == (1, 22, 3)
    recording, _ = track_recording(Plain(), [devices_of(clip)])
    assert len(recording) == 60


def moving(time):
    """Still head; the left hand moves at 0.6 m/s for 0.6 s."""
    places = np.array([[0, 0, 1.6], [0.5, -0.3, 1.0], [-0.5, -0.3, 1.0]])
    places[1, 0] += 0.6 * min(time, 0.6)
    return np.stack([UPRIGHT] * 3), places


def test_a_lost_hand_glides_stays_sinks_and_comes_back_without_a_jump():
    guard, shown, times = DropoutGuard(), [], np.arange(0, 4, 1 / 72)
    gone = (times > 0.5) & (times < 3.0)
    for time, away in zip(times, gone):
        _, places = guard.fill(time, *moving(time), np.array([True, not away, True]))
        shown.append(places[1])
    shown = np.array(shown)
    lost = times[gone][0] - 1 / 72  # when last seen
    age = times - lost
    glide = 0.5 + 0.6 * lost + 0.6 * 0.08 * (1 - np.exp(-age / 0.08))
    early = gone & (age < 0.5)
    np.testing.assert_allclose(shown[early, 0], glide[early], atol=1e-9)
    late = gone & (age > 1.6)  # at the side: below the shoulder, near the hip
    assert (shown[late, 2] < 1.05).all() and (np.abs(shown[late, 0] - 0.25) < 0.15).all()
    assert np.linalg.norm(np.diff(shown, axis=0), axis=1).max() < 0.13  # it came back 0.8 m away
    np.testing.assert_allclose(shown[-1], moving(times[-1])[1][1], atol=1e-9)


def test_a_held_hand_goes_along_with_the_head():
    guard = DropoutGuard()
    turns, places = moving(0)
    for time in (0.0, 0.1):
        guard.fill(time, turns, places, np.ones(3, bool))
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    walked = places @ turn.T + [2.0, 1.0, 0.0]
    _, found = guard.fill(
        0.3, turn @ turns, np.where([[1], [0], [1]], walked, np.nan), np.array([1, 0, 1], bool)
    )
    np.testing.assert_allclose(found, walked, atol=1e-6)


def test_devices_that_are_absent_from_the_start(clip):
    track = devices_of(clip)
    tracker = SparseTracker(Plain())
    seen = np.array([False, True, True])
    assert all(tracker.push(*packet, seen) is None for packet in packets(track))
    assert tracker.waiting
    tracker = SparseTracker(Plain())
    frames = []
    for time, turns, places in packets(track):
        places = np.where([[1], [0], [1]], places, np.nan)
        frames.append(tracker.push(time, turns, places))
    assert all(np.isfinite(frame.devices).all() and not frame.seen[1] for frame in frames[1:])
    hand = frames[-1].devices[1] - frames[-1].devices[0]
    assert -0.9 < hand[2] < -0.5 and np.hypot(*hand[:2]) < 0.4
    with pytest.raises(InputError, match="head not tracked"):
        lost = devices_of(clip)
        unseen = type(lost)(lost.rotations, lost.positions, lost.times, np.zeros((61, 3), bool))
        track_recording(Plain(), [unseen])


def test_a_wearer_of_another_size(model, clip):
    """The network must see what it would see of the default figure, and the body must come back in size."""
    usual, _ = track_recording(model, [devices_of(clip)])
    track = devices_of(clip)
    large = type(track)(track.rotations, 1.15 * track.positions, track.times)
    found, _ = track_recording(model, [large], scale=1.15)
    expected = 1.15 * usual.motion().joint_positions()
    np.testing.assert_allclose(found.motion().joint_positions(), expected, atol=1e-4)
    head = found.motion().joint_positions()[:, 15]
    np.testing.assert_allclose(head, large.positions[1:, 0], atol=1e-4)
    from contrapposto.body import load_body

    body, betas = load_body(), torch.from_numpy(found.motion().betas)
    rest = body.rest_joints(betas)[0, :22] - body.rest_joints(betas)[0, :1]
    wanted = 1.15 * (SMPL22.rest_positions - SMPL22.rest_positions[0])
    assert np.linalg.norm(rest.numpy() - wanted, axis=1).max() < 0.01
    vertices = body.rest_vertices(torch.from_numpy(fitted_betas(scale_of_height(1.5))))[0]
    assert np.ptp(vertices[:, 1].numpy()) == pytest.approx(1.5, abs=0.02)


def t_pose(scale, heading):
    """Joints of a wearer in the T-pose whose soles stand on the floor, and their common orientation."""
    stand = Rotation.from_euler("z", heading).as_matrix() @ UPRIGHT
    rest = SMPL22.rest_positions[list(JOINTS)].astype(float)
    from contrapposto.body import load_body

    soles = float(load_body().v_template[:, 1].min())
    return stand, scale * (rest - [0, soles, 0]) @ stand.T


def test_t_pose_calibration():
    rng = np.random.default_rng(3)
    scale, heading = 1.08, 2.1
    stand, joints = t_pose(scale, heading)
    worn = Rotation.random(3, rng=rng).as_matrix()  # the device's orientation in its joint's axes
    offsets = np.array([[0.0, 0.07, 0.09], [0.06, -0.02, 0.0], [-0.06, -0.02, 0.0]])
    devices = joints + offsets @ stand.T + rng.normal(size=(30, 3, 3)) * 5e-4
    noise = Rotation.from_rotvec(0.003 * rng.normal(size=(90, 3))).as_matrix().reshape(30, 3, 3, 3)
    calibration = calibrate_t_pose(stand @ worn @ noise, devices, scale)
    turn = Rotation.from_rotvec([0.3, -0.5, 1.0]).as_matrix()  # any later pose: the whole wearer turned
    found, places = calibration.apply(turn @ stand @ worn, (joints + offsets @ stand.T) @ turn.T)
    np.testing.assert_allclose(found, np.stack([turn @ stand] * 3), atol=0.01)
    np.testing.assert_allclose(places, joints @ turn.T, atol=0.005)
    with pytest.raises(InputError, match="T-pose"):
        lowered = devices.copy()
        lowered[:, 1:, 2] -= 0.6
        lowered[:, 1:, :2] *= 0.3
        calibrate_t_pose(stand @ worn @ noise, lowered)


@pytest.mark.parametrize("scale", [1.0, 1.25])
def test_t_pose_calibration_without_a_stated_size(scale):
    """How devices are worn is found of a wearer of the default size, and not taken from one of quite another size."""
    stand, joints = t_pose(scale, 0.4)
    offsets = np.array([[0.0, 0.07, 0.09], [0.08, -0.02, 0.0], [-0.08, -0.02, 0.0]])
    devices = np.tile(joints + offsets @ stand.T, (30, 1, 1))
    calibration = calibrate_t_pose(np.tile(stand, (30, 3, 1, 1)), devices)
    np.testing.assert_allclose(calibration.offsets, offsets if scale == 1 else np.zeros((3, 3)), atol=1e-3)


def test_a_new_origin_after_the_t_pose_is_found():
    """Heads do not jump: what is 20 cm lower after a jump has another floor. One wrong frame is none."""
    times = np.arange(240) / 60
    heads = np.tile([0.0, 0.0, 1.7], (240, 1)) + 0.02 * np.sin(times)[:, None]
    assert lift_of_t_pose(times, heads, 1.0) == 0
    wrong = heads.copy()
    wrong[100] += [0, 0, 1.0]
    assert lift_of_t_pose(times, wrong, 1.0) == 0
    moved = heads.copy()
    moved[120:] -= [1.0, 0.0, 0.2]
    assert lift_of_t_pose(times, moved, 1.0) == pytest.approx(0.2, abs=1e-3)
    assert lift_of_t_pose(times, moved, 3.0) == 0
    moved[110:130] = np.nan  # not tracked meanwhile, and not at once
    assert lift_of_t_pose(times, moved, 1.0) == 0


def test_size_from_the_head():
    _, joints = t_pose(1.1, 0.0)
    assert scale_of_head(joints[0, 2]) == pytest.approx(1.1, abs=1e-5)
    assert scale_of_height(1.1 * figure_height()) == pytest.approx(1.1)
    with pytest.raises(InputError, match="size"):
        scale_of_head(0.3)


def test_finding_out_about_the_wearer_while_packets_come():
    wearer = Wearer("auto", hands_known=False)
    stand, joints = t_pose(0.9, 0.0)
    turns, seen = np.stack([stand] * 3), np.ones(3, bool)
    changes = [now for now in np.arange(0, 3, 1 / 72) if wearer.look(now, turns, joints, seen)]
    assert len(changes) == 1 and changes[0] == pytest.approx(2, abs=0.02)
    assert wearer.scale == pytest.approx(0.9, abs=1e-4) and not wearer.hands_known
    wearer.ask(10.0)
    changes = [now for now in np.arange(10, 16, 1 / 72) if wearer.look(now, turns, joints, seen)]
    assert len(changes) == 1 and 14 <= changes[0] < 14.1 and wearer.hands_known
    np.testing.assert_allclose(wearer.calibration.turns, np.stack([np.eye(3)] * 3), atol=1e-5)
    with pytest.raises(InputError, match="height=tall"):
        Wearer("tall")


def test_frames_that_were_passed_over_lie_between_their_neighbours(model, clip):
    tracker, recording = SparseTracker(model), Recording()
    for index, packet in enumerate(packets(devices_of(clip))):
        tracker.feed(*packet)
        if index % 3 == 1 and (frame := tracker.pose()):
            recording.add(frame)
    made: Motion = recording.motion()
    assert len(recording) == 20 and made.num_frames == 58 and made.fps == 60
    ends, middle = made.root_translation[[0, 3]], made.root_translation[1]
    np.testing.assert_allclose(middle, ends[0] + (ends[1] - ends[0]) / 3, atol=1e-6)
    assert len(recording.devices()) == 58


@pytest.mark.slow
def test_no_drift_in_ten_minutes():
    """72 Hz by a clock that runs 200 ppm fast, jittered stamps, 2 % lost: bodies stay with the newest packet."""
    rng = np.random.default_rng(0)
    real = np.arange(43200) / 72
    stamps = 1e5 + real * (1 + 2e-4) + rng.normal(0, 5e-4, len(real))
    kept = rng.random(len(real)) > 0.02
    turns, places = poses_at(real)
    sampler, lag = PoseSampler(), []
    for index in np.flatnonzero(kept):
        for tick in sampler.push(stamps[index], turns[index], places[index]):
            newest = tick
        lag.append(stamps[index] - stamps[0] - newest.number / 60)
    lag = np.array(lag)
    assert lag.min() > -1e-6 and lag.max() < 1 / 60 + 1e-6
    assert abs(np.median(lag[-2000:]) - np.median(lag[:2000])) < 1e-3
    assert newest.number == pytest.approx(36000 * (1 + 2e-4), abs=3)
