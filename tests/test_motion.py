from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from contrapposto.errors import InputError
from contrapposto.motion import Label, Motion, concatenate
from contrapposto.skeleton import SMPL22, SMPLH52, SMPLX55, Skeleton

UPRIGHT = Rotation.from_euler("x", 90, degrees=True)


def turned(degrees: float) -> Rotation:
    return Rotation.from_euler("z", degrees, degrees=True)


def walk(
    frames: int = 31, fps: float = 30.0, heading: float = 0.0, start: tuple[float, float] = (0, 0)
) -> Motion:
    """A figure that goes straight on at 1 m/s, swinging its arms a little; `heading` degrees about z from -y."""
    times = np.arange(frames) / fps
    rotations = np.zeros((frames, 22, 3))
    rotations[:, 0] = (turned(heading) * UPRIGHT).as_rotvec()
    rotations[:, 16, 1] = 0.4 * np.sin(2 * times)
    rotations[:, 17, 1] = 0.3 * np.sin(2 * times) + 0.1
    pelvis = np.array([*start, 1.1]) + times[:, None] * turned(heading).apply([0, -1, 0])
    return Motion(rotations, pelvis - SMPL22.rest_positions[0], fps, SMPL22)


def pelvis(motion: Motion) -> np.ndarray:
    return motion.joint_positions()[:, 0]


def rotation(motion: Motion, joint: int) -> Rotation:
    return Rotation.from_rotvec(motion.rotations[:, joint].astype(float))


def test_the_pelvis_stands_at_its_rest_place_plus_the_translation() -> None:
    motion = walk()
    np.testing.assert_allclose(pelvis(motion)[0], [0, 0, 1.1], atol=1e-6)
    # upright: the head is above, the left hand at +x, the toes before the ankles, towards -y
    joints = motion.joint_positions()[0]
    assert joints[15, 2] > 1.5 and joints[20, 0] > 0.5 and joints[10, 1] < joints[7, 1] - 0.1


@pytest.mark.parametrize("fps", [15, 24, 30, 50, 120])
def test_resampling_is_slerp_and_linear(fps: float) -> None:
    rng = np.random.default_rng(0)
    motion = Motion(rng.normal(size=(13, 22, 3)), rng.normal(size=(13, 3)), 30, SMPL22)
    actual = motion.resample(fps)
    times = np.arange(int(12 / 30 * fps + 1e-6) + 1) / fps
    assert actual.fps == fps and actual.num_frames == len(times)
    for joint in (0, 5, 21):
        expected = Slerp(np.arange(13) / 30, rotation(motion, joint))(np.minimum(times, 12 / 30))
        assert (rotation(actual, joint).inv() * expected).magnitude().max() < 1e-5
    for axis in range(3):
        expected = np.interp(times, np.arange(13) / 30, motion.root_translation[:, axis])
        np.testing.assert_allclose(actual.root_translation[:, axis], expected, atol=1e-5)


def test_resampling_goes_the_short_way_through_half_a_turn() -> None:
    """Axis-angles just below and just above half a turn are almost the same pose with opposite signs."""
    rotations = np.zeros((2, 22, 3))
    rotations[:, 0, 2] = [np.pi - 0.01, -np.pi + 0.01]
    middle = Motion(rotations, np.zeros((2, 3)), 1, SMPL22).resample(2)
    assert abs(abs(middle.rotations[1, 0, 2]) - np.pi) < 1e-3


def test_resampling_back_and_edge_cases() -> None:
    motion = walk(31)
    assert motion.resample(30) is motion
    np.testing.assert_allclose(motion.resample(120).resample(30).rotations, motion.rotations, atol=1e-5)
    single = walk(1).resample(60)
    assert single.num_frames == 1 and single.fps == 60
    held = motion.at_times(np.array([-1.0, 99.0]), 1)
    np.testing.assert_allclose(held.root_translation, motion.root_translation[[0, -1]], atol=1e-6)
    for fps in (0, -1, np.nan, np.inf):
        with pytest.raises(InputError):
            motion.resample(fps)


def test_trimming_cuts_frames_and_labels() -> None:
    labels = (Label("all", 0, 1), Label("early", 0, 0.2), Label("late", 0.6, 1.0))
    part = replace(walk(31), labels=labels).trim(0.5, 0.8)
    assert part.num_frames == 9 and part.fps == 30
    np.testing.assert_array_equal(part.rotations, walk(31).rotations[15:24])
    assert [label.text for label in part.labels] == ["all", "late"]
    np.testing.assert_allclose([part.labels[0].start, part.labels[0].end], [0, 0.3], atol=1e-9)
    np.testing.assert_allclose([part.labels[1].start, part.labels[1].end], [0.1, 0.3], atol=1e-9)
    with pytest.raises(InputError):
        walk().trim(0.5, 0.5)
    with pytest.raises(InputError):
        walk().trim(5, 6)


def test_trimming_before_the_beginning_starts_at_the_beginning() -> None:
    assert walk(31).trim(-0.5, 0.5).num_frames == 15
    with pytest.raises(InputError):
        walk(31).trim(-0.5, -0.2)


def test_a_mirrored_clip_has_mirrored_joints() -> None:
    symmetric = SMPL22.rest_positions.astype(float)
    symmetric = (symmetric + symmetric[SMPL22.mirror_map] * [-1, 1, 1]) / 2
    offsets = symmetric - np.where(
        np.array(SMPL22.parents)[:, None] < 0, 0, symmetric[np.maximum(SMPL22.parents, 0)]
    )
    rng = np.random.default_rng(0)
    motion = Motion(
        rng.normal(size=(8, 22, 3)),
        rng.normal(size=(8, 3)),
        30,
        SMPL22.with_offsets(offsets),
        labels=(Label("raise left arm", 0, 1),),
    )
    mirrored = motion.mirror()
    expected = motion.joint_positions()[:, SMPL22.mirror_map] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored.joint_positions(), expected, atol=1e-5)
    np.testing.assert_allclose(mirrored.mirror().rotations, motion.rotations, atol=1e-6)
    assert mirrored.labels[0].text == "raise right arm"
    alien = Skeleton("alien", ("Hips", "LeftUpLeg", "RightUpLeg"), (-1, 0, 0), np.zeros((3, 3)))
    with pytest.raises(InputError, match="mirrored"):
        Motion(np.zeros((1, 3, 3)), np.zeros((1, 3)), 30, alien).mirror()


@pytest.mark.parametrize("heading", [0, 30, 90, 179, -120])
def test_canonical_stands_at_the_origin_and_faces_minus_y(heading: float) -> None:
    motion = walk(heading=heading, start=(3, -2))
    assert np.degrees(motion.headings()[0]) == pytest.approx(heading, abs=1e-3)
    actual = motion.canonical()
    np.testing.assert_allclose(actual.joint_positions(), walk().joint_positions(), atol=1e-5)


def test_transform_moves_every_joint_rigidly() -> None:
    motion = walk(heading=20)
    turn = Rotation.from_euler("zyx", [50, 20, -70], degrees=True)
    moved = motion.transform(turn.as_matrix(), (1, 2, 3))
    expected = turn.apply(motion.joint_positions().reshape(-1, 3)).reshape(-1, 22, 3) + np.array([1, 2, 3])
    np.testing.assert_allclose(moved.joint_positions(), expected, atol=1e-5)


def test_skeletons_of_the_family() -> None:
    motion = walk()
    wide = motion.to_skeleton(SMPLH52)
    np.testing.assert_allclose(wide.joint_positions()[:, :22], motion.joint_positions(), atol=1e-6)
    assert not wide.rotations[:, 22:].any()
    fingers = replace(wide, rotations=np.random.default_rng(0).normal(size=wide.rotations.shape))
    through = fingers.to_skeleton(SMPLX55)
    np.testing.assert_array_equal(through.to_skeleton(SMPLH52).rotations, fingers.rotations)
    np.testing.assert_array_equal(through.rotations[:, 25:], fingers.rotations[:, 22:])
    assert not through.rotations[:, 22:25].any()
    alien = Skeleton("alien", ("root", "left_hip"), (-1, 0), np.zeros((2, 3)))
    with pytest.raises(InputError, match="to_smpl"):
        Motion(np.zeros((1, 2, 3)), np.zeros((1, 3)), 30, alien).to_skeleton(SMPL22)


@pytest.mark.parametrize("heading", [0, 90, -135])
def test_a_cut_goes_on_from_where_the_first_clip_ended(heading: float) -> None:
    first, second = walk(heading=40, start=(1, 1)), walk(21, heading=heading, start=(9, -9))
    whole = concatenate([first, second])
    assert whole.num_frames == 52
    np.testing.assert_array_equal(whole.rotations[:31], first.rotations)
    joints = whole.joint_positions()
    np.testing.assert_allclose(joints[31, 0], joints[30, 0], atol=1e-5)
    # both go straight on, so the whole way is one straight line in the first one's direction
    expected = joints[30, 0] + np.arange(21)[:, None] / 30 * turned(40).apply([0, -1, 0])
    np.testing.assert_allclose(joints[31:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("blend", [0.1, 0.5, 5.0])
def test_a_blend_is_smooth_and_shortens_by_the_overlap(blend: float) -> None:
    first, second = walk(heading=40), walk(21, heading=-70)
    overlap = min(round(blend * 30), 21)
    whole = concatenate([first, second], blend=blend)
    assert whole.num_frames == 52 - overlap
    steps = np.linalg.norm(np.diff(whole.joint_positions(), axis=0), axis=-1)
    single = np.linalg.norm(np.diff(first.joint_positions(), axis=0), axis=-1)
    assert steps[:, 0].max() == pytest.approx(1 / 30, rel=0.02) and steps.max() < 2.5 * single.max()
    np.testing.assert_array_equal(whole.rotations[: 31 - overlap], first.rotations[: 31 - overlap])


def test_labels_rates_and_errors_of_concatenation() -> None:
    first = replace(walk(31), labels=(Label("a", 0, 1),))
    second = replace(walk(61, fps=60), labels=(Label("b", 0, 0.5),))
    whole = concatenate([first, second])
    assert whole.fps == 30 and whole.num_frames == 62
    assert whole.labels[1].text == "b" and whole.labels[1].start == pytest.approx(31 / 30)
    assert concatenate([first]) is first
    with pytest.raises(InputError):
        concatenate([])
    with pytest.raises(InputError):
        concatenate([walk(), walk().to_skeleton(SMPLH52)])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rotations": np.zeros((5, 21, 3))}, "fit together"),
        ({"rotations": np.zeros((5, 66))}, "fit together"),
        ({"root_translation": np.zeros((4, 3))}, "fit together"),
        ({"rotations": np.zeros((0, 22, 3)), "root_translation": np.zeros((0, 3))}, "no frames"),
        ({"fps": 0.0}, "frame rate"),
        ({"fps": np.nan}, "frame rate"),
        ({"root_translation": np.full((5, 3), np.nan)}, "not finite"),
        ({"betas": np.array([np.inf])}, "not finite"),
    ],
)
def test_a_clip_that_cannot_be_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        replace(walk(5), **change)  # type: ignore[arg-type]


def test_a_clip_prints_as_one_line():
    labels = (Label("walk", 0.0, 0.5), Label("stop", 0.5, 1.0))
    motion = Motion(np.zeros((31, 52, 3)), np.zeros((31, 3)), 30.0, labels=labels)
    assert repr(motion) == "Motion(31 frames; 30 frames/s; 1.00 s; smplh52, 52 joints; walk, stop)"
    many = tuple(Label(f"action number {k}", 0.0, 1.0) for k in range(99))
    assert len(repr(Motion(np.zeros((2, 52, 3)), np.zeros((2, 3)), 30.0, labels=many))) < 160
