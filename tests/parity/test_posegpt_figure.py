"""PoseGPT's geometry and data against the original's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.data.babel import read_babel
from contrapposto.data.vocabulary import Vocabulary
from contrapposto.io.amass import read_amass
from contrapposto.metrics.functional import procrustes_align
from contrapposto.systems.posegpt import cameras, clips, poses
from tests.parity.golden import Case, parity

TIGHT = {"tolerance": 1e-5}


@parity("posegpt_geometry")
def test_geometry(case: Case) -> None:
    check_rotations(case)
    check_poses(case)
    check_cameras(case)
    aligned = procrustes_align(case["proc_S1"], case["proc_S2"])
    case.check(aligned, "proc_hat", **TIGHT)
    turn, shift = similarity(case["proc_S1"], aligned)
    case.check(torch.linalg.det(turn) ** (1 / 3), "proc_scale", **TIGHT)
    case.check((turn / torch.linalg.det(turn) ** (1 / 3)), "proc_R", **TIGHT)
    case.check(shift[:, None], "proc_t", **TIGHT)


def similarity(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix (scale times rotation) and shift that make `target` of `source`, by plain linear regression."""
    ones = torch.cat([source, torch.ones(len(source), 1)], dim=1).double()
    solution = torch.linalg.lstsq(ones, target.double()).solution.float()
    return solution[:3].T, solution[3]


def check_rotations(case: Case) -> None:
    matrix = rot.axis_angle_to_matrix(case["rotvec"])
    case.check(matrix, "rotmat", **TIGHT)
    sixd = rot.matrix_to_sixd_interleaved(matrix)
    case.check(rot.sixd_interleaved_to_matrix(case["sixd"].flatten(1)), "gram", **TIGHT)
    assert sixd.shape == (40, 6)
    back = rot.matrix_to_axis_angle(case["rotmat"])
    composed = rot.matrix_to_axis_angle(rot.axis_angle_to_matrix(case["rotvec2"]) @ matrix)
    for actual, key in ((back, "rotvec_back"), (composed, "compose")):
        # Half turns have two axis-angles: compare what they mean.
        expected = rot.axis_angle_to_matrix(case[key])
        case.check_error(float((rot.axis_angle_to_matrix(actual) - expected).abs().max()), key, 1e-5)
        assert actual.norm(dim=-1).max() < torch.pi + 1e-5, key
    turn = clips.Augmentation(0.2, 2.0, -0.1)
    turned = clips.augment(case["pose"][0], turn)
    case.check(turned[:, :3], "aug_root", **TIGHT)
    case.check(turned[:, -3:], "aug_trans", **TIGHT)
    axis = torch.nn.functional.normalize(case["axis"], dim=0)
    case.check(rot.axis_angle_to_matrix(0.7 * axis), "rotation_matrix", **TIGHT)


def check_poses(case: Case) -> None:
    pose, valid = case["pose"], case["valid"]
    case.check(poses.network_input(pose), "pose_x", **TIGHT)
    case.check(pose[..., -3:].diff(dim=1), "pose_trans_delta", **TIGHT)
    case.check(poses.integrate_translation(case["delta"], valid), "trans_valid", **TIGHT)
    case.check(poses.integrate_translation(case["delta"]), "trans_novalid", **TIGHT)
    case.check(poses.repeat_last_valid(pose[..., :9], valid), "repeat_last_valid", **TIGHT)
    case.check(poses.repeat_last_valid(case["p4"], valid), "repeat_last_valid4", **TIGHT)
    case.check(poses.repeat_last_valid(case["p4"][:, :, 0], valid)[:, -1], "slice_last_valid", **TIGHT)
    for name, width in (("smplx", 168), ("smpl", 75)):
        marks = torch.arange(1.0, width + 1)  # every number says where it came from
        case.check(clips.mirror(marks).abs().long() - 1, f"flip_perm_{name}")
        case.check(clips.mirror(marks)[None].sign(), f"flip_sign_{name}")


def check_cameras(case: Case) -> None:
    points, turn, shift = case["pts"], case["cam_R"], case["cam_t"]
    seen = cameras.to_camera(points, turn, shift)
    case.check(seen, "world2cam", **TIGHT)
    case.check(cameras.to_world(seen, turn, shift), "cam2world", **TIGHT)
    pixels = cameras.project(seen)
    case.check(pixels, "proj", **TIGHT)
    case.check(cameras.unproject(pixels, seen[..., 2]), "unproj", **TIGHT)
    case.check(cameras.fit_translation(case["est_p3"], case["est_p2"]), "est_trans", **TIGHT)
    case.check(cameras.frame_points(points, 1.1, original=True), "best_camera", **TIGHT)
    video = cameras.frame_points(
        points.flatten(0, 1)[None], 1.3, distance=5, chosen=case["perm"][:30], original=True
    )
    case.check(video, "best_camera_video", **TIGHT)


@parity("posegpt_data")
def test_data(case: Case, tmp_path: Path) -> None:
    clips30 = [amass_pose(case, number, tmp_path) for number in range(3)]
    for number, pose in enumerate(clips30):
        check_columns(case, pose, f"amass{number}")
    for length, overlap in ((64, 0), (32, 8)):
        pieces = clips.cut(clips30[0], length, 16, overlap)
        key = f"subseq_{length}_{overlap}"
        case.check(torch.tensor([len(piece) for piece in pieces]), f"{key}_len")
        padded = [clips.crop(piece, length, 0)[0][:, -3:] for piece in pieces]
        case.check(torch.stack(padded), f"{key}_first", **TIGHT)
    check_babel(case, clips30, tmp_path)
    check_items(case)


def amass_pose(case: Case, number: int, folder: Path) -> Tensor:
    """A stored file, written, read, thinned to 30 frames/s and turned."""
    entry = case.manifest["amass_files"][number]
    poses55 = np.full((entry["frames"], 165), 0.01 * (number + 1), np.float32)
    stored = case.arrays[f"file{number}_poses"]
    poses55[:, : stored.shape[1]] = stored
    path = folder / f"{number}.npz"
    trans = case.arrays[f"file{number}_trans"]
    np.savez(path, poses=poses55, trans=trans, mocap_frame_rate=entry["fps"])
    motion = read_amass(path)
    kept = clips.frames_at(motion.num_frames, motion.fps)
    pose = poses.join_pose(
        torch.from_numpy(motion.rotations[kept]), torch.from_numpy(motion.root_translation[kept])
    )
    turned = poses.zero_start(poses.turn_world(pose, poses._TO_POSE))
    if motion.fps % 30 == 0:  # then nothing falls between frames, and interpolating gives the same
        own = poses.from_motion(motion, motion.skeleton)
        case.check_error(float((own[: len(turned)] - turned).abs().max()), "own", 1e-4)
    return turned


def check_columns(case: Case, pose: Tensor, key: str) -> None:
    case.check(torch.cat([pose[..., :15], pose[..., -3:]], dim=-1), key, **TIGHT)


def check_babel(case: Case, clips30: list[Tensor], folder: Path) -> None:
    path = folder / "train.json"
    path.write_text(json.dumps(case.manifest["babel_annotations"]), encoding="utf-8")
    labels, vocabulary = read_babel(path, original=True), Vocabulary.load("babel").first(60)
    pieces, actions = [], []
    for entry, pose in zip(case.manifest["amass_files"], clips30):
        for span in labels.of(entry["path"].removeprefix("smplx/")):
            hot = vocabulary.encode(span.categories)
            if hot.any():
                cut = clips.cut(clips.stretch(pose, span.start, span.end))
                pieces += cut
                actions += [hot] * len(cut)
    case.check(torch.tensor([len(piece) for piece in pieces]), "babel_len")
    case.check(torch.stack(actions).int(), "babel_action")
    check_columns(case, torch.stack([piece[0] for piece in pieces]), "babel_first_frame")
    check_columns(case, torch.stack([piece[-1] for piece in pieces]), "babel_last_frame")
    assert labels.problems["labels with swapped times"] == 1
    mended = read_babel(path).of(case.manifest["amass_files"][0]["path"])
    assert [(span.start, span.end) for span in mended] == [(0.3, 2.9), (3.1, 3.2), (1.0, 3.0)]


def check_items(case: Case) -> None:
    sequences = [case["ds_pose0"], case["ds_pose1"]]
    for number, pose in enumerate(sequences):
        item, valid = clips.crop(pose, 64)
        case.check(item[:, -3:], f"ds_eval_trans{number}", **TIGHT)
        case.check(valid.long(), f"ds_eval_valid{number}")
        case.check(item[[0, 20, 39, 63], :30], f"ds_eval_f{number}", **TIGHT)
    for row, (index, start, tilt, yaw, roll, flip) in enumerate(case["ds_train_draws"].tolist()):
        item, valid = clips.crop(sequences[int(index)], 64, int(start))
        item = clips.augment(item, clips.Augmentation(tilt, yaw, roll, flip == 1))
        expected = case["ds_train_pose"][row]
        assert (item[::8] - expected).abs().max() < 1e-5 * expected.abs().max()
        assert (valid.long() == case["ds_train_valid"][row]).all()
