"""Animated skeletons as programs write them: other clips first, steps, late starts, lamps beside, VRM animations."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrapposto.errors import ConfigError
from contrapposto.io import read_motion
from contrapposto.mesh.gltf_document import pack_glb
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22
from contrapposto.synthetic import generate
from contrapposto.tasks.predict import compose, predict
from tests.mesh.characters import write_character
from tests.retarget.rigs import FAMILIES

Edit = Callable[[dict[str, Any], bytearray], None]


@pytest.fixture(scope="module")
def clip() -> Motion:
    return generate("walk", seconds=2, seed=5).to_skeleton(SMPL22).resample(10)


def distance(motion: Motion, clip: Motion) -> float:
    return float(np.linalg.norm(motion.joint_positions()[:, :22] - clip.joint_positions(), axis=-1).max())


def edited(path: Path, edit: Edit) -> Path:
    """The same file with its document and binary chunk changed."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    document, binary = json.loads(data[20 : 20 + length]), bytearray(data[28 + length :])
    edit(document, binary)
    path.write_bytes(pack_glb(document, bytes(binary)))
    return path


def appended(document: dict[str, Any], binary: bytearray, values: np.ndarray, kind: str) -> int:
    """A further accessor of float32 values."""
    view = {"buffer": 0, "byteOffset": len(binary), "byteLength": values.nbytes}
    binary += values.astype("<f4").tobytes()
    document["bufferViews"].append(view)
    entry = {"bufferView": len(document["bufferViews"]) - 1, "componentType": 5126, "count": len(values)}
    document["accessors"].append({**entry, "type": kind})
    document["buffers"][0]["byteLength"] = len(binary)
    return len(document["accessors"]) - 1


def steps(document: dict[str, Any], binary: bytearray) -> None:
    for sampler in document["animations"][0]["samplers"]:
        sampler["interpolation"] = "STEP"


def late(document: dict[str, Any], binary: bytearray) -> None:
    times = appended(document, binary, (np.arange(20) / 10 + 1.5).astype(np.float32), "SCALAR")
    for sampler in document["animations"][0]["samplers"]:
        sampler["input"] = times


def lamps(document: dict[str, Any], binary: bytearray) -> None:
    document.pop("skins"), document.pop("meshes")
    document["nodes"][23] = {"name": "lamp"}


def vrm_animation(document: dict[str, Any], binary: bytearray) -> None:
    humanoid = document["extensions"].pop("VRMC_vrm")["humanoid"]
    document["extensions"]["VRMC_vrm_animation"] = {"specVersion": "1.0", "humanoid": humanoid}
    document["extensionsUsed"] = ["VRMC_vrm_animation"]
    lamps(document, binary)


@pytest.mark.parametrize("edit", [steps, late, lamps], ids=lambda edit: edit.__name__)
def test_animations_as_programs_write_them(edit: Edit, clip: Motion, tmp_path: Path) -> None:
    path = write_character(tmp_path / "a.glb", FAMILIES["mixamo"], clip=clip, size=1.0)
    assert distance(read_motion(edited(path, edit)), clip) < 1e-3


def test_vrm_animations(clip: Motion, tmp_path: Path) -> None:
    names = tuple(f"node {number}" for number in range(22))
    path = edited(
        write_character(tmp_path / "a.vrm", names, vrm="1", clip=clip, size=1.0), vrm_animation
    ).rename(tmp_path / "a.vrma")
    assert distance(read_motion(path), clip) < 1e-3


def test_a_clip_is_chosen_on_the_command_line(clip: Motion, tmp_path: Path) -> None:
    def another_first(document: dict[str, Any], binary: bytearray) -> None:
        times = appended(document, binary, np.array([0, 1], np.float32), "SCALAR")
        turns = appended(document, binary, np.tile(np.float32([0, 0, 0, 1]), (2, 1)), "VEC4")
        channel = {"sampler": 0, "target": {"node": 16, "path": "rotation"}}
        still = {"name": "still", "samplers": [{"input": times, "output": turns}], "channels": [channel]}
        document["animations"][0]["name"] = "walk"
        document["animations"].insert(0, still)

    path = edited(write_character(tmp_path / "a.glb", FAMILIES["mixamo"], clip=clip, size=1.0), another_first)
    inputs = ["task=convert", f"input={path}", f"output={tmp_path / 'out'}", "task.formats=[npz]"]
    predict(compose([*inputs, "clip=walk"]))
    assert distance(read_motion(tmp_path / "out" / "a.npz"), clip) < 1e-3
    predict(compose(inputs))
    assert read_motion(tmp_path / "out" / "a.npz").num_frames == 2
    assert compose(["task=npr_transfer", "clip=walk"]).task.clip == "walk"
    with pytest.raises(ConfigError, match="no option"):
        compose(["task=convert", "clips=walk"])
