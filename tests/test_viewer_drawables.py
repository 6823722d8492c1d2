"""The viewer beyond figures: what opens as what, where it stands, errors in colour, runs, what is saved."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from contrapposto import rotations as rot
from contrapposto.errors import InputError, MissingError
from contrapposto.io.device_csv import write_csv
from contrapposto.io.devices import DeviceTrack, devices_of
from contrapposto.mesh import write_mesh, write_mesh_glb
from contrapposto.render import VideoWriter
from contrapposto.report.runs import read_run
from contrapposto.systems.scail_pose.camera import default_intrinsics, project
from contrapposto.systems.scail_pose.estimators import Person
from contrapposto.systems.scail_pose.interchange import write_people
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.video_file import VideoFile
from contrapposto.viewer import Viewer, open_paths
from contrapposto.viewer.differences import joint_errors, shades
from contrapposto.viewer.drawables import CamerasDrawable, DevicesDrawable, MeshDrawable, ScreenDrawable
from contrapposto.viewer.export import image_size, record, screenshot
from contrapposto.viewer.run_panel import describe, metrics_of, on_common_steps
from contrapposto.viewer.scene import LOWEST_CAMERA, above_floor
from tests.lightning_modules.anerf_tiny import write_sticks
from tests.mesh.shapes import bent, sphere
from tests.report.test_report import make_run
from tests.systems.scail_pose.test_figure_fit import FPS, seen
from tests.test_viewer import Browser, clip, free_port


def write_video(path: Path, frames: int = 8, size: tuple[int, int] = (96, 64)) -> Path:
    """Pictures that become brighter."""
    with VideoWriter(path, 8, size) as writer:
        for number in range(frames):
            writer.write(np.full((size[1], size[0], 3), 20 + 25 * number, np.uint8))
    return path


def write_walker(path: Path) -> Path:
    """A person who walks before a camera, with keypoints."""
    from contrapposto.synthetic import generate

    joints, camera = (
        seen(generate("walk", seconds=1.0, seed=1, fps=FPS)).astype(np.float32),
        default_intrinsics(128, 224),
    )
    frames = []
    for places in joints:
        points, scores = np.zeros((134, 2), np.float32), np.zeros(134, np.float32)
        points[:18], scores[:18] = project(places, camera)[:18, :2], 1
        frames.append([Person(0, np.zeros(4, np.float32), 1.0, points, scores, places)])
    return write_people(path, ClipPoses(128, 224, FPS, camera, frames))


def test_meshes_and_their_sequences(tmp_path: Path) -> None:
    ball = sphere(1)
    frames = np.stack([bent(ball.vertices, amount) for amount in np.linspace(0, 0.5, 5)])
    still = write_mesh(tmp_path / "ball.obj", ball)
    moving = write_mesh_glb(tmp_path / "moving.glb", ball, frames, 10.0)
    for number, frame in enumerate(frames):
        write_mesh(tmp_path / "folder_obj" / f"{number:05d}.obj", ball.moved(frame))
    actual = open_paths([still, moving, tmp_path / "folder_obj"])
    assert not actual.clips and [drawable.name for drawable in actual.drawables] == [
        "ball",
        "moving",
        "folder_obj",
    ]
    first, second, third = actual.drawables
    assert (
        isinstance(first, MeshDrawable)
        and isinstance(second, MeshDrawable)
        and isinstance(third, MeshDrawable)
    )
    assert first.duration == 0 and second.duration == pytest.approx(0.4) and len(third.vertices) == 5
    # y up becomes z up: the lowest vertex stands on the ground, the first pose in the middle.
    turned = frames @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]).T * second.scale
    order = np.lexsort(np.round(third.vertices[0], 4).T)
    expected = turned - turned[0].mean(0)
    shown = third.vertices - third.vertices[0].mean(0)
    np.testing.assert_allclose(shown[3][order], expected[3][order], atol=2e-3)
    assert third.vertices[..., 2].min() == pytest.approx(0, abs=1e-5)
    large = MeshDrawable("large", 100 * ball.vertices[None], ball.faces)
    assert np.ptp(large.vertices[..., 2]) == pytest.approx(
        1.7, rel=1e-3
    ) and "times its size" in large.describe(0)


def test_a_recording_of_a_headset(tmp_path: Path) -> None:
    motion = clip(31)
    actual = open_paths([write_csv(tmp_path / "log.csv", devices_of(motion))])
    (drawable,) = actual.drawables
    assert isinstance(drawable, DevicesDrawable) and drawable.duration == pytest.approx(1.0)
    turns, places = motion.kinematics()
    expected = places[15, [15, 20, 21]].numpy() - places[:, 15].mean(0).numpy() * [1, 1, 0]
    np.testing.assert_allclose(drawable.places[15], expected, atol=1e-3)
    back = rot.quaternion_to_matrix(torch.from_numpy(drawable.turns[15]))
    np.testing.assert_allclose(back, turns[15, [15, 20, 21]], atol=1e-3)
    seen_ = np.ones((31, 3), bool)
    seen_[10:, 1] = False
    track = devices_of(motion)
    lost = DevicesDrawable("lost", DeviceTrack(track.rotations, track.positions, track.times, seen_))
    assert "not tracked: left hand" in lost.describe(0.9) and "not tracked" not in lost.describe(0.1)


def test_people_over_their_video(tmp_path: Path) -> None:
    people, video = write_walker(tmp_path / "motion.npz"), write_video(tmp_path / "clip.mp4")
    actual = open_paths([people, video])
    (screen,) = actual.drawables
    assert isinstance(screen, ScreenDrawable) and list(actual.clips) == ["person 0"]
    assert screen.duration == pytest.approx(actual.clips["person 0"].duration, abs=0.1)
    alone = open_paths([people]).drawables[0]
    assert isinstance(alone, ScreenDrawable)
    black, over = alone.frame_image(0).astype(int), screen.frame_image(0).astype(int)
    assert np.median(black) == 0 and black.max() > 100  # keypoints on black
    assert 5 < np.median(over) < 60 and np.median(screen.frame_image(15)) > np.median(
        over
    )  # on the video as it goes on
    lone = open_paths([video]).drawables[0]
    assert isinstance(lone, ScreenDrawable) and len(lone.times) == 8 and lone.frame_image(7).mean() > 150


def test_cameras_look_at_the_person(tmp_path: Path) -> None:
    write_sticks(tmp_path)
    (drawable,) = open_paths([tmp_path / "sticks"]).drawables
    assert isinstance(drawable, CamerasDrawable) and len(drawable.images) == 4
    middle = drawable.joints.mean((0, 1))
    for place, turn in zip(drawable.places, drawable.turns):
        towards = (middle - place) / np.linalg.norm(middle - place)
        assert turn[:, 2] @ towards > 0.95 and turn[2, 1] < -0.9  # along +z, y down
        assert np.linalg.det(turn) == pytest.approx(1)
    # Down in a scene, +y, is down in the page, and lengths are metres.
    metres, (_, head, foot) = 0.6, np.moveaxis(drawable.scene.kp3d[:, [0, 15, 10]], 1, 0)
    np.testing.assert_allclose(
        drawable.joints[:, 15, 2] - drawable.joints[:, 10, 2], metres * (foot - head)[:, 1], atol=1e-5
    )


def test_metrics_of_runs(tmp_path: Path) -> None:
    first, second = make_run(tmp_path), make_run(tmp_path, time="2026-01-02_00-00-00", score=None, rows=50)
    actual = open_paths([first, second])
    assert [run.folder for run in actual.runs] == [first, second]
    assert "finished, 30 steps" in describe(actual.runs[0]) and "killed" in describe(actual.runs[1])
    assert metrics_of(actual.runs) == ["train/loss", "val/mpjpe"]
    steps, (a, b) = on_common_steps([[(0, 0.0), (10, 10.0)], [(5, 1.0), (20, 4.0)]])
    assert steps.tolist() == [0, 5, 10, 20]
    np.testing.assert_allclose(a, [0, 5, 10, np.nan])
    np.testing.assert_allclose(b, [np.nan, 1, 2, 4])
    empty = tmp_path / "m" / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="not a folder that can be shown"):
        open_paths([empty])
    (empty / "metrics.csv").write_text("")
    assert metrics_of([read_run(empty)]) == []


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Viewer]:
    motion = clip(31)
    moved = motion.transform(np.eye(3), (0.03, 0.04, 0.0))
    ball = sphere(1)
    frames = np.stack([ball.vertices * (1 + 0.1 * k) for k in range(31)])
    drawables = [
        MeshDrawable("ball", frames, ball.faces),
        DevicesDrawable("log", devices_of(motion)),
        *open_paths([write_video(tmp_path / "clip.mp4")]).drawables,
    ]
    run = read_run(make_run(tmp_path / "runs"))
    shown = Viewer({"truth": motion, "result": moved}, drawables=drawables, runs=[run], port=free_port())
    yield shown
    shown.stop()


def test_everydrawable_moves_and_stands_in_its_place(page: Viewer) -> None:
    ball, log, screen = page.drawables
    assert (
        isinstance(ball, MeshDrawable)
        and isinstance(log, DevicesDrawable)
        and isinstance(screen, ScreenDrawable)
    )
    page.seek(0.5)
    np.testing.assert_allclose(ball.handle.vertices, ball.vertices[15], atol=1e-6)
    np.testing.assert_allclose(log._devices[0][0].position, log.places[15, 0], atol=1e-6)
    slots = [stand.position[0] for stand in page._stands]
    pelvis = page._bones[0].bones[0].position[0]
    assert pelvis < slots[0] < slots[1] < slots[2] and slots[1] - slots[0] == pytest.approx(
        (ball.width + 1.5) / 2
    )
    page._side_by_side.value = False
    page.seek(0.5)
    assert all(stand.position[1] > page._bones[0].bones[0].position[1] + 1 for stand in page._stands)
    assert page.duration == pytest.approx(1.0) and page.title == "truth"
    for said in ("**ball**", "**log**", "**clip**", "**truth**"):
        assert said in page._info.content


def test_errors_are_told_in_colour(page: Viewer) -> None:
    np.testing.assert_allclose(joint_errors(page.tracks[1], page.tracks[0], 0.5), 5.0, atol=1e-3)
    page._errors_shown.value = True
    page.seek(0.5)
    (marks,) = page._marks
    assert marks.points.visible and page._bones[1].opacity == 0.3 and page._names[1].text == "result: 5.0 cm"
    expected = shades(np.full(52, 5.0), 20).astype(int)
    np.testing.assert_allclose(marks.points.colors.astype(int), expected, atol=1)
    page._errors_shown.value = False
    page.seek(0.5)
    assert not marks.points.visible and page._bones[1].opacity is None and page._names[1].text == "result"
    blue, red = shades(np.array([0.0, 99.0]), 20)
    assert blue[2] > 2 * blue[0] and red[0] > 4 * red[2]


def test_the_newest_clip_of_a_store_beside_errors_of_none(page: Viewer) -> None:
    page._errors_shown.value = True
    page.show({"alone": clip(16)})
    page.seek(0.2)
    assert not page._errors_shown.visible and not page._marks


@pytest.mark.slow
def test_a_browser_shows_and_saves_it(page: Viewer, tmp_path: Path) -> None:
    if not shutil.which("chromedriver"):
        pytest.skip("no chromedriver on this machine (Debian: chromium-driver)")
    page._errors_shown.value = True
    page.seek(0.5)
    browser = Browser()
    try:
        browser.call("/url", {"url": page.url})
        deadline, clients = time.monotonic() + 60, []
        while not clients and time.monotonic() < deadline:
            time.sleep(0.5)
            clients = list(page._server.get_clients().values())
        client = clients[0]
        image = np.zeros((1, 1, 3), np.uint8)
        # The docked panel makes the view narrower some time after the page has been opened.
        while time.monotonic() < deadline and (
            np.ptp(image.astype(int)) < 100 or image.shape[:2] != image_size(client)
        ):
            time.sleep(1)
            image = screenshot(client)
        assert image.shape[:2] == image_size(client) and image.std() > 8
        page_image = browser.image()
        assert page_image.std() > 8
        for name, pixels in (("render", image), ("page", page_image)):
            from PIL import Image

            Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        done: list[float] = []
        thread = threading.Thread(
            target=record,
            args=(page, client, tmp_path / "all.mp4"),
            kwargs={"fps": 3, "progress": done.append},
        )
        thread.start()
        thread.join(400)
        frames = [frame for _, frame in VideoFile.open(tmp_path / "all.mp4").frames()]
        assert len(frames) == 4 and done[-1] == 1
        assert np.abs(frames[0].astype(int) - frames[-1]).max() > 60  # it moves
    finally:
        browser.close()


def test_the_camera_stays_above_the_floor():
    place, target = above_floor(np.array([1.0, -4.0, -2.0]), np.array([0.0, 0.0, -0.3]))
    assert place.tolist() == [1.0, -4.0, LOWEST_CAMERA] and target.tolist() == [0.0, 0.0, 0.0]
    place, target = above_floor(np.array([1.0, -4.0, 1.7]), np.array([0.0, 0.0, 0.9]))
    assert place.tolist() == [1.0, -4.0, 1.7] and target.tolist() == [0.0, 0.0, 0.9]
    place, _ = above_floor(np.array([0.0, -1e4, 1e4]), np.zeros(3))
    assert np.linalg.norm(place) < 100


def test_errors_have_a_colour_scale(page: Viewer) -> None:
    assert not page._legend.visible
    page._errors_shown.value = True
    assert page._legend.visible and "20 cm" in page._legend.content
    page._error_scale.value = 12
    assert "12 cm" in page._legend.content and ">6</span>" in page._legend.content


def test_the_truth_stays_visible_beside_errors(page: Viewer) -> None:
    page._errors_shown.value, page._meshes_shown.value = True, False
    page.seek(0.5)
    assert page._skeletons[0].visible and not page._skeletons[1].visible and page._marks[0].points.visible


def test_labels_in_one_place_do_not_overlap(page: Viewer) -> None:
    page._side_by_side.value = False
    page.seek(0.0)
    heights = [name.position[2] for name in page._names]
    assert heights[1] - heights[0] > 0.1


def test_the_tab_has_the_title_of_the_clip(page: Viewer) -> None:
    with urllib.request.urlopen(page.url, timeout=10) as answer:
        assert "<title>truth - Contrapposto</title>" in answer.read().decode()


def test_other_files_get_all_kinds(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello")
    for name in (tmp_path / "README.md", tmp_path / "nothing.pdf"):
        with pytest.raises((InputError, MissingError), match=r"(?s)meshes.*videos.*run directories"):
            open_paths([name])


def test_one_person_is_singular(tmp_path: Path) -> None:
    people, video = write_walker(tmp_path / "motion.npz"), write_video(tmp_path / "clip.mp4")
    screen = open_paths([people, video]).drawables[0]
    assert "**clip**" in screen.describe(0.0) and "1 person" in screen.describe(0.0)
