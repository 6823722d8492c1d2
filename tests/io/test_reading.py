"""What is stated about motion files, in Python, by `predict` and by `prepare`; and what is found in them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from contrapposto.errors import ConfigError, InputError
from contrapposto.io import read_motion, stating, write_motion
from contrapposto.motion import Motion
from contrapposto.retarget.upright import turned
from contrapposto.skeleton import SMPL22
from contrapposto.synthetic import generate
from contrapposto.tasks.predict import compose, predict
from tests.retarget.rigs import FAMILIES, bvh_text

NAMES = SMPL22.joint_names


@pytest.fixture(scope="module")
def clip() -> Motion:
    return generate("walk", seconds=1, seed=5).to_skeleton(SMPL22).resample(10)


def distance(first: Motion, second: Motion) -> float:
    places = [motion.joint_positions()[:, :22] for motion in (first, second)]
    return float(np.linalg.norm(places[0] - places[1], axis=-1).max())


def save(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def smpl_arrays(clip: Motion, up: str = "z") -> dict[str, Any]:
    """Arrays as other programs write them: no member of ours, perhaps y up."""
    if up == "y":
        clip = turned(clip, Rotation.from_euler("x", -90, degrees=True))
    return {"poses": clip.rotations.reshape(len(clip.rotations), -1), "trans": clip.root_translation}


def test_an_unusual_axis_is_reported_in_one_line(
    clip: Motion, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for world, lines in (("y, cm", 0), ("z, cm", 1)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            actual = read_motion(save(tmp_path / "a.bvh", bvh_text(clip, world=world)))
        assert distance(actual, clip) < 1e-3
        assert [record.message for record in caplog.records] == [
            "a.bvh: z is up in this file, not y, as rest pose and clip show; up= states otherwise"
        ] * lines


def test_y_up_parameters_are_turned_and_a_statement_wins(clip: Motion, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, mocap_framerate=10.0, **smpl_arrays(clip, "y"))
    assert distance(read_motion(path), clip) < 1e-5
    assert distance(read_motion(path, up="y"), clip) < 1e-5
    assert distance(read_motion(path, up="z"), clip) > 0.5
    write_motion(path, turned(clip, Rotation.from_euler("x", -90, degrees=True)))
    assert distance(read_motion(path), clip) > 0.5  # our own file: the figure does lie


@pytest.mark.parametrize("suffix", ["bvh", "npz"])
def test_somebody_who_lies_on_the_floor_stays_there(clip: Motion, suffix: str, tmp_path: Path) -> None:
    lying = turned(clip.frames(0, 1), Rotation.from_euler("x", -90, degrees=True))
    low = lying.joint_positions()[..., 2].min()
    shift = np.array([0, 0, 0.05 - low], np.float32)
    lying = replace(lying, root_translation=lying.root_translation + shift + np.array([0, 3, 0], np.float32))
    if suffix == "bvh":
        path = save(tmp_path / "a.bvh", bvh_text(lying))
    else:
        path = tmp_path / "a.npz"
        np.savez(path, fps=30, **smpl_arrays(lying))
    assert distance(read_motion(path), lying) < 0.06  # the floor of a BVH is found anew


def test_forward_turns_the_world(clip: Motion, tmp_path: Path) -> None:
    path = save(tmp_path / "a.bvh", bvh_text(clip))
    plain, ahead = read_motion(path), read_motion(path, forward="x")
    assert distance(plain, read_motion(path, forward="z")) < 1e-5
    turn = Rotation.from_euler("z", -90, degrees=True)  # x of a y-up file is x; it becomes -y
    np.testing.assert_allclose(
        ahead.joint_positions(),
        turn.apply(plain.joint_positions().reshape(-1, 3)).reshape(-1, 52, 3),
        atol=1e-4,
    )
    with pytest.raises(ConfigError, match="same line"):
        read_motion(path, up="y", forward="-y")
    with pytest.raises(ConfigError, match="no axis"):
        read_motion(path, up="upwards")


def test_a_map_of_joint_names(clip: Motion, tmp_path: Path) -> None:
    text = bvh_text(clip)
    for number, name in enumerate(FAMILIES["mixamo"]):
        text = text.replace(f" {name}\n", f" bone{number}\n")
    path = save(tmp_path / "a.bvh", text)
    with pytest.raises(InputError, match="joint_map=FILE"):
        read_motion(path)
    names = {f"bone{number}": name for number, name in enumerate(NAMES)}
    assert distance(read_motion(path, joint_map=names), clip) < 1e-3
    table = save(tmp_path / "names.yaml", "\n".join(f"{ours}: {theirs}" for theirs, ours in names.items()))
    assert distance(read_motion(path, joint_map=table), clip) < 1e-3
    np.savez(tmp_path / "a.npz", fps=10, **smpl_arrays(clip))
    assert distance(read_motion(tmp_path / "a.npz", joint_map=names), clip) < 1e-5  # has SMPL's joints
    with pytest.raises(ConfigError, match="bone99"):
        read_motion(path, joint_map={"bone99": "left_hip"})
    with pytest.raises(ConfigError, match="elbows"):
        read_motion(path, joint_map={"bone1": "elbows"})
    with pytest.raises(InputError, match="lines such as"):
        read_motion(path, joint_map=save(tmp_path / "empty.yaml", "- a list"))


def test_exchanged_sides_are_refused(clip: Motion, tmp_path: Path) -> None:
    text = bvh_text(clip).replace("Left", "?").replace("Right", "Left").replace("?", "Right")
    with pytest.raises(InputError, match="exchanged"):
        read_motion(save(tmp_path / "a.bvh", text))


def test_a_reference_frame_is_checked(clip: Motion, tmp_path: Path) -> None:
    path = save(tmp_path / "a.bvh", bvh_text(clip, rest="along_x"))
    assert distance(read_motion(path, reference_frame=3), clip) < 1e-3
    with pytest.raises(InputError, match="no frame 99"):
        read_motion(path, reference_frame=99)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("End Site", "EndSite"),
        lambda text: text.replace("Frames: 10", "Frames: 7"),
    ],
)
def test_bvh_as_some_programs_write_it(change: Any, clip: Motion, tmp_path: Path) -> None:
    text = change(bvh_text(clip))
    assert "Frames: 10" in bvh_text(clip)
    assert distance(read_motion(save(tmp_path / "a.bvh", text)), clip) < 1e-3


def test_number_errors_name_the_row(clip: Motion, tmp_path: Path) -> None:
    rows = bvh_text(clip).splitlines()
    rows[-2] = rows[-2].replace(" ", " x", 1)
    with pytest.raises(InputError, match="Row 9 of the motion table"):
        read_motion(save(tmp_path / "a.bvh", "\n".join(rows)))


def test_frame_times_that_are_no_seconds_are_refused(clip: Motion, tmp_path: Path) -> None:
    for word in ("100.0", "10", "33.3333"):
        path = save(tmp_path / "a.bvh", bvh_text(clip).replace("Frame Time: 0.100000", f"Frame Time: {word}"))
        with pytest.raises(InputError, match="fps=30"):
            read_motion(path)
        assert read_motion(path, fps=10).fps == 10


def test_a_leading_t_pose_is_cut_although_the_figure_moves_at_once(tmp_path: Path) -> None:
    clip = generate("walk", seconds=0.2, seed=5).to_skeleton(SMPL22)
    rotations = np.concatenate([np.zeros_like(clip.rotations[:1]), clip.rotations])
    rotations[0, 0, 0] = np.pi / 2
    places = np.concatenate([clip.root_translation[:1], clip.root_translation])
    whole = replace(clip, rotations=rotations, root_translation=places)
    for family in ("mixamo", "poser"):
        actual = read_motion(save(tmp_path / "a.bvh", bvh_text(whole, family)))
        assert actual.num_frames == clip.num_frames
        assert distance(actual, clip) < 1e-3


PARTS = {
    "amass": lambda p: {"poses": p.reshape(-1, 66)},
    "root_apart": lambda p: {"root_orient": p[:, 0], "poses": p[:, 1:].reshape(-1, 63)},
    "parts": lambda p: {"root_orient": p[:, 0], "pose_body": p[:, 1:].reshape(-1, 63)},
    "smplx": lambda p: {"global_orient": p[:, :1], "body_pose": p[:, 1:]},
    "smpl": lambda p: {"global_orient": p[:, 0], "body_pose": np.pad(p[:, 1:], ((0, 0), (0, 2), (0, 0)))},
    "matrices": lambda p: {"poses": Rotation.from_rotvec(p.reshape(-1, 3)).as_matrix().reshape(-1, 22, 3, 3)},
    "hands": lambda p: {
        **{
            "root_orient": p[:, 0],
            "pose_body": p[:, 1:].reshape(-1, 63),
            "pose_hand": np.zeros((len(p), 90)),
        },
        **{"pose_jaw": np.zeros((len(p), 3)), "pose_eye": np.zeros((len(p), 6))},
    },
}


@pytest.mark.parametrize("layout", PARTS)
@pytest.mark.parametrize("trans", ["trans", "transl"])
def test_layouts_of_pose_arrays(layout: str, trans: str, clip: Motion, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", fps=10, **{trans: clip.root_translation}, **PARTS[layout](clip.rotations))
    assert distance(read_motion(tmp_path / "a.npz"), clip) < 1e-5


def test_frame_rates(clip: Motion, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **smpl_arrays(clip))
    with pytest.raises(InputError, match="fps=30"):
        read_motion(path)
    assert read_motion(path, fps=24).fps == 24
    with stating({"fps": 25.0, "asf": "of another format"}):
        assert read_motion(path).fps == 25 and read_motion(path, fps=24).fps == 24
    for name, value in (("framerate", 48), ("mocap_frame_rate", 48), ("dt", 1 / 48), ("frameRate", 48)):
        np.savez(path, **{name: value}, **smpl_arrays(clip))
        assert read_motion(path).fps == pytest.approx(48)


def test_what_is_stated_counts_in_predict(clip: Motion, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **smpl_arrays(clip, "y"))
    inputs = [
        "task=convert",
        f"input={tmp_path / 'a.npz'}",
        f"output={tmp_path / 'out'}",
        "task.formats=[npz]",
    ]
    predict(compose([*inputs, "fps=10", "up=y"]))
    actual = read_motion(tmp_path / "out" / "a.npz")
    assert actual.fps == 10 and distance(actual, clip) < 1e-5


def test_what_is_stated_counts_in_prepare(clip: Motion, tmp_path: Path) -> None:
    from contrapposto.data.prepare import prepare
    from contrapposto.data.store import MotionStore

    raw = tmp_path / "raw" / "KIT" / "1"
    raw.mkdir(parents=True)
    np.savez(raw / "a_poses.npz", **smpl_arrays(clip, "y"))
    save(raw / "b.bvh", bvh_text(clip, "motive", "a"))
    for recipe, names in (("amass", 1), ("motion_files", 2)):
        prepare(recipe, output=tmp_path / recipe, raw=tmp_path / "raw", workers=1, fps=10.0)
        store = MotionStore.open(tmp_path / recipe)
        assert len(store.clips) == names
        for number in range(names):
            assert distance(store[number], clip) < 2e-3


def test_prepare_takes_no_clip_that_was_read_with_other_options(clip: Motion, tmp_path: Path) -> None:
    """A preparation that failed, or was killed, is continued with the same options alone."""
    from contrapposto.data.prepare import prepare
    from contrapposto.data.store import MotionStore

    raw, table = tmp_path / "raw", tmp_path / "names.yaml"
    raw.mkdir()
    save(raw / "a.bvh", bvh_text(clip, "mixamo"))
    np.savez(raw / "b.npz", **smpl_arrays(clip))
    wrong = "mixamorig:LeftUpLeg: right_hip\nmixamorig:RightUpLeg: left_hip\n"
    options: dict[str, Any] = {
        "output": tmp_path / "store",
        "raw": raw,
        "workers": 1,
        "joint_map": str(table),
    }
    save(table, wrong)
    with pytest.raises(InputError, match="exchanged"):
        prepare("motion_files", **options)
    save(table, "mixamorig:LeftUpLeg: left_hip\n")
    prepare("motion_files", **options)
    assert len(MotionStore.open(tmp_path / "store").clips) == 1
    report = prepare("motion_files", **options, fps=10.0)
    assert not report.unchanged
    store = MotionStore.open(tmp_path / "store")
    assert [distance(store[number], clip) < 2e-3 for number in range(len(store.clips))] == [True, True]
