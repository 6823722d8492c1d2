"""Targets posed by their rigs and by transferred skins, against the skinned body whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from contrapposto.body import load_body, motion_vertices
from contrapposto.body.proportions import proportioned
from contrapposto.errors import ConfigError, InputError
from contrapposto.io import write_motion
from contrapposto.io.glb import write_glb
from contrapposto.mesh import MeshAsset, RiggedMesh, write_mesh, write_mesh_glb
from contrapposto.mesh.rig_write import GltfEditor
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPLH52
from contrapposto.synthetic import generate
from contrapposto.systems.npr.methods import SourceClip, Target, choose, pose_by_rig, pose_by_skin
from contrapposto.systems.npr.orientation import orientation
from contrapposto.tasks.npr_inputs import read_source
from contrapposto.tasks.predict import compose, predict
from tests.mesh.shapes import bent, sphere
from tests.mesh.test_files import painted

Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # y up to z up


@pytest.fixture(scope="module")
def motion() -> Motion:
    clip = generate("kick", seconds=2.0, seed=0).resample(30)
    return clip.frames(0, clip.num_frames).resample(4)


@pytest.fixture(scope="module")
def clip(motion: Motion) -> SourceClip:
    return SourceClip(motion, None, None, motion.fps, "kick")


@pytest.fixture(scope="module")
def truth(motion: Motion) -> np.ndarray:
    """(T, V, 3) of the shipped body, y up."""
    return motion_vertices(load_body(), motion).astype(np.float64) @ Z_UP


def t_pose(arms: float = 0.0) -> Motion:
    """One frame, with arms lowered by an angle in degrees."""
    rotations = np.zeros((1, 52, 3), np.float32)
    rotations[0, 0] = Rotation.from_matrix(Z_UP).as_rotvec()
    for side, sign in (("left", -1), ("right", 1)):
        rotations[0, SMPLH52.index(f"{side}_shoulder")[0]] = [0, 0, np.radians(sign * arms)]
    return Motion(rotations, np.zeros((1, 3), np.float32), 30.0, SMPLH52)


def figure_mesh(arms: float = 0.0) -> MeshAsset:
    body = load_body()
    return MeshAsset(motion_vertices(body, t_pose(arms))[0].astype(np.float64) @ Z_UP, body.faces.numpy())


def pmd(frames: np.ndarray, truth: np.ndarray) -> float:
    centred = [part - part.mean(1, keepdims=True) for part in (frames, truth)]
    return (
        1000 * float(np.square(centred[0] - centred[1]).sum(-1).mean()) / np.ptp(truth[0], axis=0).max() ** 2
    )


@pytest.mark.parametrize("arms", (0.0, 40.0))
def test_a_rig_does_what_the_body_does(
    arms: float, clip: SourceClip, truth: np.ndarray, tmp_path: Path
) -> None:
    """The body as a rigged file, in a T-pose or with lowered arms: its own skinning is the reference."""
    target = Target(write_glb(tmp_path / "body.glb", t_pose(arms)))
    if arms:  # the mesh is bound in the T-pose, the nodes stand with lowered arms
        assert np.ptp(target.mesh.vertices[:, 0]) < 1.5
    posed = pose_by_rig(target, clip)
    assert pmd(posed.frames, truth) < 1e-3
    way = (truth[-1] - truth[0]).mean(0)
    assert np.allclose((posed.frames[-1] - posed.frames[0]).mean(0), way, atol=2e-3)
    assert posed.write is not None
    back = RiggedMesh(posed.write(tmp_path / "out.glb", "smpl", "someone"))
    assert next(iter(back.clips)) == "kick" and back.file.json["asset"]["copyright"].endswith("someone")
    assert np.abs(back.frames("kick", clip.fps or 0) - posed.frames).max() < 1e-4


def test_a_figure_takes_the_skin_of_the_body(clip: SourceClip, truth: np.ndarray, tmp_path: Path) -> None:
    target = Target(write_mesh(tmp_path / "figure.ply", figure_mesh()))
    posed = pose_by_skin(target, clip)
    assert pmd(posed.frames, truth) < 0.02 * pmd(np.broadcast_to(target.mesh.vertices, truth.shape), truth)


def test_lowered_arms_are_corrected(clip: SourceClip, truth: np.ndarray, tmp_path: Path) -> None:
    target = Target(write_mesh(tmp_path / "figure.ply", figure_mesh(40.0)))
    posed = pose_by_skin(target, clip)
    assert min(target.skin.arm_turns) > 25 and "corrected" in posed.reason
    skin = target.skin
    target.__dict__["skin"] = replace(skin, corrections=np.tile(np.eye(3), (52, 1, 1)))
    uncorrected = pose_by_skin(target, clip)
    assert pmd(posed.frames, truth) < 0.1 * pmd(uncorrected.frames, truth)


def test_other_proportions_keep_their_left_and_right(
    clip: SourceClip, motion: Motion, tmp_path: Path
) -> None:
    body = proportioned(load_body(), {"head": 1.8, "legs": 0.7, "girth": 1.4})
    mesh = MeshAsset(body.rest_vertices()[0].double().numpy(), body.faces.numpy())
    true = motion_vertices(body, motion).astype(np.float64) @ Z_UP
    posed = pose_by_skin(Target(write_mesh(tmp_path / "figure.ply", mesh)), clip)
    assert pmd(posed.frames, true) < 0.05 * pmd(np.broadcast_to(mesh.vertices, true.shape), true)


@pytest.mark.parametrize(
    ("turn", "up", "forward"),
    [([0, 0, 0], "y", "z"), ([0, 180, 0], "y", "-z"), ([0, 90, 0], "y", "x"), ([90, 0, 0], "z", "-y")],
)
def test_the_way_a_figure_stands_is_found(turn: list[float], up: str, forward: str) -> None:
    mesh = figure_mesh()
    matrix = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    found = orientation(mesh.moved(mesh.vertices @ matrix.T))
    assert (found.up, found.forward) == (up, forward) and found.landmarks is not None
    assert np.allclose(found.axes @ matrix, np.eye(3), atol=1e-9)


def test_what_stands_on_four_legs_is_no_figure() -> None:
    """The body on hands and feet: seen from the front its arms hang down like legs."""
    mesh = figure_mesh()
    animal = mesh.moved(mesh.vertices * [0.3, 1.0, 1.0])
    assert orientation(animal, up="y", forward="z").landmarks is None
    assert orientation(sphere(3)).landmarks is None
    with pytest.raises(ConfigError, match="up=w"):
        orientation(animal, up="w")
    with pytest.raises(ConfigError, match="same axis"):
        orientation(animal, up="y", forward="-y")


def test_what_is_no_figure_is_left_to_a_network(clip: SourceClip, tmp_path: Path) -> None:
    posed, reasons = choose(Target(write_mesh(tmp_path / "ball.ply", sphere(3))), clip)
    assert posed is None and [reason.partition(":")[0] for reason in reasons] == ["rig", "skin"]
    with pytest.raises(InputError, match="no rig"):
        pose_by_rig(Target(write_mesh(tmp_path / "sheet.obj", painted())), clip)


def test_a_skinned_file_keeps_the_mesh(clip: SourceClip, tmp_path: Path) -> None:
    """Of a file with nodes, materials and a texture only skins, joints and an animation are new."""
    mesh = figure_mesh()
    source = RiggedMesh(write_mesh(tmp_path / "plain.glb", replace(mesh, vertex_colors=None)))
    editor = GltfEditor(source.file)
    editor.json["nodes"][0] |= {"translation": [0.0, 0.5, 0.0], "scale": [2.0, 2.0, 2.0]}
    editor.json["extras"] = {"kept": True}
    target = Target(editor.write(tmp_path / "moved.glb"))
    posed = pose_by_skin(target, clip)
    assert posed.write is not None
    back = RiggedMesh(posed.write(tmp_path / "out.glb", "mixamo", ""))
    assert back.file.json["extras"] == {"kept": True}
    assert np.allclose(back.mesh.vertices, target.mesh.vertices, atol=1e-5)
    assert np.array_equal(back.mesh.faces, target.mesh.faces)
    assert np.abs(back.frames("kick", clip.fps or 0) - posed.frames).max() < 1e-4
    assert "mixamorig:LeftUpLeg" in {str(node.get("name")) for node in back.nodes}


def test_the_tasks(motion: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_motion(tmp_path / "kick.npz", motion)
    target = write_mesh(tmp_path / "figure.obj", figure_mesh())
    options = [f"source={source}", f"target={target}", "task.formats=[glb]", "task.fps=4"]
    predict(compose(["task=npr_transfer", f"output={tmp_path / 'out'}", *options]))
    said = capsys.readouterr().out
    assert "figure.obj: skin: a standing figure" in said and "rig: figure.obj has no rig" in said
    assert '"method": "skin"' in (tmp_path / "out" / "figure.json").read_text()
    assert RiggedMesh(tmp_path / "out" / "figure.glb").clips
    predict(compose(["task=rig", f"target={target}", f"output={tmp_path / 'rigged.glb'}"]))
    rigged = RiggedMesh(tmp_path / "rigged.glb")
    assert len(rigged.skin_joints()) == 22 and not rigged.clips


def test_a_glb_is_motion_or_poses_of_a_mesh(clip: SourceClip, motion: Motion, tmp_path: Path) -> None:
    """A rigged figure's clip moves any figure; a bending ball's frames are poses for a network."""
    figure = read_source(write_glb(tmp_path / "kick.glb", motion), {}, fps=4)
    assert figure.clip.motion is not None and figure.clip.motion.num_frames == motion.num_frames
    ball = sphere(1)
    frames = np.stack([bent(ball.vertices, 0.1 * number) for number in range(3)])
    bending = read_source(write_mesh_glb(tmp_path / "ball.glb", ball, frames, 4.0), {}, fps=4)
    assert bending.clip.motion is None and np.allclose(bending.shown, frames, atol=1e-6)
