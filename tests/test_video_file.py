"""Videos read frame by frame: uneven rates, turned, cut off, and what is no video at all."""

from fractions import Fraction

import av
import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.render import VideoWriter
from contrapposto.video_file import VideoFile, at_rate


def write(path, times, size=(32, 48)):
    """Frames whose grey level is 10 x number, shown at times in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(
                np.full((*size, 3), 10 * number % 256, np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def levels(frames):
    return [round(float(image.mean()) / 10) for _, image in frames]


def test_uneven_rate(tmp_path):
    times = [0, 33, 66, 200, 233, 400, 500]
    video = VideoFile.open(write(tmp_path / "vfr.mp4", times))
    assert (video.height, video.width) == (32, 48)
    actual = list(video.frames())
    assert np.allclose([time for time, _ in actual], np.array(times) / 1000, atol=2e-3)
    assert levels(actual) == list(range(7))


def test_at_rate_takes_the_nearest_and_none_twice(tmp_path):
    video = VideoFile.open(write(tmp_path / "even.mp4", [round(1000 * n / 30) for n in range(24)]))
    actual = list(at_rate(video.frames(), 10))
    assert levels(actual) == [*range(0, 24, 3), 23]  # the last is the nearest to 0.8 s
    actual = list(at_rate(video.frames(), 16))
    assert len(levels(actual)) == len(set(levels(actual)))
    wanted = np.arange(len(actual)) / 16
    assert np.abs(np.array([time for time, _ in actual]) - wanted).max() <= 1 / 60 + 1e-3
    assert levels(at_rate(video.frames(), 60)) == list(range(24))


def test_ours_and_one_pixel(tmp_path):
    with VideoWriter(tmp_path / "small.mp4", 10, (1, 1)) as writer:
        for number in range(3):
            writer.write(np.full((1, 1, 3), 40 * number, np.uint8))
    video = VideoFile.open(tmp_path / "small.mp4")
    assert min(video.height, video.width) >= 1 and len(list(video.frames())) == 3


def test_turned(tmp_path):
    """A phone's upright video: the file says by how much to turn it."""
    path = write(tmp_path / "flat.mp4", [0, 40])
    turned = tmp_path / "turned.mp4"
    import subprocess

    from imageio_ffmpeg import get_ffmpeg_exe

    subprocess.run(
        [get_ffmpeg_exe(), "-loglevel", "error", "-display_rotation", "90", "-i", path, "-c", "copy", turned],
        check=True,
    )
    video = VideoFile.open(turned)
    assert (video.height, video.width) == (48, 32)
    assert next(video.frames())[1].shape == (48, 32, 3)


def test_no_videos(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("a text file")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    whole = write(tmp_path / "whole.mp4", range(0, 2000, 40)).read_bytes()
    cut = tmp_path / "cut.mp4"  # its index is at the end, and gone
    cut.write_bytes(whole[: len(whole) // 2])
    for path in (text, empty, cut, tmp_path / "none.mp4", tmp_path):
        with pytest.raises(InputError):
            VideoFile.open(path)


def test_damaged_in_the_middle_gives_what_can_be_read(tmp_path):
    with VideoWriter(tmp_path / "fast.mp4", 10, (64, 64)) as writer:
        random = np.random.default_rng(0)
        for _ in range(40):
            writer.write(random.integers(0, 255, (64, 64, 3), np.uint8))
    whole = (tmp_path / "fast.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    count = len(list(VideoFile.open(cut).frames()))
    assert 5 < count < 40
