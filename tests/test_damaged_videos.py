"""Videos that are damaged, cut off, change their size, have pixels that are not square, or state no duration."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from contrapposto.systems.scail_pose.extract import read_image
from contrapposto.video_end import ends_early
from contrapposto.video_file import VideoFile
from contrapposto.video_log import ReadLog, find_gaps

FRAMES = 24


def write(path, codec="libx264", sizes=((48, 64),) * FRAMES, aspect=None, gop=6, **options):
    """Frames whose grey level is 10 x number, 12 frames/s."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=12)
        stream.height, stream.width, stream.pix_fmt = *sizes[0], "yuv420p"
        stream.codec_context.gop_size = gop
        if aspect:
            stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        generator = np.random.default_rng(0)
        for number, size in enumerate(sizes):
            image = np.full((*size, 3), 10 * number % 240, np.uint8)
            image[::2] += generator.integers(
                0, 5, image[::2].shape, np.uint8
            )  # so that packets have some length
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def packets(path):
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def overwrite(path, number):
    """Destroy one packet in the middle of a file."""
    position, size = packets(path)[number]
    content = bytearray(path.read_bytes())
    content[position : position + size] = b"\xff" * size
    path.write_bytes(content)


def read(path):
    log = ReadLog()
    frames = list(VideoFile.open(path).frames(log))
    assert log.frames == len(frames)
    return frames, log


def test_whole(tmp_path):
    frames, log = read(write(tmp_path / "whole.mp4"))
    assert len(frames) == FRAMES and log.missing == log.resized == 0 and not log.warnings
    assert np.allclose([time for time, _ in frames], np.arange(FRAMES) / 12, atol=1e-3)


def test_a_damaged_packet_costs_one_frame(tmp_path):
    path = write(tmp_path / "broken.mp4", "mpeg4", gop=1)
    overwrite(path, 9)
    frames, log = read(path)
    levels = [round(float(image[1::2].mean()) / 10) for _, image in frames]
    assert len(frames) + log.missing == FRAMES and log.missing == 1
    assert 9 not in levels and levels[-1] == FRAMES - 1  # it goes on behind the damage
    assert "1 of 24 frames" in log.warnings[0]


def test_a_container_that_cannot_be_read_on(tmp_path):
    path = write(tmp_path / "broken.mkv", "mpeg4", gop=1)
    overwrite(path, 9)  # with the header of its block, without which the next one is not found
    frames, log = read(path)
    assert len(frames) == 9 and log.missing == FRAMES - 9


@pytest.mark.parametrize(("name", "codec"), [("hole.webm", "libvpx"), ("hole.mkv", "libx264")])
def test_a_part_in_the_middle_is_missing(tmp_path, name, codec):
    """These containers do not say how many frames they have: the gap in the times shows it."""
    path = write(tmp_path / name, codec, cluster_time_limit="400")
    places = packets(path)
    content = path.read_bytes()
    path.write_bytes(content[: places[8][0]] + content[places[15][0] :])
    frames, log = read(path)
    lost, (longest, where) = find_gaps(log.times)
    assert lost == FRAMES - len(frames) >= 7 and log.times[-1] > (FRAMES - 2) / 12
    assert abs(longest - (lost + 1) / 12) < 0.1 and where < 8 / 12
    assert f"{lost} of 24 frames" in log.warnings[0]


def test_frames_that_are_decoded_in_part(tmp_path):
    path = write(tmp_path / "scratched.avi", "mpeg4", sizes=[(144, 256)] * FRAMES, gop=24)
    position, size = packets(path)[5]
    content = bytearray(path.read_bytes())
    content[position + size // 2 : position + size] = bytes(size - size // 2)
    path.write_bytes(content)
    _, log = read(path)
    assert log.damaged and "decoded only in part" in " ".join(log.warnings)


@pytest.mark.parametrize(
    ("steps", "lost"),
    [
        ([1] * 30, 0),
        ([1] * 10 + [4] + [1] * 10, 3),
        ([1] * 10 + [2] + [1] * 10 + [3], 3),
        ([1] * 10 + [0, 4] + [1] * 10, 2),  # one frame of the gap has a wrong time
        ([1, 1.1, 0.9] * 10, 0),
        ([1, 2, 3, 1, 2] * 6, 0),  # a rate that varies
        ([1, 1, 5], 0),  # too few to judge
        ([], 0),
    ],
)
def test_gaps_in_the_times(steps, lost):
    times = [0.0, *np.cumsum(steps) / 25]
    assert find_gaps(times)[0] == lost


def test_the_end_is_missing(tmp_path):
    path = write(tmp_path / "whole.mp4", movflags="faststart")
    position, _ = packets(path)[16]
    path.write_bytes(path.read_bytes()[:position])
    frames, log = read(path)
    assert 12 <= len(frames) <= 17 and len(frames) + log.missing == FRAMES


def test_the_size_changes(tmp_path):
    """Raw H.264 streams one after the other, as some cameras write them."""
    parts = [write(tmp_path / f"{n}.h264", sizes=[size] * 6) for n, size in enumerate([(48, 64), (64, 48)])]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, log = read(path)
    assert len(frames) == 12 and log.resized == 6
    assert {image.shape for _, image in frames} == {(48, 64, 3)}
    last = frames[-1][1]
    assert (
        last[:, :8].max() < 30 and last[10:-10, 24:40].min() > 40
    )  # its shape is kept, with black beside it
    assert "another size" in log.warnings[0]


@pytest.mark.parametrize(("aspect", "width"), [("2", 128), ("1/2", 32), ("1", 64), ("1000", 64)])
def test_pixels_that_are_not_square(tmp_path, aspect, width):
    video = VideoFile.open(write(tmp_path / "wide.mkv", "mpeg4", aspect=aspect if aspect != "1000" else None))
    if aspect == "1000":  # the mark is not believed
        assert (video.height, video.width) == (48, 64)
    assert (video.height, video.width) == (48, width)
    assert next(video.frames())[1].shape == (48, width, 3)


@pytest.mark.parametrize("name", ["clip.webm", "clip.mkv", "clip.flv", "clip.ts"])
def test_the_duration_is_known(tmp_path, name):
    codec = {"webm": "libvpx", "mkv": "mpeg4", "flv": "flv", "ts": "libx264"}[name.split(".")[1]]
    video = VideoFile.open(write(tmp_path / name, codec, sizes=[(48, 64)] * 36))
    assert abs(video.seconds - 3) < 0.2


def test_a_stream_without_a_duration(tmp_path):
    """As a browser's recorder writes it."""
    path = write(tmp_path / "live.webm", "libvpx", sizes=[(48, 64)] * 36, live="1")
    with av.open(str(path)) as container:
        assert not container.duration and not container.streams.video[0].duration
    assert abs(VideoFile.open(path).seconds - 3) < 0.2


@pytest.mark.parametrize("kind", ["16 bits", "12 bits of 16", "32 bits", "floating point", "8 bits"])
def test_grey_images_of_any_depth(tmp_path, kind):
    ramp = np.linspace(0, 1, 256).reshape(16, 16)
    path = tmp_path / ("image.tiff" if kind in ("32 bits", "floating point") else "image.png")
    values = {
        "16 bits": (ramp * 65535).astype(np.uint16),
        "12 bits of 16": (ramp * 4095).astype(np.uint16),
        "32 bits": (ramp * 65535).astype(np.int32),
        "floating point": ramp.astype(np.float32),
        "8 bits": (ramp * 255).round().astype(np.uint8),
    }[kind]
    Image.fromarray(values).save(path)
    image = read_image(path)
    assert image.shape == (16, 16, 3) and np.abs(image[..., 0] - 255 * ramp).max() <= 1


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("live.webm", "libvpx", {"live": "1"}),
        ("live.mkv", "libx264", {"live": "1"}),
        ("live.ogv", "libvpx", {}),
    ],
)
def test_live_files_that_stop_in_the_middle(tmp_path, name, codec, options):
    path = write(tmp_path / name, codec, **options)
    frames, log = read(path)
    assert len(frames) == FRAMES and not log.warnings
    content = path.read_bytes()
    path.write_bytes(content[: int(0.6 * len(content))])
    frames, log = read(path)
    assert 0 < len(frames) < FRAMES
    assert any("cut off" in warning for warning in log.warnings)


def test_whole_files_of_all_kinds_do_not_stop_in_the_middle(tmp_path):
    for name, codec in (("a.webm", "libvpx"), ("a.mkv", "mpeg4"), ("a.mp4", "mpeg4"), ("a.avi", "mpeg4")):
        assert not ends_early(write(tmp_path / name, codec))
    for content in (b"", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3" + bytes(40), b"OggS", b"no video"):
        (tmp_path / "odd").write_bytes(content)
        assert ends_early(tmp_path / "odd") in (True, False)
