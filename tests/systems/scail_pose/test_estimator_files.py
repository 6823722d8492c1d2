"""Networks that users bring: small ones made here, in the real formats, run by the real runtimes."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.estimators import Person, make_estimator
from contrapposto.systems.scail_pose.estimators.files import DwposeKeypoints, NlfBody, YoloxDetector


def save_constant(path, input_shape, outputs):
    """An ONNX network that takes an image and always answers the same."""
    entry = helper.make_tensor_value_info("images", TensorProto.FLOAT, input_shape)
    results, nodes = [], []
    for number, value in enumerate(outputs):
        name = f"out{number}"
        results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))
        nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value)))
    graph = helper.make_graph(nodes, "constant", [entry], results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def save_yolox(path, boxes):
    """A detector that finds boxes (x1, y1, x2, y2, score) given in pixels of its 640 x 640 input."""
    rows = np.zeros((1, 8400, 85), np.float32)
    rows[0, :, 2:4] = -5
    for number, (x1, y1, x2, y2, score) in enumerate(boxes):
        # Cell `number` of the first row of the finest grid: stride 8, place (number, 0).
        center, size = np.array([x1 + x2, y1 + y2]) / 2, np.array([x2 - x1, y2 - y1])
        rows[0, number, :2] = center / 8 - [number, 0]
        rows[0, number, 2:4] = np.log(size / 8)
        rows[0, number, 4:6] = 1, score
    return save_constant(path, (1, 3, 640, 640), [rows])


def save_dwpose(path, size=(24, 32)):
    """Keypoint k always at (k mod w, k mod h) of the crop, score 0.9."""
    x, y = np.zeros((1, 133, 2 * size[0]), np.float32), np.zeros((1, 133, 2 * size[1]), np.float32)
    for k in range(133):
        x[0, k, 2 * (k % size[0])] = y[0, k, 2 * (k % size[1])] = 0.9
    return save_constant(path, (1, 3, size[1], size[0]), [x, y])


class Nlf(torch.nn.Module):
    """Joints that tell which box they were asked for, and with which camera."""

    @torch.jit.export
    def estimate_smpl_batched(
        self, images: torch.Tensor, boxes: list[torch.Tensor], intrinsic_matrix: torch.Tensor
    ) -> dict[str, list[torch.Tensor]]:
        found: list[torch.Tensor] = []
        for number, places in enumerate(boxes):
            joints = torch.zeros(len(places), 24, 3)
            joints[:, 0, :2], joints[:, 1, :2] = places[:, :2], places[:, 2:]
            joints[:, 2, 0] = intrinsic_matrix[number, 0, 0]
            found.append(joints)
        return {"joints3d_nonparam": found}

    @torch.jit.export
    def detect_smpl_batched(
        self, images: torch.Tensor, intrinsic_matrix: torch.Tensor
    ) -> dict[str, list[torch.Tensor]]:
        found: list[torch.Tensor] = []
        for image in images:
            seen = (image > 0).sum().to(torch.float32)
            found.append(seen.expand(1 if seen > 0 else 0, 24, 3))
        return {"joints3d_nonparam": found}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def person(number, box):
    nothing = np.zeros((134, 2), np.float32), np.zeros(134, np.float32)
    return Person(number, np.array(box, np.float32), 1.0, *nothing, np.full((24, 3), np.nan, np.float32))


def save_nlf(path, monkeypatch):
    torch.jit.script(Nlf()).save(str(path))
    try:
        import torchvision  # noqa: F401
    except ImportError:  # the operations that it registers are not used here
        monkeypatch.setitem(__import__("sys").modules, "torchvision", type(torch)("torchvision"))
    return path


def test_yolox_finds_what_the_network_says(tmp_path):
    path = save_yolox(tmp_path / "yolox.onnx", [(32, 64, 160, 320, 0.9), (400, 64, 480, 320, 0.5)])
    boxes, scores = YoloxDetector(path).detect(np.zeros((320, 640, 3), np.uint8))
    assert np.allclose(boxes, [[32, 64, 160, 320], [400, 64, 480, 320]], atol=0.01)
    assert np.allclose(scores, [0.9, 0.5])


def test_dwpose_places_keypoints_in_the_image(tmp_path):
    network = DwposeKeypoints(save_dwpose(tmp_path / "dwpose.onnx"))
    box = np.array([[10, 20, 106, 148]], np.float32)  # 3 to 4 as the input: the crop is 1.25 times as large
    points, scores = network.estimate(np.zeros((200, 200, 3), np.uint8), box)
    assert points.shape == (1, 134, 2) and scores.shape == (1, 134)
    corner, pixel = np.array([58, 84]) - 0.625 * np.array([96, 128]), 1.25 * 96 / 24
    assert np.allclose(points[0, 0], corner)
    assert np.allclose(points[0, 133], corner + pixel * np.array([132 % 24, 132 % 32]), atol=1e-3)
    assert scores.min() > 0.89


def test_nlf_gets_corner_size_and_camera(tmp_path, monkeypatch):
    body = NlfBody(save_nlf(tmp_path / "nlf.torchscript", monkeypatch), batch=2)
    camera = default_intrinsics(60, 80)
    frames = [np.zeros((60, 80, 3), np.uint8)] * 4
    people = [[person(0, (1, 2, 11, 22))], [], [person(0, (3, 4, 5, 6)), person(1, (0, 0, 9, 8))], []]
    joints = body.estimate(frames, people, camera)
    assert [len(one) for one in joints] == [1, 0, 2, 0]
    assert np.allclose(joints[0][0, :2, :2], [[1, 2], [10, 20]])
    assert np.allclose(joints[2][1, :2, :2], [[0, 0], [9, 8]])
    assert np.isclose(joints[2][1, 2, 0], camera[0, 0])


def test_nlf_masked_sees_one_box_a_time(tmp_path, monkeypatch):
    body = NlfBody(save_nlf(tmp_path / "nlf.torchscript", monkeypatch), masked=True)
    frames = [np.full((100, 200, 3), 255, np.uint8)]
    (joints,) = body.estimate(frames, [[person(0, (50, 50, 60, 60)), person(1, (0, 0, 200, 100))]], np.eye(3))
    # 10 px and 2.5 % of 200 on either side; 10 px and 5 % of 100 on either side; three channels
    assert joints[:, 0, 0].tolist() == [20 * 20 * 3, 200 * 100 * 3]


def test_other_files_are_refused(tmp_path, monkeypatch):
    wrong = save_constant(tmp_path / "other.onnx", (1, 3, 640, 640), [np.zeros((1, 100, 7), np.float32)])
    text = tmp_path / "text.onnx"
    text.write_text("not a network")
    with pytest.raises(InputError, match="not the YOLOX network"):
        YoloxDetector(wrong)
    with pytest.raises(InputError, match="not the DWPose network"):
        DwposeKeypoints(wrong)
    with pytest.raises(InputError, match="not an ONNX network"):
        YoloxDetector(text)
    save_nlf(tmp_path / "unused", monkeypatch)
    with pytest.raises(InputError, match="not the NLF network"):
        NlfBody(text)
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "linear"))
    with pytest.raises(InputError, match="estimate_smpl_batched"):
        NlfBody(tmp_path / "linear")


def test_all_three_files_together(tmp_path, monkeypatch):
    (tmp_path / "DWPose").mkdir()
    save_yolox(tmp_path / "DWPose" / "yolox_l.onnx", [(32, 64, 160, 320, 0.9), (400, 64, 480, 320, 0.5)])
    save_dwpose(tmp_path / "DWPose" / "dw-ll_ucoco_384.onnx")
    save_nlf(tmp_path / "nlf_l_multi_0.3.2.torchscript", monkeypatch)
    estimator = make_estimator("auto", weights=tmp_path)
    frames = [np.zeros((320, 640, 3), np.uint8)] * 3
    seen = list(estimator.people(iter(frames), default_intrinsics(320, 640)))
    assert [[one.id for one in here] for here in seen] == [[0, 1]] * 3
    assert np.allclose(seen[2][1].joints[0, :2], [400, 64], atol=0.01)
    assert seen[0][0].keypoints.shape == (134, 2)


def test_missing_files_and_wrong_names(tmp_path):
    with pytest.raises(MissingError, match=r"yolox_l\.onnx(.|\n)*yzd-v/DWPose(.|\n)*Apache"):
        make_estimator("files", weights=tmp_path)
    with pytest.raises(ConfigError, match="whole_body"):
        make_estimator(whole_body="dwpos", weights=tmp_path)
