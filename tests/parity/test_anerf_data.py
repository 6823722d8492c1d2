"""A-NeRF's file layout, pixel sampling, SPIN cameras and multi-view maps against the original's."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.systems.anerf.cameras import (
    camera_from_translation,
    cylinder_box,
    weak_perspective_camera,
)
from contrapposto.systems.anerf.data import (
    AvatarScene,
    Frame,
    RayOptions,
    RaySampler,
    SceneFacts,
    write_scene,
)
from contrapposto.systems.anerf.data.h5 import open_h5, write_h5
from contrapposto.systems.anerf.data.views import render_choice, share_poses, takes_of_paths, view_map
from contrapposto.systems.anerf.data.writing import continues, dilate
from contrapposto.systems.anerf.kinematics import joint_axes, pose_bones
from tests.parity.golden import Case, parity

TIGHT = {"tolerance": 1e-5}
PLAIN = ("bkgd_idxs", "kp3d", "bones", "skts", "cyls", "rest_pose", "c2ws", "focals")
PARTS = {
    "target_s": "target_s",
    "kp_idx": "kp_idx",
    "cam_idxs": "cam_idxs",
    "fgs": "fgs",
    "bgs": "bgs",
}


@parity("anerf_data")
def test_data(case: Case, tmp_path: Path) -> None:
    scene = made(case, tmp_path / "scene")
    check_layout(case, scene, tmp_path)
    check_rays(case, scene)
    check_near_pixels(case, scene)
    check_maps(case)
    check_spin(case)
    case.check(joint_axes(case["rest_pose"]), "meta_joint_coords", **TIGHT)
    assert scene.num_cameras == int(case["meta_n_views"])
    choice = render_choice(scene.num_images, 2, 2)
    case.check(torch.from_numpy(choice), "render_idx")
    case.check(torch.from_numpy(scene.bkgd_idxs[choice]), "render_bg_idxs")


def made(case: Case, path: Path) -> AvatarScene:
    frames = [Frame(image, mask[..., 0]) for image, mask in zip(case.arrays["imgs"], case.arrays["masks"])]
    for frame, expected in zip(frames, case.arrays["sampling_masks"]):
        assert (dilate(frame.mask) == expected[..., 0]).all()
    arrays = {name: case.arrays[name] for name in PLAIN}
    arrays["bkgds"] = case.arrays["bkgds"].reshape(2, -1, 3)
    arrays["gt_kp3d"] = arrays["kp3d"]
    arrays["betas"] = case.arrays["meta_betas"]
    arrays["img_paths"] = np.array(json.loads(str(case.arrays["img_paths"])), np.bytes_)
    return write_scene(path, frames, arrays, (48, 48), SceneFacts("made", "golden case", "CC0-1.0"))


def check_layout(case: Case, scene: AvatarScene, folder: Path) -> None:
    path = write_h5(folder / "scene.h5", scene, chunk=16 * 16)
    expected = json.loads(str(case.arrays["h5_layout"]))
    with h5py.File(path) as file:
        for name, (shape, dtype, chunks, compression) in expected.items():
            data = file[name]
            found = [list(data.shape), data.dtype.str if data.dtype.kind == "S" else data.dtype.name]
            assert found == [shape, dtype], name
            assert [data.chunks and list(data.chunks), data.compression] == [chunks, compression], name
        assert set(file) - set(expected) <= {"img_pose_indices", "pose_scale"}
        assert (file["imgs"][()].reshape(6, 48, 48, 3) == case.arrays["imgs"]).all()
    with open_h5(path) as opened:
        again = write_scene(
            folder / "again", opened.frames(), opened.arrays(), opened.size, SceneFacts("made", "", "CC0-1.0")
        )
    for name in (*PLAIN, "imgs", "masks", "sampling_masks", "bkgds"):
        expected_array = np.asarray(getattr(scene, name))
        assert np.array_equal(np.asarray(getattr(again, name)), expected_array), name


def check_rays(case: Case, scene: AvatarScene) -> None:
    for setting, options in (("plain", RayOptions()), ("mask", RayOptions(mask_target=True))):
        pixels = case.arrays[f"{setting}_pix"]
        batch = RaySampler(scene, options).at(np.full(12, 2), pixels)
        case.check(batch["rays"][0], f"{setting}_rays_o", **TIGHT)
        case.check(batch["rays"][1], f"{setting}_rays_d", **TIGHT)
        for ours, theirs in PARTS.items():
            case.check(batch[ours], f"{setting}_{theirs}", **TIGHT)
    for setting in ("nms", "patch"):
        batch = RaySampler(scene).at(np.full(12, 2), case.arrays[f"{setting}_pix"])
        case.check(batch["rays"][1], f"{setting}_rays_d", **TIGHT)
        case.check(batch["target_s"], f"{setting}_target_s", **TIGHT)
    sampler = RaySampler(scene, RayOptions(images_per_step=2, rays_per_step=8))
    joined = sampler.at(np.array([0, 3]).repeat(4), np.arange(8) + 900)
    assert list(joined["rays"].shape) == case.arrays["collate_rays_shape"].tolist()
    case.check(joined["kp_idx"], "collate_kp_idx")
    inside = scene.sampling_masks[2].reshape(-1) > 0
    assert inside[case.arrays["plain_pix"]].all()
    squares = case.arrays["patch_pix"]
    corners = np.array([p for p in squares if {p + 1, p + 48, p + 49} <= set(squares)])
    assert len(corners) == 3 and inside[corners].all()
    patches = RaySampler(scene, RayOptions(1, 12, patch=2))._patches(corners)
    case.check(torch.from_numpy(patches), "patch_pix")


def check_near_pixels(case: Case, scene: AvatarScene) -> None:
    box = cylinder_box(case["cyls"], case["c2ws"], case["focals"], 48, 48, scale=1.3)
    case.check(torch.stack(box, dim=1).int(), "nms_box2d")
    sampler = RaySampler(scene, RayOptions(1, 12, near_rays=4), images=[2])
    outside = np.setdiff1d(case.arrays["nms_pix"], np.flatnonzero(scene.sampling_masks[2]))
    assert len(outside) == 4 and set(outside) <= set(sampler._places("near", 2))
    chosen = np.random.default_rng(1234).choice(sampler._places("near", 2), 4, replace=False)
    assert sorted(chosen) == outside.tolist(), "the same candidates in the same order"


def check_maps(case: Case) -> None:
    paths = json.loads(str(case.arrays["img_paths"]))
    takes = takes_of_paths(paths)
    case.check(torch.from_numpy(takes.astype(np.int32)), "tv_mixamo_seq")
    case.check(torch.from_numpy(continues(takes).astype(np.float32)), "tv_mixamo")
    by_folder = continues(takes_of_paths(paths, gaps=False)).astype(np.float32)
    case.check(torch.from_numpy(by_folder), "tv_h36m")
    pose_of_image, first = view_map([0] * 6 + [1] * 6, 2)
    case.check(torch.from_numpy(pose_of_image), "mv_kp_map")
    case.check(torch.from_numpy(first), "mv_kp_uidxs")
    for average in (False, True):
        for name in ("bones", "kp3d"):
            shared = share_poses(case.arrays[f"mv_in_{name}"], pose_of_image, average=average)
            case.check(torch.from_numpy(shared), f"mv_{name}_avg{int(average)}", **TIGHT)
        matrices = rot.axis_angle_to_matrix(case[f"mv_bones_avg{int(average)}"].double())
        posed = pose_bones(matrices, case["rest_pose"].double(), case["mv_in_kp3d"][:, 0].double())
        case.check(posed.world_to_bone, f"mv_skts_avg{int(average)}", **TIGHT)


def check_spin(case: Case) -> None:
    cameras, boxes = case.arrays["spin_cam"], case.arrays["spin_bbox"]
    found = weak_perspective_camera(cameras, boxes, 1000, 1002)
    case.check(torch.from_numpy(found).float(), "spin_orig", **TIGHT)
    case.check(torch.from_numpy(found[:, 0]).float(), "spin_focals", **TIGHT)
    imposed = weak_perspective_camera(cameras, boxes, 1000, 1002, focal=1145)
    case.check(torch.from_numpy(imposed).float(), "spin_newfocal", **TIGHT)
    matrices = camera_from_translation(found[:, 1:], 1.3)
    case.check(torch.from_numpy(matrices).float(), "spin_c2ws", **TIGHT)
