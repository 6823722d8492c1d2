"""predict.py task=scail_pose on videos as they come: each gives a result or one clear error."""

import json
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from contrapposto.errors import InputError
from contrapposto.render import VideoWriter
from contrapposto.systems.scail_pose.interchange import read_people
from contrapposto.systems.scail_pose.scenes import people_scene
from contrapposto.tasks.predict import compose, predict
from contrapposto.video_file import VideoFile

SIZE = (448, 256)
BLACK = np.zeros((*SIZE[::-1], 3), np.uint8)


@pytest.fixture(scope="module")
def waving():
    """Half a second of somebody who waves, 30 frames/s."""
    return list(people_scene(1, 2, seconds=0.5, size=SIZE).images())


def write(path, frames, fps=30):
    with VideoWriter(path, fps, frames[0].shape[1::-1]) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def run(video, output, *options):
    """The report of one video, body only."""
    fast = ("task.module.estimator.hands=false", "task.module.estimator.face=false")
    size = "task.data.resolution=[256,448]"
    predict(compose(["task=scail_pose", f"video={video}", f"output={output}", size, *fast, *options]))
    report = json.loads((output / "report.json").read_text())
    name = "rendered_aligned.mp4" if report["reference"] else "rendered.mp4"
    assert sum(1 for _ in VideoFile.open(output / name).frames()) == report["frames"]
    return report


def test_nobody_in_the_first_frames(waving, tmp_path):
    video = write(tmp_path / "late.mp4", [BLACK] * 15 + waving)
    report = run(video, tmp_path / "out")
    assert report["people"]["0"]["frames"] >= 6 and report["frames_with_nobody"] in (7, 8, 9)


def test_somebody_who_goes_and_comes_back(waving, tmp_path):
    video = write(tmp_path / "away.mp4", waving + [BLACK] * 30 + waving)
    report = run(video, tmp_path / "out")
    assert list(report["people"]) == ["0"] and 14 <= report["frames_with_nobody"] <= 18


def test_a_black_frame_is_bridged(waving, tmp_path):
    video = write(tmp_path / "flash.mp4", [*waving[:8], BLACK, BLACK, *waving[8:]])
    report = run(video, tmp_path / "out")
    assert list(report["people"]) == ["0"] and report["frames_with_nobody"] == 0


def test_one_pixel(tmp_path):
    with av.open(str(tmp_path / "dot.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=30, width=1, height=1, pix_fmt="bgr0")
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(BLACK[:1, :1], format="rgb24")))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="nobody"):
        run(tmp_path / "dot.mkv", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_frames_at_uneven_times(waving, tmp_path):
    """Every second one of the last frames is missing: motion keeps its pace."""
    times = [*range(8), *range(8, 15, 2)]
    with av.open(str(tmp_path / "uneven.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, width=SIZE[0], height=SIZE[1], pix_fmt="yuv420p")
        for time in times:
            frame = av.VideoFrame.from_ndarray(waving[time], format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    whole = write(tmp_path / "even.mp4", waving)
    reports = [run(video, tmp_path / video.stem) for video in (tmp_path / "uneven.mp4", whole)]
    assert reports[0]["frames"] == reports[1]["frames"]
    clips = [read_people(tmp_path / name / "motion.npz") for name in ("uneven", "even")]
    joints = [np.stack([frame[0].joints for frame in clip.frames]) for clip in clips]
    hands = np.stack(joints)[:, :, [20, 21], :2]
    assert np.abs(hands[0] - hands[1]).max() < 80 < np.ptp(hands[1], axis=0).max()


def test_a_file_that_is_cut_off(waving, tmp_path):
    whole = write(tmp_path / "whole.mp4", waving * 4).read_bytes()
    (tmp_path / "half.mp4").write_bytes(
        whole[: len(whole) * 6 // 10]
    )  # the index comes first: half can be read
    (tmp_path / "stub.mp4").write_bytes(whole[:200])
    report = run(tmp_path / "half.mp4", tmp_path / "half")
    assert 2 <= report["frames"] < 32
    with pytest.raises(InputError, match=r"stub\.mp4"):
        run(tmp_path / "stub.mp4", tmp_path / "stub")


def test_text_with_the_name_of_a_video(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"text\.mp4 is not a video"):
        run(tmp_path / "text.mp4", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_four_thousand_pixels(waving, tmp_path):
    video = write(tmp_path / "large.mp4", [cv2.resize(frame, (3840, 2160)) for frame in waving[:4]])
    report = run(video, tmp_path / "out")
    assert report["size"] == [256, 448] and list(report["people"]) == ["0"]
    assert report["input"] == {"height": 2160, "width": 3840, "fps": 30.0, "seconds": 0.133}


@pytest.mark.parametrize("upright", ["video", "reference"])
def test_a_standing_picture_and_a_lying_video(waving, tmp_path, upright):
    """Shown whole where the original would cut off head and feet."""
    Image.fromarray(waving[0][:, 152:296]).resize((576, 1024)).save(tmp_path / "tall.png")
    options = ["task.data.reference_fit=pad", f"task.data.upright={upright}", "task.data.fit=pad"]
    video = write(tmp_path / "lying.mp4", waving[:6])
    report = run(video, tmp_path / "out", f"reference={tmp_path / 'tall.png'}", *options)
    assert report["size"] == ([256, 448] if upright == "video" else [448, 256])
    fit = report["alignments"]["0"]
    assert fit["pixels_after"] < fit["pixels_before"] and fit["pixels_after"] < 60
