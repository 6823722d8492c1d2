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
    SceneMetadata,
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
    skip, most = case.number("render_idx", r"skip (\d+)"), case.number("render_idx", r"at most (\d+)")
    choice = render_choice(scene.num_images, int(skip), int(most))
    case.check(torch.from_numpy(choice), "render_idx")
    case.check(torch.from_numpy(scene.bkgd_idxs[choice]), "render_bg_idxs")


def made(case: Case, path: Path) -> AvatarScene:
    frames = [Frame(image, mask[..., 0]) for image, mask in zip(case.arrays["imgs"], case.arrays["masks"])]
    for frame, expected in zip(frames, case.arrays["sampling_masks"]):
        assert (dilate(frame.mask) == expected[..., 0]).all()
    arrays = {name: case.arrays[name] for name in PLAIN}
    arrays["bkgds"] = case.arrays["bkgds"].reshape(len(case["bkgds"]), -1, 3)
    arrays["gt_kp3d"] = arrays["kp3d"]
    arrays["betas"] = case.arrays["meta_betas"]
    arrays["img_paths"] = np.array(json.loads(str(case.arrays["img_paths"])), np.bytes_)
    return write_scene(path, frames, arrays, size_of(case), SceneMetadata("made", "golden case", "CC0-1.0"))


def size_of(case: Case) -> tuple[int, int]:
    """Height and width of the case's images."""
    height, width = case["imgs"].shape[1:3]
    return height, width


def check_layout(case: Case, scene: AvatarScene, folder: Path) -> None:
    expected = json.loads(str(case.arrays["h5_layout"]))
    _, _, (_, chunk, *_), _ = expected["imgs"]
    path = write_h5(folder / "scene.h5", scene, chunk=chunk)
    with h5py.File(path) as file:
        for name, (shape, dtype, chunks, compression) in expected.items():
            data = file[name]
            actual = [list(data.shape), data.dtype.str if data.dtype.kind == "S" else data.dtype.name]
            assert actual == [shape, dtype], name
            assert [data.chunks and list(data.chunks), data.compression] == [chunks, compression], name
        assert set(file) - set(expected) <= {"img_pose_indices", "pose_scale"}
        assert (file["imgs"][()].reshape(case["imgs"].shape) == case.arrays["imgs"]).all()
    with open_h5(path) as opened:
        again = write_scene(
            folder / "again",
            opened.frames(),
            opened.arrays(),
            opened.size,
            SceneMetadata("made", "", "CC0-1.0"),
        )
    for name in (*PLAIN, "imgs", "masks", "sampling_masks", "bkgds"):
        expected_array = np.asarray(getattr(scene, name))
        assert np.array_equal(np.asarray(getattr(again, name)), expected_array), name


def check_rays(case: Case, scene: AvatarScene) -> None:
    item, width = int(case.number("plain_pix", r"item (\d+)")), size_of(case)[1]
    for setting, options in (("plain", RayOptions()), ("mask", RayOptions(mask_target=True))):
        pixels = case.arrays[f"{setting}_pix"]
        batch = RaySampler(scene, options).at(np.full(len(pixels), item), pixels)
        case.check(batch["rays"][0], f"{setting}_rays_o", **TIGHT)
        case.check(batch["rays"][1], f"{setting}_rays_d", **TIGHT)
        for ours, theirs in PARTS.items():
            case.check(batch[ours], f"{setting}_{theirs}", **TIGHT)
    for setting in ("nms", "patch"):
        pixels = case.arrays[f"{setting}_pix"]
        batch = RaySampler(scene).at(np.full(len(pixels), item), pixels)
        case.check(batch["rays"][1], f"{setting}_rays_d", **TIGHT)
        case.check(batch["target_s"], f"{setting}_target_s", **TIGHT)
    items = case.arrays["collate_kp_idx"]
    options = RayOptions(images_per_step=len(set(items.tolist())), rays_per_step=len(items))
    middle = width * size_of(case)[0] // 2
    joined = RaySampler(scene, options).at(items, np.arange(len(items)) + middle)
    assert list(joined["rays"].shape) == case.arrays["collate_rays_shape"].tolist()
    case.check(joined["kp_idx"], "collate_kp_idx")
    inside = scene.sampling_masks[item].reshape(-1) > 0
    assert inside[case.arrays["plain_pix"]].all()
    squares = case.arrays["patch_pix"]
    corners = np.array([p for p in squares if {p + 1, p + width, p + width + 1} <= set(squares)])
    assert len(corners) == len(squares) // 4 and inside[corners].all()
    patches = RaySampler(scene, RayOptions(1, len(squares), patch=2))._patches(corners)
    case.check(torch.from_numpy(patches), "patch_pix")


def check_near_pixels(case: Case, scene: AvatarScene) -> None:
    item, count = int(case.number("nms_pix", r"item (\d+)")), int(case.number("nms_rays_d", r"N_nms': (\d+)"))
    scale = case.number("nms_box2d", r"scaled by ([\d.]+)")
    box = cylinder_box(case["cyls"], case["c2ws"], case["focals"], *size_of(case), scale=scale)
    case.check(torch.stack(box, dim=1).int(), "nms_box2d")
    sampler = RaySampler(scene, RayOptions(1, len(case["nms_pix"]), near_rays=count), images=[item])
    outside = np.setdiff1d(case.arrays["nms_pix"], np.flatnonzero(scene.sampling_masks[item]))
    places = sampler._places("near", item)
    assert len(outside) == count and set(outside) <= set(places)
    seed = int(case.number("nms_pix", r"default_rng\((\d+)\)"))
    chosen = np.random.default_rng(seed).choice(places, count, replace=False)
    assert sorted(chosen) == outside.tolist(), "the same candidates in the same order"


def check_maps(case: Case) -> None:
    paths = json.loads(str(case.arrays["img_paths"]))
    takes = takes_of_paths(paths)
    case.check(torch.from_numpy(takes.astype(np.int32)), "tv_mixamo_seq")
    case.check(torch.from_numpy(continues(takes).astype(np.float32)), "tv_mixamo")
    by_folder = continues(takes_of_paths(paths, gaps=False)).astype(np.float32)
    case.check(torch.from_numpy(by_folder), "tv_h36m")
    pattern = r"{} actions x {} cameras x {} frames"
    actions, cameras, frames = (
        int(case.number("mv_kp_map", pattern.format(*(group if i == n else r"\d+" for i in range(3)))))
        for n, group in enumerate([r"(\d+)"] * 3)
    )
    pose_of_image, first = view_map(np.arange(actions).repeat(cameras * frames).tolist(), cameras)
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
    width, height = (int(case.number("spin_orig", rf"(\d+) {side}")) for side in ("wide", "high"))
    actual = weak_perspective_camera(cameras, boxes, width, height)
    case.check(torch.from_numpy(actual).float(), "spin_orig", **TIGHT)
    case.check(torch.from_numpy(actual[:, 0]).float(), "spin_focals", **TIGHT)
    imposed = weak_perspective_camera(
        cameras, boxes, width, height, focal=case.number("spin_newfocal", r"focal of (\d+)")
    )
    case.check(torch.from_numpy(imposed).float(), "spin_newfocal", **TIGHT)
    matrices = camera_from_translation(actual[:, 1:], case.number("spin_c2ws", r"scaled by ([\d.]+)"))
    case.check(torch.from_numpy(matrices).float(), "spin_c2ws", **TIGHT)
