from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from contrapposto.errors import ConfigError, InputError
from contrapposto.io.bvh import read_bvh, write_bvh
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22, SMPLH52, Skeleton
from tests.io.hostile import DATA, mutations

# Any channel order, one-axis joints, nested end sites, names with spaces, glued braces, a moving child, no channels.
ODD = """HIERARCHY
ROOT My Hips
{
  OFFSET 1 2 3
  CHANNELS 6 Yrotation Zposition Xrotation Xposition Zrotation Yposition
  JOINT a {
    OFFSET 0 10 0
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {
      OFFSET 0 5 0
    }
    JOINT b
    {
      OFFSET 4 0 0
      CHANNELS 1 Xrotation
      JOINT c
      {
        OFFSET 0 0 7
        CHANNELS 0
        End Site { OFFSET 1 1 1 }
      }
    }
  }
  JOINT d
  {
    OFFSET -4 0 0
    CHANNELS 2 Zrotation Xrotation
    End Site
    {
      OFFSET 0 0 2
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
10 1 20 2 30 3  40 50 60  70  80 15
-10 4 -20 5 -30 6  -40 -50 -60  -70  -80 -15
"""


def turn(order: str, *angles: float) -> np.ndarray:
    """Product of elementary rotations, written out: the first letter is the outermost."""
    result = np.eye(3)
    for axis, degrees in zip(order, angles):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        i, j = {"X": (1, 2), "Y": (2, 0), "Z": (0, 1)}[axis]
        step = np.eye(3)
        step[i, i], step[i, j], step[j, i], step[j, j] = c, -s, s, c
        result = result @ step
    return result


def save(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_an_odd_file_by_hand(tmp_path: Path) -> None:
    motion = read_bvh(save(tmp_path / "odd.bvh", ODD), scale=1.0, root_offset="replace")
    assert motion.skeleton.joint_names == ("My Hips", "a", "a_end", "b", "c", "c_end", "d", "d_end")
    assert motion.skeleton.parents == (-1, 0, 1, 1, 3, 4, 0, 6)
    assert motion.fps == 30.0
    for sign, root, actual in zip((1, -1), ([2, 3, 1], [5, 6, 4]), motion.joint_positions()):
        hips = turn("YXZ", 10 * sign, 20 * sign, 30 * sign)
        a = hips @ turn("YXZ", 40 * sign, 50 * sign, 60 * sign)
        b = a @ turn("X", 70 * sign)
        d = hips @ turn("ZX", 80 * sign, 15 * sign)
        place = {"My Hips": np.array(root, float)}
        place["a"] = place["My Hips"] + hips @ [0, 10, 0]
        place["a_end"] = place["a"] + a @ [0, 5, 0]
        place["b"] = place["a"] + a @ [4, 0, 0]
        place["c"] = place["b"] + b @ [0, 0, 7]
        place["c_end"] = place["c"] + b @ [1, 1, 1]
        place["d"] = place["My Hips"] + hips @ [-4, 0, 0]
        place["d_end"] = place["d"] + d @ [0, 0, 2]
        expected = np.array([place[name] for name in motion.skeleton.joint_names])
        expected = np.stack([expected[:, 0], -expected[:, 2], expected[:, 1]], axis=1)  # y up to z up
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_a_file_that_is_z_up_stays_as_it_is(tmp_path: Path) -> None:
    path = save(tmp_path / "odd.bvh", ODD)
    straight = read_bvh(path, scale=1.0, up="z", root_offset="replace").joint_positions()
    turned = read_bvh(path, scale=1.0, root_offset="replace").joint_positions()
    np.testing.assert_allclose(
        turned, np.stack([straight[..., 0], -straight[..., 2], straight[..., 1]], -1), atol=1e-5
    )


def independent_positions(text: str) -> tuple[list[str], np.ndarray]:
    """Joint positions of a BVH file that writes position channels at its root only, by SciPy, in file units."""
    head, body = text.split("MOTION")
    rows = np.array([[float(word) for word in line.split()] for line in body.splitlines()[3:]])
    names, parents, offsets, orders, stack = [], [], [], [], []
    for line in head.splitlines():
        words = line.split()
        if words[0] in ("ROOT", "JOINT", "End"):
            names.append(words[1])
            parents.append(stack[-1] if stack else -1)
            orders.append("")
        elif words[0] == "{":
            stack.append(len(names) - 1)
        elif words[0] == "}":
            stack.pop()
        elif words[0] == "OFFSET":
            offsets.append([float(word) for word in words[1:]])
        elif words[0] == "CHANNELS":
            orders[stack[-1]] = "".join(re.findall(r"([XYZ])rotation", line))
    column, turned, places = 3, [], []
    for parent, offset, order in zip(parents, offsets, orders):
        local = Rotation.identity(len(rows))
        if order:
            local = Rotation.from_euler(order, rows[:, column : column + 3], degrees=True)
            column += 3
        turned.append(local if parent < 0 else turned[parent] * local)
        places.append(rows[:, :3] if parent < 0 else places[parent] + turned[parent].apply(offset))
    keep = [i for i, name in enumerate(names) if name != "Site"]
    return [names[i] for i in keep], np.stack([places[i] for i in keep], axis=1)


def clip(frames: int = 20, skeleton: Skeleton = SMPLH52, seed: int = 0) -> Motion:
    rng = np.random.default_rng(seed)
    rotations = rng.normal(size=(frames, skeleton.num_joints, 3))
    rotations[0] = 0
    rotations[1, :, :] = [np.pi / 2, 0, 0]  # gimbal lock of the written order
    rotations[2, :, :] = [0, 0, np.pi]
    return Motion(rotations, rng.normal(size=(frames, 3)), 60, skeleton=skeleton)


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_written_numbers_mean_the_same_motion(tmp_path: Path, scale: float) -> None:
    motion = clip()
    path = write_bvh(tmp_path / "a.bvh", motion, scale=scale)
    names, places = independent_positions(path.read_text())
    expected = motion.joint_positions()[:, motion.skeleton.index(*names)]
    upright = np.stack([places[..., 0], -places[..., 2], places[..., 1]], axis=-1) * scale
    np.testing.assert_allclose(upright, expected, atol=2e-5)


@pytest.mark.parametrize("skeleton", [SMPL22, SMPLH52], ids=lambda s: s.name)
def test_round_trip(tmp_path: Path, skeleton: Skeleton) -> None:
    motion = clip(skeleton=skeleton)
    back = read_bvh(write_bvh(tmp_path / "a.bvh", motion))
    index = back.skeleton.index(*skeleton.joint_names)
    angle = (
        Rotation.from_rotvec(motion.rotations.reshape(-1, 3)).inv()
        * Rotation.from_rotvec(back.rotations[:, index].reshape(-1, 3))
    ).magnitude()
    assert angle.max() < 1e-5
    np.testing.assert_allclose(back.skeleton.offsets[index][1:], skeleton.offsets[1:], atol=1e-7)
    # The root's OFFSET is zero: some programs add it to the position channels, others do not.
    np.testing.assert_array_equal(back.skeleton.offsets[0], 0)
    np.testing.assert_allclose(back.joint_positions()[:, 0], motion.joint_positions()[:, 0], atol=1e-6)
    assert back.fps == 60


def test_reading_and_writing_again_changes_nothing(tmp_path: Path) -> None:
    first = read_bvh(write_bvh(tmp_path / "a.bvh", clip()))
    second = read_bvh(write_bvh(tmp_path / "b.bvh", first))
    assert second.skeleton.joint_names == first.skeleton.joint_names
    np.testing.assert_allclose(second.joint_positions(), first.joint_positions(), atol=1e-5)


def test_angles_do_not_jump(tmp_path: Path) -> None:
    spin = np.zeros((200, 52, 3), np.float32)
    spin[:, 16, 1] = np.linspace(0, 4 * np.pi, 200)
    path = write_bvh(tmp_path / "a.bvh", Motion(spin, np.zeros((200, 3)), 60))
    rows = np.array([line.split() for line in path.read_text().splitlines()[-200:]], float)
    assert np.abs(np.diff(rows, axis=0)).max() < 5


@pytest.mark.parametrize(
    ("text", "fps"),
    [
        ("0.0333333", 30),
        ("0.008333", 120),
        (".0083333", 120),
        ("0.041667", 24),
        ("0.0333", 30),
        ("0.01", 100),
        ("0.033367", 1 / 0.033367),
        ("0.00833", 120),
        ("1", 1),
        ("1e-2", 100),
        ("0.0416666", 24),
        ("0.04", 25),
    ],
)
def test_frame_rates_are_what_was_meant(tmp_path: Path, text: str, fps: float) -> None:
    path = save(tmp_path / "a.bvh", ODD.replace("0.0333333", text))
    assert read_bvh(path).fps == pytest.approx(fps, rel=1e-12)


@pytest.mark.parametrize("unit", [1.0, 0.01, 0.001, 0.0254, 0.0254 / 0.45])
def test_the_unit_of_length_is_guessed_for_adults_and_children(tmp_path: Path, unit: float) -> None:
    for size in (0.75, 1.0, 1.1):
        skeleton = SMPL22.with_offsets(SMPL22.offsets * size)
        motion = Motion(np.zeros((2, 22, 3)), np.zeros((2, 3)), 30, skeleton=skeleton)
        back = read_bvh(write_bvh(tmp_path / "a.bvh", motion, scale=unit))
        np.testing.assert_allclose(
            back.skeleton.offsets[back.skeleton.index("left_knee")[0]], skeleton.offsets[4], atol=1e-5
        )
        assert float(back.metadata["unit"].split()[0]) == pytest.approx(unit, rel=1e-4)


PLACED = """HIERARCHY
ROOT world
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Hips
  {
    OFFSET 0 90 0
    CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
    JOINT Leg
    {
      OFFSET 0 -85 0
      CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 0 0 20
      }
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.01
100 0 0 0 0 90  5 91 0 0 0 0   0 -85 0 0 0 0
100 0 0 0 0 90  5 91 9 0 0 10  0 -84 0 0 0 0
"""


def test_a_root_that_only_places_the_figure_is_merged(tmp_path: Path) -> None:
    motion = read_bvh(save(tmp_path / "a.bvh", PLACED), scale=0.01)
    assert motion.skeleton.joint_names == ("Hips", "Leg", "Leg_end")
    # world: 100 cm along x, then a quarter turn about y, which takes z to x and x to -z
    np.testing.assert_allclose(
        motion.joint_positions()[:, 0], [[1.0, 0.05, 0.91], [1.09, 0.05, 0.91]], atol=1e-6
    )
    np.testing.assert_allclose(motion.skeleton.offsets[1], [0, -0.845, 0], atol=1e-6)
    assert "0.005" in motion.metadata["stretch"]


@pytest.mark.parametrize(("height", "choice"), [(0.0, "add"), (112.0, "replace")])
def test_the_root_offset_is_added_where_the_feet_would_be_below_the_floor(
    tmp_path: Path, height: float, choice: str
) -> None:
    still = Motion(
        np.tile([[np.pi / 2, 0, 0]] + [[0, 0, 0]] * 21, (4, 1, 1)), np.zeros((4, 3)), 30, skeleton=SMPL22
    )
    text = write_bvh(tmp_path / "a.bvh", still).read_text()
    head, body = text.split("MOTION\n")
    head = re.sub(r"OFFSET \S+ \S+ \S+", "OFFSET 0 112 0", head, count=1)
    lines = body.splitlines()
    rows = [" ".join(["0", str(height), "0", *line.split()[3:]]) for line in lines[2:]]
    path = save(tmp_path / "b.bvh", head + "MOTION\n" + "\n".join([*lines[:2], *rows]) + "\n")
    automatic, explicit = read_bvh(path), read_bvh(path, root_offset=choice)
    np.testing.assert_array_equal(automatic.root_translation, explicit.root_translation)
    assert automatic.joint_positions()[0, 0, 2] == pytest.approx(1.12, abs=1e-5)


def test_ten_thousand_frames_are_read_in_a_moment(tmp_path: Path) -> None:
    path = write_bvh(tmp_path / "a.bvh", clip(100))
    head, body = path.read_text().split("MOTION\n")
    lines = body.splitlines()
    many = [f"Frames: {100 * 100}", lines[1], *(lines[2:] * 100)]
    path.write_text(head + "MOTION\n" + "\n".join(many) + "\n")
    start = time.process_time()
    assert read_bvh(path).num_frames == 10000
    assert time.process_time() - start < 6  # 1.3 s on a free core; shared machines are slower


def replaced(old: str, new: str) -> str:
    assert old in ODD
    return ODD.replace(old, new, 1)


DEEP = "HIERARCHY\n" + "".join(
    f"{'JOINT' if i else 'ROOT'} j{i}\n{{\nOFFSET 0 1 0\nCHANNELS 1 Xrotation\n" for i in range(10000)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("HIERARCHY\n", "no MOTION"),
        (ODD.split("MOTION")[0], "no MOTION"),
        ("MOTION\nFrames: 1\nFrame Time: 1\n1\n", "beginning"),
        ("HIERARCHY\nMOTION\nFrames: 1\nFrame Time: 1\n1\n", "no joints"),
        (ODD[:-30], "does not fit"),
        (ODD[: ODD.index("Frame Time")], "Frame Time"),
        (ODD.replace("80 15\n", "80\n"), "row 1 has 11"),
        (replaced("70  80", "70 nan"), "not finite"),
        (replaced("70  80", "70 1e999"), "not finite"),
        (replaced("70  80", "70 eighty"), "no number"),
        (replaced("Frames: 2", "Frames: 200000000000"), "does not fit"),
        (replaced("Frames: 2", "Frames: 0"), "number of frames"),
        (replaced("Frames: 2", "Frames: -2"), "number of frames"),
        (replaced("Frames: 2", "Frames: two"), "number of frames"),
        (replaced("Frames: 2\n", ""), "Frames"),
        (replaced("0.0333333", "0"), "frame time"),
        (replaced("0.0333333", "-1"), "frame time"),
        (replaced("0.0333333", "nan"), "frame time"),
        (replaced("0.0333333", "inf"), "frame time"),
        (replaced("0.0333333", "soon"), "frame time"),
        (replaced("OFFSET 0 10 0", "OFFSET 0 ten 0"), "OFFSET"),
        (replaced("OFFSET 0 10 0", "OFFSET 0 nan 0"), "OFFSET"),
        (replaced("OFFSET 0 10 0\n", "OFFSET 0 10\n"), "OFFSET"),
        (replaced("    OFFSET 0 10 0\n", ""), "OFFSET"),
        (replaced("OFFSET 0 10 0", "OFFSET 0 10 0 OFFSET 0 1 0"), "another OFFSET"),
        (replaced("CHANNELS 1 Xrotation", "CHANNELS 2 Xrotation"), "not a channel"),
        (replaced("CHANNELS 1 Xrotation", "CHANNELS 1 Wrotation"), "not a channel"),
        (replaced("CHANNELS 1 Xrotation", "CHANNELS 2 Xrotation Xrotation"), "twice"),
        (replaced("CHANNELS 1 Xrotation", "CHANNELS 1000000000 Xrotation"), "0 to 6"),
        (replaced("CHANNELS 1 Xrotation", "CHANNELS 1"), "not a channel"),
        (replaced("CHANNELS 1 Xrotation\n", ""), "does not fit"),
        (replaced("}\nMOTION", "MOTION"), "ends inside"),
        (replaced("}\nMOTION", "}\n}\nMOTION"), "never opened"),
        (replaced("}\nMOTION", "}\nROOT x { OFFSET 0 0 0 }\nMOTION"), "wrong place"),
        (replaced("JOINT d", "SHAPE d"), "not part"),
        (replaced("JOINT d\n  {", "JOINT d\n"), "opening brace|not part|never opened|CHANNELS"),
        (DEEP + "}" * 10000 + "\nMOTION\nFrames: 1\nFrame Time: 1\n" + "0 " * 10000, "too many joints"),
        (re.sub(r"OFFSET [-\d ]+", "OFFSET 0 0 0 ", ODD), "no extent"),
    ],
)
def test_damaged_files_give_one_clear_error(tmp_path: Path, text: str, says: str) -> None:
    path = save(tmp_path / "bad.bvh", text)
    with pytest.raises(InputError, match=says) as caught:
        read_bvh(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "data", [bytes(range(256)) * 40, b"\xff\xfe" + "HIERARCHY".encode("utf-16-le"), b"\x89PNG\r\n"]
)
def test_binary_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.bvh"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"bad\.bvh"):
        read_bvh(path)


def test_folder_missing_file_and_wrong_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder"):
        read_bvh(tmp_path)
    with pytest.raises(InputError, match="not exist"):
        read_bvh(tmp_path / "x.bvh")
    path = save(tmp_path / "odd.bvh", ODD)
    for options in ({"scale": 0.0}, {"scale": np.nan}, {"root_offset": "maybe"}, {"up": "q"}):
        with pytest.raises((InputError, ConfigError)):
            read_bvh(path, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        write_bvh(tmp_path / "a.bvh", clip(), scale=-1)
    assert not (tmp_path / "a.bvh").exists()


def test_a_deep_tree_within_the_limit_reads(tmp_path: Path) -> None:
    depth = 2000
    text = (
        DEEP.split(f"JOINT j{depth}\n")[0]
        + "}" * depth
        + "\nMOTION\nFrames: 1\nFrame Time: 1\n"
        + "0 " * depth
    )
    assert read_bvh(save(tmp_path / "deep.bvh", text)).skeleton.num_joints == depth


def test_latin_names_marks_and_extra_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_bytes(
        b"\xef\xbb\xbf" + (ODD.replace("My Hips", "Hüfte") + ODD.splitlines()[-1] + "\r\n").encode()
    )
    motion = read_bvh(path)
    assert motion.skeleton.joint_names[0] == "Hüfte" and motion.num_frames == 3
    path.write_bytes(ODD.replace("My Hips", "Hüfte").encode("latin-1"))
    assert read_bvh(path).skeleton.joint_names[0] == "Hüfte"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), base=st.sampled_from([ODD, PLACED]))
def test_mutated_files_raise_nothing_but_input_errors(tmp_path: Path, data: st.DataObject, base: str) -> None:
    path = tmp_path / "fuzz.bvh"
    path.write_bytes(data.draw(mutations(base.encode())))
    try:
        motion = read_bvh(path)
    except InputError:
        return
    assert np.isfinite(motion.rotations).all()


@pytest.mark.parametrize("name", ["bandai/dataset-1_walk_normal_001", "cmu/131_01", "reactidle/000_genuine"])
def test_recorded_files_stand_on_the_ground(name: str) -> None:
    path = DATA / "motion" / "raw" / f"{name}.bvh"
    if not path.exists():
        pytest.skip(f"{path} is not there; set CONTRAPPOSTO_DATA")
    heights = read_bvh(path).joint_positions()[..., 2]
    assert abs(np.median(heights.min(axis=1))) < 0.08
    assert 1.2 < heights.max(axis=1).mean() < 1.8
