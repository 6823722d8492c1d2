"""The ComfyUI nodes, called as ComfyUI calls them: by their mapping, their function's name and keyword arguments."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import comfyui
from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.scenes import people_scene

FOLDER = Path(comfyui.__file__).parent
NODES = comfyui.NODE_CLASS_MAPPINGS


def call(node_name, /, **inputs):
    """Defaults for what is not given, as the page of ComfyUI sets them."""
    node = NODES[node_name]
    kinds = node.INPUT_TYPES()
    values = {}
    for key, (kind, *more) in {**kinds["required"], **kinds.get("optional", {})}.items():
        if key in inputs:
            values[key] = inputs[key]
        elif more and "default" in more[0]:
            values[key] = more[0]["default"]
        else:
            assert isinstance(kind, list), f"{node_name} needs {key}"
            values[key] = kind[0]
    return getattr(node(), node.FUNCTION)(**values)


@pytest.fixture(scope="module")
def frames():
    """Somebody who waves: (B, H, W, 3) in [0, 1]."""
    pictures = list(people_scene(1, 2, seconds=0.5, size=(448, 256)).images())[::3]
    return torch.from_numpy(np.stack(pictures)).float() / 255


@pytest.fixture(scope="module")
def people(frames):
    actual, report = call("ContrappostoPeopleFromVideo", images=frames, networks="blazepose", hands=False)
    assert len(actual.clip.frames) == len(frames) and len(actual.clip.ids) == 1 and "1 people" in report
    return actual


def test_frames_to_people_to_frames(frames, people):
    drawn, mask = call("ContrappostoDrawPoses", people=people)
    assert (
        drawn.shape == frames.shape and drawn.dtype == torch.float32 and drawn.min() >= 0 and drawn.max() <= 1
    )
    assert mask.shape == frames.shape[:3] and set(mask.unique().tolist()) == {0.0, 1.0}
    body = (frames[0] - frames[0, 0, 0]).abs().amax(-1) > 0.08  # the scene's figure against its background
    assert (mask[0].bool() & body).sum() > 0.7 * mask[0].sum()
    fewer = call("ContrappostoDrawPoses", people=people, remove="left_leg, right_leg")[1]
    assert fewer.sum() < 0.8 * mask.sum()


def test_a_reference_moves_the_people(frames, people):
    larger = torch.zeros_like(frames[:1])
    part = frames[0, 28:228, 49:399].permute(2, 0, 1)[None]
    larger[0] = torch.nn.functional.interpolate(part, (256, 448), mode="bilinear")[0].permute(1, 2, 0)
    moved, report = call("ContrappostoRetarget", people=people, reference=larger)
    assert "pixels" in report and len(moved.alignments) == 1
    zoom = moved.alignments[people.clip.ids[0]].intrinsics[0, 0] / people.clip.intrinsics[0, 0]
    assert 1.1 < zoom < 1.45  # 256 / 200
    ids, reference, replaced = call("ContrappostoScail2Masks", people=moved)
    assert ids.shape == frames.shape and reference.shape == (1, *frames.shape[1:])
    shown = [image.reshape(-1, 3).amax(0) for image in (ids, reference)]
    assert torch.allclose(*shown) and shown[0].max() > 0.3  # one colour for the person and for who drives it
    plain = call("ContrappostoDrawPoses", people=people)[1]
    assert replaced.shape == plain.shape and (replaced >= plain).all() and replaced.sum() > 1.5 * plain.sum()
    assert call("ContrappostoScail2Masks", people=people)[1].max() == 0


@pytest.mark.parametrize("form", ["npz", "nlfpred", "figures", "capsules", "bvh"])
def test_files(people, tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        saved = call("ContrappostoSavePeople", people=people, name="../my clip", format=form)
        path = Path(saved["result"][0])
        assert path.is_file() and path.parent == Path("output") / f"___my clip_{number:05d}"
    if form in ("npz", "nlfpred"):
        back, _ = call("ContrappostoPeopleFromFile", path=str(path), width=448, height=256)
        assert len(back.clip.frames) == len(people.clip.frames)
        np.testing.assert_allclose(back.clip.frames[0][0].joints, people.clip.frames[0][0].joints, atol=0.01)


def test_joints_of_other_packs():
    joints = [[torch.randn(1, 24, 3) * 300 + torch.tensor([0, 0, 3000.0]) for _ in range(6)]]
    (people,) = call("ContrappostoPeopleFromNLF", nlf={"joints3d_nonparam": joints}, width=448, height=256)
    assert [len(frame) for frame in people.clip.frames] == [1] * 6
    drawn, _ = call("ContrappostoDrawPoses", people=people)
    assert drawn.shape == (6, 256, 448, 3) and drawn.max() > 0.3


@pytest.mark.parametrize("nlf", [None, {"joints": [1]}, "joints"])
def test_what_is_no_nlfpred(nlf):
    with pytest.raises(InputError, match="no NLFPRED"):
        call("ContrappostoPeopleFromNLF", nlf=nlf, width=448, height=256)


def test_nobody_and_other_tensors(frames):
    with pytest.raises(InputError, match="nobody"):
        call("ContrappostoPeopleFromVideo", images=torch.zeros(2, 64, 96, 3), hands=False, face=False)
    with pytest.raises(InputError, match="shape"):
        call("ContrappostoPeopleFromVideo", images=torch.zeros(2, 64, 96, 1))


@pytest.mark.parametrize("name", list(NODES))
def test_a_node_is_one_of_comfyui(name):
    node = NODES[name]
    kinds = node.INPUT_TYPES()
    arguments = list(inspect.signature(getattr(node, node.FUNCTION)).parameters)[1:]
    assert arguments == [*kinds["required"], *kinds.get("optional", {})]
    assert len(node.RETURN_TYPES) == len(node.RETURN_NAMES) and name in comfyui.NODE_DISPLAY_NAME_MAPPINGS


def is_allowed(value, kind, limits=None):
    """Whether ComfyUI accepts a widget's value."""
    if isinstance(kind, list):
        return value in kind
    types = {"FLOAT": (int, float), "INT": int, "STRING": str, "BOOLEAN": bool}
    low, high = (limits or {}).get("min"), (limits or {}).get("max")
    return isinstance(value, types[kind]) and (low is None or low <= value <= high)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("workflows/*.json")), ids=lambda path: path.stem)
def test_workflows_fit_the_nodes(path):
    content = json.loads(path.read_text())
    nodes = {node["id"]: node for node in content["nodes"]}
    used = 0
    for node in nodes.values():
        if node["type"] not in NODES:
            assert node["type"] in ("LoadImage", "PreviewImage")
            continue
        used += 1
        kind = NODES[node["type"]]
        options = {**kind.INPUT_TYPES()["required"], **kind.INPUT_TYPES().get("optional", {})}
        links = {name for name, (one, *_) in options.items() if one in ("IMAGE", "SCAIL_PEOPLE", "NLFPRED")}
        assert {entry["name"] for entry in node["inputs"]} == links and all(e["link"] for e in node["inputs"])
        widgets = [one for name, one in options.items() if name not in links]
        assert len(node["widgets_values"]) == len(widgets)
        for value, widget in zip(node["widgets_values"], widgets):
            assert is_allowed(value, *widget), f"{node['type']}: {value!r} for {widget}"
        assert [entry["type"] for entry in node["outputs"]] == list(kind.RETURN_TYPES)
    for _, source, output, target, entry, kind in content["links"]:
        assert nodes[source]["outputs"][output]["type"] == kind == nodes[target]["inputs"][entry]["type"]
    assert used >= 3
