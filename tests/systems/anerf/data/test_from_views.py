"""A figure is fitted to what several calibrated cameras see, in metres."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from contrapposto import rotations as rot
from contrapposto.errors import InputError, MissingError
from contrapposto.render.video import VideoWriter
from contrapposto.systems.anerf.cameras import project as nerf_project
from contrapposto.systems.anerf.data.from_views import (
    ViewCamera,
    WorldPerson,
    fit_person_views,
    read_cameras,
    seen_rays,
    triangulated,
    write_world_person,
)
from contrapposto.systems.anerf.data.prepare import prepare_avatar
from contrapposto.systems.anerf.kinematics import pose_bones
from contrapposto.systems.scail_pose.camera import default_intrinsics
from tests.systems.anerf.data.test_from_video import SIZE, clip_of, moving

Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # from a camera that looks along y


def camera(angle: float, name: str = "a") -> ViewCamera:
    """Three metres from the origin, at an angle about the vertical; pixels of twice the clips' size."""
    c, s = np.cos(angle), np.sin(angle)
    rotation = Z_UP.T @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    video = SimpleNamespace(height=2 * SIZE[0], width=2 * SIZE[1])
    return ViewCamera(
        name,
        video,
        np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]),
        rotation,
        np.array([0, 0, 3.0]),
    )


def in_world(count: int = 12) -> np.ndarray:
    """(T, 24, 3) of somebody 1.1 times as large as the figure, z up, around the origin."""
    joints = 1.1 * moving(count)
    return (joints - joints[:1, :1]) @ Z_UP.T


def seen(camera: ViewCamera, world: np.ndarray):
    """A clip of an estimator that assumes another lens and another size, as estimators do."""
    pixels = camera.pixels(world) / 2
    matrix = default_intrinsics(*SIZE)
    depth = 1.4 * ((world @ camera.rotation.T + camera.shift)[..., 2:])
    flat = (pixels - matrix[:2, 2]) / matrix[[0, 1], [0, 1]]
    return clip_of([np.concatenate([flat * depth, depth], axis=-1)])


def test_rays_meet_where_the_joints_are():
    world, cameras = in_world(2), [camera(0.0), camera(1.2)]
    rays = [one.rays(one.pixels(world)) for one in cameras]
    np.testing.assert_allclose(triangulated(cameras, rays), world, atol=1e-9)
    rays[1][0, 3] = np.nan
    assert np.isnan(triangulated(cameras, rays)[0, 3]).all()


def test_keypoints_in_the_image_come_before_joints_in_space():
    world, one = in_world(3), camera(0.4)
    clip = seen(one, world)
    truth = one.rays(one.pixels(world))
    for frame, people in enumerate(clip.frames):
        people[0].joints[[18, 19]] += 200  # elbows are estimated badly in space, well in the image
        people[0].keypoints[[6, 3]] = one.pixels(world[frame, [18, 19]]) / 2
        people[0].scores[[6, 3]] = 0.9
    rays = seen_rays(one, clip, 0)
    assert np.isnan(rays[:, [22, 23]]).all()  # hands
    np.testing.assert_allclose(rays[:, :22], truth[:, :22], atol=1e-5)


def test_the_figure_takes_the_place_and_the_size_of_the_person():
    world, cameras = in_world(), [camera(0.0), camera(1.3), camera(-1.0)]
    person = fit_person_views(cameras, [seen(one, world) for one in cameras], [0, 0, 0], every=3)
    assert person.frames.tolist() == list(range(0, 36, 3))
    joints = pose_bones(
        rot.axis_angle_to_matrix(torch.from_numpy(person.rotations)),
        torch.from_numpy(person.rest - person.rest[0]),
        torch.from_numpy(person.root),
    ).joints.numpy()
    limbs = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
    away = np.linalg.norm(joints - world, axis=-1)[:, limbs]
    assert away.mean() < 0.015 and away.max() < 0.06


def test_a_folder_of_videos_becomes_a_scene(tmp_path):
    cameras = {"a": camera(0.0), "b": camera(1.3)}
    entries = {
        name: {"K": c.matrix.tolist(), "R": c.rotation.tolist(), "t": c.shift.tolist()}
        for name, c in cameras.items()
    }
    (tmp_path / "cameras.json").write_text(json.dumps({"cameras": entries}))
    turns = np.zeros((3, 24, 3))
    turns[:, 0] = [np.pi / 2, 0, 0]
    rest = np.asarray(moving(1)[0] * [1, -1, 1])
    person = WorldPerson(turns, np.zeros((3, 3)), rest, np.arange(3))
    write_world_person(tmp_path / "poses.npz", person)
    mask = np.zeros((480, 640), np.uint8)
    mask[100:400, 250:400] = 255
    for name in cameras:
        (tmp_path / "masks" / name).mkdir(parents=True)
        with VideoWriter(tmp_path / f"{name}.mp4", 10.0, (640, 480)) as video:
            for frame in range(3):
                video.write(np.where(mask[..., None] > 0, 40 * frame, 200).astype(np.uint8).repeat(3, 2))
                Image.fromarray(mask).save(tmp_path / "masks" / name / f"{frame:04d}.png")
    scene = prepare_avatar(
        "anerf_views",
        output=tmp_path / "scene",
        raw=tmp_path,
        poses=str(tmp_path / "poses.npz"),
        masks=str(tmp_path / "masks"),
        held_out_camera="b",
        size=64,
    ).scene
    assert scene.split("train").tolist() == [0, 1, 2] and scene.split("novel_view").tolist() == [3, 4, 5]
    for image, one in ((1, cameras["a"]), (4, cameras["b"])):
        at = scene.camera_index(image)
        parts = (torch.from_numpy(np.array(x[at])) for x in (scene.c2ws, scene.focals, scene.centers))
        pixel = nerf_project(
            torch.from_numpy(np.array(scene.kp3d[scene.pose_index(image), :1])), *parts
        ).numpy()
        np.testing.assert_allclose(pixel[0], (one.pixels(np.zeros(3)) + 0.5) / 10 - 0.5, atol=1e-3)


def test_cameras_are_checked(tmp_path):
    with pytest.raises(MissingError, match=r"no cameras.json"):
        read_cameras(tmp_path)
    entry = {"K": np.eye(3).tolist(), "R": (2 * np.eye(3)).tolist(), "t": [0, 0, 1]}
    (tmp_path / "cameras.json").write_text(json.dumps({"cameras": {"a": entry}}))
    with pytest.raises(InputError, match="R of camera a"):
        read_cameras(tmp_path)
