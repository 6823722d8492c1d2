"""Mesh stores and their recipes: what goes in comes out; layouts of folders, official lists, animated files, .anime."""

import json

import numpy as np
import pytest

from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.mesh.files import write_mesh
from contrapposto.mesh.gltf_write import write_mesh_glb
from contrapposto.systems.npr.data import prepare_meshes
from contrapposto.systems.npr.data.mesh_store import Identity, MeshStore, Origin, write_store
from tests.mesh.shapes import bent, grid, sphere

ORIGIN = Origin("test", "made", "CC0-1.0", "nobody")


def write_anime(path, first, faces, offsets):
    """A .anime file, by its description."""
    counts = np.array([len(offsets) + 1, len(first), len(faces)], "<i4")
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = (first.astype("<f4"), faces.astype("<i4"), np.asarray(offsets, "<f4"))
    path.write_bytes(counts.tobytes() + b"".join(part.tobytes() for part in parts))


def test_what_goes_in_comes_out(tmp_path):
    mesh = sphere(1)
    poses = np.stack([bent(mesh.vertices, amount) for amount in (0.1, 0.5)])
    store = write_store(tmp_path / "s", [Identity("ball", mesh, poses, ["a", "b"])], ORIGIN)
    np.testing.assert_array_equal(store.mesh("ball").vertices, mesh.vertices)
    np.testing.assert_array_equal(store.mesh("ball").faces, mesh.faces)
    np.testing.assert_allclose(store.poses("ball"), poses, atol=1e-6)
    assert store.record("ball").poses == ("a", "b") and store.manifest["licence"] == "CC0-1.0"
    again = write_store(tmp_path / "t", [Identity("ball", mesh, poses, ["a", "b"])], ORIGIN)
    other = write_store(tmp_path / "u", [Identity("ball", mesh, poses + 1, ["a", "b"])], ORIGIN)
    assert again.content_hash == store.content_hash != other.content_hash


@pytest.mark.parametrize(
    ("poses", "names"),
    [
        (np.zeros((2, 5, 3)), ["a", "b"]),
        (np.full((1, 42, 3), np.nan), ["a"]),
        (np.zeros((2, 42, 3)), ["a", "a"]),
    ],
)
def test_what_does_not_fit_is_not_written(tmp_path, poses, names):
    with pytest.raises(InputError):
        write_store(tmp_path / "s", [Identity("ball", sphere(1), poses, names)], ORIGIN)
    assert not list(tmp_path.iterdir())


def test_damage_is_named(tmp_path):
    mesh = sphere(1)
    write_store(tmp_path / "s", [Identity("ball", mesh, mesh.vertices[None], ["a"])], ORIGIN)
    store = MeshStore.open(tmp_path / "s")
    with pytest.raises(InputError, match="no identity"):
        store.mesh("bal")
    file = tmp_path / "s" / "poses" / "ball.npy"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(InputError, match="damaged"):
        store.poses("ball")
    (tmp_path / "s" / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        MeshStore.open(tmp_path / "s")
    with pytest.raises(MissingError, match=r"prepare\.py"):
        MeshStore.open(tmp_path / "none")


def test_a_folder_of_meshes(tmp_path):
    for name in ("one", "two"):
        mesh = sphere(1, radius=1.0 + (name == "two"))
        write_mesh(tmp_path / "raw" / name / "template.obj", mesh)
        for number in range(3):
            pose = mesh.moved(bent(mesh.vertices, 0.2 * number + 0.1))
            write_mesh(tmp_path / "raw" / name / f"pose {number}.ply", pose)
    report = prepare_meshes("npr_meshes", output=tmp_path / "s", raw=tmp_path / "raw")
    assert report.store.names == ("one", "two") and not report.unchanged
    assert report.store.record("one").poses == report.store.record("two").poses
    expected = bent(sphere(1).vertices, 0.3)
    found = report.store.poses("one")[report.store.record("one").poses.index("pose 1")]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert prepare_meshes("npr_meshes", output=tmp_path / "s", raw=tmp_path / "raw").unchanged
    write_mesh(tmp_path / "raw" / "one" / "pose 9.obj", grid(4))
    with pytest.raises(InputError, match="other faces"):
        prepare_meshes("npr_meshes", output=tmp_path / "s", raw=tmp_path / "raw")


def test_poses_scaled_by_themselves(tmp_path):
    mesh = sphere(1, centre=(3.0, 0, 0))
    write_mesh(tmp_path / "raw" / "template.obj", mesh)
    write_mesh(tmp_path / "raw" / "a.obj", mesh.moved(5 * bent(mesh.vertices, 0.3)))
    report = prepare_meshes("npr_meshes", output=tmp_path / "s", raw=tmp_path / "raw", normalize="unit_cube")
    for pose in (report.store.mesh("raw").vertices, report.store.poses("raw")[0]):
        assert np.ptp(pose, axis=0).max() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(pose.min(0) + pose.max(0), 0, atol=1e-5)
    report = prepare_meshes(
        "npr_meshes", output=tmp_path / "s", raw=tmp_path / "raw", normalize="centroid_pca"
    )
    pose = report.store.poses("raw")[0].astype(float)
    largest = np.linalg.eigvalsh(np.cov(pose.T, bias=True))[-1]
    assert np.sqrt(largest) == pytest.approx(0.35, rel=1e-4)


def test_the_official_list(tmp_path):
    mesh = sphere(1)
    base = tmp_path / "data" / "smpl_default" / "meshes"
    for name, amount in (("template", 0.0), ("0000000", 0.2), ("0000001", 0.4)):
        write_mesh(base / name / "mesh.obj", mesh.moved(bent(mesh.vertices, amount)))
    entries = [
        {
            "src": "../data/smpl_default/meshes/template/mesh.obj",
            "tgt": f"../data/smpl_default/meshes/000000{number}/mesh.obj",
            "name": "smpl",
            "src_motion": "smpl_template",
            "tgt_motion": f"smpl_000000{number}",
            "fps_inds": [0] * 30,
            "J_file": "../data/smpl_default/jacobians/none.npy",
        }
        for number in range(2)
    ]
    source = entries[0]["src"]
    entries += [{"src": source, "tgt": source, "name": "only_a_template"}] * 3
    listing = tmp_path / "code" / "configs" / "train.json"
    listing.parent.mkdir(parents=True)
    listing.write_text(json.dumps(entries))
    store = prepare_meshes("npr_meshes", output=tmp_path / "s", raw=listing).store
    assert [len(record.poses) for record in store.identities] == [2, 0]
    np.testing.assert_allclose(store.poses("smpl")[1], bent(mesh.vertices, 0.4), atol=1e-5)
    entries[0]["tgt"] = "../data/gone.obj"
    listing.write_text(json.dumps(entries))
    with pytest.raises(MissingError, match=r"gone\.obj"):
        prepare_meshes("npr_meshes", output=tmp_path / "s", raw=listing)


def test_an_animated_file(tmp_path):
    mesh = sphere(1)
    frames = np.stack([bent(mesh.vertices, amount) for amount in np.linspace(0, 1, 11)])
    write_mesh_glb(tmp_path / "ball.glb", mesh, frames, fps=10)
    store = prepare_meshes(
        "npr_meshes", output=tmp_path / "s", raw=tmp_path / "ball.glb", poses=20, fps=5
    ).store
    (record,) = store.identities
    times = [float(name.partition("#")[2]) for name in record.poses]
    np.testing.assert_allclose(times, np.arange(len(times)) / 5, atol=1e-6)
    np.testing.assert_allclose(store.poses("ball"), frames[::2][: len(times)], atol=1e-4)


def test_anime_files(tmp_path):
    mesh = sphere(1)
    for motion, amount in (("Run", 0.5), ("Attack", 0.9)):
        offsets = [bent(mesh.vertices, amount * frame / 9) - mesh.vertices * 1.0 for frame in range(1, 10)]
        write_anime(
            tmp_path / "raw" / f"fox_{motion}" / f"fox_{motion}.anime", mesh.vertices, mesh.faces, offsets
        )
    store = prepare_meshes("deform4d", output=tmp_path / "s", raw=tmp_path / "raw", poses=6).store
    (record,) = store.identities
    assert len(record.poses) == 6 and record.name == "fox"
    known = {
        f"{m}#{f}": bent(mesh.vertices, a * f / 9)
        for m, a in (("Run", 0.5), ("Attack", 0.9))
        for f in (0, 3, 6, 9)
    }
    for name, pose in zip(record.poses, store.poses("fox")):
        np.testing.assert_allclose(pose, known[name], atol=1e-5)
    assert set(record.groups) == {"Run", "Attack"}
    with pytest.raises(InputError, match="wolf"):
        prepare_meshes("deform4d", output=tmp_path / "s", raw=tmp_path / "raw", identities=["wolf"])


def test_poses_on_bodies(stores, tmp_path):
    """Same pose, same surface: every shape and copy is the skinned body itself."""
    from scipy.spatial import cKDTree

    options = {"poses": 6, "num_faces": 600, "shapes": ["average", "child"]}
    copies = ["decimated-child", "subdivided-child", "holes-average"]
    store = prepare_meshes(
        "smpl_poses", output=tmp_path / "s", raw=stores / "tiny", remeshed=copies, **options
    ).store
    assert store.names == ("average", "child", *copies)
    assert len({record.poses for record in store.identities}) == 1
    child, coarse = store.poses("child"), store.poses("decimated-child")
    fine = store.poses("subdivided-child")
    assert store.record("subdivided-child").faces == 4 * store.record("child").faces
    np.testing.assert_allclose(fine[:, : child.shape[1]], child, atol=1e-6)
    # Vertices of the coarse copy lie on the surface that the fine one samples: nearer than its triangles are long.
    for pose in range(6):
        assert cKDTree(fine[pose]).query(coarse[pose])[0].max() < 0.08
    assert np.abs(np.diff(child, axis=0)).max() > 0.05  # and the poses differ


def test_options_and_places_are_checked(stores, tmp_path):
    with pytest.raises(ConfigError, match="pose"):
        prepare_meshes("smpl_poses", output=tmp_path / "s", raw=stores / "tiny", pose=3)
    with pytest.raises(ConfigError, match="giant"):
        prepare_meshes("smpl_poses", output=tmp_path / "s", raw=stores / "tiny", shapes=["giant"])
    with pytest.raises(ConfigError, match="store of other things"):
        prepare_meshes("smpl_poses", output=stores / "tiny", raw=stores / "tiny", poses=2)
    scene = tmp_path / "scene"
    scene.mkdir()
    manifest = '{"schema": "contrapposto-avatar-scene", "version": 1}'
    (scene / "manifest.json").write_text(manifest)
    with pytest.raises(ConfigError, match="store of other things"):
        prepare_meshes("smpl_poses", output=scene, raw=stores / "tiny", poses=2)
    assert (scene / "manifest.json").read_text() == manifest
    with pytest.raises(MissingError, match="raw=FOLDER"):
        prepare_meshes("deform4d", output=tmp_path / "s")
