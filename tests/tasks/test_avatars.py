"""Avatars through predict.py: every mode, motion files, meshes, the authors' checkpoints, wrong options."""

import csv
import json

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from safetensors.torch import save_file
from scipy.ndimage import binary_dilation

from contrapposto.io import write_motion
from contrapposto.synthetic import generate
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.model import ANeRF, ANeRFConfig
from contrapposto.tasks.predict import compose, predict
from tests.lightning_modules.anerf_tiny import tiny, write_sticks
from tests.lightning_modules.sage_tiny import entry_point
from tests.metrics.test_lpips import alexnet

RUN = ("task.data=sticks", "task.experiment=null", "task.method=anerf")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `stores` and one finished run in `runs`."""
    folder = tmp_path_factory.mktemp("avatars")
    write_sticks(folder / "stores")
    options = (
        "module.poses={every:2}",
        "module.codes=true",
        "data.steps_per_epoch=40",
        "trainer.max_epochs=1",
    )
    entry_point("train", tiny("anerf", folder / "stores", folder / "runs", *options))
    return folder


def draw(place, task, *options):
    shared = [f"task={task}", f"paths.runs={place / 'runs'}", f"paths.stores={place / 'stores'}"]
    output = place / "out" / str(abs(hash(options)))
    arguments = [*shared, f"output={output}", *RUN, *options]
    predict(compose(arguments))
    return output


MODES = {
    "retarget": (None, 2),
    "bullet": ("{count:3,centre_camera:false}", 3),
    "interpolate": ("{steps:2}", 3),
    "animate": ("{steps:2,joints:[16,18]}", 3),
    "bubble": ("{steps:3}", 6),
    "poserot": ("{count:3}", 3),
    "correction": ("{steps:2}", 4),
    "selected": (None, 2),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes_have_their_images(place, mode):
    options, count = MODES[mode]
    chosen = "[0]" if mode == "bullet" else "[0,1]"
    inputs = [f"mode={mode}", "task.formats=[png]", f"task.frames={chosen}", "task.height=24"]
    output = draw(place, "anerf_render", *inputs, *([f"task.options={options}"] if options else []))
    images = sorted((output / mode / "png").glob("*.png"))
    assert len(images) == count
    assert Image.open(images[0]).size == (24, 24)
    if mode == "retarget":  # something is there
        assert np.array(Image.open(images[0])).min() < 200


def test_validation_has_scores(place, tmp_path):
    network = tmp_path / "alexnet.safetensors"
    save_file({f"features.{name}": value for name, value in alexnet().state_dict().items()}, network)
    inputs = ["mode=val", "task.frames=[12,13]", "task.formats=[alpha,depth]", f"task.lpips={network}"]
    output = draw(place, "anerf_render", *inputs)
    with open(output / "val" / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["12", "13"]
    assert all(float(row[name]) > 0 for row in rows for name in ("psnr", "ssim", "psnr_fg", "ssim_fg"))
    assert all(
        float(row["lpips"]) > float(row["lpips_fg"]) > 0 for row in rows
    )  # the latter sees the person alone
    picture = np.array(Image.open(output / "val" / "alpha" / "00000.png"))
    depth = np.load(output / "val" / "depth" / "00000.npy")
    assert picture.shape == (32, 32, 4) and depth.shape == (32, 32)
    solid = picture[..., 3] > 30
    mask = AvatarScene.open(place / "stores" / "sticks").mask(12)
    beside = 100 * (picture[..., 3] / 255)[~binary_dilation(mask, np.ones((3, 3)))].sum() / mask.sum()
    assert abs(float(rows[0]["halo_percent"]) - beside) < 0.2
    assert np.isfinite(depth[solid]).all()
    assert 6 * 0.6 * 0.7 < np.median(depth[solid]) < 6 * 0.6 * 1.3  # metres: the camera is six units away


def test_a_motion_file_drives_the_avatar(place, tmp_path):
    file = tmp_path / "a walk.npz"
    write_motion(file, generate("walk", seconds=1.0, seed=1))
    options = (f"motion={file}", "mode=bullet", "task.fps=3", "task.height=24", "task.speed=pruned")
    output = draw(place, "anerf_render", *options, "task.formats=[mp4,png]")
    assert (output / "a walk.mp4").stat().st_size > 500
    assert len(list((output / "a walk" / "png").glob("*.png"))) in (3, 4)


def test_a_motion_may_leave_the_picture(place, tmp_path, capsys):
    clip = generate("walk", seconds=1.0, seed=1)
    clip.root_translation[:, 0] += np.linspace(0, 50, len(clip.root_translation))
    write_motion(tmp_path / "away.npz", clip)
    options = (f"motion={tmp_path / 'away.npz'}", "mode=retarget", "task.fps=3", "task.height=24")
    draw(place, "anerf_render", *options, "task.speed=pruned", "task.travel=true", "task.formats=[png]")
    assert "images do not show the figure" in capsys.readouterr().out


def test_meshes_have_the_size_of_the_figure(place):
    more = ("task.frames=[0]", "task.resolution=40", "task.threshold=0.2", "task.largest=false")
    boxes = {}
    for scale in ("metres", "units", "unit_cube"):
        output = draw(place, "anerf_mesh", *more, f"task.scale={scale}", "task.formats=[ply,glb]")
        mesh = trimesh.load(output / "meshes" / "000.ply", process=False)
        boxes[scale] = mesh.bounds[1] - mesh.bounds[0]
        assert mesh.visual.vertex_colors.shape == (len(mesh.vertices), 4)
        assert (output / "meshes" / "000.glb").exists()
    np.testing.assert_allclose(boxes["metres"], 0.6 * boxes["units"], rtol=1e-3)
    np.testing.assert_allclose(boxes["unit_cube"], boxes["units"] / 3.6, rtol=1e-3)


def test_a_mesh_is_shown_from_all_sides(place):
    more = ("task.frames=[0]", "task.resolution=40", "task.threshold=0.2", "task.largest=false")
    output = draw(place, "anerf_mesh", *more, "task.scale=unit_cube", "task.formats=[mp4,png]") / "meshes"
    images = sorted((output / "000").glob("*.png"))
    assert len(images) == 90 and (output / "000.mp4").stat().st_size > 1000
    assert not list(output.glob("*.ply"))
    first, half = (np.array(Image.open(images[number]), int)[:380] for number in (0, 45))
    # What is left of the middle is right of it half a turn later.
    left, right = (np.nonzero(np.abs(x - x[5, 5]).sum(-1) > 60)[1].mean() - 256 for x in (first, half))
    assert left == pytest.approx(-right, abs=6)


def parts(path):
    """The JSON and the binary part of a GLB file."""
    data = path.read_bytes()
    end = 20 + int.from_bytes(data[12:16], "little")
    return json.loads(data[20:end]), data[end + 8 :]


def test_a_skin_is_moved_by_a_motion_file(place, tmp_path):
    file = tmp_path / "walk.npz"
    write_motion(file, generate("walk", seconds=0.5, seed=1))
    more = ("task.frames=[0]", "task.resolution=40", "task.threshold=0.2", "task.skin=true")
    path = draw(place, "anerf_mesh", *more, "task.largest=false") / "skinned.glb"
    scene = trimesh.load(path)  # which shows the rest pose
    low, high = scene.bounds
    rest = np.ptp(np.load(place / "stores" / "sticks" / "rest_pose.npy")[:, 1]) * 0.6
    assert 0.3 * rest < high[1] - low[1] < 2 * rest  # metres, y up; forty steps show a part of the figure
    content, binary = parts(path)
    colours = content["accessors"][content["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    start = content["bufferViews"][colours["bufferView"]]["byteOffset"]
    linear = np.frombuffer(binary, np.float32, 3 * colours["count"], start).reshape(-1, 3)
    assert len(np.unique(linear, axis=0)) > 10 and linear.min() >= 0 and linear.max() <= 1
    root = next(node for node in content["nodes"] if node.get("name") == "pelvis")
    (track,) = (c for c in content["animations"][0]["channels"] if c["target"]["path"] == "translation")
    accessor = content["accessors"][content["animations"][0]["samplers"][track["sampler"]]["output"]]
    start = content["bufferViews"][accessor["bufferView"]]["byteOffset"]
    place_of_root = np.frombuffer(binary, np.float32, 3, start)
    assert place_of_root[1] == pytest.approx(root["translation"][1] - low[1], abs=1e-4)  # soles on the floor
    free = more[1:]  # no pose is given
    content, _ = parts(draw(place, "anerf_mesh", *free, f"motion={file}") / "walk.glb")
    assert len(content["skins"][0]["joints"]) == 24
    assert len(content["animations"][0]["channels"]) > 10
    assert "COLOR_0" in content["meshes"][0]["primitives"][0]["attributes"]


def test_the_shipped_avatars_are_drawn_without_a_scene(tmp_path):
    """From a folder without runs and stores, with a mean colour that only a person has."""
    for name in ("anerf_splat", "anerf"):
        options = [f"output={tmp_path / name}", f"paths.stores={tmp_path}", f"paths.runs={tmp_path}"]
        small = ["task.height=32", "task.formats=[alpha]", "task.options={count:2}", f"ckpt={name}"]
        predict(compose(["task=anerf_render", "mode=bullet", *options, *small]))
        images = sorted((tmp_path / name / "bullet" / "alpha").glob("*.png"))
        assert len(images) == 2
        for image in images:
            opacity = np.array(Image.open(image))[..., 3] / 255
            rows = np.flatnonzero(opacity.max(1) > 0.5)
            assert 0.5 < (rows[-1] - rows[0]) / 32 < 1 and 0.05 < opacity.mean() < 0.5


def test_the_authors_checkpoint_is_drawn(place, tmp_path):
    torch.manual_seed(0)
    model = ANeRF(ANeRFConfig(view_frequencies=0, width=32))
    network = {name: value.clone() for name, value in model.coarse.state_dict().items()}
    fine = {name: value.clone() for name, value in model.fine.state_dict().items()}
    file = tmp_path / "000001.tar"
    torch.save({"global_step": 1, "network_fn_state_dict": network, "network_fine_state_dict": fine}, file)
    options = (f"ckpt={file}", "mode=retarget", "task.frames=[0]", "task.formats=[png]", "task.height=16")
    output = draw(place, "anerf_render", *options, f"scene={place / 'stores' / 'sticks'}")
    assert len(list((output / "retarget" / "png").glob("*.png"))) == 1
    with pytest.raises(Exception, match="holds no cameras"):
        draw(place, "anerf_render", *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["mode=bulet"], "bullet"),
        (["mode=bullet", "task.options={steps:3}"], "cannot be used like this"),
        (["task.frames=[99]"], "no image 99"),
        (["task.formats=[gif]"], "formats of"),
        (["task.background=pink"], "background"),
        (["ckpt=nothing.ckpt"], "no file, folder or shipped model"),
        (["task.entry=mixamo/jamse"], "mixamo/james"),
        (["task.entry=neuralbody/315", "mode=bullet"], "no entry"),
        (["task.entry=h36m/S11", "mode=poserot"], "no frames for"),
        (["task.entry=mixamo/james", "mode=bullet"], "no image"),  # its frames are not of this scene
    ],
)
def test_wrong_options_are_named(place, options, said):
    with pytest.raises(Exception, match=said):
        draw(place, "anerf_render", *options)
