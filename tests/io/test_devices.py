"""Tables of devices as people's programs write them: detected and reported, or refused with what shows it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.errors import InputError
from contrapposto.io.device_csv import COLUMNS, write_csv
from contrapposto.io.devices import CONVENTIONS, DEVICES, DeviceTrack, Repairs, devices_of
from contrapposto.io.packets import decode
from contrapposto.io.tracks import recorded_convention, stream_devices
from contrapposto.synthetic import generate
from contrapposto.systems.sage.live.calibration import find_t_pose

Row = list[str]


@pytest.fixture(scope="module")
def track() -> DeviceTrack:
    return devices_of(generate("walk", seconds=2, seed=2).resample(60))


@pytest.fixture(scope="module")
def table(track: DeviceTrack, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    path = write_csv(tmp_path_factory.mktemp("devices") / "a.csv", track)
    return [line.split(",") for line in path.read_text().splitlines()]


def save(path: Path, rows: list[Row], delimiter: str = ",") -> Path:
    path.write_text("\n".join(delimiter.join(row) for row in rows) + "\n")
    return path


def read(path: Path, axes: str | None = None) -> tuple[DeviceTrack, Repairs]:
    repairs = Repairs(path)
    (found,) = stream_devices(path, repairs=repairs, convention=axes)
    return found, repairs


def scaled(rows: list[Row], columns: Callable[[str], bool], factor: float) -> list[Row]:
    chosen = [columns(name) for name in rows[0]]
    body = [
        [f"{float(cell) * factor:.9g}" if change else cell for cell, change in zip(row, chosen)]
        for row in rows[1:]
    ]
    return [rows[0], *body]


def is_place(name: str) -> bool:
    return name.endswith(("_x", "_y", "_z"))


CHANGES: dict[str, tuple[Callable[[list[Row]], list[Row]], str]] = {
    "centimetres": (lambda rows: scaled(rows, is_place, 100), "centimetres"),
    "millimetres": (lambda rows: scaled(rows, is_place, 1000), "millimetres"),
    "inches": (lambda rows: scaled(rows, is_place, 1 / 0.0254), "inches"),
    "milliseconds": (lambda rows: scaled(rows, lambda name: name == "time", 1e3), "milliseconds"),
    "nanoseconds": (lambda rows: scaled(rows, lambda name: name == "time", 1e9), "nanoseconds"),
    "ticks": (lambda rows: scaled(rows, lambda name: name == "time", 1e7), "ticks of 100 ns"),
    "quaternions": (lambda rows: scaled(rows, lambda name: "_q" in name, 1.5), "scaled to 1"),
    "nothing": (lambda rows: rows, ""),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_units_are_found_and_reported(
    change: str, table: list[Row], track: DeviceTrack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    turn, words = CHANGES[change]
    with caplog.at_level(logging.WARNING):
        found, repairs = read(save(tmp_path / "a.csv", turn(table)))
    np.testing.assert_allclose(found.positions, track.positions, atol=1e-5)
    np.testing.assert_allclose(found.rotations, track.rotations, atol=1e-5)
    np.testing.assert_allclose(found.times, track.times, atol=1e-5)
    assert found.tracked.all() and not repairs.counts
    assert len(caplog.records) == bool(words) and words in caplog.text


def test_decimal_commas(table: list[Row], track: DeviceTrack, tmp_path: Path) -> None:
    rows = [[cell.replace(".", ",") for cell in row] for row in table]
    found, _ = read(save(tmp_path / "a.csv", rows, ";"))
    np.testing.assert_allclose(found.positions, track.positions, atol=1e-5)


@pytest.mark.parametrize(
    ("yes", "no"), [("True", "False"), ("yes", "no"), ("1.0", "0.0"), ("1", "0"), ("TRUE", "")]
)
def test_words_for_tracked(yes: str, no: str, table: list[Row], tmp_path: Path) -> None:
    rows = [
        [*table[0], "left_tracked"],
        *([*row, no if 5 <= n < 9 else yes] for n, row in enumerate(table[1:])),
    ]
    found, _ = read(save(tmp_path / "a.csv", rows))
    expected = np.ones((len(table) - 1, 3), bool)
    expected[5:9, 1] = False
    np.testing.assert_array_equal(found.tracked, expected)


LOST = {
    "at the origin": lambda row, before, head: ["0", "0", "0", "1", "0", "0", "0"],
    "on the head": lambda row, before, head: head,
    "frozen": lambda row, before, head: before,
}


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_hand_is_not_tracked(kind: str, table: list[Row], tmp_path: Path) -> None:
    head, left = COLUMNS.index("head_x"), COLUMNS.index("left_x")
    rows = [list(row) for row in table]
    for number in range(30, 60):
        rows[number][head] = f"{float(rows[number][head]) + 0.001 * (number - 30):.6f}"  # the head moves
        rows[number][left : left + 7] = LOST[kind](
            rows[number], rows[29][left : left + 7], rows[number][head : head + 7]
        )
    found, repairs = read(save(tmp_path / "a.csv", rows))
    expected = np.ones((len(rows) - 1, 3), bool)
    expected[29:59, 1] = False
    np.testing.assert_array_equal(found.tracked, expected)
    assert repairs.counts == {f"has the left hand lost ({kind})": 30}


def test_impossible_places_are_not_tracked(table: list[Row], tmp_path: Path) -> None:
    rows = [list(row) for row in table]
    rows[20][COLUMNS.index("left_x")] = "2.9"  # too far, and back again in the next frame
    rows[40][COLUMNS.index("head_z")] = "3.2"
    found, repairs = read(save(tmp_path / "a.csv", rows))
    assert not found.tracked[19, 1] and not found.tracked[39, 0]
    assert (~found.tracked).sum() <= 4
    assert sum(repairs.counts.values()) >= 2


def test_nonsense_is_refused_with_its_numbers(table: list[Row], tmp_path: Path) -> None:
    rows = scaled(table, is_place, 1e-3)
    with pytest.raises(InputError, match=r"(?s)in any unit of length.*above the floor"):
        read(save(tmp_path / "a.csv", rows))


def openxr(table: list[Row], *, exchanged: bool = False) -> list[Row]:
    """The same poses in y-up axes, headsets looking along -z; controllers held somehow."""
    values = np.array([[float(cell) for cell in row] for row in table[1:]])
    devices = values[:, 1:].reshape(-1, 3, 7)
    down = Rotation.from_euler("x", -90, degrees=True)
    turn = Rotation.from_matrix(CONVENTIONS["openxr"].joint_of_device[0]).inv()
    flat = down * Rotation.from_quat(devices[..., [4, 5, 6, 3]].reshape(-1, 4)) * turn
    devices[..., 3:] = flat.as_quat()[:, [3, 0, 1, 2]].reshape(-1, 3, 4)
    devices[..., :3] = down.apply(devices[..., :3].reshape(-1, 3)).reshape(-1, 3, 3)
    if exchanged:
        devices = devices[:, [0, 2, 1]]
    rows = np.concatenate([values[:, :1], devices.reshape(len(values), -1)], axis=1)
    return [table[0], *([f"{value:.7f}" for value in row] for row in rows)]


def test_y_up_axes_are_found(
    table: list[Row], track: DeviceTrack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path / "a.csv", openxr(table))
    with caplog.at_level(logging.WARNING):
        found, _ = read(path)
    assert "axes=openxr" in caplog.text
    np.testing.assert_allclose(found.positions, track.positions, atol=1e-5)
    assert not recorded_convention(path).hands_known and recorded_convention(path, "quest").hands_known
    with pytest.raises(InputError, match="z points up"):
        read(save(tmp_path / "b.csv", table), "openxr")


def in_axes(table: list[Row], name: str) -> list[Row]:
    """The same poses as a recorder of another convention would write them."""
    values = np.array([[float(cell) for cell in row] for row in table[1:]])
    devices, axes = values[:, 1:].reshape(-1, 3, 7), CONVENTIONS[name]
    turns = Rotation.from_quat(devices[..., [4, 5, 6, 3]].reshape(-1, 4)).as_matrix().reshape(-1, 3, 3, 3)
    places = devices[..., :3]
    if axes.y_up:
        down = Rotation.from_euler("x", -90, degrees=True).as_matrix()
        turns, places = down @ turns, places @ down.T
    turns = turns @ np.linalg.inv(axes.joint_of_device)
    quaternions = Rotation.from_matrix(turns.reshape(-1, 3, 3)).as_quat()[:, [3, 0, 1, 2]].reshape(-1, 3, 4)
    if axes.mirrored:
        quaternions, places = quaternions * [1, 1, -1, -1], places * [-1, 1, 1]
    rows = np.concatenate([places, quaternions], axis=-1).reshape(len(values), -1)
    return [table[0], *([f"{v:.7f}" for v in (time, *row)] for time, row in zip(values[:, 0], rows))]


@pytest.mark.parametrize("name", ["joints", "joints_y_up", "quest"])
@pytest.mark.parametrize("turn", [0, 90, 215])
def test_conventions_are_told_apart(
    name: str, turn: int, track: DeviceTrack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = torch.from_numpy(Rotation.from_euler("z", turn, degrees=True).as_matrix())
    turned = replace(track, rotations=whole @ track.rotations, positions=track.positions @ whole.T)
    path = write_csv(tmp_path / "joints.csv", turned)
    rows = in_axes([line.split(",") for line in path.read_text().splitlines()], name)
    with caplog.at_level(logging.WARNING):
        found, _ = read(save(tmp_path / "a.csv", rows))
    np.testing.assert_allclose(found.positions, turned.positions, atol=1e-5)
    np.testing.assert_allclose(found.rotations, turned.rotations, atol=1e-5)
    assert (f"axes={name}" in caplog.text) == (name != "joints")


@pytest.mark.parametrize("kind", ["ros", "ros exchanged", "unreal"])
@pytest.mark.parametrize("turn", [0, 75, 200])
def test_z_up_heads_that_look_along_x(
    kind: str, turn: int, track: DeviceTrack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """ROS: x forward, y left, z up, metres. Unreal: x forward, y right, z up, centimetres."""
    whole = Rotation.from_euler("z", turn, degrees=True).as_matrix()
    places, turns = track.positions.numpy() @ whole.T, whole @ track.rotations.numpy()
    if (
        kind == "unreal"
    ):  # its own axes in those of the joint (x left, y up, z forward); y of its world is the other way
        mirror, axes = np.diag([1.0, -1.0, 1.0]), np.array([[0.0, -1, 0], [0, 0, 1], [1, 0, 0]])
        written, frames = 100 * places @ mirror, mirror @ turns @ axes
    else:
        written, frames = places, turns @ np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    if kind == "ros exchanged":
        written, frames = written[:, [0, 2, 1]], frames[:, [0, 2, 1]]
    quaternions = Rotation.from_matrix(frames.reshape(-1, 3, 3)).as_quat()[:, [3, 0, 1, 2]].reshape(-1, 3, 4)
    values = np.concatenate([written, quaternions], axis=-1).reshape(len(track), -1)
    rows = [[f"{value:.7f}" for value in (time, *row)] for time, row in zip(track.times, values)]
    with caplog.at_level(logging.WARNING):
        found, _ = read(save(tmp_path / "a.csv", [list(COLUMNS), *rows]))
    assert f"axes={kind.split()[0]}" in caplog.text and ("exchanged" in caplog.text) == (
        kind == "ros exchanged"
    )
    half = np.diag([-1.0, -1.0, 1.0]) if kind == "unreal" else np.eye(3)  # the mirrored axis is x, not y
    np.testing.assert_allclose(found.positions, places @ half, atol=1e-5)
    np.testing.assert_allclose(found.rotations[:, 0], half @ turns[:, 0], atol=1e-5)


def test_the_reason_for_packets_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"TIME": 1.0}\n' * 3)
    with pytest.raises(InputError, match=r"3 x cannot be read \(no entry 'time'\)"):
        read(path)


@pytest.mark.parametrize("data", [b"/VMC/Ext/Root/Pos\0\0\0,sfff", b"#bundle\0" + bytes(12)])
def test_osc_is_named(data: bytes) -> None:
    with pytest.raises(InputError, match="OSC"):
        decode(data)


def test_packets_have_units_and_axes_as_well(table: list[Row], track: DeviceTrack, tmp_path: Path) -> None:
    rows = scaled(in_axes(table, "joints_y_up"), is_place, 100)
    lines = []
    for row in rows[1:]:
        poses = [[float(cell) for cell in row[1 + 7 * n : 8 + 7 * n]] for n in range(3)]
        entry = {name: [*pose[:3], *pose[4:], pose[3]] for name, pose in zip(DEVICES, poses)}
        lines.append(json.dumps({"time": float(row[0]), **entry}))
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines) + "\n")
    found, _ = read(path)
    np.testing.assert_allclose(found.positions, track.positions, atol=1e-4)


def test_a_t_pose_is_found(track: DeviceTrack) -> None:
    """Arms out for a second and a half before a walk; a walk alone has none."""
    places = track.positions.numpy()
    still = np.array([[0, 0, 1.6], [0.68, 0, 1.42], [-0.68, 0.02, 1.4]])
    both = np.concatenate([np.repeat(still[None], 90, axis=0), places])
    times = np.arange(len(both)) / 60
    assert find_t_pose(times, both) == pytest.approx(0.75, abs=0.05)
    assert find_t_pose(times[: len(places)], places) is None


@pytest.mark.parametrize("exchanged", [False, True])
def test_exchanged_sides_are_found(
    exchanged: bool, table: list[Row], track: DeviceTrack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path / "a.csv", openxr(table, exchanged=exchanged))
    with caplog.at_level(logging.WARNING):
        found, _ = read(path, "openxr")
    np.testing.assert_allclose(found.positions, track.positions, atol=1e-5)
    assert ("exchanged" in caplog.text) == exchanged
