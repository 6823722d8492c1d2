"""The viewer: what the page is sent, who can reach it, the command view.py, and a real browser where there is one."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.body import load_body
from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.io import write_motion
from contrapposto.motion import Label, Motion
from contrapposto.skeleton import SMPLH52, Skeleton
from contrapposto.viewer import Track, Viewer, open_files
from tests.browser import Browser, free_port

ROOT = Path(__file__).parents[1]


def clip(frames: int = 31, speed: float = 1.0) -> Motion:
    """A figure that walks along y and raises its left arm."""
    rotations = np.zeros((frames, 52, 3))
    rotations[:, 0, 0] = np.pi / 2
    rotations[:, 16, 2] = np.linspace(0, 1, frames)
    translation = np.zeros((frames, 3))
    translation[:, 1], translation[:, 2] = np.linspace(0, speed * (frames - 1) / 30, frames), 0.9
    labels = (Label("walk", 0.0, 0.5), Label("stop", 0.5, 1.0))
    return Motion(rotations, translation, 30.0, labels=labels, metadata={"licence": "CC0"})


@pytest.fixture
def viewer() -> Iterator[Viewer]:
    shown = Viewer({"first": clip(), "second": clip(61, 2.0)}, port=free_port())
    yield shown
    shown.stop()


def test_the_page_is_served_to_this_machine_only(viewer: Viewer) -> None:
    with urllib.request.urlopen(viewer.url, timeout=10) as answer:
        page = answer.read().decode()
    assert answer.status == 200 and "<html" in page.lower()
    port = int(viewer.url.rpartition(":")[2])
    with (
        socket.socket() as elsewhere
    ):  # 127.0.0.2 is this machine under another address, as a network card's is
        elsewhere.settimeout(2)
        assert elsewhere.connect_ex(("127.0.0.2", port)) != 0
    assert viewer._server.request_share_url() is None  # no tunnel to the outside


def test_the_bones_stand_where_the_body_puts_them(viewer: Viewer) -> None:
    viewer._side_by_side.value = viewer._follow.value = False
    viewer.seek(0.5)
    body, motion = load_body(), clip()
    expected = body.joints(motion.local_matrices()[15], torch.from_numpy(motion.root_translation[15]))
    bones = viewer._bones[0].bones
    np.testing.assert_allclose([bone.position for bone in bones], expected, atol=1e-5)
    # As a browser skins: rest vertices carried by each bone from its place at rest.
    turns = Rotation.from_quat([bone.wxyz for bone in bones], scalar_first=True).as_matrix()
    rest, weights = body.rest_joints()[0].numpy(), body.skinning.weights.numpy()
    vertices = body.v_template.numpy()[::500]
    moved = np.einsum("jab,vjb->vja", turns, vertices[:, None] - rest) + expected.numpy()
    skinned = np.einsum("vj,vja->va", weights[::500], moved)
    output = body(motion.local_matrices()[15:16], torch.from_numpy(motion.root_translation[15:16]))
    np.testing.assert_allclose(skinned, output.vertices[0, ::500], atol=1e-4)


def test_figures_stand_side_by_side_or_as_recorded(viewer: Viewer) -> None:
    viewer.seek(1.0)
    pelvis = np.array([mesh.bones[0].position for mesh in viewer._bones])
    np.testing.assert_allclose(pelvis[1, 0] - pelvis[0, 0], 1.5, atol=0.02)
    assert np.abs(pelvis[:, 1]).max() < 0.5  # followed: both stay where the camera looks
    viewer._side_by_side.value = False
    viewer.seek(1.0)
    pelvis = np.array([mesh.bones[0].position for mesh in viewer._bones])
    rest = SMPLH52.rest_positions[0]
    np.testing.assert_allclose(pelvis[:, 1], rest[1] + [1.0, 2.0], atol=1e-5)
    assert viewer._world.position[1] < -1.0


def test_time_labels_and_other_clips(viewer: Viewer) -> None:
    assert viewer.duration == pytest.approx(2.0)
    viewer.seek(0.2)
    assert "**first** walk" in viewer._info.content and "CC0" in viewer._info.content
    viewer.seek(99)
    assert viewer.seconds == pytest.approx(2.0) and viewer._timeline.value == pytest.approx(2.0)
    viewer.show({"third": clip(16)})
    assert viewer.duration == pytest.approx(0.5) and len(viewer._bones) == 1 and viewer.seconds == 0
    thread = threading.Thread(target=viewer.run)
    thread.start()
    time.sleep(0.3)
    assert 0 < viewer.seconds < 0.5 or viewer._timeline.value > 0
    viewer._stopped.set()
    thread.join(5)
    assert not thread.is_alive()


def test_the_camera_follows_smoothly() -> None:
    track = Track.of("x", clip(121), load_body())
    np.testing.assert_allclose(track.centre[30:90, 1], track.positions[30:90, 0, 1], atol=0.01)
    assert track.frame_at(99.0) == 120 and track.frame_at(-1.0) == 0


def test_files_are_opened_by_name(tmp_path: Path) -> None:
    awkward = tmp_path / "a [b]=c, d.npz"
    write_motion(awkward, clip())
    write_motion(tmp_path / "walk.bvh", clip())
    clips, library = open_files([awkward, tmp_path / "walk.bvh", awkward])
    assert list(clips) == ["a [b]=c, d", "walk", "a [b]=c, d'"] and library is None
    np.testing.assert_allclose(clips["walk"].joint_positions(), clip().joint_positions(), atol=5e-3)
    with pytest.raises(MissingError, match="There is no file"):
        open_files([tmp_path / "none.npz"])
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(InputError):
        open_files([tmp_path / "x.txt"])
    with pytest.raises(InputError, match="Nothing to show"):
        Viewer({})
    other = Skeleton("other", ("hips",), (-1,), np.zeros((1, 3)))
    with pytest.raises(InputError, match="cannot be read as"):
        Viewer({"x": Motion(np.zeros((1, 1, 3)), np.zeros((1, 3)), 30.0, other)})


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contrapposto.view import parse

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b c.npz").touch()
    assert parse(["a=b c.npz", "port=9000", "open=False"]) == (["a=b c.npz"], 9000, False)
    for arguments, word in (
        (["x.npz", "prot=1"], "port"),
        (["x.npz", "port=0"], "65535"),
        ([], "name a file"),
    ):
        with pytest.raises(ConfigError, match=word):
            parse(arguments)
    start = time.perf_counter()
    shown = subprocess.run(
        [sys.executable, "view.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "port=8080" in shown.stdout and time.perf_counter() - start < 2
    wrong = subprocess.run([sys.executable, "view.py", "prt=1"], cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr and "port" in wrong.stderr


@pytest.mark.slow
def test_a_browser_shows_the_figure(viewer: Viewer) -> None:
    if not shutil.which("chromedriver"):
        pytest.skip("no chromedriver on this machine (Debian: chromium-driver)")
    viewer.show({"third": clip()})
    browser = Browser()
    try:
        browser.call("/url", {"url": viewer.url})
        deadline, skin = time.monotonic() + 60, np.zeros((1, 1), bool)
        while skin.sum() < 500 and time.monotonic() < deadline:
            time.sleep(1)
            middle = browser.image()[100:, 200:450].astype(int)
            skin = middle[..., 2] - middle[..., 0] > 30  # the figure is blue, all else is grey
        assert skin.sum() >= 500
        rows, columns = np.nonzero(skin)
        assert np.ptp(rows) > 1.2 * np.ptp(columns) or np.ptp(rows) > 100
    finally:
        browser.close()
