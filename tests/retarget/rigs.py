"""BVH files of the same movement as other programs would write them: joint names, rest pose, axes and unit."""

from __future__ import annotations

import re

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22

NAMES = SMPL22.joint_names
_UPRIGHT = Rotation.from_euler("x", 90, degrees=True)
_MIDDLE = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
_SIDED = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")

# Name of the family: the six of the trunk | the eight of a side with * for the side | left, right.
_TABLE = """
smpl:
    pelvis spine1 spine2 spine3 neck head | *_hip *_knee *_ankle *_foot *_collar *_shoulder *_elbow *_wrist |
    left right
smpl_short:
    Pelvis Spine1 Spine2 Spine3 Neck Head | *_Hip *_Knee *_Ankle *_Foot *_Collar *_Shoulder *_Elbow *_Wrist |
    L R
smpl_fbx:
    m_avg_Pelvis m_avg_Spine1 m_avg_Spine2 m_avg_Spine3 m_avg_Neck m_avg_Head | m_avg_*_Hip m_avg_*_Knee
    m_avg_*_Ankle m_avg_*_Foot m_avg_*_Collar m_avg_*_Shoulder m_avg_*_Elbow m_avg_*_Wrist | L R
title_case:
    Pelvis Spine_1 Spine_2 Spine_3 Neck Head | *_hip *_knee *_ankle *_foot *_collar *_shoulder *_elbow *_wrist
    | Left Right
ankle_first:
    Pelvis SpineLow SpineMid SpineHigh Neck Head | Hip* Knee* Ankle* Foot* Collar* Shoulder* Elbow* Wrist* |
    Left Right
mixamo:
    mixamorig:Hips mixamorig:Spine mixamorig:Spine1 mixamorig:Spine2 mixamorig:Neck mixamorig:Head |
    mixamorig:*UpLeg mixamorig:*Leg mixamorig:*Foot mixamorig:*ToeBase mixamorig:*Shoulder mixamorig:*Arm
    mixamorig:*ForeArm mixamorig:*Hand | Left Right
mixamo1:
    mixamorig1_Hips mixamorig1_Spine mixamorig1_Spine1 mixamorig1_Spine2 mixamorig1_Neck mixamorig1_Head |
    mixamorig1_*UpLeg mixamorig1_*Leg mixamorig1_*Foot mixamorig1_*ToeBase mixamorig1_*Shoulder
    mixamorig1_*Arm mixamorig1_*ForeArm mixamorig1_*Hand | Left Right
lafan:
    Hips Spine Spine1 Spine2 Neck Head | *UpLeg *Leg *Foot *Toe *Shoulder *Arm *ForeArm *Hand | Left Right
unreal:
    pelvis spine_01 spine_02 spine_03 neck_01 head | thigh_* calf_* foot_* ball_* clavicle_* upperarm_*
    lowerarm_* hand_* | l r
biped:
    Bip01_Pelvis Bip01_Spine Bip01_Spine1 Bip01_Spine2 Bip01_Neck Bip01_Head | Bip01_*_Thigh Bip01_*_Calf
    Bip01_*_Foot Bip01_*_Toe0 Bip01_*_Clavicle Bip01_*_UpperArm Bip01_*_Forearm Bip01_*_Hand | L R
valve:
    ValveBiped.Bip01_Pelvis ValveBiped.Bip01_Spine ValveBiped.Bip01_Spine1 ValveBiped.Bip01_Spine2
    ValveBiped.Bip01_Neck1 ValveBiped.Bip01_Head1 | ValveBiped.Bip01_*_Thigh ValveBiped.Bip01_*_Calf
    ValveBiped.Bip01_*_Foot ValveBiped.Bip01_*_Toe0 ValveBiped.Bip01_*_Clavicle ValveBiped.Bip01_*_UpperArm
    ValveBiped.Bip01_*_Forearm ValveBiped.Bip01_*_Hand | L R
rigify:
    DEF-spine DEF-spine.001 DEF-spine.002 DEF-spine.003 DEF-neck DEF-head | DEF-thigh.* DEF-shin.* DEF-foot.*
    DEF-toe.* DEF-shoulder.* DEF-upper_arm.* DEF-forearm.* DEF-hand.* | L R
vrm:
    J_Bip_C_Hips J_Bip_C_Spine J_Bip_C_Chest J_Bip_C_UpperChest J_Bip_C_Neck J_Bip_C_Head | J_Bip_*_UpperLeg
    J_Bip_*_LowerLeg J_Bip_*_Foot J_Bip_*_ToeBase J_Bip_*_Shoulder J_Bip_*_UpperArm J_Bip_*_LowerArm
    J_Bip_*_Hand | L R
unity:
    hips spine chest upperChest neck head | *UpperLeg *LowerLeg *Foot *Toes *Shoulder *UpperArm *LowerArm
    *Hand | left right
reallusion:
    CC_Base_Hip CC_Base_Waist CC_Base_Spine01 CC_Base_Spine02 CC_Base_NeckTwist01 CC_Base_Head |
    CC_Base_*_Thigh CC_Base_*_Calf CC_Base_*_Foot CC_Base_*_ToeBase CC_Base_*_Clavicle CC_Base_*_Upperarm
    CC_Base_*_Forearm CC_Base_*_Hand | L R
motive:
    Hip Ab Spine2 Chest Neck Head | *Thigh *Shin *Foot *Toe *Shoulder *UArm *FArm *Hand | L R
genea:
    b_root b_spine0 b_spine1 b_spine2 b_neck0 b_head | b_*_upleg b_*_leg b_*_foot b_*_toe b_*_shoulder b_*_arm
    b_*_forearm b_*_wrist | l r
jnt:
    Hips_JNT Spine1_JNT Spine2_JNT Spine3_JNT Neck_JNT Head_JNT | *_UpLeg_JNT *_LowLeg_JNT *_Foot_JNT
    *_Toe_JNT *_Clavicle_JNT *_UpArm_JNT *_LowArm_JNT *_Hand_JNT | L R
numbered:
    01_Hips 02_Spine 03_Spine1 04_Spine2 05_Neck 06_Head | 10_*UpLeg 11_*Leg 12_*Foot 13_*Toe 14_*Shoulder
    15_*Arm 16_*ForeArm 17_*Hand | Left Right
xsens:
    Hips Chest Chest2 Chest3 Neck Head | *Hip *Knee *Ankle *Toe *Collar *Shoulder *Elbow *Wrist | Left Right
mvn:
    Pelvis L5 L3 T8 Neck Head | *UpperLeg *LowerLeg *Foot *Toe *Shoulder *UpperArm *ForeArm *Hand | Left Right
rokoko:
    Hips Spine1 Spine2 Spine3 Neck Head | *Thigh *Shin *Foot *Toe *Shoulder *Arm *ForeArm *Hand | Left Right
poser:
    hip abdomen waist chest neck head | *Thigh *Shin *Foot *Toe *Collar *Shldr *ForeArm *Hand | l r
acclaim:
    root lowerback upperback thorax lowerneck head | *femur *tibia *foot *toes *clavicle *humerus *radius
    *wrist | l r
kinect:
    PELVIS SPINE_NAVEL SPINE_CHEST SPINE_TOP NECK HEAD | HIP_* KNEE_* ANKLE_* FOOT_* CLAVICLE_* SHOULDER_*
    ELBOW_* WRIST_* | LEFT RIGHT
maya:
    Root_M Spine1_M Spine2_M Chest_M Neck_M Head_M | Hip_* Knee_* Ankle_* Toes_* Scapula_* Shoulder_* Elbow_*
    Wrist_* | L R
second_life:
    mPelvis mTorso mSpine mChest mNeck mHead | mHip* mKnee* mAnkle* mFoot* mCollar* mShoulder* mElbow* mWrist*
    | Left Right
bandai:
    Hips Spine Spine1 Chest Neck Head | UpperLeg_* LowerLeg_* Foot_* Toes_* Shoulder_* UpperArm_* LowerArm_*
    Hand_* | L R
daz:
    hip abdomenLower abdomenUpper chestLower neckLower head | *ThighBend *Shin *Foot *Toe *Collar *ShldrBend
    *ForearmBend *Hand | l r
makehuman:
    root spine05 spine04 spine02 neck01 head | upperleg01.* lowerleg01.* foot.* toe1-1.* clavicle.* upperarm01.*
    lowerarm01.* wrist.* | L R
auto_rig_pro:
    root.x spine_01.x spine_02.x spine_03.x neck.x head.x | thigh_stretch.* leg_stretch.* foot.* toes_01.*
    shoulder.* arm_stretch.* forearm_stretch.* hand.* | l r
shank:
    pelvis abdomen torso thorax neck head | *_thigh *_shank *_foot *_toes *_clavicle *_uarm *_farm *_hand | l r
chinese:
    骨盆 脊柱1 脊柱2 脊柱3 颈 头 | *大腿 *小腿 *脚 *脚趾 *锁骨 *上臂 *前臂 *手 | 左 右
mmd:
    センター 上半身 上半身1 上半身2 首 頭 | *足 *ひざ *足首 *つま先 *肩 *腕 *ひじ *手首 | 左 右
"""


def _families() -> dict[str, tuple[str, ...]]:
    families = {}
    for entry in re.split(r"\n(?! )", _TABLE.strip()):
        family, _, rest = entry.partition(":\n")
        middle, sided, marks = (part.split() for part in re.split(r"\s\|\s", rest))
        names = dict(zip(_MIDDLE, middle))
        for side, mark in zip(("left", "right"), marks):
            names |= {f"{side}_{part}": name.replace("*", mark) for part, name in zip(_SIDED, sided)}
        families[family] = tuple(names[name] for name in NAMES)
    return families


FAMILIES = _families()
"""Joint names of programs, in SMPL's order."""

RESTS = ("t", "a", "lowered", "forward", "raised", "turned", "tilted", "along_x")
"""Poses in which all angles of a file are zero."""

WORLDS: dict[str, tuple[str, float]] = {
    "y, cm": ("y", 0.01),
    "y, m": ("y", 1.0),
    "y, inch": ("y", 0.0254),
    "z, cm": ("z", 0.01),
    "z, m": ("z", 1.0),
    "x, mm": ("x", 0.001),
}
"""Axis that is up, and metres per unit."""

_TO_FILE = {"y": _UPRIGHT.inv(), "z": Rotation.identity(), "x": Rotation.from_euler("y", 90, degrees=True)}


def bvh_text(motion: Motion, family: str = "mixamo", rest: str = "t", world: str = "y, cm") -> str:
    """A clip on SMPL22 as the text of a BVH file."""
    up, unit = WORLDS[world]
    to_file = _TO_FILE[up]
    body = to_file * _UPRIGHT  # from SMPL's rest axes to those of the file
    frames = rest_rotations(rest)
    names = FAMILIES[family]
    children: dict[int, list[int]] = {joint: [] for joint in range(22)}
    for joint, parent in enumerate(SMPL22.parents):
        if parent >= 0:
            children[parent].append(joint)
    lines, order = ["HIERARCHY"], []

    def add(joint: int, depth: int) -> None:
        indent, parent = "\t" * depth, SMPL22.parents[joint]
        offset = np.zeros(3) if parent < 0 else (body * frames[parent]).apply(SMPL22.offsets[joint]) / unit
        channels = "Xposition Yposition Zposition " if parent < 0 else ""
        lines.extend([f"{indent}{'ROOT' if parent < 0 else 'JOINT'} {names[joint]}", f"{indent}{{"])
        lines.append(f"{indent}\tOFFSET " + " ".join(f"{value:.7f}" for value in offset))
        lines.append(f"{indent}\tCHANNELS {6 if channels else 3} {channels}Zrotation Xrotation Yrotation")
        order.append(joint)
        for child in children[joint]:
            add(child, depth + 1)
        if not children[joint]:
            end = (body * frames[joint]).apply([0, 0, 0.08]) / unit
            site = f"{indent}\tEnd Site\n{indent}\t{{\n{indent}\t\tOFFSET " + " ".join(
                f"{v:.7f}" for v in end
            )
            lines.append(site + f"\n{indent}\t}}")
        lines.append(f"{indent}}}")

    add(0, 0)
    turned, places = (tensor.double().numpy() for tensor in motion.kinematics())
    rotations = []
    for joint in range(22):
        world_turn = to_file * Rotation.from_matrix(turned[:, joint]) * frames[joint].inv() * body.inv()
        rotations.append(world_turn)
    columns = [to_file.apply(places[:, 0]) / unit]
    for joint in order:
        parent = SMPL22.parents[joint]
        local = rotations[joint] if parent < 0 else rotations[parent].inv() * rotations[joint]
        columns.append(local.as_euler("ZXY", degrees=True))
    rows = np.concatenate(columns, axis=1)
    lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / motion.fps:.6f}"]
    lines += [" ".join(f"{value:.7f}" for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def rest_rotations(rest: str) -> list[Rotation]:
    """Global rotations of the 22 joints that bring SMPL's T-pose into a rest pose."""
    frames = [Rotation.identity()] * 22
    whole = {"turned": [0, 45, 0], "tilted": [25, 130, -20]}.get(rest)
    if whole is not None:
        return [Rotation.from_euler("yxz", [whole[1], whole[0], whole[2]], degrees=True)] * 22
    if rest == "along_x":
        return [bone_axes(joint).inv() for joint in range(22)]
    for side, sign in (("left", 1), ("right", -1)):
        arm = {
            "t": [0, 0, 0],
            "a": [0, 0, -45 * sign],
            "lowered": [0, 0, -80 * sign],
            "forward": [0, -80 * sign, 0],
            "raised": [0, 0, 75 * sign],
        }[rest]
        for part in ("shoulder", "elbow", "wrist"):
            frames[NAMES.index(f"{side}_{part}")] = Rotation.from_euler("xyz", arm, degrees=True)
    return frames


def bone_axes(joint: int, axis: str = "x") -> Rotation:
    """Axes with one along a joint's bone, as of LAFAN1 (x) and Blender (y); of several bones, the one up the trunk."""
    below = [child for child, parent in enumerate(SMPL22.parents) if parent == joint]
    bone = SMPL22.offsets[below[-1] if joint == 0 else below[0]] if below else np.array([0.0, 0.0, 1.0])
    first = np.asarray(bone, np.float64) / np.linalg.norm(bone)
    second = np.cross(np.eye(3)[np.abs(first).argmin()], first)
    second /= np.linalg.norm(second)
    third = np.cross(first, second)
    columns = {"x": [first, second, third], "y": [third, first, second]}[axis]
    return Rotation.from_matrix(np.stack(columns, axis=1))
