from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from contrapposto.errors import ConfigError, InputError
from contrapposto.io import read_motion
from contrapposto.motion import Motion
from contrapposto.retarget import KNOWN, SourceSkeleton, recognise, to_smpl
from contrapposto.retarget.guess import guess_skeleton
from contrapposto.skeleton import SMPL22, SMPLH52, Skeleton

DATA = Path(os.environ.get("CONTRAPPOSTO_DATA", Path(__file__).parents[3] / "shared" / "data"))
UPRIGHT = Rotation.from_euler("x", 90, degrees=True)
NAMES = SMPL22.joint_names
LIMBS = [("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")]


def truth(frames: int = 12, seed: int = 0) -> Motion:
    """A clip on SMPL's skeleton whose rotations are to be found again."""
    rng = np.random.default_rng(seed)
    rotations = rng.normal(size=(frames, 22, 3)) * 0.5
    rotations[:, [10, 11]] = 0
    rotations[:, 0] = (UPRIGHT * Rotation.from_rotvec(rotations[:, 0])).as_rotvec()
    return Motion(rotations, rng.normal(size=(frames, 3)), 30, SMPL22)


def rig(motion: Motion, frames: list[Rotation], names: list[str], scale: float = 1.0) -> Motion:
    """The same movement of the same bones on a skeleton with other joint axes, names and size.

    `frames[j]` is the global rotation of joint j while the SMPL skeleton stands in its T-pose; the rest pose of the
    rig (all angles zero) is then whatever its offsets say.
    """
    local = [Rotation.from_rotvec(motion.rotations[:, j]) for j in range(22)]
    offsets, rotations = [], []
    for joint, parent in enumerate(SMPL22.parents):
        offset = SMPL22.offsets[joint].astype(float)
        if parent < 0:
            offsets.append(offset)
            rotations.append((local[joint] * frames[joint]).as_rotvec())
        else:
            offsets.append(frames[parent].inv().apply(offset))
            rotations.append((frames[parent].inv() * local[joint] * frames[joint]).as_rotvec())
    skeleton = Skeleton("rig", tuple(names), SMPL22.parents, np.array(offsets) * scale)
    pelvis = (motion.root_translation + SMPL22.rest_positions[0]) * scale
    return Motion(np.stack(rotations, 1), pelvis - skeleton.rest_positions[0], motion.fps, skeleton)


def random_frames(seed: int = 1) -> list[Rotation]:
    return [Rotation.random(random_state=seed + joint) for joint in range(22)]


def angles(first: Motion, second: Motion, joints: list[int]) -> np.ndarray:
    """(F, len(joints)) degrees between global rotations."""
    a, b = (m.kinematics()[0].double().numpy()[:, joints].reshape(-1, 3, 3) for m in (first, second))
    between = (Rotation.from_matrix(a).inv() * Rotation.from_matrix(b)).magnitude()
    return np.degrees(between.reshape(-1, len(joints)))


def test_any_joint_axes_are_undone_exactly() -> None:
    motion, frames = truth(), random_frames()
    names = [f"j{joint}" for joint in range(22)]
    reference = {name: frame.as_matrix() for name, frame in zip(NAMES, frames)}
    source = SourceSkeleton("random", dict(zip(NAMES, names)), reference)
    actual = to_smpl(rig(motion, frames, names, scale=1.3), source, ground=False)
    assert actual.skeleton is SMPLH52
    assert angles(actual, motion.to_skeleton(SMPLH52), list(range(22))).max() < 1e-3
    np.testing.assert_allclose(actual.joint_positions()[:, :22], motion.joint_positions(), atol=1e-5)
    assert float(actual.metadata["scale"]) == pytest.approx(1 / 1.3, abs=1e-4)


def test_a_frame_of_the_clip_serves_as_reference() -> None:
    motion, frames = truth(), random_frames()
    motion.rotations[4] = 0
    motion.rotations[4, 0] = (Rotation.from_euler("z", 90, degrees=True) * UPRIGHT).as_rotvec()
    names = [f"j{joint}" for joint in range(22)]
    source = SourceSkeleton("random", dict(zip(NAMES, names)))
    odd = rig(motion, frames, names)
    fitted = to_smpl(
        odd, source, ground=False
    )  # the rest pose says nothing: bones lie along bones, twists are free
    np.testing.assert_allclose(fitted.joint_positions()[:, :22], motion.joint_positions(), atol=1e-5)
    actual = to_smpl(odd, source, reference_frame=4, ground=False)
    assert angles(actual, motion.to_skeleton(SMPLH52), list(range(22))).max() < 1e-3
    with pytest.raises(InputError, match="no frame 99"):
        to_smpl(odd, source, reference_frame=99)


@pytest.mark.parametrize(
    "turn", [[0, 0, 0], [0, 180, 0], [0, 90, 0], [90, 0, 0], [-90, 0, 0], [90, 0, 90]], ids=lambda t: str(t)
)
def test_rest_poses_that_face_elsewhere(turn: list[float]) -> None:
    motion = truth()
    frames = [Rotation.from_euler("xyz", turn, degrees=True)] * 22
    actual = to_smpl(rig(motion, frames, list(mixamo())), ground=False)
    assert angles(actual, motion.to_skeleton(SMPLH52), list(range(22))).max() < 1e-3


def mixamo(prefix: str = "mixamorig:") -> list[str]:
    return [prefix + KNOWN["mixamo"].joints[name] for name in NAMES]


@pytest.mark.parametrize("arm", [-45, -80, 20])
@pytest.mark.parametrize("leg", [4, 20])
def test_lowered_arms_and_legs_apart_keep_all_limb_directions(arm: float, leg: float) -> None:
    """A rig whose rest pose is an A-pose: its zero angles mean the SMPL figure with these limbs turned."""
    pose = [Rotation.identity()] * 22
    for side, sign in (("left", 1), ("right", -1)):
        for part, angle in (("shoulder", arm), ("elbow", arm), ("wrist", arm), ("hip", leg), ("knee", leg)):
            pose[NAMES.index(f"{side}_{part}")] = Rotation.from_euler("z", sign * angle, degrees=True)
        for part in ("ankle", "foot"):
            pose[NAMES.index(f"{side}_{part}")] = Rotation.from_euler(
                "z", sign * leg * (leg > 12), degrees=True
            )
    motion = truth()
    actual = to_smpl(rig(motion, [p.inv() for p in pose], mixamo()), ground=False)
    assert actual.metadata["retargeted_from"] == "mixamo"
    np.testing.assert_allclose(actual.joint_positions()[:, :10], motion.joint_positions()[:, :10], atol=1e-5)
    np.testing.assert_allclose(
        actual.joint_positions()[:, 12:22], motion.joint_positions()[:, 12:22], atol=1e-5
    )
    hands_and_feet = angles(
        actual, motion.to_skeleton(SMPLH52), SMPL22.index("left_wrist", "right_wrist", "left_ankle")
    )
    assert hands_and_feet.max() < 7  # the twist about a limb is only as good as the shortest way


def test_missing_joints_follow_their_neighbours() -> None:
    motion = truth()
    keep = {
        n: m
        for n, m in zip(NAMES, mixamo())
        if n not in ("spine1", "spine2", "neck", "left_collar", "left_wrist")
    }
    actual = to_smpl(
        rig(motion, [Rotation.identity()] * 22, mixamo()), SourceSkeleton("part", keep), ground=False
    )
    turned = dict(zip(SMPLH52.joint_names, actual.kinematics()[0].double().numpy().transpose(1, 0, 2, 3)))
    whole = dict(zip(NAMES, motion.kinematics()[0].double().numpy().transpose(1, 0, 2, 3)))
    np.testing.assert_allclose(turned["spine3"], whole["spine3"], atol=1e-5)
    low, high = Rotation.from_matrix(whole["pelvis"]), Rotation.from_matrix(whole["spine3"])
    bend = (low.inv() * high).as_rotvec()
    for name, share in (("spine1", 1 / 3), ("spine2", 2 / 3)):
        np.testing.assert_allclose(
            turned[name], (low * Rotation.from_rotvec(bend * share)).as_matrix(), atol=1e-5
        )
    np.testing.assert_allclose(turned["left_collar"], turned["spine3"], atol=1e-6)
    np.testing.assert_allclose(turned["left_wrist"], turned["left_elbow"], atol=1e-6)
    np.testing.assert_allclose(turned["left_index3"], turned["left_elbow"], atol=1e-6)


def test_smpl_names_and_layouts_are_taken_as_they_are() -> None:
    motion = truth()
    assert to_smpl(motion).skeleton is SMPLH52
    np.testing.assert_array_equal(to_smpl(motion).rotations[:, :22], motion.rotations)
    shaped = replace(motion, skeleton=replace(SMPL22, name="someone", offsets=SMPL22.offsets * 1.2))
    actual = to_smpl(shaped)
    assert angles(actual, motion.to_skeleton(SMPLH52), list(range(22))).max() < 1e-3


def standing(height: float, jump: bool = False) -> Motion:
    """A figure of Mixamo names on straight legs whose soles stand at `height`."""
    rotations = np.zeros((30, 22, 3))
    rotations[:, 0, 0] = np.pi / 2
    rest = SMPL22.rest_positions
    below = rest[0, 1] - (rest[10, 1] - 0.0265)  # from the pelvis down to the soles
    translation = np.zeros((30, 3))
    translation[:, 2] = height + below - rest[0, 2]
    if jump:
        translation[10:20, 2] += 0.4 * np.sin(np.linspace(0, np.pi, 10))
    motion = Motion(rotations, translation, 30, SMPL22)
    return rig(motion, [Rotation.identity()] * 22, mixamo())


@pytest.mark.parametrize(("height", "left"), [(0.05, 0.0), (-0.08, 0.0), (0.7, 0.7)])
@pytest.mark.parametrize("jump", [False, True])
def test_standing_soles_are_put_on_the_ground(height: float, left: float, jump: bool) -> None:
    actual = to_smpl(standing(height, jump))
    soles = actual.joint_positions()[:, [10, 11], 2].min(axis=1) - 0.0265
    assert soles[0] == pytest.approx(left, abs=2e-3)  # left and right leg differ by less than this
    untouched = to_smpl(standing(height, jump), ground=False)
    assert untouched.joint_positions()[0, 10, 2] - 0.0265 == pytest.approx(height, abs=2e-3)


def test_a_leading_t_pose_of_cgspeed_files_is_dropped() -> None:
    motion = truth(6)
    motion.rotations[1:] = motion.rotations[1] + np.arange(5)[:, None, None] * 0.01
    motion.rotations[0] = 0
    motion.rotations[0, 0, 0] = np.pi / 2
    motion.root_translation[1] = motion.root_translation[0]
    clip = rig(motion, [Rotation.identity()] * 22, [KNOWN["cmu_bvh"].joints[name] for name in NAMES])
    actual = to_smpl(clip)
    assert (actual.num_frames, actual.metadata["retargeted_from"]) == (5, "cmu_bvh")
    assert to_smpl(clip.frames(1, 6)).num_frames == 5


CONVENTIONS = {
    "unreal": """
        pelvis thigh_l thigh_r spine_01 calf_l calf_r spine_02 foot_l foot_r spine_03 ball_l ball_r
        neck_01 clavicle_l clavicle_r head upperarm_l upperarm_r lowerarm_l lowerarm_r hand_l hand_r
    """,
    "blender": """
        hips thigh.L thigh.R spine shin.L shin.R spine.001 foot.L foot.R spine.002 toe.L toe.R neck
        shoulder.L shoulder.R head upper_arm.L upper_arm.R forearm.L forearm.R hand.L hand.R
    """,
    "poser": """
        hip lThigh rThigh abdomen lShin rShin waist lFoot rFoot chest lToe rToe neck lCollar rCollar
        head lShldr rShldr lForeArm rForeArm lHand rHand
    """,
    "xsens": """
        Hips LeftUpperLeg RightUpperLeg L5 LeftLowerLeg RightLowerLeg L3 LeftFoot RightFoot T8 LeftToe
        RightToe Neck LeftShoulder RightShoulder Head LeftUpperArm RightUpperArm LeftForeArm
        RightForeArm LeftHand RightHand
    """,
    "vrm": """
        J_Bip_C_Hips J_Bip_L_UpperLeg J_Bip_R_UpperLeg J_Bip_C_Spine J_Bip_L_LowerLeg J_Bip_R_LowerLeg
        J_Bip_C_Chest J_Bip_L_Foot J_Bip_R_Foot J_Bip_C_UpperChest J_Bip_L_ToeBase J_Bip_R_ToeBase
        J_Bip_C_Neck J_Bip_L_Shoulder J_Bip_R_Shoulder J_Bip_C_Head J_Bip_L_UpperArm J_Bip_R_UpperArm
        J_Bip_L_LowerArm J_Bip_R_LowerArm J_Bip_L_Hand J_Bip_R_Hand
    """,
    "collars": """
        Hips LeftHip RightHip Chest LeftKnee RightKnee Chest2 LeftAnkle RightAnkle Chest3 LeftToe
        RightToe Neck LeftCollar RightCollar Head LeftShoulder RightShoulder LeftElbow RightElbow
        LeftWrist RightWrist
    """,
    "shins": """
        Root LeftLeg RightLeg Spine LeftShin RightShin Spine1 LeftFoot RightFoot Spine2 LeftToes
        RightToes Neck LeftClavicle RightClavicle Head LeftArm RightArm LeftForearm RightForearm
        LeftHand RightHand
    """,
}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_common_naming_conventions_are_guessed(convention: str) -> None:
    names = CONVENTIONS[convention].split()
    guess = guess_skeleton(Skeleton("x", tuple(names), SMPL22.parents, SMPL22.offsets))
    assert guess.joints == dict(zip(NAMES, names))


def test_a_joint_is_given_away_once() -> None:
    names = [n for n in CONVENTIONS["collars"].split() if "Collar" not in n]
    parents = [SMPL22.parents[j] for j, name in enumerate(NAMES) if "collar" not in name]
    parents = [p if p < 13 else (9 if p in (13, 14) else p - 2) for p in parents]
    keep = [j for j, name in enumerate(NAMES) if "collar" not in name]
    guess = guess_skeleton(Skeleton("x", tuple(names), tuple(parents), SMPL22.offsets[keep])).joints
    assert guess["left_shoulder"] == "LeftShoulder" and "left_collar" not in guess


def test_biped_names_with_spaces_are_guessed() -> None:
    names = [name.replace("_l", " L").replace("_r", " R") for name in CONVENTIONS["unreal"].split()]
    names = [
        f"Bip01 {name.rpartition(' ')[2]} {name.rpartition(' ')[0].capitalize()}"
        if " " in name
        else f"Bip01 {name}"
        for name in names
    ]
    assert "Bip01 L Thigh" in names
    guess = guess_skeleton(Skeleton("x", tuple(names), SMPL22.parents, SMPL22.offsets))
    assert guess.joints == dict(zip(NAMES, names))


@pytest.mark.parametrize("name", ["mixamo", "cmu_bvh", "cmu_bvh_max", "bandai"])
def test_the_guess_agrees_with_the_tables(name: str) -> None:
    known = KNOWN[name]
    names = [known.joints.get(joint, "middle") for joint in NAMES]
    guess = guess_skeleton(Skeleton("x", tuple(names), SMPL22.parents, SMPL22.offsets)).joints
    same = {joint for joint in known.joints if joint in NAMES and guess.get(joint) == known.joints[joint]}
    # the tables know that CMU's hand turns at the finger base, which no name tells
    assert set(known.joints) & set(NAMES) - same <= {"left_wrist", "right_wrist"}
    assert recognise(Skeleton("x", tuple(names), SMPL22.parents, SMPL22.offsets)).name == name


def test_what_cannot_be_mapped_is_said_joint_by_joint() -> None:
    dog = Skeleton("dog", ("root", "neck", "tail", "leg_front_l"), (-1, 0, 0, 0), np.eye(4, 3))
    with pytest.raises(InputError, match="left_hip, right_hip") as caught:
        to_smpl(Motion(np.zeros((1, 4, 3)), np.zeros((1, 3)), 30, dog))
    assert "tail" in str(caught.value) and "mixamo" in str(caught.value)
    figure = rig(truth(), [Rotation.identity()] * 22, mixamo())
    with pytest.raises(ConfigError, match="mixamo"):
        to_smpl(figure, "mixammo")
    with pytest.raises(InputError, match="bandai"):
        to_smpl(figure, "bandai")
    with pytest.raises(InputError, match="left_ankle"):
        to_smpl(figure, SourceSkeleton("part", {n: m for n, m in zip(NAMES, mixamo()) if n != "left_ankle"}))


def test_labels_and_metadata_stay() -> None:
    clip = replace(
        rig(truth(), [Rotation.identity()] * 22, mixamo()), metadata={"licence": "CC0"}, gender="male"
    )
    actual = to_smpl(clip)
    assert (actual.metadata["licence"], actual.gender, actual.fps) == ("CC0", "male", 30)


RAW = [
    "cmu/02_01.amc cmu/02_01",
    "cmu/02_04.amc cmu/02_04",
    "bandai/dataset-1_walk_normal_001.bvh bandai_1/dataset-1_walk_normal_001",
    "bandai/dataset-1_dance-short_normal_001.bvh bandai_1/dataset-1_dance-short_normal_001",
    "cmu/131_01.bvh",
    "reactidle/000_genuine.bvh",
]


def raw(name: str) -> Path:
    path = DATA / "motion" / "raw" / name
    if not path.exists():
        pytest.skip(f"{path} is not there; set CONTRAPPOSTO_DATA")
    return path


@pytest.mark.parametrize("name", [line.split()[0] for line in RAW])
def test_recorded_limbs_keep_their_directions(name: str) -> None:
    native = read_motion(raw(name), native=True)
    actual, joints = to_smpl(native), recognise(native.skeleton).joints
    ways = [
        (native.skeleton, native.joint_positions(), joints),
        (SMPLH52, actual.joint_positions(), {name: name for name in NAMES}),
    ]
    for side in ("left", "right"):
        for start, end in LIMBS:
            bones = []
            for skeleton, positions, names in ways:
                a, b = skeleton.index(names[f"{side}_{start}"], names[f"{side}_{end}"])
                bone = positions[:, b] - positions[:, a]
                bones.append(bone / np.linalg.norm(bone, axis=1, keepdims=True))
            assert np.degrees(np.arccos(np.clip((bones[0] * bones[1]).sum(1), -1, 1))).max() < 0.5


@pytest.mark.parametrize("name", [line.split()[0] for line in RAW])
def test_recorded_feet_stand_flat_on_the_ground(name: str) -> None:
    actual = to_smpl(read_motion(raw(name), native=True))
    turned, joints = (tensor.numpy() for tensor in actual.kinematics())
    ankles, balls = SMPLH52.index("left_ankle", "right_ankle"), SMPLH52.index("left_foot", "right_foot")
    for ankle, ball in zip(ankles, balls):
        speed = np.linalg.norm(np.diff(joints[:, [ankle, ball]], axis=0), axis=-1).max(axis=1) * actual.fps
        still = np.flatnonzero((speed < 0.1) & (joints[1:, ankle, 2] < 0.12)) + 1
        assert len(still) > 5
        assert abs(np.median(joints[still, ball, 2]) - 0.0265) < 0.02
        up = turned[still, ankle, 2, 1]  # the sole's normal against the vertical
        assert np.degrees(np.arccos(np.median(up))) < 15  # the corpora of the script: 20 to 27


@pytest.mark.parametrize("line", [line for line in RAW if " " in line])
def test_recorded_clips_agree_with_the_converted_corpora(line: str) -> None:
    """The corpora were converted by an independent script, with feet that are not flat: those are left out."""
    source, target = line.split()
    reference = read_motion(raw(source).parents[2] / f"{target}.npz")
    actual = to_smpl(read_motion(raw(source), native=True)).resample(reference.fps)
    frames = min(actual.num_frames, reference.num_frames)
    joints = [j for j, name in enumerate(NAMES) if not name.endswith("foot")]
    a, b = (m.joint_positions()[:frames][:, joints] for m in (actual, reference))
    assert np.abs((a - a[:, :1]) - (b - b[:, :1])).max() < 0.006
    pelvis = a[:, 0] - b[:, 0]
    assert np.abs(pelvis[:, :2]).max() < 0.03 and np.ptp(pelvis[:, 2]) < 0.01


def test_shipped_clips_from_bvh_agree_with_those_from_amc() -> None:
    """The same recordings by two ways: cgspeed's BVH through our reader, and ASF/AMC through the independent script."""
    shipped = Path(__file__).parents[2] / "contrapposto" / "assets" / "motion" / "cmu_01_01.npz"
    if not (DATA / "motion" / "cmu" / "01_01.npz").exists() or not shipped.exists():
        pytest.skip(f"{DATA}/motion/cmu/01_01.npz is not there; set CONTRAPPOSTO_DATA")
    first, second = read_motion(shipped), read_motion(DATA / "motion" / "cmu" / "01_01.npz")
    second = second.resample(first.fps)
    a, b = (m.joint_positions()[:, :22] for m in (first, second))
    a, b = a - a[:, :1], b - b[:, :1]
    best = min(
        np.abs(a[10 : len(a) - 20, :10] - b[10 + shift : len(a) - 20 + shift, :10]).mean()
        for shift in range(-3, 4)
    )
    assert best < 0.005
