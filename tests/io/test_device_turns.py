"""Tables whose quaternions are not what their columns say, exchanged sides, hands that stay at one place but for noise."""

from __future__ import annotations

import csv
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.io.device_csv import COLUMNS
from contrapposto.io.devices import CONVENTIONS, DeviceTrack, Repairs, devices_of
from contrapposto.io.tracks import stream_devices
from contrapposto.synthetic import generate

# What a careless program writes into the columns w, x, y, z, of the true w, x, y, z.
WRITTEN = {
    "as named": lambda q: q,
    "conjugated": lambda q: q * [1, -1, -1, -1],
    "x, y, z, w where": lambda q: q[..., [1, 2, 3, 0]],
    "w, x, y, z where": lambda q: q[..., [3, 0, 1, 2]],
}


@pytest.fixture(scope="module")
def track() -> DeviceTrack:
    """A walk along a curve."""
    straight = devices_of(generate("walk", seconds=3, seed=7).resample(60))
    turns = Rotation.from_rotvec(np.radians(20 + 60 * straight.times)[:, None] * [0, 0, 1]).as_matrix()
    places = straight.positions.numpy()
    head = places[:, 0] * [0.0, 0, 1]
    head[1:] += np.cumsum(
        np.einsum("fij,fj->fi", turns[1:], np.diff(places[:, 0], axis=0) * [1.0, 1, 0]), axis=0
    )
    around = np.einsum("fij,fdj->fdi", turns, places - places[:, :1]) + head[:, None]
    rotations = turns[:, None] @ straight.rotations.numpy()
    return replace(straight, rotations=torch.from_numpy(rotations), positions=torch.from_numpy(around))


def turned(track: DeviceTrack, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    whole = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    return whole @ track.rotations.numpy(), track.positions.numpy() @ whole.T


def save(path: Path, track: DeviceTrack, places: np.ndarray, quaternions: np.ndarray) -> Path:
    rows = np.concatenate([places, quaternions], axis=-1).reshape(len(places), -1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(np.concatenate([track.times[:, None], rows], axis=1))
    return path


def read(path: Path, axes: str | None = None) -> DeviceTrack:
    (found,) = stream_devices(path, repairs=Repairs(path), convention=axes)
    return found


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("name", ["joints", "quest", "openxr"])
def test_the_order_of_quaternions_is_found(
    written: str, name: str, track: DeviceTrack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rotations, places = turned(track, 75)
    quaternions, shown = CONVENTIONS[name].revert(rotations, places)
    path = save(tmp_path / "a.csv", track, shown, WRITTEN[written](quaternions))
    with caplog.at_level(logging.WARNING):
        found = read(path)
    np.testing.assert_allclose(found.positions, places, atol=1e-5)
    np.testing.assert_allclose(found.rotations, rotations, atol=1e-5)
    assert (f"quaternions are {written}" in caplog.text) == (written != "as named")


def standing(seconds: float = 2.0) -> DeviceTrack:
    """Head and hands that only sway a little: their turns show nothing."""
    whole = devices_of(generate("walk", seconds=1, seed=7).resample(60))
    times = np.arange(round(60 * seconds)) / 60
    sway = 0.01 * np.sin(times)[:, None, None] * [1.0, 0.0, 0.0]
    places = np.repeat(whole.positions.numpy()[:1], len(times), axis=0) + sway
    rotations = whole.rotations[:1].repeat(len(times), 1, 1, 1)
    return replace(whole, rotations=rotations, positions=torch.from_numpy(places), times=times)


@pytest.mark.parametrize("action", ["walk", "jog", "march"])
@pytest.mark.parametrize("written", ["conjugated", "x, y, z, w where", "w, x, y, z where"])
def test_hands_that_swing_about_elbows_show_it_on_a_straight_way(
    action: str, written: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    straight = devices_of(generate(action, seconds=3, seed=7).resample(60))
    rotations, places = turned(straight, 20)
    quaternions, shown = CONVENTIONS["openxr"].revert(rotations, places)
    path = save(tmp_path / "a.csv", straight, shown, WRITTEN[written](quaternions))
    with caplog.at_level(logging.WARNING):
        found = read(path)
    np.testing.assert_allclose(found.rotations, rotations, atol=1e-5)
    assert f"quaternions are {written}" in caplog.text


def test_what_a_recording_does_not_show_is_named_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    still = standing()
    rotations, places = turned(still, 10)
    quaternions, shown = CONVENTIONS["openxr"].revert(rotations, places)
    with caplog.at_level(logging.WARNING):
        read(save(tmp_path / "a.csv", still, shown, quaternions))
    assert "task.axes=NAME_conjugated" in caplog.text


def test_raised_hands_do_not_hide_the_vertical(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    still = standing()
    rotations, places = turned(still, 75)
    places[:, 1:, 2] += 1.0  # above the head
    quaternions, shown = CONVENTIONS["openxr"].revert(rotations, places)
    path = save(tmp_path / "a.csv", still, shown, quaternions)
    with caplog.at_level(logging.WARNING):
        found = read(path)
    np.testing.assert_allclose(found.positions, places, atol=1e-5)
    assert "y up" in caplog.text


@pytest.mark.parametrize(
    ("name", "layout"), [("quest", "conjugated"), ("joints", "xyzw"), ("openxr", "wxyz")]
)
def test_the_order_of_quaternions_can_be_stated(
    name: str, layout: str, track: DeviceTrack, tmp_path: Path
) -> None:
    rotations, places = turned(track, 30)
    quaternions, shown = CONVENTIONS[name].revert(rotations, places)
    words = {"conjugated": "conjugated", "xyzw": "x, y, z, w where", "wxyz": "w, x, y, z where"}[layout]
    path = save(tmp_path / "a.csv", track, shown, WRITTEN[words](quaternions))
    np.testing.assert_allclose(read(path, f"{name}_{layout}").rotations, rotations, atol=1e-5)


def test_stated_axes_take_quaternions_as_they_are(track: DeviceTrack, tmp_path: Path) -> None:
    rotations, places = turned(track, 75)
    quaternions, shown = CONVENTIONS["joints"].revert(rotations, places)
    path = save(tmp_path / "a.csv", track, shown, quaternions * [1, -1, -1, -1])
    np.testing.assert_allclose(read(path, "joints").rotations, rotations.swapaxes(-1, -2), atol=1e-5)


@pytest.mark.parametrize("name", ["joints", "joints_y_up", "quest"])
@pytest.mark.parametrize("exchanged", [False, True])
def test_exchanged_sides_of_every_kind_of_table(
    name: str, exchanged: bool, track: DeviceTrack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rotations, places = turned(track, 200)
    quaternions, shown = CONVENTIONS[name].revert(rotations, places)
    order = [0, 2, 1] if exchanged else [0, 1, 2]
    with caplog.at_level(logging.WARNING):
        found = read(save(tmp_path / "a.csv", track, shown[:, order], quaternions[:, order]))
    np.testing.assert_allclose(found.positions, places, atol=1e-5)
    np.testing.assert_allclose(found.rotations, rotations, atol=1e-5)
    assert ("exchanged" in caplog.text) == exchanged


def test_a_hand_that_stays_but_for_noise_is_lost(track: DeviceTrack, tmp_path: Path) -> None:
    rotations, places = turned(track, 0)
    quaternions, places = CONVENTIONS["joints"].revert(rotations, places)
    random = np.random.default_rng(0)
    places[60:120, 1] = places[59, 1] + random.normal(0, 7e-4, (60, 3))
    quaternions[60:120, 1] = quaternions[59, 1] + random.normal(0, 1e-3, (60, 4))
    seen = read(save(tmp_path / "a.csv", track, places, quaternions)).tracked
    expected = np.ones_like(seen)
    expected[60:120, 1] = False
    assert (seen != expected).sum() <= 2  # its first and last frame may be told apart by nobody
    assert not seen[62:118, 1].any()
