"""Videos are read back with PyAV; failures leave nothing."""

import os
import signal
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from contrapposto.errors import InputError, MissingError
from contrapposto.render import VideoWriter, write_png


def frames(count, width, height):
    """Smooth coloured pictures that change with time."""
    y, x = np.mgrid[:height, :width]
    for i in range(count):
        yield np.stack([x * 255 // width, y * 255 // height, x * 0 + (i * 20) % 256], axis=-1).astype(
            np.uint8
        )


@pytest.mark.parametrize("size", [(64, 48), (65, 47)])
def test_what_was_written_is_read_back(tmp_path, size):
    path = tmp_path / "a clip [1], x=2.mp4"
    counts = []
    with VideoWriter(path, 25, size, quality=10, progress=counts.append) as writer:
        for frame in frames(12, *size):
            writer.write(frame)
        assert not path.exists()
    assert counts == list(range(1, 13))
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        assert stream.average_rate == 25 and stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    assert len(shown) == 12 and shown[0].shape == (48, size[0] + size[0] % 2, 3)
    for got, wanted in zip(shown, frames(12, *size)):
        difference = np.abs(got[: size[1], : size[0]].astype(int) - wanted)
        assert difference.mean() < 4
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays before it is loaded whole
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_colours_are_tagged(tmp_path):
    path = tmp_path / "red.mp4"
    red = np.full((64, 64, 3), (200, 30, 30), np.uint8)
    with VideoWriter(path, 30, (64, 64), quality=10) as writer:
        writer.write(red)
    with av.open(str(path)) as video:
        frame = next(video.decode(video=0))
        codec = video.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (
            1,
            1,
            1,
            1,
        )  # BT.709
        np.testing.assert_allclose(frame.to_ndarray(format="rgb24").mean((0, 1)), red[0, 0], atol=4)


def test_an_exception_leaves_nothing_and_an_old_file_untouched(tmp_path):
    path = tmp_path / "old.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="mine"), VideoWriter(path, 30, (32, 32)) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
        raise RuntimeError("mine")
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_a_dead_encoder_is_one_clear_error(tmp_path):
    frame = np.zeros((256, 256, 3), np.uint8)
    with (
        pytest.raises(InputError, match="encoder stopped"),
        VideoWriter(tmp_path / "x.mp4", 30, (256, 256)) as writer,
    ):
        writer.write(frame)
        os.kill(writer._process.pid, signal.SIGKILL)
        for _ in range(200):
            writer.write(frame)
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_dies_at_the_end(tmp_path):
    with (
        pytest.raises(InputError, match="encoder stopped"),
        VideoWriter(tmp_path / "x.mp4", 30, (32, 32)) as writer,
    ):
        writer.write(np.zeros((32, 32, 3), np.uint8))
        os.kill(writer._process.pid, signal.SIGKILL)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(small_disk):
    noise = np.random.default_rng(0).integers(0, 256, (30, 256, 256, 3), dtype=np.uint8)
    video = VideoWriter(small_disk / "x.mp4", 30, (256, 256), quality=10)
    with pytest.raises(InputError, match="disk is full"), video as writer:
        for frame in noise:
            writer.write(frame)
    with pytest.raises(InputError, match="disk is full"):
        write_png(small_disk / "x.png", noise[:, :, :, 0].reshape(-1, 256))
    assert not list(small_disk.iterdir())


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda p: VideoWriter(p / "x.avi", 30, (32, 32)), "mp4"),
        (lambda p: VideoWriter(p / "x.mp4", 0, (32, 32)), "settings"),
        (lambda p: VideoWriter(p / "x.mp4", float("nan"), (32, 32)), "settings"),
        (lambda p: VideoWriter(p / "x.mp4", 30, (0, 32)), "size"),
        (lambda p: VideoWriter(p / "x.mp4", 30, (9000, 32)), "too large"),
        (lambda p: VideoWriter(p / "x.mp4", 30, (32, 32), quality=11), "settings"),
        (lambda p: write_png(p / "x.png", np.zeros((4, 4, 3))), "no image"),
        (lambda p: write_png(p / "x.png", np.zeros((4, 0, 3), np.uint8)), "no image"),
        (lambda p: write_png(p / "x.jpg", np.zeros((4, 4, 3), np.uint8)), "png"),
    ],
)
def test_what_cannot_be_written(tmp_path, make, word):
    with pytest.raises(InputError, match=word):
        make(tmp_path)
    assert not list(tmp_path.iterdir())


def test_frames_that_do_not_fit_and_no_frames(tmp_path):
    with (
        pytest.raises(InputError, match="does not fit"),
        VideoWriter(tmp_path / "x.mp4", 30, (32, 32)) as writer,
    ):
        writer.write(np.zeros((32, 33, 3), np.uint8))
    with pytest.raises(InputError, match="without frames"), VideoWriter(tmp_path / "x.mp4", 30, (32, 32)):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((InputError, NotADirectoryError, FileExistsError)):
        VideoWriter(tmp_path / "file" / "x.mp4", 30, (32, 32)).__enter__()


def test_no_encoder(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nowhere"))
    with pytest.raises((MissingError, InputError)), VideoWriter(tmp_path / "x.mp4", 30, (32, 32)) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_png(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = write_png(tmp_path / "new" / "x.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), image)
    assert isinstance(path, Path)
