"""Exported files, run by onnxruntime, give the poses of the trackers."""

from __future__ import annotations

import pytest
import torch

from contrapposto.errors import InputError, MissingError
from contrapposto.systems.sage.export import ExportedStream, export_onnx, step_module
from contrapposto.systems.sage.features import sage_features
from contrapposto.systems.sage.student import StudentNetwork, StudentTracker
from contrapposto.systems.sage.tracker import SageTracker
from tests.systems.sage.test_features import motion
from tests.systems.sage.test_tracker import networks

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(
        package, reason=f"{package} is not installed: pip install onnx onnxruntime onnxscript"
    )


@pytest.fixture(scope="module")
def sparse():
    return sage_features(motion(frames=24))["sparse"]


def student():
    torch.manual_seed(0)
    return StudentTracker(StudentNetwork(width=32, layers=2)).eval()


def tracker():
    return SageTracker(*networks(), seed=None, steps=3).eval()


def assert_same(stream, whole, sparse, tolerance=1e-5):
    for frame, features in enumerate(sparse):
        body = stream.push(features.flatten() if frame % 2 else features)
        for name in ("sixd", "rotations", "root_translation", "joints"):
            expected = getattr(whole, name)[frame]
            torch.testing.assert_close(getattr(body, name)[0], expected, atol=tolerance, rtol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("make", [student, tracker])
def test_exported_file_gives_the_same_poses(make, sparse, tmp_path):
    path = export_onnx(make(), tmp_path / "a folder" / "tracker.onnx", metadata={"licence": "CC0-1.0"})
    stream = ExportedStream(path)
    whole = make().track(sparse)
    for _ in range(2):  # the second time after a reset
        assert_same(stream, whole, sparse, 1e-4)
        stream.reset()
    facts = stream.session.get_modelmeta().custom_metadata_map
    assert facts["licence"] == "CC0-1.0" and facts["fps"] == "60"
    assert [file.name for file in path.parent.iterdir()] == ["tracker.onnx"]
    # Nothing of this machine, and every weight once although the samplers use it in every step.
    assert b".py" not in path.read_bytes()
    step = step_module(make())
    weights = sum(value.nbytes for value in [*step.parameters(), *step.buffers()])
    assert path.stat().st_size < weights + 300_000


@pytest.mark.slow
def test_eight_bits_are_near(sparse, tmp_path):
    path = export_onnx(student(), tmp_path / "rounded.onnx", int8=True)
    stream, whole = ExportedStream(path), student().track(sparse)
    found = torch.cat([stream.push(frame).sixd for frame in sparse])
    assert 0 < float((found - whole.sixd).abs().max()) < 0.05
    assert [file.name for file in tmp_path.iterdir()] == ["rounded.onnx"]


@pytest.mark.parametrize("make", [student, tracker])
def test_one_step_with_its_memory_is_the_stream(make, sparse):
    step, whole = step_module(make()), make().track(sparse)
    memory = step.memory()
    if make is tracker:
        memory = (sparse[:1].expand(20, 3, 18)[None], memory[1])
    with torch.no_grad():
        for frame in range(len(sparse)):
            *pose, last = step(sparse[frame : frame + 1], *memory)
            memory = (pose.pop(), last) if make is tracker else (last,)
            torch.testing.assert_close(pose[2][0], whole.joints[frame], atol=1e-4, rtol=1e-5)


def test_files_of_something_else(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    (tmp_path / "text.onnx").write_text("no such thing")
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    other = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [value], [other])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9),
        tmp_path / "neg.onnx",
    )
    for name in ("text.onnx", "neg.onnx"):
        with pytest.raises(InputError, match=name):
            ExportedStream(tmp_path / name)
    with pytest.raises(MissingError, match=r"missing\.onnx"):
        ExportedStream(tmp_path / "missing.onnx")
