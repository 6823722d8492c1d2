"""Quest logs: the mapping of axes by known poses, resampling, damaged files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from contrapposto.errors import InputError, MissingError
from contrapposto.io.quest import DeviceTrack, read_quest


def record(poses, fps=72.0):
    """`poses`: three (position, quaternion xyzw), in Unity's frame."""
    text = f"FPS:{fps:.5f};"
    for name, (position, rotation) in zip(("Headset", "LeftController", "RightController"), poses):
        text += f"{name}-Position: ({', '.join(f'{v:.4f}' for v in position)});"
        text += f"{name}-Rotation: ({', '.join(f'{v:.4f}' for v in rotation)});"
    return text + "\n"


STILL = [((0.1, 1.7, 0.2), (0, 0, 0, 1)), ((-0.7, 1.4, 0.0), (0, 0, 0, 1)), ((0.7, 1.4, 0.0), (0, 0, 0, 1))]


def write(path, records, gap="\n"):
    path.write_text(gap.join(records), encoding="utf-8")
    return path


def test_axes(tmp_path):
    """Unity: x to the right, y up, z forward, left-handed. Ours: z up, the figure faces -y, x to its left."""
    track = read_quest(write(tmp_path / "00001.txt", [record(STILL)] * 3))
    np.testing.assert_allclose(track.positions[0, 0].numpy(), [-0.1, -0.2, 1.7], atol=1e-9)
    np.testing.assert_allclose(track.positions[0, 1].numpy(), [0.7, 0.0, 1.4], atol=1e-9)  # the left hand
    # The head's rotation turns the figure's frame (y up) upright (z up), nothing else.
    upright = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    np.testing.assert_allclose(track.rotations[0, 0].numpy(), upright, atol=1e-9)
    # Turning the head to the right (Unity: clockwise about y seen from above) turns ours clockwise about z.
    half = np.sqrt(0.5)
    turned = [(STILL[0][0], (0, half, 0, half)), *STILL[1:]]
    track = read_quest(write(tmp_path / "00002.txt", [record(turned)] * 2))
    expected = Rotation.from_euler("z", -90, degrees=True).as_matrix() @ upright
    np.testing.assert_allclose(track.rotations[0, 0].numpy(), expected, atol=1e-9)


def test_controllers_held_in_the_t_pose_give_wrists_at_rest(tmp_path):
    left = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0.0]])
    right = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0.0]])
    poses = [STILL[0]]
    for (position, _), matrix in zip(STILL[1:], (left, right)):
        x, y, z, w = Rotation.from_matrix(matrix).as_quat()
        poses.append((position, (x, -y, -z, w)))  # back into the left-handed frame
    track = read_quest(write(tmp_path / "log.txt", [record(poses)] * 2))
    for device in range(3):
        torch.testing.assert_close(track.rotations[0, device], track.rotations[0, 0])


def test_resampling_against_scipy(tmp_path):
    rng = np.random.default_rng(0)
    times = np.concatenate([[0], np.cumsum(1 / rng.uniform(60, 90, 40))])
    vectors = np.cumsum(rng.normal(scale=0.05, size=(41, 3, 3)), axis=0)
    rotations = np.stack([Rotation.from_rotvec(v).as_matrix() for v in vectors])
    positions = rng.normal(size=(41, 3, 3)).cumsum(0)
    actual = DeviceTrack(torch.from_numpy(rotations), torch.from_numpy(positions), times).resample(60.0)
    wanted = np.arange(len(actual.times)) / 60
    np.testing.assert_allclose(actual.times, wanted)
    for device in range(3):
        expected = Slerp(times, Rotation.from_rotvec(vectors[:, device]))(
            np.minimum(wanted, times[-1])
        ).as_matrix()
        np.testing.assert_allclose(actual.rotations[:, device].numpy(), expected, atol=1e-6)
        for axis in range(3):
            line = np.interp(wanted, times, positions[:, device, axis])
            np.testing.assert_allclose(actual.positions[:, device, axis].numpy(), line, atol=1e-9)


def test_times_follow_the_frame_rate(tmp_path):
    track = read_quest(
        write(tmp_path / "log.txt", [record(STILL, 72.0), record(STILL, 90.0), record(STILL, 60.0)])
    )
    np.testing.assert_allclose(track.times, [0, 1 / 90, 1 / 90 + 1 / 60])


GOOD = record(STILL)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no records"),
        ("\n\n\n", "no records"),
        ("hello", "record 1"),
        (GOOD + "\n" + GOOD[:200], "record 2"),
        (GOOD.replace("1.7000", "nan"), "record 1"),
        (GOOD.replace("1.7000", "1,7"), "record 1"),
        (GOOD.replace("Headset-Position", "Tracker-Position"), "Headset-Position"),
        (GOOD.replace("(0.0000, 0.0000, 0.0000, 1.0000)", "(0.0, 0.0, 0.0, 0.0)"), "unit quaternion"),
        (GOOD.replace("FPS:72.00000", "FPS:0.0"), "frame rate"),
        (GOOD + "\n" + GOOD.strip() + "Extra: (1);", "8 fields"),
    ],
)
def test_damaged_logs_give_one_clear_error(tmp_path, content, words):
    path = tmp_path / "log.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_quest(path)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(MissingError):
        read_quest(tmp_path / "absent.txt")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="text"):
        read_quest(tmp_path / "binary.txt")
