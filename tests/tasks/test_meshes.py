"""predict.py task=npr_transfer, npr_generate, npr_evaluate, with tiny untrained networks in run directories."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from contrapposto.errors import ConfigError, ContrappostoError, InputError, MissingError
from contrapposto.io import write_motion
from contrapposto.mesh import MeshAsset, read_mesh, write_mesh
from contrapposto.synthetic import generate
from contrapposto.systems.npr.data.mesh_store import Identity, Origin, write_store
from contrapposto.systems.npr.pretrained import load_network
from contrapposto.tasks.npr_generate import judged
from contrapposto.tasks.npr_inputs import read_source
from contrapposto.tasks.predict import compose, predict
from lightning_modules.npr import NPRFeatureDiffusionModule, NPRModule
from tests.mesh.shapes import bent, sphere
from tests.mesh.test_files import painted

TINY = {
    "extractor": {"points": [30, 10], "width": 16, "reduced": 16, "neighbours": 6, "first_neighbours": 6},
    "applier": {"width": 16, "hidden": 16, "blocks": 2},
}
MODEL_NAMES = {NPRModule: "npr", NPRFeatureDiffusionModule: "npr_feature_diffusion"}
DIFFUSION = {"width": 16, "layers": 1, "heads": 2, "time_width": 8}


def source_mesh():
    mesh = sphere(2)
    return mesh.moved(
        mesh.vertices * [1.0, 2.0, 0.7] + np.random.default_rng(0).normal(0, 0.02, mesh.vertices.shape)
    )


def leave_run(folder, module, options, template):
    """As a finished training leaves it."""
    run = folder / "2026-01-01_00-00-00"
    (run / "checkpoints").mkdir(parents=True)
    checkpoint = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    module.templates = {"ball": template}
    module.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, run / "checkpoints" / "best.ckpt")
    OmegaConf.save(
        OmegaConf.create({"name": MODEL_NAMES[type(module)], "module": options}), run / "config.yaml"
    )
    return run / "checkpoints" / "best.ckpt"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    options = {"_target_": "lightning_modules.npr.NPRModule", "network": TINY}
    return leave_run(tmp_path_factory.mktemp("npr"), NPRModule(network=TINY), options, source_mesh())


@pytest.fixture
def poses(tmp_path):
    mesh = source_mesh()
    write_mesh(tmp_path / "poses" / "template.obj", mesh)
    for number in range(2):
        write_mesh(tmp_path / "poses" / f"{number}.obj", mesh.moved(bent(mesh.vertices, 0.3 * number)))
    return tmp_path / "poses"


def run(task, output, *options):
    predict(compose([f"task={task}", f"output={output}", *options]))


def test_a_folder_of_poses_on_a_textured_mesh(checkpoint, poses, tmp_path, capsys):
    target = write_mesh(tmp_path / "sheet.obj", painted())
    out = tmp_path / "out"
    run(
        "npr_transfer",
        out,
        f"source={poses}",
        f"target={target}",
        f"ckpt={checkpoint}",
        "task.formats=[obj,glb]",
        "task.rest_correction=true",
        "task.rigid=0",
    )
    mesh = read_mesh(target)
    for number in range(2):
        back = read_mesh(out / "sheet_obj" / f"{number}.obj")
        assert np.array_equal(back.faces, mesh.faces) and np.array_equal(
            back.texture_faces, mesh.texture_faces
        )
        assert [m.texture for m in back.materials] == [m.texture for m in mesh.materials]
    assert len(list((out / "sheet_obj").glob("*.mtl"))) == 1
    # Pose 0 is the rest pose, and gives the target's (which has a vertex without a face, carried along).
    posed = read_mesh(out / "sheet_obj" / "0.obj").vertices
    assert np.abs(posed - mesh.vertices).max() < 1e-3
    text = capsys.readouterr().out
    assert "1 vertices on no face" in text and "trained on ball" in text


def test_the_originals_lists_and_experiment_folder(checkpoint, poses, tmp_path):
    """`scripts/test.py` of the original: both lists are arguments, the last checkpoint of the folder is taken."""
    from contrapposto.systems.npr import NPR

    full = NPR().state_dict()
    folder = tmp_path / "exp" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"model": {}, "epoch": 99}, folder / "ckpt_epoch-000099.pth")
    torch.save({"model": full, "epoch": 299}, folder / "ckpt_epoch-000299.pth")
    mesh = write_mesh(tmp_path / "egg.obj", sphere(1))
    rest = {"name": "source", "src": "../data/poses/template.obj"}
    rows = [{**rest, "tgt": f"../data/poses/{number}.obj"} for number in (1, 0)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    lone = {"name": "egg", "src": mesh.name, "tgt": mesh.name}
    (tmp_path / "b.json").write_text(json.dumps([lone] * 3))
    listed, plain = read_source(tmp_path / "a.json", {}), read_source(poses, {})
    assert listed.names == ("00000", "00001")  # a list keeps its order, a folder that of its names
    np.testing.assert_array_equal(listed.shown, plain.shown[::-1])
    given = [f"target={tmp_path / 'b.json'}", f"ckpt={tmp_path / 'exp'}", "task.formats=[obj]"]
    run("npr_transfer", tmp_path / "out", f"source={tmp_path / 'a.json'}", *given)
    results = [read_mesh(tmp_path / "out" / "egg_obj" / f"0000{number}.obj") for number in range(2)]
    assert all(np.array_equal(result.faces, read_mesh(mesh).faces) for result in results)
    assert np.abs(results[0].vertices - results[1].vertices).max() > 1e-3
    (tmp_path / "a.json").write_text(json.dumps([lone]))
    with pytest.raises(InputError, match="poses of one mesh"):
        run("npr_transfer", tmp_path / "none", f"source={tmp_path / 'a.json'}", *given)


def test_between_two_poses(checkpoint, poses, tmp_path):
    target = write_mesh(tmp_path / "ball.obj", sphere(1))
    options = [f"source={poses}", f"target={target}", f"ckpt={checkpoint}", "task.formats=[obj]"]
    run("npr_transfer", tmp_path / "two", *options)
    run("npr_transfer", tmp_path / "more", *options, "task.between=3")
    files = sorted((tmp_path / "more" / "ball_obj").glob("*.obj"))
    ends = [read_mesh(tmp_path / "two" / "ball_obj" / f"{number}.obj").vertices for number in range(2)]
    assert len(files) == 3
    for file, end in ((files[0], ends[0]), (files[2], ends[1])):
        assert np.abs(read_mesh(file).vertices - end).max() < 1e-4


def test_motion_walks_on_the_ground(tmp_path):
    """A figure in motion: the target goes along, and its feet stay as far above the floor as the source's."""
    from contrapposto.systems.npr.body_poses import figure_poses

    motion = generate("walk", seconds=1.0, seed=0).resample(4)
    posed = figure_poses(motion)
    small = np.linspace(0, len(posed.mesh.faces) - 1, 900).astype(int)
    used, faces = np.unique(posed.mesh.faces[small], return_inverse=True)
    template = MeshAsset(posed.mesh.vertices[used], faces.reshape(-1, 3))
    options = {"_target_": "lightning_modules.npr.NPRModule", "network": TINY}
    checkpoint = leave_run(tmp_path / "npr", NPRModule(network=TINY), options, template)
    source = write_motion(tmp_path / "walk.npz", motion)
    target = write_mesh(tmp_path / "ball.obj", sphere(1, centre=(3, 4, 5)))
    run(
        *("npr_transfer", tmp_path / "out", f"source={source}", f"target={target}", f"ckpt={checkpoint}"),
        *("task.formats=[obj]", "task.fps=4", "task.smooth=0"),
    )
    frames = [read_mesh(file).vertices for file in sorted((tmp_path / "out" / "ball_obj").glob("*.obj"))]
    scale = 2 / np.ptp(template.vertices[:, 1])
    feet = posed.world[:, used, 1].min(axis=1) - template.vertices[:, 1].min()
    assert np.allclose([v[:, 1].min() - 3 for v in frames], scale * feet, atol=1e-3)
    way = posed.world[-1][used].mean(axis=0) - posed.world[0][used].mean(axis=0)
    actual = frames[-1].mean(axis=0) - frames[0].mean(axis=0)
    assert np.allclose(actual[[0, 2]], scale * way[[0, 2]], atol=0.1)


def test_generated_poses(tmp_path):
    torch.manual_seed(0)
    options = {
        "_target_": "lightning_modules.npr.NPRFeatureDiffusionModule",
        "autoencoder_network": TINY,
        "keypoint_network": DIFFUSION,
        "network": DIFFUSION,
    }
    module = NPRFeatureDiffusionModule(**{k: v for k, v in options.items() if k != "_target_"})
    checkpoint = leave_run(tmp_path / "diffusion", module, options, source_mesh())
    target = write_mesh(tmp_path / "sheet.obj", painted())
    common = [f"target={target}", f"ckpt={checkpoint}", "task.steps=2", "task.formats=[obj]"]
    run("npr_generate", tmp_path / "a", "count=3", *common)
    run("npr_generate", tmp_path / "b", "count=2", *common)
    for number in range(2):
        name = f"sheet_generated_obj/{number:05d}.obj"
        same = [read_mesh(tmp_path / folder / name).vertices for folder in "ab"]
        assert np.allclose(*same, atol=1e-4)
    with pytest.raises(ConfigError, match="count"):
        run("npr_generate", tmp_path / "c", "count=0", *common)


def test_new_poses_are_judged_beside_real_ones(tmp_path):
    """Poses like the training's are as near to it as unseen ones; lying ones are far."""
    torch.manual_seed(0)
    ball, bends = source_mesh(), np.linspace(0.0, 0.6, 16)
    posed = np.stack([bent(ball.vertices, bend) for bend in bends])
    shapes = {"ball": ball, "long": ball.moved(ball.vertices * [1, 1, 2])}
    names = [f"p{number}" for number in range(len(bends))]
    identities = [
        Identity(name, mesh, posed * [1, 1, 1 + (name == "long")], names) for name, mesh in shapes.items()
    ]
    write_store(tmp_path / "store", identities, Origin("test", "made", "CC0-1.0"))
    options = {"_target_": "lightning_modules.npr.NPRModule", "network": TINY}
    checkpoint = leave_run(tmp_path / "npr", NPRModule(network=TINY), options, ball)
    config = OmegaConf.load(checkpoint.parents[1] / "config.yaml")
    data = {
        "_target_": "datamodules.npr.NPRDataModule",
        "store": str(tmp_path / "store"),
        "identities": ["ball"],
    }
    OmegaConf.save(OmegaConf.merge(config, {"datamodule": data}), checkpoint.parents[1] / "config.yaml")
    trained = load_network(checkpoint)
    alike = judged(trained, np.stack([bent(ball.vertices, bend) for bend in bends + 0.01]), 2, 0)
    lying = judged(trained, posed[..., [1, 0, 2]], 2, 0)
    assert list(alike) == [
        "generated",
        "unseen real poses",
        "one half of the training poses against the other",
    ]
    real = alike["unseen real poses"]["fid"]
    assert alike["generated"]["fid"] < 2 * real < 0.5 * lying["generated"]["fid"]
    assert alike["one half of the training poses against the other"]["fid"] < 0.2 * lying["generated"]["fid"]


def test_pairs_are_judged_by_their_truth(checkpoint, tmp_path):
    ball = source_mesh()
    shapes = {"ball": ball, "long": ball.moved(ball.vertices * [1, 1, 2])}
    bends = [0.1, 0.3, 0.5]
    identities = [
        Identity(name, mesh, np.stack([bent(mesh.vertices, a) for a in bends]), [f"p{a}" for a in bends])
        for name, mesh in shapes.items()
    ]
    write_store(tmp_path / "store", identities, Origin("test", "made", "CC0-1.0"))
    out = tmp_path / "out"
    options = [f"source={tmp_path / 'store'}", f"ckpt={checkpoint}", "task.seen=true", "task.network_steps=2"]
    run("npr_evaluate", out, *options)
    content = json.loads((out / "pairs.json").read_text())
    assert [(row["source"], row["target"]) for row in content["pairs"]] == [
        ("ball", "ball"),
        ("ball", "long"),
    ]
    other = content["pairs"][1]
    rest, true = shapes["long"].vertices, np.stack([bent(shapes["long"].vertices, a) for a in bends])
    gap = (true - true.mean(1, keepdims=True)) - (rest - rest.mean(0))
    expected = 1000 * (gap**2).sum(-1).mean() / np.ptp(rest, axis=0).max() ** 2
    assert other["copy_pmd"] == pytest.approx(expected)
    assert 0 <= other["accuracy"] <= 1 and other["fid"] >= 0 and content["mean"]["pmd"] == other["pmd"]
    assert "| ball | long |" in (out / "pairs.md").read_text()


def test_errors_come_before_the_work(checkpoint, poses, tmp_path):
    target, bad = write_mesh(tmp_path / "ball.obj", sphere(1)), tmp_path / "bad.obj"
    bad.write_text("nothing")
    for options, kind, words in (
        ([], ConfigError, "No source"),
        ([f"source={poses}"], ConfigError, "No target"),
        ([f"source={poses}", "target=missing.obj"], InputError, "missing.obj"),
        ([f"source={tmp_path / 'none'}", f"target={target}", f"ckpt={checkpoint}"], InputError, "none"),
        (
            [f"source={tmp_path / 'none'}", f"target={bad}"],
            InputError,
            "bad.obj",
        ),  # before the source is read
        ([f"source={poses}", f"target={target}", "ckpt=nowhere.ckpt"], MissingError, "nowhere"),
        ([f"source={poses}", f"target={target}", "task.place=left"], ContrappostoError, "left"),
        (
            [f"source={poses}", f"target={target}", f"ckpt={checkpoint}", "task.between=1"],
            ConfigError,
            "between",
        ),
    ):
        with pytest.raises(Exception) as caught:
            run("npr_transfer", tmp_path / "out", *options)
        error = caught.value if isinstance(caught.value, kind) else caught.value.__cause__
        assert isinstance(error, kind) and words in str(error)
    assert not (tmp_path / "out").exists()
