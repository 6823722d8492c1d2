"""Recordings of three devices: formats read as streams, hostile files, one clear error or a counted repair."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from contrapposto.errors import ConfigError, ContrappostoError, InputError
from contrapposto.io import write_motion
from contrapposto.io.device_csv import COLUMNS, stream_csv, write_csv
from contrapposto.io.devices import CONVENTIONS, DeviceTrack, Repairs, devices_of
from contrapposto.io.packets import Packet, decode, encode, packets_of
from contrapposto.io.quest import read_quest, stream_quest
from contrapposto.io.tracks import stream_devices
from contrapposto.synthetic import generate
from tests.io.hostile import mutations
from tests.io.test_quest import STILL, record


def joined(tracks) -> DeviceTrack:
    tracks = list(tracks)
    return DeviceTrack(
        torch.cat([track.rotations for track in tracks]),
        torch.cat([track.positions for track in tracks]),
        np.concatenate([track.times for track in tracks]),
        np.concatenate([track.tracked for track in tracks]),
    )


@pytest.fixture(scope="module")
def track():
    return devices_of(generate("walk", seconds=0.5, seed=0, fps=60))


@pytest.fixture
def rows(track, tmp_path):
    return write_csv(tmp_path / "track.csv", track).read_text().splitlines()


def same(first, second, atol=1e-5):
    torch.testing.assert_close(first.rotations, second.rotations, atol=atol, rtol=0)
    torch.testing.assert_close(first.positions, second.positions, atol=atol, rtol=0)


def test_csv_there_and_back_in_any_dress(track, rows, tmp_path):
    path = tmp_path / "track.csv"
    same(joined(stream_csv(path)), track)
    shuffled = [row.split(",") for row in rows]
    order = np.random.default_rng(0).permutation(len(COLUMNS))
    dressed = "\ufeff" + "\n".join(
        ";".join([*(cells[i].upper() if n == 0 else cells[i] for i in order), "note" if n == 0 else "x, y"])
        for n, cells in enumerate(shuffled)
    )
    path.write_text(dressed, encoding="utf-8")
    same(joined(stream_csv(path)), track)


def test_axes_of_openxr(tmp_path):
    """A head at 1.7 m that looks along -z, then turned to its left: canonical figures that face -z of OpenXR."""
    turned = Rotation.from_euler("y", 90, degrees=True).as_quat()
    lines = [",".join(COLUMNS)]
    for time, (x, y, z, w) in enumerate(([0, 0, 0, 1], turned)):
        pose = f"0.1,1.7,-0.3,{w},{x},{y},{z}"
        lines.append(",".join([str(time), pose, pose, pose]))
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    actual = joined(stream_csv(tmp_path / "x.csv", convention=CONVENTIONS["openxr"]))
    np.testing.assert_allclose(actual.positions[0, 0], [0.1, 0.3, 1.7], atol=1e-9)
    forward, left, up = (
        actual.rotations[:, 0, :, 2],
        actual.rotations[:, 0, :, 0],
        actual.rotations[:, 0, :, 1],
    )
    np.testing.assert_allclose(forward, [[0, 1, 0], [-1, 0, 0]], atol=1e-9)  # -z there is +y here; then -x
    np.testing.assert_allclose(left[0], [-1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(up, [[0, 0, 1]] * 2, atol=1e-9)


def change(rows, number, column, value):
    cells = rows[number].split(",")
    cells[COLUMNS.index(column)] = value
    return [*rows[:number], ",".join(cells), *rows[number + 1 :]]


def test_damage_is_an_error_or_counted(rows, tmp_path):
    path, untouched = tmp_path / "track.csv", len(rows) - 1
    cases = [
        (change(rows, 5, "time", ""), "has no time", untouched - 1, 0),
        (change(rows, 5, "time", "0.01"), "not after", untouched, 0),
        (change(rows, 5, "left_x", "nan"), "no usable pose of left", untouched, 1),
        (change(rows, 5, "right_qw", "abc"), "no usable pose of right", untouched, 1),
        (change(rows, 5, "head_qw", "7"), "head that is no unit quaternion", untouched, 1),
        ([*rows[:5], rows[5][:40], *rows[6:]], "too few cells", untouched - 1, 0),
    ]
    for lines, words, frames, lost in cases:
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(InputError, match=words):
            list(stream_csv(path))
        repairs = Repairs(path)
        actual = joined(stream_csv(path, repairs=repairs))
        assert len(actual) == frames and (~actual.tracked).sum() == lost
        assert bool(repairs.counts) == (words != "not after")  # times are judged by the tracker's clock
    path.write_text("\n".join(rows)[:-30])
    with pytest.raises(InputError, match="cut off"):
        list(stream_csv(path))


def test_a_device_that_is_stated_to_be_untracked_is_no_damage(rows, tmp_path):
    path = tmp_path / "track.csv"
    empty = [change_all(row) if n else row for n, row in enumerate(rows)]
    path.write_text("\n".join(empty) + "\n")
    assert not joined(stream_csv(path)).tracked[:, 1].any()
    flagged = [row + (",0" if n else ",left_tracked") for n, row in enumerate(rows)]
    path.write_text("\n".join(flagged) + "\n")
    actual = joined(stream_csv(path))
    assert not actual.tracked[:, 1].any() and actual.tracked[:, [0, 2]].all()


def change_all(row):
    cells = row.split(",")
    cells[8:15] = [""] * 7
    return ",".join(cells)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl"])
def test_files_that_are_no_recordings(suffix, tmp_path):
    path = tmp_path / f"x{suffix}"
    with pytest.raises(ContrappostoError, match="There is no"):
        list(stream_devices(path))
    for content, words in (
        (b"", "no records"),
        (bytes(range(256)) * 10, "not a text file"),
        (b"x" * 200000, "not a text file"),
        (b"hello\n" * 100, "no Quest log|lacks columns|no packet"),
        ("Uhrzeit\n".encode("utf-16"), "not a text file"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            list(stream_devices(path, repairs=Repairs(path)))
    with pytest.raises(InputError, match=r"\.docx"):
        stream_devices(tmp_path / "x.docx")
    with pytest.raises(ConfigError, match="openxr"):
        stream_devices(path, convention="openxrr")


def test_missing_columns_are_named(rows, tmp_path):
    path = tmp_path / "track.csv"
    path.write_text("\n".join(rows).replace("left_qw", "left_w"))
    with pytest.raises(InputError, match="lacks columns: left_qw"):
        list(stream_csv(path))


def test_quest_batches_follow_each_other_without_a_blank_line(tmp_path):
    """As the app writes: 200 records joined by blank lines, the next batch right behind; a frame is missing there."""
    log = tmp_path / "00001.txt"
    log.write_text("".join("\n".join([record(STILL, 72.0)] * 200) for _ in range(3)))
    steps = np.diff(read_quest(log).times) * 72
    assert len(steps) == 599
    np.testing.assert_allclose(steps[[199, 399]], 2)
    np.testing.assert_allclose(np.delete(steps, [199, 399]), 1)
    log.write_text("".join([record(STILL, 72.0)] * 50))  # somebody took the blank lines out
    np.testing.assert_allclose(np.diff(read_quest(log).times) * 72, 1)


def test_a_damaged_quest_log_keeps_its_time(tmp_path):
    lines = [record(STILL, 72.0)] * 100
    lines[40] = lines[40][:150] + "\n"
    lines[60] = lines[60].replace("1.7000", "nan")
    (tmp_path / "log.txt").write_text("\n".join(lines)[:-100])
    repairs = Repairs("log.txt")
    actual = joined(stream_quest(tmp_path / "log.txt", repairs=repairs))
    steps = np.diff(actual.times) * 72
    assert len(actual) == 98 and steps[39] == pytest.approx(2) and steps[50] == pytest.approx(1)
    assert not actual.tracked[59, 0] and actual.tracked[59, 1:].all()
    assert sum(repairs.counts.values()) == 3 and "1 x is cut off at the end of the file" in str(repairs)


def test_packets(track):
    sent = list(packets_of(track))
    again = [decode(encode(packet)) for packet in sent]
    np.testing.assert_allclose([p.poses for p in again], [p.poses for p in sent], atol=1e-6)
    np.testing.assert_allclose([p.time for p in again], track.times, atol=1e-6)
    absent = decode('{"time": 2, "head": [0, 0, 1.6, 0, 0, 0, 1], "left": null}')
    assert np.isfinite(absent.poses[0]).all() and np.isnan(absent.poses[1:]).all() and np.isnan(absent.sent)
    assert np.isnan(decode(encode(Packet(1.0, np.full((3, 7), np.nan)))).poses).all()
    for text in ("", "[]", "7", "{}", '{"time": "1"}', '{"time": NaN}', '{"time": 1, "head": [1, 2]}'):
        with pytest.raises(InputError):
            decode(text)
    for text in (
        '{"time": true}',
        "[" * 1500,
        '{"time": 1, "left": [1,2,3,4,5,6,[]]}',
        "x" * 3000,
        b"\xff\xfe",
    ):
        with pytest.raises(InputError):
            decode(text)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_mutated_files_never_trip_a_reader(tmp_path_factory, data):
    folder = Path(tmp_path_factory.getbasetemp()) / "mutated"
    folder.mkdir(exist_ok=True)
    places = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, 3)))
    track = DeviceTrack(torch.eye(3).double().repeat(4, 3, 1, 1), places, np.arange(4) / 60)
    sources = {
        ".csv": write_csv(folder / "good.csv", track).read_bytes(),
        ".jsonl": b"\n".join(map(encode, packets_of(track))),
        ".txt": "\n".join([record(STILL)] * 4).encode(),
    }
    suffix = data.draw(st.sampled_from(sorted(sources)))
    path = folder / f"bad{suffix}"
    path.write_bytes(data.draw(mutations(sources[suffix])))
    for strict in (True, False):
        try:
            actual = joined(stream_devices(path, repairs=Repairs(path, strict)))
        except InputError:
            continue
        assert np.isfinite(actual.times).all()
        assert np.isfinite(actual.positions.numpy()[actual.tracked]).all()


def test_what_a_clip_would_show(track, tmp_path):
    motion = generate("walk", seconds=0.5, seed=0, fps=60)
    write_motion(tmp_path / "walk.npz", motion)
    actual = joined(stream_devices(tmp_path / "walk.npz"))
    np.testing.assert_allclose(actual.positions, motion.joint_positions()[:, [15, 20, 21]], atol=1e-5)
    assert actual.tracked.all()


def test_memory_does_not_grow_with_the_file(tmp_path):
    """20 MiB take no more than the few thousand frames that are held at once."""
    log = tmp_path / "long.txt"
    with log.open("w") as file:
        block = "\n".join([record(STILL)] * 200)
        while file.tell() < 20 * 2**20:
            file.write(block)
    tracemalloc.start()
    count = 0
    for number, chunk in enumerate(stream_quest(log)):
        count += len(chunk)
        if number == 1:  # the rest would only take time
            break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 8192 and peak < 10 * 2**20
