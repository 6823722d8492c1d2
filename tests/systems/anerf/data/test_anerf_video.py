"""Own videos: a walking figure of known poses as a video, and everything that people get wrong."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import binary_dilation

from contrapposto import rotations as rot
from contrapposto.body import load_body
from contrapposto.data.arrays import NpyWriter
from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.render import VideoWriter
from contrapposto.systems.anerf.cameras import project
from contrapposto.systems.anerf.data.frame_folder import FrameFolder
from contrapposto.systems.anerf.data.masks import PersonSegmenter, longest_side, median_background
from contrapposto.systems.anerf.data.people import read_person
from contrapposto.systems.anerf.data.prepare import prepare_avatar
from contrapposto.video_file import VideoFile

FRAMES, SIDE, FOCAL = 6, 96, 130.0
COLOUR = np.array([40, 90, 200])


def truth() -> dict[str, np.ndarray]:
    """A figure upright before the camera that goes to the right; translations as SMPL has them."""
    rotations = np.zeros((FRAMES, 24, 3))
    rotations[:, 0, 0] = np.pi
    rotations[:, 16, 2], rotations[:, 17, 2] = -1.1, 1.1
    move = np.stack([np.linspace(-0.5, 0.5, FRAMES), np.zeros(FRAMES), np.full(FRAMES, 3.2)], axis=1)
    return {"poses": rotations.reshape(FRAMES, 72), "transl": move, "focal": np.array(FOCAL)}


def pixels(poses: dict[str, np.ndarray]) -> np.ndarray:
    """(F, V, 2) vertices of the shipped body in the picture, by the body model and a pinhole."""
    body = load_body("smpl")
    matrices = rot.axis_angle_to_matrix(torch.from_numpy(poses["poses"].reshape(-1, 24, 3)).float())
    with torch.no_grad():
        points = body(matrices, torch.from_numpy(poses["transl"]).float()).vertices.numpy()
    return points[..., :2] / points[..., 2:] * FOCAL + SIDE / 2


@pytest.fixture(scope="module")
def take(tmp_path_factory):
    folder = tmp_path_factory.mktemp("take")
    poses = truth()
    np.savez(folder / "poses.npz", **poses)
    (folder / "masks").mkdir()
    generator = np.random.default_rng(0)
    ground = generator.integers(120, 200, (8, 8, 3)).repeat(12, 0).repeat(12, 1).astype(np.uint8)
    with VideoWriter(folder / "video.mp4", 10, (SIDE, SIDE)) as video:
        for number, points in enumerate(pixels(poses)):
            mask = np.zeros((SIDE, SIDE), bool)
            column, row = points.round().astype(int).T
            inside = (column >= 0) & (column < SIDE) & (row >= 0) & (row < SIDE)
            mask[row[inside], column[inside]] = True
            mask = binary_dilation(mask)
            video.write(np.where(mask[..., None], COLOUR, ground).astype(np.uint8))
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / f"mask_{number + 1:03d}.png")
    return folder


def made(take, tmp_path, raw="video.mp4", poses="poses.npz", masks="masks", **options):
    options = {"size": 512, **options}
    options |= {"poses": str(take / poses), "masks": None if masks is None else str(take / masks)}
    return prepare_avatar("anerf_video", output=tmp_path / "scene", raw=take / raw, **options).scene


def test_the_joints_of_the_scene_lie_in_its_masks(take, tmp_path):
    scene = made(take, tmp_path, held_out=0.34)
    assert (scene.num_images, scene.num_poses, scene.num_cameras, scene.hw) == (6, 6, 1, (96, 96))
    assert [len(scene.split(name)) for name in ("train", "novel_pose")] == [4, 2]
    for image in range(6):
        parts = [scene.kp3d[image], scene.c2ws[0], scene.focals[0], scene.centers[0]]
        column, row = project(*(torch.from_numpy(np.array(p)) for p in parts)).round().long().T.numpy()
        assert scene.mask(image)[row, column].mean() > 0.8
    person = scene.image(2)[scene.mask(2)]
    assert np.abs(np.median(person, 0) - COLOUR).max() < 25
    around = scene.image(2)[~scene.mask(2)].astype(int) - scene.background(2)[~scene.mask(2)]
    assert np.abs(around).mean() < 12, "the background is what is seen beside the person"


def test_images_are_cut_to_the_way_of_the_person(take, tmp_path):
    whole, cut = made(take, tmp_path / "whole"), made(take, tmp_path / "cut", size=None)
    height, width = cut.hw
    assert height < SIDE and width <= SIDE
    parts = [whole.kp3d[3], *(getattr(whole, name)[0] for name in ("c2ws", "focals", "centers"))]
    expected = project(*(torch.from_numpy(np.array(part)) for part in parts)).numpy()
    parts = [cut.kp3d[3], *(getattr(cut, name)[0] for name in ("c2ws", "focals", "centers"))]
    shift = expected - project(*(torch.from_numpy(np.array(part)) for part in parts)).numpy()
    left, top = shift[0].round().astype(int)
    np.testing.assert_allclose(shift, np.broadcast_to([left, top], shift.shape), atol=1e-3)
    part = slice(top, top + height), slice(left, left + width)
    assert (cut.image(3) == whole.image(3)[part]).all() and (cut.mask(3) == whole.mask(3)[part]).all()
    for image in range(FRAMES):
        assert cut.mask(image).sum() == whole.mask(image).sum()  # nothing of the person is lost


def test_legs_below_the_image_take_no_pixels_from_the_rest():
    """A person seen from the hips upward fills the image: 480 pixels are made 350, not 350 for the whole body."""
    joints = np.array([[[320.0, 0.0], [320.0, 480.0], [320.0, 960.0]]])
    assert longest_side(joints, (480, 640), None) == round(640 * 350 / 480)
    assert longest_side(joints[:, :2] * 0.5, (480, 640), None) == 640  # never larger than the video


def test_a_camera_at_rest_corrects_the_masks_of_the_network(tmp_path):
    """A figure that walks past a wall of tiles, 288 pixels; the network takes tiles for legs."""
    import cv2

    count, factor = 24, 3
    poses = {name: value if value.ndim == 0 else value[[0] * count] for name, value in truth().items()}
    poses["transl"] = poses["transl"] + np.linspace(0, 1, count)[:, None] * [1.0, 0, 0]
    poses["focal"] = poses["focal"] * factor
    np.savez(tmp_path / "poses.npz", **poses)
    faces, side = load_body("smpl").faces.numpy(), SIDE * factor
    tiles = np.random.default_rng(0).integers(120, 200, (8, 8, 3)).repeat(side // 8, 0).repeat(side // 8, 1)
    true = np.zeros((count, side, side), np.uint8)
    with VideoWriter(tmp_path / "video.mp4", 10, (side, side)) as video:
        for mask, points in zip(true, pixels(poses) * factor):
            for face in faces:
                cv2.fillConvexPoly(mask, (points[face] * 16).round().astype(np.int32), 1, shift=4)
            video.write(np.where(mask[..., None] > 0, COLOUR, tiles).astype(np.uint8))
    overlaps = {}
    for background in ("median", "white"):  # white: for any camera, so by the network alone
        options = {"masks": None, "held_out": 0, "background": background}
        scene = made(tmp_path, tmp_path / background, **options)
        masks = np.stack([scene.mask(image) for image in range(count)])
        overlaps[background] = (masks & (true > 0)).sum((1, 2)) / (masks | (true > 0)).sum((1, 2))
    assert overlaps["median"].min() > 0.75
    assert overlaps["white"].min() < 0.7 and overlaps["white"].mean() < overlaps["median"].mean() - 0.04


def test_a_camera_that_moves_does_not(take, tmp_path):
    """Every frame has another background, so that nothing can be told from it."""
    generator = np.random.default_rng(0)
    with VideoWriter(take / "moving.mp4", 10, (SIDE, SIDE)) as video:
        for _, image in VideoFile.open(take / "video.mp4").frames():
            person = np.abs(image.astype(int) - COLOUR).max(-1) < 60
            ground = generator.integers(100, 220, (8, 8, 3)).repeat(12, 0).repeat(12, 1)
            video.write(np.where(person[..., None], image, ground).astype(np.uint8))
    options = {"raw": "moving.mp4", "masks": None, "held_out": 0}
    median = made(take, tmp_path / "median", **options)
    white = made(take, tmp_path / "white", background="white", **options)
    assert all((median.mask(image) == white.mask(image)).all() for image in range(FRAMES))


def test_a_folder_of_frames_is_a_video(take, tmp_path):
    (tmp_path / "frames").mkdir()
    frames = [image for _, image in VideoFile.open(take / "video.mp4").frames()]
    for number, image in enumerate(frames, start=8):  # "10" comes after "9"
        Image.fromarray(image).save(tmp_path / "frames" / f"shot 2 - {number}.png")
    scene = made(take, tmp_path / "a", raw=tmp_path / "frames", held_out=0)
    assert np.array_equal(scene.imgs, made(take, tmp_path / "b", held_out=0).imgs)
    Image.fromarray(frames[0]).save(tmp_path / "frames" / "cover.png")
    with pytest.raises(InputError, match=r"cover.png has no number"):
        FrameFolder.open(tmp_path / "frames")
    (tmp_path / "frames" / "cover.png").unlink()
    Image.fromarray(frames[0][:20]).save(tmp_path / "frames" / "99.png")
    with pytest.raises(InputError, match=r"99.png has another size"):
        list(FrameFolder.open(tmp_path / "frames").frames())
    with pytest.raises(MissingError, match="no images"):
        FrameFolder.open(take.parent)


def test_smaller_white_and_fewer(take, tmp_path):
    scene = made(take, tmp_path, size=48, background="white", every=2)
    assert scene.hw == (48, 48) and scene.num_images == 3
    assert np.allclose(scene.focals, FOCAL / 2) and np.allclose(scene.centers, 24)
    assert (scene.image(0)[~scene.mask(0)] == 255).all() and (scene.bkgds == 255).all()


def test_frame_ids_choose_frames(take, tmp_path):
    poses = {name: value if value.ndim == 0 else value[[4, 1]] for name, value in truth().items()}
    np.savez(take / "some.npz", **poses, frame_ids=[4, 1])
    scene = made(take, tmp_path, poses="some.npz", held_out=0)
    whole = made(take, tmp_path / "whole")
    assert scene.num_images == 2 and np.allclose(scene.kp3d, whole.kp3d[[1, 4]])
    assert (scene.imgs == whole.imgs[[1, 4]]).all()


def test_the_shipped_network_finds_the_person(take, tmp_path):
    from contrapposto.render import Camera, Mesh, Scene, render

    body = load_body("smpl")
    vertices = body.rest_vertices()[0].numpy()[:, [0, 2, 1]] * [1, -1, 1]
    camera = Camera.look_at((0.4, -3.0, 0.2), (0, 0, -0.3), size=(256, 256))
    picture = render(Scene([Mesh(vertices, body.faces.numpy(), (0.8, 0.6, 0.5))]), camera)
    joints = camera.project(body.rest_joints()[0].numpy()[:, [0, 2, 1]] * [1, -1, 1])[0]
    found = PersonSegmenter()(picture.color, joints)
    assert (found & picture.mask).sum() / (found | picture.mask).sum() > 0.7


def test_the_median_sees_behind():
    images = np.full((3, 2, 2, 3), 10, np.uint8)
    images[0, 0] = 200
    masks = np.zeros((3, 2, 2), bool)
    masks[0, 0] = True
    masks[:, 1, 1] = True
    images[:, 1, 1] = 99  # covered in every image: the nearest pixel stands in
    found = median_background(images, masks)
    assert (found == 10).all()
    assert (median_background(images, np.ones_like(masks)) == 255).all()


def test_holes_in_few_masks_are_no_background():
    """Where a person stands in all images, two masks of forty that miss a part tell nothing of what is behind."""
    images = np.full((40, 3, 3, 3), 10, np.uint8)
    masks = np.zeros((40, 3, 3), bool)
    images[:, 1, 1], masks[:, 1, 1] = 99, True
    masks[:2, 1, 1] = False
    assert (median_background(images, masks) == 10).all()
    masks[:8, 1, 1] = False
    assert (median_background(images, masks)[1, 1] == 99).all()


def test_estimators_files_are_understood(tmp_path):
    poses = truth()
    rotations = poses["poses"].reshape(FRAMES, 24, 3)
    matrices = rot.axis_angle_to_matrix(torch.from_numpy(rotations)).numpy()
    path = tmp_path / "p.npz"
    np.savez(path, **poses)
    expected = read_person(path, (SIDE, SIDE))
    rest = load_body("smpl").rest_joints()[0].numpy()
    assert np.allclose(expected.root, poses["transl"] + rest[0], atol=1e-6)
    camera = {"K": np.array([[FOCAL, 0, 40], [0, FOCAL, 50], [0, 0, 1]])}
    parts = {"global_orient": matrices[:, :1], "body_pose": matrices[:, 1:], "transl": poses["transl"]}
    np.savez(path, **parts, **camera)
    found = read_person(path, (SIDE, SIDE))
    assert np.allclose(found.rotations, expected.rotations, atol=1e-6)
    assert found.centre.tolist() == [40, 50] and np.allclose(found.focals, FOCAL)
    np.savez(path, poses=poses["poses"][:, :66], transl=poses["transl"], focal=FOCAL)
    assert np.allclose(read_person(path, (SIDE, SIDE)).rotations[:, :22], expected.rotations[:, :22])
    weak = {
        "pred_cam": np.tile([0.9, 0, 0], (FRAMES, 1)),
        "bbox_params": np.tile([48, 48, 80.0], (FRAMES, 1)),
    }
    np.savez(path, pred_rot_mat=matrices, **weak)
    found = read_person(path, (SIDE, SIDE))
    # the crop's 224 pixels are 80 of the picture; depth from the crop's focal length of 5000
    assert np.allclose(found.focals, 5000 * 80 / 224) and np.allclose(
        found.root[:, 2] - rest[0, 2], 2 * 5000 / (224 * 0.9)
    )
    turn = np.eye(4)
    turn[:3, :3], turn[:3, 3] = np.diag([1.0, -1, -1]), [0, 0, 6]
    np.savez(path, **{**poses, "world_to_camera": turn})
    found = read_person(path, (SIDE, SIDE))
    assert np.allclose(found.root, expected.root * [1, -1, -1] + [0, 0, 6]) and np.allclose(
        found.rotations[:, 0], 0, atol=1e-5
    )


def spoilt(**changes):
    poses = {**truth(), **changes}
    return {name: value for name, value in poses.items() if value is not None}


@pytest.mark.parametrize(
    ("poses", "message"),
    [
        ({n: v if v.ndim == 0 else v[:4] for n, v in truth().items()}, "do not fit the video"),
        (spoilt(poses=None), "no poses that are understood"),
        (spoilt(poses=np.zeros((6, 50))), "no poses that are understood"),
        (spoilt(transl=None), "does not say where the person is"),
        (spoilt(transl=np.zeros((5, 3))), "transl of poses.npz does not fit"),
        (spoilt(focal=None), "does not say the focal length"),
        (spoilt(focal=np.array(0.0)), "focal length of poses.npz cannot be used"),
        (spoilt(transl=np.full((6, 3), np.nan)), "transl of poses.npz has values that are not finite"),
        (spoilt(transl=np.tile([0, 0, -3.0], (6, 1))), "behind the camera"),
        (spoilt(transl=np.tile([9, 0, 3.0], (6, 1))), "outside of the image in every frame"),
        (spoilt(transl=np.array([[9.0 * (i != 2), 0, 3] for i in range(6)])), "in one frame only"),
        (spoilt(frame_ids=np.array([0, 1, 2, 3, 4, 4])), "frame_ids"),
        (spoilt(frame_ids=np.array([0, 1, 2, 3, 4, 9])), "do not fit the video"),
    ],
)
def test_poses_that_cannot_be_used(take, tmp_path, poses, message):
    np.savez(tmp_path / "poses.npz", **poses)
    with pytest.raises(InputError, match=message):
        made(take, tmp_path, poses=str(tmp_path / "poses.npz"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["poses.npz"]


@pytest.mark.parametrize("masks", ["masks", None])
def test_positions_in_millimetres_are_refused(take, tmp_path, masks):
    np.savez(tmp_path / "poses.npz", **spoilt(transl=1000 * truth()["transl"]))
    with pytest.raises(InputError, match=r"positions times 0\.00[01]") as error:
        made(take, tmp_path, poses=str(tmp_path / "poses.npz"), masks=masks)
    assert "3.21e+03 m from the camera" in str(error.value)


def test_frames_without_the_person_are_left_out(take, tmp_path):
    shift = truth()["transl"]
    shift[3] = [9, 0, 3]
    np.savez(tmp_path / "poses.npz", **spoilt(transl=shift))
    scene = made(take, tmp_path, poses=str(tmp_path / "poses.npz"))
    assert scene.num_images == 5 and scene.manifest["notes"] == [
        "1 frames are left out: the person is outside of the image."
    ]


def test_a_person_who_leaves_before_the_end(take, tmp_path):
    poses = {name: value if value.ndim == 0 else value[:4] for name, value in truth().items()}
    np.savez(tmp_path / "poses.npz", **poses, frame_ids=np.arange(4))
    assert made(take, tmp_path, poses=str(tmp_path / "poses.npz")).num_images == 4


def test_masks_that_cannot_be_used(take, tmp_path):
    with pytest.raises(MissingError, match="no masks"):
        made(take, tmp_path, masks="none")
    for name, (count, side, value), message in (
        ("few", (4, SIDE, 255), "Frame 4 has no mask"),
        ("small", (6, 50, 255), "another size"),
        ("empty", (6, SIDE, 0), "masks of all images are empty"),
    ):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.fromarray(np.full((side, side), value, np.uint8)).save(tmp_path / name / f"{number}.png")
        with pytest.raises(InputError, match=message):
            made(take, tmp_path, masks=str(tmp_path / name))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read"):
        made(take, tmp_path, masks=str(tmp_path / "broken"))
    assert not (tmp_path / "scene").exists() and not list(tmp_path.glob(".scene*"))


def test_videos_and_options_that_cannot_be_used(take, tmp_path):
    with VideoWriter(tmp_path / "one.mp4", 10, (64, 64)) as video:
        video.write(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match="one frame"):
        made(take, tmp_path, raw=str(tmp_path / "one.mp4"))
    (tmp_path / "text.mp4").write_text("no")
    with pytest.raises(InputError, match="not a video"):
        made(take, tmp_path, raw=str(tmp_path / "text.mp4"))
    with pytest.raises(MissingError, match="A video and its poses"):
        prepare_avatar("anerf_video", output=tmp_path / "scene", raw=take / "video.mp4")
    with pytest.raises(ConfigError, match="background"):
        made(take, tmp_path, background="green")
    np.savez(tmp_path / "p.npz", poses=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="no poses that are understood"):
        made(take, tmp_path, poses=str(tmp_path / "p.npz"))
    (tmp_path / "q.npz").write_text("no")
    with pytest.raises(InputError, match="an npz file"):
        made(take, tmp_path, poses=str(tmp_path / "q.npz"))


def test_a_full_disk_leaves_nothing(take, tmp_path, monkeypatch):
    def full(self, rows):
        raise OSError(errno.ENOSPC, "No space left on device", str(self.path))

    monkeypatch.setattr(NpyWriter, "append", full)
    with pytest.raises(InputError, match="disk is full"):
        made(take, tmp_path)
    assert not list(tmp_path.iterdir())
