from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from contrapposto.errors import InputError
from contrapposto.io.asf_amc import read_amc
from tests.io.hostile import DATA, mutations

ASF = """# a comment
:version 1.10
:name VICON
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   text
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 1 0 0
   orientation 0 0 30
:bonedata
  begin
     id 1
     name thigh
     direction 0.6 -0.8 0
     length 7.5
     axis 0 0 20  XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
     id 2
     name shin
     direction 0 -2 0
     length 7
     axis -90 10 20   ZXY
    dof rx rz
    limits (-45.0 90.0)
           (-70.0 20.0)
  end
  begin
     id 3
     name back
     direction 0 1 0
     length 2
     axis 0 0 0   XYZ
  end
:hierarchy
  begin
    root thigh back
    thigh shin
  end
"""
AMC = """#!OML:ASF somewhere
:FULLY-SPECIFIED
:DEGREES
1
root 10 16 -30 -2 -9 -3
thigh 10 20 30
shin 40 -5
2
root 11 17 -31 -4 -8 -5
thigh 15 25 35
shin 50 -6
"""


def save(folder: Path, amc: str = AMC, asf: str = ASF) -> Path:
    (folder / "02.asf").write_text(asf)
    (folder / "02_01.amc").write_text(amc)
    return folder / "02_01.amc"


def euler(order: str, angles: list[float]) -> np.ndarray:
    """Product of turns about fixed axes, the first letter first: the convention of ASF's `axis ... XYZ`."""
    result = np.eye(3)
    for axis, angle in zip(order, angles):
        result = Rotation.from_rotvec(np.radians(angle) * np.eye(3)["XYZ".index(axis)]).as_matrix() @ result
    return result


def test_a_small_skeleton_by_hand(tmp_path: Path) -> None:
    motion = read_amc(save(tmp_path))
    assert motion.skeleton.joint_names == ("root", "thigh", "back", "shin", "back_end", "shin_end")
    assert motion.fps == 120
    root = np.array([11, 16, -30.0])  # position 1 0 0 plus TX TY TZ
    c = euler("XYZ", [0, 0, 30])
    turned = c @ euler("XYZ", [-2, -9, -3]) @ c.T
    c = euler("XYZ", [0, 0, 20])
    thigh = turned @ c @ euler("XYZ", [10, 20, 30]) @ c.T
    c = euler("ZXY", [-90, 10, 20])
    shin = thigh @ c @ euler("ZXY", [-5, 40, 0]) @ c.T
    knee = root + thigh @ [4.5, -6, 0]
    expected = np.array([root, root, root, knee, root + turned @ [0, 2, 0], knee + shin @ [0, -7, 0]])
    expected = np.stack([expected[:, 0], -expected[:, 2], expected[:, 1]], axis=1) * 0.0254 / 0.45
    np.testing.assert_allclose(motion.joint_positions()[0], expected, atol=1e-5)


def test_radians_and_other_units(tmp_path: Path) -> None:
    degrees = read_amc(save(tmp_path))
    asf = ASF.replace("angle deg", "angle rad").replace("length 0.45", "length 1.0")
    for old in ("0 0 30", "0 0 20", "-90 10 20"):
        asf = asf.replace(old, " ".join(str(np.radians(float(word))) for word in old.split()))
    amc = []
    for line in AMC.replace(":DEGREES", ":RADIANS").splitlines():
        words = line.split()
        if words[0] in ("root", "thigh", "shin"):
            start = 4 if words[0] == "root" else 1
            words[start:] = [str(np.radians(float(word))) for word in words[start:]]
        amc.append(" ".join(words))
    radians = read_amc(save(tmp_path, "\n".join(amc), asf))
    np.testing.assert_allclose(radians.rotations, degrees.rotations, atol=1e-5)
    np.testing.assert_allclose(radians.skeleton.offsets, degrees.skeleton.offsets * 0.45, atol=1e-6)


def test_the_skeleton_is_found_beside_the_motion(tmp_path: Path) -> None:
    path = save(tmp_path)
    (tmp_path / "03.asf").write_text(ASF)
    assert read_amc(path).skeleton.name == "02"
    (tmp_path / "02.asf").unlink()
    assert read_amc(path).skeleton.name == "03"  # the only one
    (tmp_path / "04.asf").write_text(ASF)
    with pytest.raises(InputError, match=r"02\.asf"):
        read_amc(path)
    assert read_amc(path, tmp_path / "04.asf", fps=60).fps == 60


@pytest.mark.parametrize(
    ("amc", "asf", "says"),
    [
        ("", ASF, "empty"),
        (AMC[: AMC.index("1\n")], ASF, "no frames"),
        (AMC.replace("thigh 15 25 35\n", ""), ASF, "Frame 2 .*\n.*thigh"),
        (AMC[:-13], ASF, "Frame 2 .*\n.*shin"),
        (AMC[:-5], ASF, "shin has 1 values"),
        (AMC.replace("\n2\n", "\n3\n"), ASF, "out of order"),
        (AMC.replace("\n2\n", "\n1\n"), ASF, "out of order"),
        (AMC.replace("\n2\n", "\n"), ASF, "exactly once"),
        (AMC.replace("1\n", "", 1), ASF, "before the first"),
        (AMC.replace("shin 50", "tail 50"), ASF, "'tail'"),
        (AMC.replace("shin 50", "back 50"), ASF, "back has 2 values"),
        (AMC.replace("15 25", "nan 25"), ASF, "not finite"),
        (AMC.replace("15 25", "x 25"), ASF, "no number"),
        (AMC.replace("15 25", "1e999 25"), ASF, "not finite"),
        (AMC, "", "empty"),
        (AMC, "hello", "not a whole ASF"),
        (AMC, ASF[: ASF.index(":hierarchy")], "hierarchy"),
        (AMC, ASF.replace("     direction 0 -2 0\n", ""), "no direction"),
        (AMC, ASF.replace("length 7\n", "length seven\n"), "length"),
        (AMC, ASF.replace("length 7\n", "length nan\n"), "length"),
        (AMC, ASF.replace("length 0.45", "length 0"), "unit of length"),
        (AMC, ASF.replace("dof rx rz", "dof rx rx"), "degrees of freedom"),
        (AMC, ASF.replace("dof rx rz", "dof rx l"), "degrees of freedom"),
        (AMC, ASF.replace("ZXY", "ZZY"), "axis order"),
        (AMC, ASF.replace("    thigh shin\n", ""), "hang on nothing"),
        (AMC, ASF.replace("thigh shin", "thigh shin thigh"), "hangs on two"),
        (AMC, ASF.replace("thigh shin", "thigh shin toe"), "not described"),
        (AMC, ASF.replace("name shin", "name thigh"), "twice"),
        (AMC, ASF.replace("order TX TY TZ RX", "order RX"), "no position|values"),
    ],
)
def test_damaged_files_give_one_clear_error(tmp_path: Path, amc: str, asf: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_amc(save(tmp_path, amc, asf))
    assert str(tmp_path) in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_a_frame_rate_must_be_one(tmp_path: Path, fps: float) -> None:
    with pytest.raises(InputError, match="frame rate"):
        read_amc(save(tmp_path), fps=fps)


def test_binary_files_and_folders_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path)
    path.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not text"):
        read_amc(path)
    with pytest.raises(InputError, match="folder"):
        read_amc(tmp_path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), skeleton=st.booleans())
def test_mutated_files_raise_nothing_but_input_errors(
    tmp_path: Path, data: st.DataObject, skeleton: bool
) -> None:
    path = save(tmp_path)
    mutated = tmp_path / "02.asf" if skeleton else path
    mutated.write_bytes(data.draw(mutations((ASF if skeleton else AMC).encode())))
    try:
        motion = read_amc(path)
    except InputError:
        return
    assert np.isfinite(motion.rotations).all()


def test_a_recorded_walk_stands_on_the_ground() -> None:
    path = DATA / "motion" / "raw" / "cmu" / "02_01.amc"
    if not path.exists():
        pytest.skip(f"{path} is not there; set CONTRAPPOSTO_DATA")
    motion = read_amc(path)
    heights = motion.joint_positions()[..., 2]
    assert motion.num_frames == 343 and motion.skeleton.num_joints == 38
    assert abs(np.median(heights.min(axis=1))) < 0.06
    assert 1.5 < heights.max(axis=1).mean() < 1.75
    speed = np.linalg.norm(np.diff(motion.joint_positions()[:, 0], axis=0), axis=1).mean() * motion.fps
    assert 1.0 < speed < 1.7  # a man's walk
