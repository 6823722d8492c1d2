"""Scenes with known joints: rendered, stored, and sent through the pipeline."""

import json

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from callbacks.provenance import ProvenanceCallback
from contrapposto.errors import ConfigError, MissingError
from contrapposto.metrics import PeopleInVideo
from contrapposto.render import Mesh, Scene, render
from contrapposto.systems.scail_pose.clean import Clean
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.scene_store import covered, prepare_scenes, read_truth, scene_folders
from contrapposto.systems.scail_pose.scenes import people_scene
from datamodules.scail_pose.scenes import SceneDataModule
from lightning_modules.scail_pose import ScailPoseEvaluation

SIZE = (448, 256)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "scenes"
    assert prepare_scenes(path, people=[1, 2], scenes=1, seconds=0.5, size=SIZE)
    return path


def test_the_truth_is_where_the_people_are_drawn():
    """Joints inside the body lie within its outline, and behind its surface."""
    scene = people_scene(2, 3, seconds=2.0, size=SIZE)
    middle = scene.people[0].motion.num_frames // 2
    meshes = [Mesh(one.vertices(middle), one.body.faces.numpy()) for one in scene.people]
    image = render(Scene(meshes), scene.camera, samples=1)
    for number, one in enumerate(scene.people):
        joints = scene.camera.to_camera(one.joints()[middle])
        pixels, depth = scene.camera.project(one.joints()[middle])
        columns, rows = np.round(pixels[[0, 3, 4, 5, 12]]).astype(int).T
        own = image.ids[rows, columns] == number
        surface = image.depth[rows, columns][own]
        assert own.any() and ((depth[[0, 3, 4, 5, 12]][own] - surface) > 0).all()
        assert ((depth[[0, 3, 4, 5, 12]][own] - surface) < 0.25).all() and np.isfinite(joints).all()


def test_who_is_in_front_hides_the_joints_behind():
    """The joints of the person farther away that lie within the outline of the nearer one, and no others."""
    scene = people_scene(2, 3, seconds=4.0, size=SIZE)
    joints = np.stack([scene.camera.to_camera(one.joints()) for one in scene.people], axis=1) * 1000
    apart = np.abs(joints[:, 0, 0, 0] / joints[:, 0, 0, 2] - joints[:, 1, 0, 0] / joints[:, 1, 0, 2])
    for frame, meet in ((int(apart.argmin()), True), (int(apart.argmax()), False)):
        meshes = [Mesh(one.vertices(frame), one.body.faces.numpy()) for one in scene.people]
        shown = render(Scene(meshes), scene.camera, samples=1)
        hidden = covered(joints[frame], shown, scene.camera.intrinsics)
        near, far = np.argsort(joints[frame, :, 0, 2])
        assert not hidden[near].any() and hidden[far, [0, 3, 6]].all() == meet and hidden[far].any() == meet


@pytest.mark.slow
def test_a_store_is_made_once(store, tmp_path):
    assert not prepare_scenes(store, people=[1, 2], scenes=1, seconds=0.5, size=SIZE)
    truths = [read_truth(folder) for folder in scene_folders(store)]
    assert [truth.joints.shape[1:] for truth in truths] == [(1, 24, 3), (2, 24, 3)]
    assert truths[0].size == SIZE[::-1] and truths[0].in_view(0.8).any()
    with pytest.raises(MissingError, match="prepare"):
        scene_folders(tmp_path)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ConfigError):
        prepare_scenes(tmp_path)


@pytest.mark.slow
def test_scenes_through_the_pipeline(store, tmp_path):
    data = SceneDataModule(store, people=1)
    module = ScailPoseEvaluation(
        lambda: make_estimator("blazepose", hands=False, face=False), Clean(), (256, 448)
    )
    found = []
    module.on_test_batch_end = lambda outputs, *rest: found.append(outputs)
    trainer = pl.Trainer(
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        callbacks=[ProvenanceCallback(tmp_path)],
    )
    trainer.test(module, data, verbose=False)
    (out,) = found
    recorded = json.loads((tmp_path / "provenance.json").read_text(encoding="utf-8"))["data"]
    assert recorded["scenes"] == 2 and len(recorded["content_hash"]) > 10
    assert out["clips"] == ["1_people_0"] and out["num_frames"] == [len(out["true_joints"])]
    metric = PeopleInVideo()
    metric.update(out["clean_joints"], out["true_joints"], out["in_view"], out["fps"])
    values = {name: float(value) for name, value in metric.compute().items()}
    assert values["found"] == 100 and values["mpjpe"] < 15 and values["switches"] == 0
    metadata = out["reference"].reshape(3, 5)
    assert torch.isfinite(metadata).all() and (metadata[:, 1] < metadata[:, 0]).all()
