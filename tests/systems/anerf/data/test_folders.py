"""Folders of known data sets, made small: their geometry against projections worked out by hand, and refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from contrapposto import rotations as rot
from contrapposto.body import load_body
from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.systems.anerf.cameras import project
from contrapposto.systems.anerf.data.poses import pose_arrays
from contrapposto.systems.anerf.data.prepare import prepare_avatar
from contrapposto.systems.anerf.data.recipes.anerf_zju import distort, straighten
from contrapposto.systems.anerf.kinematics import REST_POSE

SIDE = 64


def picture(path, seed=0, height=SIDE, colour=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 255, (height, SIDE, 3)).astype(np.uint8)
    Image.fromarray(values if colour else values[..., 0]).save(path)


def mask(path, height=SIDE, value=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((height, SIDE), np.uint8)
    values[15:50, 20:44] = value
    Image.fromarray(values).save(path)


def poses(count, seed=0):
    generator = np.random.default_rng(seed)
    rotations = generator.normal(0, 0.2, (count, 24, 3))
    rotations[:, 0] = np.array([np.pi, 0, 0]) + generator.normal(0, 0.1, (count, 3))
    return rotations


def seen(scene, image):
    """(24, 2) joints of an image of a scene."""
    camera, pose = scene.camera_index(image), scene.pose_index(image)
    parts = [scene.kp3d[pose], scene.c2ws[camera], scene.focals[camera], scene.centers[camera]]
    return project(*(torch.from_numpy(np.array(part)) for part in parts)).numpy()


# --- SPIN -----------------------------------------------------------------------------------------------------------


def spin(folder, names, height=SIDE):
    count = len(names)
    entries = {
        "img_path": np.array(names),
        "pred_rot_mat": rot.axis_angle_to_matrix(torch.from_numpy(poses(count))).numpy(),
        "pred_cam": np.tile([0.9, 0.05, -0.1], (count, 1)),
        "bbox_params": np.tile([30.0, 34.0, 50.0], (count, 1)),
        "pred_betas": np.zeros((count, 10)),
    }
    np.savez(folder / "spin.npz", **entries)
    for number, name in enumerate(names):
        picture(folder / name, number, height)
    return entries


def prepared(folder, output, **options):
    return prepare_avatar(
        "anerf_spin", output=output, raw=folder, poses=str(folder / "spin.npz"), **options
    ).scene


def test_spin_cameras_show_the_joints_where_spin_saw_them(tmp_path):
    names = [f"images/{i:04d}.png" for i in range(4)]
    (tmp_path / "f").mkdir()
    entries = spin(tmp_path / "f", names)
    for name in names:
        mask(tmp_path / "f" / name.replace("images", "masks"))
    scene = prepared(tmp_path / "f", tmp_path / "s", held_out=1)
    rest = load_body("smpl").rest_joints()[0].double().numpy()
    posed = pose_arrays(poses(4), rest - rest[0], np.tile(rest[0], (4, 1)))["kp3d"].astype(np.float64)
    scale, x, y = entries["pred_cam"][0]
    local = posed + np.array([x, y, 2 * 5000 / (224 * scale)])
    crop = 5000 * local[..., :2] / local[..., 2:]  # pixels of the 224 crop, from its middle
    full = crop * 50 / 224 + [30, 34]
    for image in range(4):
        assert np.abs(seen(scene, image) - full[image]).max() < 0.6
    assert scene.split("novel_pose").tolist() == [3] and scene.num_poses == 4
    assert scene.temp_val.tolist() == [0, 1, 1, 0]


def test_mixamo_is_painted_white_and_its_takes_end_at_gaps(tmp_path):
    names = [f"images/{i:04d}.png" for i in (1, 2, 3, 7, 8)]
    (tmp_path / "f").mkdir()
    spin(tmp_path / "f", [f"/elsewhere/{name}" for name in names])
    for number, name in enumerate(names):
        picture(tmp_path / "f" / name, number)
        mask(tmp_path / "f" / name.replace("images", "masks"))
    scene = prepared(tmp_path / "f", tmp_path / "s", kind="mixamo")
    assert (scene.image(0)[~scene.mask(0)] == 255).all() and scene.temp_val.tolist() == [0, 1, 0, 0, 0]
    assert (scene.bkgds == 255).all() and len(scene.bkgds) == 1


def test_h36m_has_backgrounds_by_camera_and_chair_and_shares_poses(tmp_path):
    actions = ("Greeting-1", "Sitting-1", "Throw-1")
    names = [
        f"S9/{action}/imageSequence/{camera}/{i:04d}.png"
        for action in actions
        for camera in ("54", "60")
        for i in range(2)
    ]
    (tmp_path / "f").mkdir()
    spin(tmp_path / "f", names, height=1002)
    for name in names:
        mask(tmp_path / "f" / name.replace("imageSequence", "Mask"), 1002)
    scene = prepared(tmp_path / "f", tmp_path / "s", kind="h36m", views=2, size=100)
    assert scene.hw == (100, 6), "1002 rows lose two"
    assert len(scene.bkgds) == 4 and scene.bkgd_idxs.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1, 1]
    assert scene.split("novel_pose").tolist() == [0, 1, 2, 3]
    assert scene.shared_idxs.tolist() == [0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5]
    first, second = (Rotation.from_rotvec(poses(12)[i, 1:]) for i in (0, 2))
    middle = Rotation.concatenate([first, second])
    expected = [middle[[j, j + 23]].mean().as_rotvec() for j in range(23)]
    assert np.allclose(scene.bones[0, 1:], expected, atol=1e-5)
    assert np.allclose(scene.bones[0, 1:], scene.bones[2, 1:]) and not np.allclose(
        scene.bones[0, 0], scene.bones[2, 0]
    )


def test_perfcap_cameras_are_nearer(tmp_path):
    names = [f"images/{i:04d}.png" for i in range(2)]
    (tmp_path / "f").mkdir()
    spin(tmp_path / "f", names)
    for name in names:
        mask(tmp_path / "f" / name.replace("images", "masks"))
    picture(tmp_path / "back.png")
    plain = prepared(tmp_path / "f", tmp_path / "a")
    with pytest.raises(MissingError, match="background"):
        prepared(tmp_path / "f", tmp_path / "b", kind="perfcap")
    near = prepared(tmp_path / "f", tmp_path / "b", kind="perfcap", background=str(tmp_path / "back.png"))
    assert np.allclose(near.c2ws[:, :3, 3] * 1.05, plain.c2ws[:, :3, 3], atol=1e-5)
    assert (near.background(0) == np.asarray(Image.open(tmp_path / "back.png"))).all()


def test_a_pickle_of_spin_is_read_without_running_it(tmp_path):
    names = ["images/0.png", "images/1.png"]
    (tmp_path / "f").mkdir()
    entries = spin(tmp_path / "f", names)
    for name in names:
        mask(tmp_path / "f" / name.replace("images", "masks"))
    plain = prepared(tmp_path / "f", tmp_path / "a")
    content = {name: value.tolist() if value.dtype.kind == "U" else value for name, value in entries.items()}
    (tmp_path / "spin.pkl").write_bytes(pickle.dumps(content))
    scene = prepare_avatar(
        "anerf_spin", output=tmp_path / "b", raw=tmp_path / "f", poses=str(tmp_path / "spin.pkl")
    ).scene
    assert np.array_equal(scene.kp3d, plain.kp3d)


def test_spin_folders_that_are_not_complete(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    names = ["images/0.png", "images/1.png"]
    spin(folder, names)
    with pytest.raises(MissingError, match="has no mask"):
        prepared(folder, tmp_path / "s")
    for name in names:
        mask(folder / name.replace("images", "masks"))
    with pytest.raises(ConfigError, match="no kind"):
        prepared(folder, tmp_path / "s", kind="mixano")
    with pytest.raises(InputError, match="All images would be held out"):
        prepared(folder, tmp_path / "s", held_out=2)
    with pytest.raises(InputError, match="cannot be divided among 3 cameras"):
        prepared(folder, tmp_path / "s", views=3)
    mask(folder / "masks" / "1.png", height=30)
    with pytest.raises(InputError, match="another size"):
        prepared(folder, tmp_path / "s")
    (folder / "images" / "1.png").unlink()
    with pytest.raises(MissingError, match="is not in"):
        prepared(folder, tmp_path / "s")
    assert not (tmp_path / "s").exists()


# --- ZJU-MoCap ------------------------------------------------------------------------------------------------------


def capture(folder, frames=3, cameras=3, distortion=(0, 0, 0, 0, 0)):
    """A subject of ZJU-MoCap: z up, metres, T in millimetres."""
    generator = np.random.default_rng(1)
    cams = {name: [] for name in "KDRT"}
    for camera in range(cameras):
        around = camera * 2 * np.pi / cameras
        back = np.array([np.cos(around), np.sin(around), 0.1])
        right = np.cross([0, 0, 1.0], back)
        right /= np.linalg.norm(right)
        back /= np.linalg.norm(back)
        turn = np.stack([right, -np.cross(back, right), -back])
        cams["K"].append(np.array([[70.0, 0, 31], [0, 72, 33], [0, 0, 1]]))
        cams["D"].append(np.array(distortion, np.float64)[:, None])
        cams["R"].append(turn)
        cams["T"].append(-1000 * (turn @ (3 * back + [0, 0, 1.0]))[:, None])
    ims = [{"ims": [f"Camera_B{c}/{f:06d}.jpg" for c in range(cameras)]} for f in range(frames)]
    folder.mkdir()
    np.save(folder / "annots.npy", np.array({"cams": cams, "ims": ims}, dtype=object), allow_pickle=True)
    parameters = []
    for frame in range(frames):
        body = generator.normal(0, 0.2, (1, 72))
        body[:, :3] = 0
        turn = Rotation.from_euler("xz", [np.pi / 2, 0.3 * frame]).as_rotvec()[None]
        parameters.append(
            {"poses": body, "Rh": turn, "Th": np.array([[0.1, 0.2, 1.0]]), "shapes": np.zeros((1, 10))}
        )
        (folder / "new_params").mkdir(exist_ok=True)
        entry = np.array(parameters[-1], dtype=object)
        np.save(folder / "new_params" / f"{frame + 1}.npy", entry, allow_pickle=True)
        for name in ims[frame]["ims"]:
            picture(folder / name, frame)
            mask((folder / "mask" / name).with_suffix(".png"), value=1)
    return cams, parameters


def test_zju_cameras_show_the_joints_where_its_own_do(tmp_path):
    cams, parameters = capture(tmp_path / "f")
    report = prepare_avatar(
        "anerf_zju",
        output=tmp_path / "s",
        raw=tmp_path / "f",
        train_views=[0, 2],
        novel_views=[1],
        frames=2,
        novel_frames=1,
    )
    scene = report.scene
    body = load_body("smpl")
    for place, camera in enumerate((0, 2, 1)):
        for frame, entry in enumerate(parameters):
            local = rot.axis_angle_to_matrix(torch.from_numpy(entry["poses"].reshape(1, 24, 3))).float()
            joints = body.joints(local)[0].double().numpy()
            world = Rotation.from_rotvec(entry["Rh"][0]).apply(joints) + entry["Th"][0]
            seen_by = world @ cams["R"][camera].T + cams["T"][camera][:, 0] / 1000
            pixels = seen_by[:, :2] / seen_by[:, 2:] * [70, 72] + [31, 33]
            assert np.abs(seen(scene, place * 3 + frame) - pixels).max() < 1e-2
    assert [len(scene.split(name)) for name in ("train", "novel_view", "novel_pose")] == [4, 2, 3]
    assert scene.metres_per_unit == 1 and scene.camera_idxs.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    edge = scene.sampling_masks[0].reshape(SIDE, SIDE)
    assert edge[30, 30] and not edge[15, 30] and not edge[13, 30] and edge[11, 30], (
        "no rays along the outline"
    )


def test_lenses_are_straightened():
    lens = np.array([[30.0, 0, 32], [0, 30, 32], [0, 0, 1]])
    bends = np.array([-0.2, 0.05, 0.004, -0.003, 0.01])
    image = np.zeros((64, 64, 1), np.uint8)
    straight = np.array([[48, 20], [20, 44], [40, 40]])  # column, row
    x, y = ((straight - 32) / 30).T
    bent = np.round(np.stack(distort(x, y, bends), 1) * 30 + 32).astype(int)
    for column, row in bent:
        image[row - 1 : row + 2, column - 1 : column + 2] = 255
    found = straighten(image, lens, bends)[..., 0]
    for column, row in straight:
        assert found[row, column] > 200
    assert np.abs(bent - straight).max() >= 1, "the test bends"
    # the series of Brown's model, by hand, at a radius of 0.5 on the x axis
    assert np.isclose(
        distort(np.array(0.5), np.array(0.0), bends)[0],
        0.5 * (1 - 0.05 + 0.05 / 16 + 0.01 / 64) - 0.003 * 0.75,
    )


def test_zju_folders_that_are_not_complete(tmp_path):
    capture(tmp_path / "f", frames=2)

    def attempt(**options):
        options = {"train_views": [0, 1], "frames": 2, **options}
        prepare_avatar("anerf_zju", output=tmp_path / "s", raw=tmp_path / "f", **options)

    with pytest.raises(InputError, match="camera is not there"):
        attempt(train_views=[0, 9])
    with pytest.raises(ConfigError):
        attempt(train_views=[0, 0])
    with pytest.raises(InputError, match="no frames"):
        attempt(start=5)
    np.save(
        tmp_path / "f" / "new_params" / "1.npy", np.array({"poses": np.zeros(72)}, object), allow_pickle=True
    )
    with pytest.raises(InputError, match="lacks SMPL parameters"):
        attempt()
    (tmp_path / "f" / "mask" / "Camera_B1" / "000001.png").unlink()
    with pytest.raises(MissingError, match="has no mask"):
        attempt()
    strange = np.array({"cams": pytest.raises}, dtype=object)
    np.save(tmp_path / "f" / "annots.npy", strange, allow_pickle=True)
    with pytest.raises(InputError, match="nothing in it was executed"):
        attempt()
    np.save(tmp_path / "f" / "annots.npy", np.zeros(3))
    with pytest.raises(InputError, match="array of numbers"):
        attempt()
    assert not (tmp_path / "s").exists()


# --- SURREAL --------------------------------------------------------------------------------------------------------


def rendered(folder, cameras=2, count=3):
    flip = np.diag([1.0, -1.0, -1.0])
    bones = poses(count)
    truth = pose_arrays(bones, REST_POSE * 0.3, np.zeros((count, 3)))
    quarter = Rotation.from_euler("x", -90, degrees=True)
    told = bones.copy()
    told[:, 0] = (quarter * Rotation.from_rotvec(bones[:, 0])).as_rotvec()
    matrices = np.tile(np.eye(4), (cameras, 1, 1))
    matrices[:, :3, :3] = np.diag([1.0, -1.0, -1.0])
    matrices[:, 2, 3] = -3 - np.arange(cameras)
    metadata = {
        "focal": 90.0,
        "cams": np.concatenate([(flip @ matrices[:, :3]), matrices[:, 3:]], axis=1),
        "joints3D": truth["kp3d"].astype(np.float64) @ flip,
        "poses": told.reshape(count, 72),
    }
    folder.mkdir()
    (folder / "metadata.pkl").write_bytes(pickle.dumps(metadata))
    for number in range(cameras * count):
        picture(folder / "run0" / f"{number:04d}.png", number)
        plane = np.zeros((SIDE, SIDE), np.uint8)
        plane[15:50, 20:44] = 3
        savemat(folder / "run0" / f"{number:04d}_segm.mat", {"segm_1": plane})
    return bones, truth, matrices


def test_surreal_is_turned_and_scaled(tmp_path):
    bones, truth, matrices = rendered(tmp_path / "f")
    scene = prepare_avatar(
        "anerf_surreal", output=tmp_path / "s", raw=tmp_path / "f", train_cameras=[0]
    ).scene
    scale = 0.7142857 / 0.3
    assert np.allclose(scene.kp3d, truth["kp3d"] * scale, atol=1e-4)
    assert np.allclose(scene.c2ws[:, :3, 3], matrices[:, :3, 3] * scale, atol=1e-4)
    turns = [Rotation.from_rotvec(b.reshape(-1, 3)) for b in (scene.bones, bones)]
    assert (turns[0].inv() * turns[1]).magnitude().max() < 1e-4
    local = truth["kp3d"][1] - matrices[1, :3, 3]
    assert np.abs(seen(scene, 4) - (local[:, :2] / local[:, 2:] * 90 + 32)).max() < 1e-2
    assert scene.split("novel_view").tolist() == [3, 4, 5] and (scene.image(0)[~scene.mask(0)] == 255).all()


def test_surreal_folders_that_are_not_complete(tmp_path):
    rendered(tmp_path / "f")

    def attempt(match, error=InputError, **options):
        with pytest.raises(error, match=match):
            prepare_avatar("anerf_surreal", output=tmp_path / "s", raw=tmp_path / "f", **options)

    attempt("not there", ConfigError, train_cameras=[5])
    metadata = pickle.loads((tmp_path / "f" / "metadata.pkl").read_bytes())
    wrong = {**metadata, "poses": np.random.default_rng(0).normal(0, 2, (3, 72))}
    (tmp_path / "f" / "metadata.pkl").write_bytes(pickle.dumps(wrong))
    attempt("do not agree")
    (tmp_path / "f" / "metadata.pkl").write_bytes(pickle.dumps({"focal": 3}))
    attempt("no cams, joints3D, poses")
    (tmp_path / "f" / "metadata.pkl").write_bytes(pickle.dumps(metadata))
    (tmp_path / "f" / "run0" / "0002.png").unlink()
    attempt("do not fit its metadata")
    (tmp_path / "f" / "metadata.pkl").write_bytes(pickle.dumps({"a": pytest.raises}))
    attempt("nothing in it was executed")
    assert not (tmp_path / "s").exists()
