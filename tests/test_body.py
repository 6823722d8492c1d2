"""The skinned body against smplx, closed forms, the golden case and the shared reference body."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.body import (
    BodyModel,
    clip_betas,
    clip_body,
    export_shipped,
    load_body,
    motion_vertices,
    using_backend,
)
from contrapposto.body.loading import find_body
from contrapposto.body.shipped import SHIPPED, shipped_arrays
from contrapposto.body.skinning import dense_skinning
from contrapposto.body.smplx_backend import SmplxBodyModel
from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.files import ASSETS
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22, SMPL24, SMPLH52, SMPLX55, Skeleton
from contrapposto.synthetic import generate

ROOT = Path(__file__).parents[1]
GOLDEN = Path(os.environ.get("GOLDEN_DIR", ROOT.parent / "shared" / "golden"))
DATA = Path(os.environ.get("CONTRAPPOSTO_DATA", ROOT.parent / "shared" / "data"))


def random_pose(batch: int, joints: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Axis-angles (batch, joints, 3), their matrices by SciPy, and translations."""
    generator = np.random.default_rng(seed)
    axis_angle = generator.normal(0, 0.5, (batch, joints, 3))
    matrices = Rotation.from_rotvec(axis_angle.reshape(-1, 3)).as_matrix().reshape(batch, joints, 3, 3)
    translation = generator.normal(0, 1, (batch, 3))
    return tuple(torch.from_numpy(x.astype(np.float32)) for x in (axis_angle, matrices, translation))


def small_arrays(vertices: int = 30, joints: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """A synthetic body of a few vertices on a chain of joints, with pose correctives; not of the SMPL family."""
    generator = np.random.default_rng(seed)
    weights = generator.random((vertices, joints)) + 0.1
    regressor = generator.random((joints, vertices))
    return {
        "v_template": generator.normal(size=(vertices, 3)),
        "f": generator.integers(0, vertices, (10, 3)),
        "shapedirs": generator.normal(0, 0.1, (vertices, 3, 5)),
        "posedirs": generator.normal(0, 0.01, (vertices, 3, 9 * (joints - 1))),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *range(joints - 1)], range(joints)], dtype=np.int64),
    }


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as smplx wants it, with the shipped body in both layouts."""
    folder = tmp_path_factory.mktemp("models")
    export_shipped(folder / "smplh" / "SMPLH_NEUTRAL.npz", "smplh")
    export_shipped(folder / "smpl" / "SMPL_NEUTRAL.npz", "smpl")
    return folder


@pytest.mark.parametrize("layout", ["smplh", "smpl"])
@pytest.mark.parametrize("shapes", [1, 3])
def test_equals_smplx(exported: Path, layout: str, shapes: int) -> None:
    smplx = pytest.importorskip("smplx")
    body = load_body(layout)
    axis_angle, matrices, translation = random_pose(3, body.skeleton.num_joints)
    betas = torch.randn(shapes, 10, generator=torch.Generator().manual_seed(1))
    file = str(exported / layout / f"{layout.upper()}_NEUTRAL.npz")
    parts = {"global_orient": axis_angle[:, 0], "transl": translation, "betas": betas.expand(3, 10)}
    if layout == "smplh":
        model = smplx.SMPLH(file, ext="npz", use_pca=False, flat_hand_mean=True, batch_size=3)
        parts |= {"body_pose": axis_angle[:, 1:22].flatten(1)}
        parts |= {
            "left_hand_pose": axis_angle[:, 22:37].flatten(1),
            "right_hand_pose": axis_angle[:, 37:].flatten(1),
        }
    else:
        # smplx reads SMPL files of the npz kind as pickles only: hand it the arrays
        struct = smplx.utils.Struct(**np.load(file))
        model = smplx.SMPL(file, data_struct=struct, batch_size=3)
        parts |= {"body_pose": axis_angle[:, 1:].flatten(1)}
    expected = model(**parts)
    actual = body(matrices, translation, betas)
    torch.testing.assert_close(actual.vertices, expected.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        actual.joints, expected.joints[:, : body.skeleton.num_joints], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(body.joints(matrices, translation, betas), actual.joints, atol=1e-6, rtol=0)


def test_the_smplx_backend_is_chosen_by_option_and_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("smplx")
    own = load_body("smpl")
    with using_backend("smplx"):
        other = load_body("smpl")
    assert type(own) is BodyModel and type(other) is SmplxBodyModel
    monkeypatch.setenv("CONTRAPPOSTO_BODY_BACKEND", "smplx")
    assert type(load_body("smpl")) is SmplxBodyModel and type(load_body("smpl", backend="own")) is BodyModel
    _, matrices, translation = random_pose(3, 24)
    betas = torch.randn(1, 10, generator=torch.Generator().manual_seed(1))
    for arguments in ((matrices,), (matrices, translation, betas)):
        for ours, theirs in zip(own(*arguments), other(*arguments)):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match="no body back-end 'smplz'"):
        load_body(backend="smplz")


def test_golden_sage_body_model() -> None:
    if not (GOLDEN / "sage_body_model.npz").is_file():
        pytest.skip(f"no golden cases in {GOLDEN} (set GOLDEN_DIR)")
    case = np.load(GOLDEN / "sage_body_model.npz")
    arrays = {key.removeprefix("model_"): case[key] for key in case.files if key.startswith("model_")}
    body = BodyModel.from_arrays(arrays, name="golden", gender="male", dmpls=case["dmpl_eigvec"])
    assert (body.num_betas, body.num_dmpls) == (24, 8)
    assert body.skeleton.joint_names == SMPLH52.joint_names

    def matrices(pose: np.ndarray) -> torch.Tensor:
        full = Rotation.from_rotvec(pose.reshape(-1, 3).astype(np.float64)).as_matrix()
        return torch.from_numpy(full.reshape(-1, 52, 3, 3).astype(np.float32))

    betas = torch.from_numpy(np.concatenate([case["betas"], case["dmpls"]], axis=1))
    translation = torch.from_numpy(case["trans"])
    full = body(matrices(case["pose"]), translation, betas)
    np.testing.assert_allclose(full.joints, case["Jtr_full"], atol=1e-5)
    np.testing.assert_allclose(full.vertices, case["v_full"], atol=1e-5)
    without_hands = case["pose"].copy()
    without_hands[:, 66:] = 0
    plain = body(matrices(without_hands), translation)
    np.testing.assert_allclose(plain.joints, case["Jtr_pose_trans"], atol=1e-5)
    np.testing.assert_allclose(plain.vertices, case["v_pose_trans"], atol=1e-5)
    np.testing.assert_allclose(body.joints(matrices(without_hands)), case["Jtr_pose"], atol=1e-5)


def test_against_the_shared_reference_body() -> None:
    path = DATA / "body" / "SMPLH_NEUTRAL.npz"
    if not path.is_file():
        pytest.skip(f"no {path} (set CONTRAPPOSTO_DATA)")
    reference, ours = np.load(path), shipped_arrays("smplh")
    np.testing.assert_array_equal(np.sort(ours["f"].ravel()), np.sort(reference["f"].ravel()))
    assert ours["v_template"].shape == reference["v_template"].shape
    difference = ours["J_regressor"] @ ours["v_template"] - reference["J_regressor"] @ reference["v_template"]
    assert np.linalg.norm(difference, axis=1).max() < 2e-3
    assert np.linalg.norm(ours["v_template"] - reference["v_template"], axis=1).mean() < 2e-3
    assert np.abs(ours["weights"] - reference["weights"]).sum(1).mean() < 1e-3


def test_the_shipped_file_is_small_and_its_joints_are_those_of_the_skeleton() -> None:
    assert SHIPPED.stat().st_size < 2**20
    body = load_body()
    assert body.skeleton is SMPLH52
    rest = np.array(json.loads((ASSETS / "body" / "rest_joints.json").read_text()))
    np.testing.assert_allclose(body.rest_joints()[0], rest, atol=2e-6)
    np.testing.assert_allclose(load_body("smpl").skeleton.offsets, SMPL24.offsets, atol=2e-6)


def test_the_shipped_mesh_is_closed_symmetric_enough_and_upright() -> None:
    trimesh = pytest.importorskip("trimesh")
    body = load_body()
    mesh = trimesh.Trimesh(body.v_template.numpy(), body.faces.numpy(), process=False)
    assert (
        mesh.is_winding_consistent and mesh.volume > 0.04
    )  # normals point outwards; a person has some 60 litres
    low, high = mesh.bounds
    assert 1.6 < high[1] - low[1] < 1.75 and abs(high[0] + low[0]) < 0.02
    assert body.v_template[:, 2].argmax() and high[2] > abs(low[2])  # the toes point to +z
    left = body.rest_joints()[0, SMPLH52.index("left_wrist")[0]]
    assert left[0] > 0.5 and abs(left[1] - body.rest_joints()[0, SMPLH52.index("left_shoulder")[0], 1]) < 0.02


def test_named_shapes_are_who_they_say() -> None:
    body = load_body()

    def build(name: str) -> tuple[float, float]:
        vertices = body.rest_vertices(torch.from_numpy(body.named_shapes[name]))[0].numpy()
        corners = vertices[body.faces.numpy()]
        volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
        return float(np.ptp(vertices[:, 1])), float(volume)

    sizes = {name: build(name) for name in body.named_shapes}
    assert set(sizes) == {"male", "female", "child", "heavy", "thin", "strong"}
    assert sizes["child"][0] < 1.4 < 1.55 < sizes["female"][0] < sizes["male"][0] < 1.85
    assert sizes["thin"][1] < sizes["strong"][1] < sizes["heavy"][1]
    male = load_body(gender="male")
    assert male.gender == "male" and "male" not in male.named_shapes
    expected = body.rest_vertices(torch.from_numpy(body.named_shapes["male"]))
    torch.testing.assert_close(male.rest_vertices(), expected, atol=1e-5, rtol=0)
    child = male.rest_vertices(torch.from_numpy(male.named_shapes["child"]))
    torch.testing.assert_close(
        child, body.rest_vertices(torch.from_numpy(body.named_shapes["child"])), atol=1e-5, rtol=0
    )


def test_every_call_gives_a_module_of_its_own() -> None:
    first = load_body().double()
    assert first.v_template.dtype == torch.float64 and load_body().v_template.dtype == torch.float32


@pytest.mark.parametrize("shapes", [1, 4])
def test_sparse_skinning_equals_dense_with_gradients(shapes: int) -> None:
    body = load_body()
    generator = torch.Generator().manual_seed(0)
    transforms = torch.randn(4, 52, 3, 4, generator=generator)
    vertices = body.rest_vertices(torch.randn(shapes, 16, generator=generator)).clone()
    weight = torch.randn(4, body.num_vertices, 3, generator=generator)
    results = []
    for skin in (body.skinning, lambda a, v: dense_skinning(body.skinning.weights, a, v)):
        inputs = [transforms.clone().requires_grad_(), vertices.clone().requires_grad_()]
        output = skin(*inputs)
        results.append([output, *torch.autograd.grad((output * weight).sum(), inputs)])
    assert body.skinning.sparse
    for sparse, dense in zip(*results):
        torch.testing.assert_close(sparse, dense, atol=1e-4, rtol=1e-4)


def test_gradients_by_finite_differences() -> None:
    body = BodyModel.from_arrays(small_arrays()).double()
    _, matrices, translation = random_pose(2, 4)
    inputs = [matrices.double(), translation.double(), torch.randn(2, 5, dtype=torch.float64)]
    assert torch.autograd.gradcheck(lambda *x: tuple(body(*x)), [x.requires_grad_() for x in inputs])
    sparse = load_body().double()
    index = torch.arange(0, sparse.num_vertices, 1500)
    _, matrices, _ = random_pose(1, 52)
    pose, betas = matrices.double().requires_grad_(), torch.zeros(16, dtype=torch.float64, requires_grad=True)

    def head_turn(elbow: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        full = torch.cat([pose[:, :18].detach(), elbow, pose[:, 19:].detach()], dim=1)
        return sparse(full, None, shape).vertices[:, index]

    assert torch.autograd.gradcheck(
        head_turn, (pose[:, 18:19].detach().requires_grad_(), betas), fast_mode=True
    )


def test_joints_take_any_leading_dimensions() -> None:
    body = load_body()
    _, matrices, translation = random_pose(6, 52)
    betas = torch.randn(6, 4)
    flat = body.joints(matrices, translation, betas)
    nested = body.joints(matrices.view(2, 3, 52, 3, 3), translation.view(2, 3, 3), betas.view(2, 3, 4))
    torch.testing.assert_close(nested.view(6, 52, 3), flat)
    one = body.joints(matrices[0], translation[0], betas[0])
    torch.testing.assert_close(one, flat[0])
    with pytest.raises(ValueError, match=r"rotations must be \(\.\.\., 52, 3, 3\)"):
        body.joints(matrices[:, :22])
    with pytest.raises(ValueError, match="betas must be"):
        body.rest_joints(torch.zeros(1, 17))


def test_no_body_arrays_enter_a_checkpoint_and_autocast_changes_nothing() -> None:
    body = load_body()
    assert not body.state_dict()
    _, matrices, translation = random_pose(2, 52)
    expected = body(matrices, translation)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = body(matrices, translation)
    torch.testing.assert_close(actual.vertices, expected.vertices, atol=0, rtol=0)


def a_clip(frames: int = 70, skeleton: Skeleton = SMPLH52, **extra: object) -> Motion:
    """A clip that stands upright and waves its joints about."""
    axis_angle, _, translation = random_pose(frames, skeleton.num_joints, seed=3)
    rotations = 0.2 * axis_angle.numpy()
    rotations[:, 0] = (np.pi / 2, 0, 0)
    return Motion(rotations, translation.numpy(), 30.0, skeleton, **extra)  # type: ignore[arg-type]


def test_motion_vertices_chunks_and_picks_frames() -> None:
    body, clip = load_body(), a_clip()
    every = motion_vertices(body, clip)
    assert every.shape == (70, body.num_vertices, 3) and every.dtype == np.float32
    some = motion_vertices(body, clip, [69, 0, 65])
    np.testing.assert_allclose(some, every[[69, 0, 65]], atol=1e-6)
    np.testing.assert_allclose(motion_vertices(body, clip, slice(0, 10, 3)), every[0:10:3], atol=1e-6)
    expected = body(clip.local_matrices()[5:6], torch.from_numpy(clip.root_translation[5:6])).vertices[0]
    np.testing.assert_allclose(every[5], expected, atol=1e-6)
    assert 1.3 < np.ptp(every[5, :, 2]) < 1.9  # z is up


def test_motion_vertices_maps_skeletons_and_knows_whose_betas() -> None:
    body, betas = load_body(), np.full(10, 1.0, np.float32)
    short = a_clip(2, SMPL22)
    assert motion_vertices(body, short).shape[0] == 2
    plain, foreign = motion_vertices(body, a_clip(2)), motion_vertices(body, a_clip(2, betas=betas))
    np.testing.assert_array_equal(plain, foreign)  # coefficients of SMPL mean nothing here
    own = motion_vertices(body, a_clip(2, betas=betas, metadata={"shape_space": "contrapposto"}))
    given = motion_vertices(body, a_clip(2), betas=betas)
    np.testing.assert_array_equal(own, given)
    assert np.abs(own - plain).max() > 0.01
    other = Skeleton("other", ("hips",), (-1,), np.zeros((1, 3)))
    with pytest.raises(InputError, match="cannot be read as"):
        motion_vertices(body, Motion(np.zeros((1, 1, 3)), np.zeros((1, 3)), 30.0, other))


# Official files: made here of synthetic arrays in the official layouts


def official(joints: int) -> dict[str, np.ndarray]:
    """A body of 40 vertices with the joints of an SMPL-family layout."""
    arrays = small_arrays(40, joints)
    parents = {24: SMPL24.parents, 52: SMPLH52.parents, 55: SMPLX55.parents}[joints]
    arrays["kintree_table"] = np.array([[2**32 - 1, *parents[1:]], range(joints)], dtype=np.uint32)
    arrays["f"] = arrays["f"].astype(np.uint32)
    return arrays


@pytest.mark.parametrize(
    ("layout", "name", "joints"),
    [
        ("smplh", "smplh/SMPLH_MALE.npz", 52),
        ("smplh", "smplh/male/model.npz", 52),
        ("smpl", "smpl/SMPL_MALE.npz", 24),
        ("smpl", "SMPL_MALE.npz", 24),
    ],
)
def test_official_files_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, name: str, joints: int
) -> None:
    monkeypatch.setenv("CONTRAPPOSTO_BODY_MODELS", f"{tmp_path / 'nowhere'}{os.pathsep}{tmp_path}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    np.savez(tmp_path / name, **official(joints))
    body = load_body(layout, "male", path="official", num_betas=3)
    assert body.skeleton.num_joints == joints and body.num_betas == 3 and body.shape_space == "smpl"
    assert body.pose_directions is not None
    with pytest.raises(MissingError, match=r"(?s)searched.*tue\.mpg\.de"):
        load_body(layout, "female", path="official")


ARCHIVES = {
    "mano_v1_2/models/SMPLH_male.pkl": ("smplh", "male", 52),
    "mano_v1_2/models/SMPLH_female.pkl": ("smplh", "female", 52),
    "smplh/male/model.npz": ("smplh", "male", 52),
    "smplh/neutral/model.npz": ("smplh", "neutral", 52),
    "SMPL_python_v.1.1.0/smpl/models/basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl": ("smpl", "neutral", 24),
    "SMPL_python_v.1.1.0/smpl/models/basicmodel_f_lbs_10_207_0_v1.1.0.pkl": ("smpl", "female", 24),
    "SMPL_python_v.1.0.0/smpl/models/basicModel_f_lbs_10_207_0_v1.0.0.pkl": ("smpl", "female", 24),
    "SMPL_python_v.1.0.0/smpl/models/basicmodel_m_lbs_10_207_0_v1.0.0.pkl": ("smpl", "male", 24),
    "smplify_public/code/models/basicModel_neutral_lbs_10_207_0_v1.0.0.pkl": ("smpl", "neutral", 24),
    "models_smplx_v1_1/models/smplx/SMPLX_NEUTRAL.npz": ("smplx", "neutral", 55),
    "models_smplx_v1_1/models/smplx/SMPLX_FEMALE.pkl": ("smplx", "female", 55),
}


def test_bodies_are_found_where_official_archives_unpack_them(tmp_path: Path) -> None:
    for number, (name, (layout, gender, joints)) in enumerate(ARCHIVES.items()):
        folder = tmp_path / str(number)
        path = folder / name
        path.parent.mkdir(parents=True)
        (folder / "dmpls" / gender).mkdir(parents=True)
        np.savez(folder / "dmpls" / gender / "model.npz", eigvec=np.zeros((40, 3, 2)))
        if path.suffix == ".npz":
            np.savez(path, **official(joints))
        else:
            path.write_bytes(pickle.dumps(official(joints), protocol=2))
        assert find_body(layout, gender, folder) == path
        assert load_body(layout, gender, path=folder).skeleton.num_joints == joints


def test_a_clip_is_shown_by_the_body_of_its_betas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTRAPPOSTO_BODY_MODELS", str(tmp_path / "bodies"))
    motion = replace(generate("walk", seconds=0.2, seed=0), metadata={}, gender="male", betas=np.ones(10))
    assert clip_body(motion).shape_space == "contrapposto"
    assert "betas and gender male" in caplog.text and "SMPL-H" in caplog.text
    file = tmp_path / "bodies" / "mano_v1_2" / "models" / "SMPLH_male.pkl"
    file.parent.mkdir(parents=True)
    file.write_bytes(pickle.dumps(official(52), protocol=2))
    body = clip_body(motion)
    assert body.shape_space == "smpl" and body.gender == "male" and body.num_betas <= 10
    assert clip_betas(body, motion).tolist() == [1.0] * body.num_betas
    plain = clip_body(replace(motion, gender="neutral", betas=np.zeros(10)))
    assert plain.shape_space == "contrapposto" and len(caplog.records) == 2


@pytest.mark.parametrize(("stored", "shapes"), [(400, 16), (20, 10)])
def test_smplx_expressions_are_not_taken_for_shapes(tmp_path: Path, stored: int, shapes: int) -> None:
    arrays = official(55)
    arrays["shapedirs"] = np.random.default_rng(0).normal(size=(40, 3, stored))
    (tmp_path / "smplx").mkdir()
    np.savez(tmp_path / "smplx" / "SMPLX_NEUTRAL.npz", **arrays)
    body = load_body("smplx", path=tmp_path)
    assert body.num_betas == shapes and body.skeleton.joint_names == SMPLX55.joint_names
    assert motion_vertices(body, a_clip(3)).shape == (3, 40, 3)


def test_missing_files_say_where_to_register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTRAPPOSTO_BODY_MODELS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for layout, site in (("smplx", "smpl-x.is.tue"), ("smplh", "mano.is.tue"), ("smpl", "smpl.is.tue")):
        with pytest.raises(MissingError, match=site.replace(".", r"\.")):
            load_body(layout, path="official")
    with pytest.raises(ConfigError, match="smplh"):
        load_body("smplhh")
    with pytest.raises(ConfigError, match="gender"):
        load_body(gender="malle")


def test_dmpls_become_shape_directions(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", **official(52))
    np.savez(tmp_path / "dmpl.npz", eigvec=np.ones((40, 3, 8), np.float32))
    body = load_body("smplh", path=tmp_path / "model.npz", dmpls=tmp_path / "dmpl.npz")
    assert (body.num_betas, body.num_dmpls) == (13, 8)
    moved = body.rest_vertices(torch.tensor([0.0] * 12 + [2.0])) - body.rest_vertices()
    torch.testing.assert_close(moved, torch.full_like(moved, 2.0))
    with pytest.raises(InputError, match="do not belong to the body"):
        load_body(dmpls=np.ones((40, 3, 8)))


def broken(key: str, value: object) -> dict[str, object]:
    arrays: dict[str, object] = dict(official(52))
    arrays[key] = value
    return arrays


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("v_template", np.zeros((40, 2))),
        ("v_template", np.full((40, 3), np.nan)),
        ("weights", np.zeros((40, 52))),
        ("weights", np.zeros((39, 52))),
        ("J_regressor", np.zeros((24, 40))),
        ("kintree_table", np.zeros((2, 52), int)),
        ("f", np.full((4, 3), 40)),
        ("f", np.zeros((4, 3))),
        ("posedirs", np.zeros((40, 3, 207))),
        ("shapedirs", np.full((40, 3, 10), np.inf)),
    ],
)
def test_unusable_arrays_are_named(tmp_path: Path, key: str, value: np.ndarray) -> None:
    np.savez(tmp_path / "model.npz", **broken(key, value))
    with pytest.raises(InputError, match=key):
        load_body("smplh", path=tmp_path / "model.npz")


def test_unreadable_files_give_one_clear_error(tmp_path: Path) -> None:
    whole = tmp_path / "whole.npz"
    np.savez_compressed(whole, **official(52))
    cut = tmp_path / "cut.npz"
    cut.write_bytes(whole.read_bytes()[:-2000])
    with pytest.raises(InputError, match="cannot be read"):
        load_body("smplh", path=cut)
    inner = bytearray(whole.read_bytes())
    inner[2000:2100] = bytes(100)
    (tmp_path / "flipped.npz").write_bytes(inner)
    with pytest.raises(InputError):
        load_body("smplh", path=tmp_path / "flipped.npz")
    np.savez(tmp_path / "objects.npz", **broken("weights", np.array([{"a": 1}, None], dtype=object)))
    with pytest.raises(InputError, match="pickled objects"):
        load_body("smplh", path=tmp_path / "objects.npz")
    with pytest.raises(InputError, match="not a body of the layout smpl"):
        load_body("smpl", path=whole)
    del (missing := official(52))["weights"]
    np.savez(tmp_path / "missing.npz", **missing)
    with pytest.raises(InputError, match="no entry weights"):
        load_body("smplh", path=tmp_path / "missing.npz")
    (tmp_path / "body.obj").write_text("v 0 0 0")
    with pytest.raises(InputError, match="suffix"):
        load_body("smplh", path=tmp_path / "body.obj")
