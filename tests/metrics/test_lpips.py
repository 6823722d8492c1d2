"""LPIPS from files of networks, against torchmetrics' own with the same weights."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchmetrics.functional.image import lpips as reference

from contrapposto.errors import InputError, MissingError
from contrapposto.metrics.avatar import PerceptualDistance
from contrapposto.metrics.lpips import load_lpips, lpips


def alexnet():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


def vgg():
    torch.manual_seed(0)
    layers, channels = [], 3
    for size in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512):
        layers += [nn.Conv2d(channels, size, 3, padding=1), nn.ReLU()] if size else [nn.MaxPool2d(2, 2)]
        channels = size or channels
    return nn.Sequential(*layers)


@pytest.mark.parametrize(("kind", "build"), [("alex", alexnet), ("vgg", vgg)])
def test_the_distance_is_that_of_torchmetrics(tmp_path, monkeypatch, kind, build):
    backbone = build()
    # torchmetrics takes its backbones from torchvision, which is not needed here
    monkeypatch.setattr(reference, "_get_tv_model_features", lambda *_: backbone)
    network = reference._LPIPS(net=kind)
    state = {f"features.{name}": value for name, value in backbone.state_dict().items()}
    save_file(state, tmp_path / "torchvision.safetensors")
    torch.save(network.state_dict(), tmp_path / "lpips.pth")
    one, two = torch.rand(2, 2, 48, 40, 3)
    expected = network(one.movedim(-1, 1), two.movedim(-1, 1), normalize=True).flatten()
    for name in ("torchvision.safetensors", "lpips.pth"):
        actual = load_lpips(tmp_path / name)(one, two)
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-6)
    assert float(expected.min()) > 1e-3


def test_an_onnx_network_is_asked(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    make, tensor = onnx.helper, onnx.TensorProto.FLOAT
    shape = ["n", 3, "h", "w"]
    inputs = [make.make_tensor_value_info(name, tensor, shape) for name in ("a", "b")]
    nodes = [
        make.make_node("Sub", ["a", "b"], ["d"]),
        make.make_node("Mul", ["d", "d"], ["s"]),
        make.make_node("ReduceMean", ["s"], ["y"], axes=[1, 2, 3], keepdims=0),
    ]
    graph = make.make_graph(nodes, "g", inputs, [make.make_tensor_value_info("y", tensor, ["n"])])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    one, two = torch.rand(2, 2, 33, 35, 3)
    expected = 4 * (one - two).square().mean((1, 2, 3))
    torch.testing.assert_close(load_lpips(tmp_path / "net.onnx")(one, two), expected)


def test_pictures_are_cut_to_their_region():
    def network(a, b):
        assert a.shape == b.shape
        return torch.tensor([a.shape[1] * 1000.0 + a.shape[2]])

    region = torch.zeros(3, 64, 50, dtype=torch.bool)
    region[0, 5:60, 4:44] = True
    region[1, 62:64, 0:3] = True  # widened, inside of the picture
    images = torch.rand(3, 64, 50, 3)
    actual = lpips(network, images, images, region)
    assert actual[:2].tolist() == [55040, 32032] and actual[2].isnan()
    with pytest.raises(InputError, match="too small"):
        lpips(network, images[:, :20], images[:, :20], region[:, :20])


def test_networks_that_cannot_be_used(tmp_path):
    with pytest.raises(MissingError, match="no network for LPIPS"):
        PerceptualDistance(str(tmp_path / "alexnet.pth"))
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="holds no network"):
        load_lpips(tmp_path / "other.pth")
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not an ONNX network"):
        load_lpips(tmp_path / "broken.onnx")
    assert PerceptualDistance().compute() == {}
