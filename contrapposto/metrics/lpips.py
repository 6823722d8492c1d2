"""LPIPS: the distance of two images in the features of a network (Zhang et al., CVPR 2018).

The suite ships no such network: the user gives a file. See `load_lpips` for what it may hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrapposto.errors import InputError, MissingError
from contrapposto.onnx_files import open_onnx
from contrapposto.weights import load_state_dicts

# Convolutions by their number in torchvision's `features`: (number, stride, padding, pooling before, compared after).
_LAYERS: dict[str, tuple[tuple[int, int, int, bool, bool], ...]] = {
    "alex": (
        (0, 4, 2, False, True),
        (3, 1, 2, True, True),
        (6, 1, 1, True, True),
        (8, 1, 1, False, True),
        (10, 1, 1, False, True),
    ),
    "vgg": tuple(
        (number, 1, 1, number in (5, 10, 17, 24), number in (2, 7, 14, 21, 28))
        for number in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    ),
}
_POOL = {"alex": 3, "vgg": 2}
_SMALLEST = 32
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in [-1, 1], as published
PerceptualDistance = Callable[[Tensor, Tensor], Tensor]
"""Distances (N,) of images (N, H, W, 3) in [0, 1]."""


class LPIPSNetwork(nn.Module):
    """AlexNet or VGG16 with the published weights of its channels.

    Args:
        kind: "alex" or "vgg".
        backbone: state dict with `<number>.weight` and `.bias` of the convolutions, numbered as torchvision does.
        channels: weights (C,) of the channels of the five layers that are compared.
    """

    def __init__(self, kind: str, backbone: Mapping[str, Tensor], channels: list[Tensor]) -> None:
        super().__init__()
        self.kind = kind
        for number, *_ in _LAYERS[kind]:
            for part in ("weight", "bias"):
                self.register_buffer(f"{part}{number}", backbone[f"{number}.{part}"].float())
        for number, weight in enumerate(channels):
            self.register_buffer(f"channels{number}", weight.float().flatten())

    def features(self, images: Tensor) -> list[Tensor]:
        """Unit-length features (N, C, h, w) of images (N, H, W, 3), layer by layer."""
        shift, scale = images.new_tensor(_SHIFT), images.new_tensor(_SCALE)
        state = ((2 * images - 1 - shift) / scale).movedim(-1, 1)
        result = []
        for number, stride, padding, pooled, compared in _LAYERS[self.kind]:
            if pooled:
                state = F.max_pool2d(state, _POOL[self.kind], 2)
            weight, bias = getattr(self, f"weight{number}"), getattr(self, f"bias{number}")
            state = F.relu(F.conv2d(state, weight, bias, stride=stride, padding=padding))
            if compared:
                result.append(state / (state.norm(dim=1, keepdim=True) + 1e-10))
        return result

    @torch.no_grad()
    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        """See `PerceptualDistance`."""
        total = predicted.new_zeros(len(predicted))
        for number, (one, two) in enumerate(zip(self.features(predicted), self.features(true))):
            weight = getattr(self, f"channels{number}")
            total = total + ((one - two).square() * weight[:, None, None]).sum(1).mean((1, 2))
        return total


@lru_cache(maxsize=2)
def load_lpips(path: str | Path) -> PerceptualDistance:
    """The network of a file; nothing in it is executed as Python.

    Args:
        path: one of
            * `.safetensors`, `.pth` or `.pt`: torchvision's AlexNet or VGG16 (`features.0.weight`, ...; the classifier
              is not read), with the channel weights that torchmetrics carries; or a whole network of the `lpips`
              package (`net.slice1.0.weight`, `lin0.model.1.weight`, ...);
            * `.onnx`: two images (N, 3, H, W) in [-1, 1] in, N distances out.

    Raises:
        MissingError: no such file, or ONNX Runtime is not installed. InputError: the file holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(
            f"There is no network for LPIPS at {path}.",
            expected="weights of AlexNet or VGG16 (.pth, .safetensors), or an ONNX file",
            fix="fetch torchvision's alexnet-owt-7be5be79.pth from download.pytorch.org/models",
        )
    if path.suffix == ".onnx":
        return _onnx(path)
    state = next(iter(load_state_dicts(path).values()))
    backbone = _backbone(state)
    kind = {11: "alex", 3: "vgg"}.get(backbone["0.weight"].shape[-1], "") if "0.weight" in backbone else ""
    wanted = [f"{number}.{part}" for number, *_ in _LAYERS.get(kind, ()) for part in ("weight", "bias")]
    if not wanted or any(name not in backbone for name in wanted):
        raise InputError(
            f"{path.name} holds no network for LPIPS.",
            found=", ".join(list(state)[:4]) + ", ...",
            expected="the layers of AlexNet (features.0, 3, 6, 8, 10) or VGG16 (features.0 to 28)",
        )
    return LPIPSNetwork(kind, backbone, _channels(kind, state)).eval()


def _backbone(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`<number>.weight` and `.bias`, from torchvision's names or those of the `lpips` package."""
    result = {}
    for name, value in state.items():
        parts = name.removeprefix("net.").split(".")
        if parts[0] == "features" or parts[0].startswith("slice"):
            result[".".join(parts[1:])] = value
    return result


def _channels(kind: str, state: Mapping[str, Tensor]) -> list[Tensor]:
    own = [state.get(f"lin{number}.model.1.weight") for number in range(5)]
    if all(weight is not None for weight in own):
        return [weight for weight in own if weight is not None]
    spec = find_spec("torchmetrics")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "functional" / "image" / "lpips_models" / f"{kind}.pth"
    shipped = next(iter(load_state_dicts(path).values()))
    return [shipped[f"lin{number}.model.1.weight"] for number in range(5)]


def _onnx(path: Path) -> PerceptualDistance:
    session = open_onnx(path)
    names = [entry.name for entry in session.get_inputs()]
    if len(names) != 2:
        raise InputError(f"{path.name} is no LPIPS.", found=f"{len(names)} inputs", expected="two images")

    def distance(predicted: Tensor, true: Tensor) -> Tensor:
        inputs = [(2 * x - 1).movedim(-1, 1).contiguous().float().cpu().numpy() for x in (predicted, true)]
        answer = session.run(None, dict(zip(names, inputs)))[0]
        return torch.from_numpy(answer).reshape(len(predicted), -1).mean(1).to(predicted.device)

    return distance


def lpips(network: PerceptualDistance, predicted: Tensor, true: Tensor, region: Tensor) -> Tensor:
    """Distances (N,) of images (N, H, W, 3) in [0, 1], each cut to the rectangle of its region.

    Args:
        network: see `load_lpips`.
        predicted, true: images.
        region: (N, H, W) bool; the rectangle around it, at least 32 pixels wide and high. NaN where it is empty.

    Raises:
        InputError: images of less than 32 pixels.
    """
    height, width = region.shape[1:]
    if min(height, width) < _SMALLEST:
        raise InputError(
            "These images are too small for LPIPS.",
            found=f"{height} x {width} pixels",
            expected=f"at least {_SMALLEST} x {_SMALLEST}",
        )
    result = []
    for one, two, inside in zip(predicted, true, region):
        if not bool(inside.any()):
            result.append(one.new_full((1,), torch.nan))
            continue
        rows, columns = _span(inside.any(1), height), _span(inside.any(0), width)
        result.append(network(one[None, rows, columns], two[None, rows, columns]).to(one))
    return torch.cat(result)


def _span(used: Tensor, size: int) -> slice:
    """From the first to the last that is used, widened to the smallest size."""
    places = used.nonzero().squeeze(1)
    low, high = int(places[0]), int(places[-1]) + 1
    low = max(0, min(low, (low + high - _SMALLEST) // 2))
    high = min(size, max(high, low + _SMALLEST))
    return slice(max(0, min(low, high - _SMALLEST)), high)
