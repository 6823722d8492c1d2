"""A motion on rigged characters: bones follow, feet stand, everything else of the file stays."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from contrapposto.errors import InputError
from contrapposto.io import read_motion, write_motion
from contrapposto.mesh import RiggedMesh, read_mesh
from contrapposto.mesh.character import animate_character
from contrapposto.mesh.gltf import Gltf
from contrapposto.mesh.gltf_document import pack_glb
from contrapposto.mesh.legs import two_bones
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22
from contrapposto.synthetic import generate
from contrapposto.tasks.predict import compose, predict
from contrapposto.tasks.retarget import foot_contact
from tests.mesh.characters import NAMES, stocky_places, write_character
from tests.mesh.shapes import sphere
from tests.retarget.rigs import FAMILIES


@pytest.fixture(scope="module")
def clip() -> Motion:
    return generate("walk", seconds=1, seed=4).resample(10)


def shape(motion: Motion) -> np.ndarray:
    """Joints relative to the hips' place in the first frame, in units of the legs' length."""
    places = motion.joint_positions()[:, :22].astype(np.float64)
    return places - places[:1, :1]


CHARACTERS = {
    "smpl": {},
    "mixamo": {"names": FAMILIES["mixamo"]},
    "mixamo, centimetres": {"names": FAMILIES["mixamo"], "armature": 0.01},
    "unreal, turned": {"names": FAMILIES["unreal"], "turn": 180.0},
    "rigify": {"names": FAMILIES["rigify"], "turn": 90.0},
    "mixamo through Blender": {"names": FAMILIES["mixamo"], "bones": "y", "armature": 0.01},
    "vrm 1 through Blender": {"names": tuple(f"bone{n}" for n in range(22)), "vrm": "1", "bones": "y"},
    "vrm 0": {"names": tuple(f"bone{n}" for n in range(22)), "vrm": "0", "turn": 180.0},
    "vrm 1": {"names": tuple(f"bone{n}" for n in range(22)), "vrm": "1"},
}


@pytest.mark.parametrize("kind", CHARACTERS)
def test_a_character_does_what_the_motion_does(kind: str, clip: Motion, tmp_path: Path) -> None:
    suffix = ".vrm" if "vrm" in kind else ".glb"
    character = write_character(tmp_path / f"mine{suffix}", size=1.2, **CHARACTERS[kind])  # type: ignore[arg-type]
    created = animate_character(tmp_path / f"out{suffix}", clip, character)
    assert created.scale == pytest.approx(1.2, rel=1e-4)
    back = read_motion(created.path)
    assert back.fps == 10 and back.num_frames == clip.num_frames
    np.testing.assert_allclose(shape(back), shape(clip), atol=2e-3)
    heights = (
        created.joints[:, [created.index["left_ankle"], created.index["right_ankle"]], 1] / created.scale
    )
    ankles = clip.joint_positions()[:, [7, 8], 2]
    np.testing.assert_allclose(
        heights - created.floor / created.scale, ankles, atol=0.01
    )  # feet on the floor


@pytest.mark.parametrize("family", ["smpl", "mixamo", "vrm", "rigify", "unreal"])
@pytest.mark.parametrize("turn", [0.0, 40.0])
def test_motion_is_read_whatever_axes_the_joints_have(
    family: str, turn: float, clip: Motion, tmp_path: Path
) -> None:
    """Blender writes joints with y along their bones, and again axes of its own where somebody turned the figure."""
    performed = clip.to_skeleton(SMPL22)
    options = {"names": FAMILIES[family], "turn": turn, "size": 1.0, "bones": "y"}
    path = write_character(tmp_path / "clip.glb", clip=performed, **options)  # type: ignore[arg-type]
    joints = read_motion(path).joint_positions()[:, :22]
    heading = Rotation.from_euler("z", turn, degrees=True).as_matrix()
    np.testing.assert_allclose(joints, performed.joint_positions() @ heading.T, atol=1e-3)


def balls(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """(F, 2, 3) the balls of the feet of a file's figure, z up."""
    motion = read_motion(path, native=True)
    index = [
        motion.skeleton.joint_names.index(names[NAMES.index(f"{side}_foot")]) for side in ("left", "right")
    ]
    return motion.joint_positions()[:, index].astype(np.float64)


@pytest.mark.parametrize("stocky", [False, True])
def test_feet_that_stand_do_not_slide(stocky: bool, tmp_path: Path) -> None:
    clip = generate("walk", seconds=2, seed=4).resample(30)
    character = write_character(tmp_path / "mine.glb", FAMILIES["mixamo"], stocky=stocky, size=1.2)
    created = animate_character(tmp_path / "out.glb", clip, character)
    feet = balls(created.path, FAMILIES["mixamo"]) / created.scale
    own = clip.joint_positions()[:, [NAMES.index("left_foot"), NAMES.index("right_foot")]].astype(np.float64)
    speed, true = (np.linalg.norm(np.diff(places, axis=0), axis=-1) * 30 for places in (feet, own))
    stands = true < 0.05
    assert stands.mean() > 0.3 and speed[stands].max() < 0.06
    low = (stocky_places() if stocky else SMPL22.rest_positions)[NAMES.index("left_foot"), 1] * 1.2
    np.testing.assert_allclose(feet[1:][stands][:, 2], low / created.scale, atol=0.01)  # as high as at rest
    contact = foot_contact(clip, created)
    assert contact.slide < contact.own + 0.01 and contact.height < 0.01 < contact.standing


def test_what_the_file_holds_stays(clip: Motion, tmp_path: Path) -> None:
    character = write_character(tmp_path / "mine.vrm", vrm="1")
    animate_character(tmp_path / "out.vrm", clip, character, name="walk", credit="made by me")
    first, second = Gltf(character), Gltf(tmp_path / "out.vrm")
    for name in ("nodes", "meshes", "materials", "skins", "scenes", "extensions"):
        assert first.json[name] == second.json[name]
    assert second.json["asset"]["copyright"] == "a licence; made by me"
    assert [entry["name"] for entry in second.json["animations"]] == ["walk"]
    before, after = read_mesh(character), read_mesh(tmp_path / "out.vrm")
    np.testing.assert_array_equal(before.faces, after.faces)
    np.testing.assert_allclose(before.vertices, after.vertices, atol=1e-6)
    frames = RiggedMesh(tmp_path / "out.vrm").frames("walk", 10)
    assert frames[..., 1].min() == pytest.approx(after.vertices[:, 1].min(), abs=0.05)


def test_characters_that_cannot_be_used_are_refused(clip: Motion, tmp_path: Path) -> None:
    from contrapposto.mesh import write_mesh

    still = write_mesh(tmp_path / "ball.glb", sphere(1))
    with pytest.raises(InputError, match="no joints"):
        animate_character(tmp_path / "out.glb", clip, still)
    odd = write_character(tmp_path / "odd.glb", tuple(f"bone{n}" for n in range(22)))
    with pytest.raises(InputError, match="joint_map"):
        animate_character(tmp_path / "out.glb", clip, odd)
    names = {f"bone{n}": name for n, name in enumerate(SMPL22.joint_names)}
    animate_character(tmp_path / "out.glb", clip, odd, joint_map=names)


def test_the_task(clip: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from contrapposto.io import write_motion

    write_motion(tmp_path / "walk.npz", clip)
    character = write_character(tmp_path / "mine.glb")
    inputs = ["task=retarget", f"input={tmp_path / 'walk.npz'}", f"target={character}", f"output={tmp_path}"]
    predict(compose([*inputs, "task.video=false"]))
    assert (tmp_path / "mine_walk.glb").exists() and "feet that stand slide" in capsys.readouterr().out
    convert = ["task=convert", inputs[1], f"output={tmp_path / 'out'}", "task.formats=[npz]"]
    predict(compose([*convert, f"target_rig={character}"]))
    assert (tmp_path / "out" / "walk_mine.glb").exists()
    with pytest.raises(InputError, match="no file"):
        predict(compose([*convert, f"target_rig={tmp_path / 'none.glb'}"]))
    with pytest.raises(InputError, match="Blender"):
        (tmp_path / "mine.fbx").write_bytes(b"x")
        predict(compose([*inputs[:2], f"target={tmp_path / 'mine.fbx'}", inputs[3]]))


def test_two_bones_reach_their_target() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        start, middle, end, direction = rng.normal(size=(4, 3))
        upper, lower = np.linalg.norm(middle - start), np.linalg.norm(end - middle)
        length = rng.uniform(abs(upper - lower) + 0.01, upper + lower - 0.01)
        target = start + direction / np.linalg.norm(direction) * length
        knee, ankle = two_bones(start, middle, end, target)
        np.testing.assert_allclose(ankle, target, atol=1e-9)
        assert np.linalg.norm(knee - start) == pytest.approx(upper)
        assert np.linalg.norm(ankle - knee) == pytest.approx(lower)


def test_a_skeleton_without_a_mesh_has_no_video(
    clip: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_character(tmp_path / "mine.glb", FAMILIES["mixamo"])
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + length])
    document.pop("meshes"), document.pop("skins")
    document["nodes"][23] = {"name": "body"}
    path.write_bytes(pack_glb(document, data[28 + length :]))
    write_motion(tmp_path / "walk.npz", clip)
    options = [
        "task=retarget",
        f"input={tmp_path / 'walk.npz'}",
        f"target={path}",
        f"output={tmp_path / 'out'}",
    ]
    (created,) = predict(compose(options))
    assert created.suffix == ".glb" and "no mesh" in capsys.readouterr().out
    np.testing.assert_allclose(shape(read_motion(created)), shape(clip), atol=2e-3)


@pytest.mark.parametrize("there", [True, False])
def test_textures_in_folders_beside_are_taken_along(there: bool, clip: Motion, tmp_path: Path) -> None:
    """A .gltf with `../textures/skin.png`: inside the .glb that is written; white where the file is missing."""
    folder, textures = tmp_path / "model", tmp_path / "textures"
    folder.mkdir(), textures.mkdir()
    picture = io.BytesIO()
    Image.new("RGB", (2, 2), (200, 0, 0)).save(picture, "PNG")
    if there:
        (textures / "skin.png").write_bytes(picture.getvalue())
    data = write_character(folder / "mine.glb", FAMILIES["mixamo"]).read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + length])
    document["buffers"][0]["uri"] = "mine.bin"
    document["images"], document["textures"] = [{"uri": "../textures/skin.png"}], [{"source": 0}]
    document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
    (folder / "mine.bin").write_bytes(data[28 + length :])
    (folder / "mine.gltf").write_text(json.dumps(document))
    created = Gltf(animate_character(tmp_path / "out" / "a.glb", clip, folder / "mine.gltf").path)
    image = created.image(0)
    assert image is not None and "uri" not in created.json["images"][0]
    color = Image.open(io.BytesIO(image)).convert("RGB").getpixel((0, 0))
    assert color == ((200, 0, 0) if there else (255, 255, 255))
