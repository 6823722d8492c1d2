from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contrapposto.errors import InputError
from contrapposto.io.amass import read_amass, write_amass
from contrapposto.motion import Label, Motion
from contrapposto.skeleton import SMPL22, SMPL24, SMPLH52, SMPLX55, Skeleton
from tests.io.hostile import DATA, mutations


def members(width: int = 156, frames: int = 5) -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {
        "poses": rng.normal(size=(frames, width)),
        "trans": rng.normal(size=(frames, 3)),
        "betas": rng.normal(size=16),
        "gender": "female",
        "mocap_framerate": 120.0,
    }


def save(path: Path, values: dict[str, object]) -> Path:
    np.savez(path, **values)  # type: ignore[arg-type]
    return path


def archive(path: Path, arrays: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in arrays.items():
            file.writestr(f"{name}.npy", data)
    return path


def npy(value: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(value), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize("skeleton", [SMPL22, SMPL24, SMPLH52, SMPLX55], ids=lambda s: s.name)
def test_the_layout_is_known_by_its_width(tmp_path: Path, skeleton: Skeleton) -> None:
    values = members(3 * skeleton.num_joints)
    motion = read_amass(save(tmp_path / "a.npz", values))
    assert motion.skeleton is skeleton
    np.testing.assert_array_equal(motion.rotations[:, 3], np.float32(values["poses"])[:, 9:12])  # type: ignore[arg-type]
    np.testing.assert_array_equal(motion.root_translation, np.float32(values["trans"]))  # type: ignore[arg-type]
    np.testing.assert_array_equal(motion.betas, np.float32(values["betas"]))  # type: ignore[arg-type]
    assert (motion.fps, motion.gender) == (120.0, "female")


def test_smplx_files_spell_the_frame_rate_otherwise(tmp_path: Path) -> None:
    values = members(165)
    values["mocap_frame_rate"] = values.pop("mocap_framerate")
    assert read_amass(save(tmp_path / "a.npz", values)).fps == 120.0


@pytest.mark.parametrize(
    "gender",
    [
        b"female",
        np.array(b"female"),
        np.array("Female"),
        np.array("female", dtype=object),
        np.array(["female"]),
    ],
    ids=["bytes", "bytes array", "capital", "pickled", "list"],
)
def test_gender_in_all_the_forms_that_are_found(tmp_path: Path, gender: object) -> None:
    assert read_amass(save(tmp_path / "a.npz", {**members(), "gender": gender})).gender == "female"


def test_an_unreadable_gender_is_neutral_and_said_so(tmp_path: Path) -> None:
    motion = read_amass(save(tmp_path / "a.npz", {**members(), "gender": np.array(7.0)}))
    assert motion.gender == "neutral" and "gender" in motion.metadata["gender_note"]


class Bomb:
    """Creates a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("member", ["gender", "poses", "trans", "betas", "mocap_framerate", "extra"])
def test_nothing_in_a_file_is_executed(tmp_path: Path, member: str) -> None:
    trap = tmp_path / "executed"
    bomb = np.empty((), dtype=object)
    bomb[()] = Bomb(trap)
    path = save(tmp_path / "a.npz", {**members(), member: bomb})
    if member in ("gender", "extra"):
        assert read_amass(path).num_frames == 5
    else:
        with pytest.raises(InputError, match=member):
            read_amass(path)
    assert not trap.exists()
    np.load(path, allow_pickle=True)[member]  # the trap itself works
    assert trap.exists()


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    motion = Motion(
        rng.normal(size=(4, 52, 3)),
        rng.normal(size=(4, 3)),
        59.94,
        betas=rng.normal(size=10),
        gender="male",
        labels=(Label("geht «schnell»", 0.0, 0.05),),
        metadata={"source": "a test", "licence": "CC0"},
    )
    back = read_amass(write_amass(tmp_path / "sub" / "a.npz", motion))
    for name in ("rotations", "root_translation", "betas"):
        np.testing.assert_array_equal(getattr(back, name), getattr(motion, name))
    assert (back.fps, back.gender, back.labels, back.metadata) == (
        59.94,
        "male",
        motion.labels,
        motion.metadata,
    )
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["a.npz"]


def test_other_programs_read_what_we_write(tmp_path: Path) -> None:
    motion = Motion(np.zeros((3, 52, 3)), np.ones((3, 3)), 30)
    with np.load(write_amass(tmp_path / "a.npz", motion), allow_pickle=False) as file:
        assert file["poses"].shape == (3, 156) and file["trans"].shape == (3, 3)
        assert str(file["gender"]) == "neutral" and float(file["mocap_framerate"]) == 30


def test_a_foreign_skeleton_is_not_written(tmp_path: Path) -> None:
    motion = Motion(
        np.zeros((2, 1, 3)), np.zeros((2, 3)), 30, skeleton=Skeleton("x", ("a",), (-1,), np.zeros((1, 3)))
    )
    with pytest.raises(InputError, match="to_smpl"):
        write_amass(tmp_path / "a.npz", motion)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"poses": np.zeros((5, 155))}, "shapes"),
        ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))}, "no frames"),
        ({"poses": np.zeros(156)}, "shapes"),
        ({"poses": np.zeros(())}, "shapes"),
        ({"trans": np.zeros((4, 3))}, "shapes"),
        ({"poses": np.full((5, 156), np.nan)}, "not finite"),
        ({"poses": np.full((5, 156), 1e300)}, "not finite"),
        ({"trans": np.full((5, 3), np.inf)}, "not finite"),
        ({"poses": np.full((5, 156), "x")}, "not numeric"),
        ({"poses": np.zeros((5, 156), complex)}, "not numeric"),
        ({"mocap_framerate": 0.0}, "frame rate"),
        ({"mocap_framerate": -30.0}, "frame rate"),
        ({"mocap_framerate": np.nan}, "frame rate"),
        ({"mocap_framerate": np.zeros(3)}, "one number"),
        ({"mocap_framerate": "fast"}, "not numeric"),
        ({"betas": np.full(3, np.nan)}, "not finite"),
        ({"betas": np.zeros((2, 2, 2))}, "betas"),
        ({"contrapposto_labels": "{"}, "JSON"),
        ({"contrapposto_labels": "[1]"}, "malformed"),
        ({"contrapposto_metadata": "[1]"}, "malformed"),
    ],
)
def test_wrong_content_is_named(tmp_path: Path, change: dict[str, object], says: str) -> None:
    path = save(tmp_path / "a.npz", {**members(), **change})
    with pytest.raises(InputError, match=says) as caught:
        read_amass(path)
    assert str(path) in str(caught.value)


def test_shape_files_of_amass_are_refused_with_advice(tmp_path: Path) -> None:
    path = save(tmp_path / "shape.npz", {"betas": np.zeros(16), "gender": "male"})
    with pytest.raises(InputError, match=r"shape\.npz"):
        read_amass(path)


def test_a_header_that_claims_the_moon_takes_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**13, 156)}
    )
    values = members()
    path = archive(
        tmp_path / "a.npz", {k: npy(v) for k, v in values.items()} | {"poses": header.getvalue() + b"\0" * 64}
    )
    with pytest.raises(InputError, match="claims more"):
        read_amass(path)


@pytest.mark.parametrize("data", [b"", b"x", b"PK\x03\x04" + b"\0" * 50, bytes(range(256)) * 8])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.npz"):
        read_amass(path)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder"):
        read_amass(tmp_path)
    with pytest.raises(InputError, match="not exist"):
        read_amass(tmp_path / "nothing.npz")
    with pytest.raises(InputError, match="regular"):
        read_amass("/dev/zero")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), packed=st.booleans())
def test_mutated_files_raise_nothing_but_input_errors(
    tmp_path: Path, data: st.DataObject, packed: bool
) -> None:
    buffer = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(buffer, **members(66, 2))  # type: ignore[arg-type]
    path = tmp_path / "fuzz.npz"
    path.write_bytes(data.draw(mutations(buffer.getvalue())))
    try:
        motion = read_amass(path)
    except InputError:
        return
    assert np.isfinite(motion.rotations).all()


def test_the_converted_corpora_read() -> None:
    folder = DATA / "motion" / "cmu"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; set CONTRAPPOSTO_DATA")
    motion = read_amass(folder / "02_01.npz")
    assert (motion.num_frames, motion.fps, motion.skeleton) == (172, 60.0, SMPLH52)
    assert motion.metadata["label"] == "walk"
