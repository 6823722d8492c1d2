"""Every inference class on the simulated device: no fault, and the numbers of the CPU."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from benchmarks.gpu.simulated import simulated_cuda
from benchmarks.gpu.simulated.log import place
from contrapposto.shipped import FOLDER


def device_features(frames=12, devices=3):
    """(N, D, 18) plausible features."""
    torch.manual_seed(0)
    sparse = torch.zeros(frames, devices, 18)
    sparse[..., [0, 4]] = 1
    sparse[..., [6, 10]] = 1
    sparse[..., 12:15] = torch.tensor([[0.0, 0, 1.6], [0.3, 0.1, 1.1], [-0.3, 0.1, 1.1]])[:devices]
    return sparse + 0.01 * torch.randn(sparse.shape)


def track(load):
    return lambda device: load(device).track(device_features()).joints


def tracker(device):
    from contrapposto.systems.sage.recurrent_tracker import Tracker

    return Tracker.from_pretrained(device=device).track(device_features()).joints


def student(device):
    from contrapposto.systems.sage.student import StudentTracker

    return StudentTracker.from_pretrained(device=device).track(device_features()).joints


def transformer(device):
    from contrapposto.systems.sage.sparse_transformer import TransformerTracker

    torch.manual_seed(0)
    model = TransformerTracker(8, {"width": 32, "heads": 2, "layers": 1}).eval()
    return model.to(device).track(device_features()).joints


def _sage():
    from contrapposto.systems.sage.tracker import SageTracker

    torch.manual_seed(0)
    options = {
        "window": 4,
        "latent": 16,
        "diffusion": {"width": 16, "heads": 2, "layers": 1},
        "decoder_network": {"hidden": 16, "heads": 2, "layers": 1},
        "network": {"layers": 1, "hidden": 8},
        "steps": 2,
    }
    return SageTracker.from_options(options).eval().requires_grad_(False)


def sage(device):
    return _sage().to(device).track(device_features()).joints


def sage_prepared_live(device):
    """The weights of `speed=packed` and a live session with packets."""
    from contrapposto.systems.sage.fast import prepare_tracker
    from contrapposto.systems.sage.finishing import Finishing
    from contrapposto.systems.sage.live.tracker import SparseTracker

    live = SparseTracker(prepare_tracker(_sage().to(device)), finishing=Finishing())
    assert live.device.type == torch.device(device).type
    turns, places = np.stack([np.eye(3)] * 3), device_features()[..., 12:15].double().numpy()
    frames = [live.push(n / 60, turns, places[n]) for n in range(len(places))]
    return frames[-1].body.joints


def reconstruction(device):
    from contrapposto.io import read_motion
    from contrapposto.systems.sage.reconstruction import PartAutoencoder

    torch.manual_seed(0)
    network = {"num_layers": [1, 1], "hidden": 16, "heads": 2, "num_books": 2, "num_codes": 8, "code_dim": 16}
    model = PartAutoencoder.from_options({"part": "upper", "network": network, "window": 4})
    model.network.eval().to(device)
    clip = read_motion(FOLDER / "cmu_01_01.npz").resample(60).frames(0, 10)
    return torch.from_numpy(model.reconstruct(clip).rotations)


def posegpt(device):
    from contrapposto.systems.posegpt.generator import MotionGenerator

    generator = MotionGenerator.from_pretrained(device=device)
    result = generator.generate(["walk"], frames=16, count=2)
    return torch.from_numpy(np.stack([clip.rotations for clip in result.motions]))


def npr_transfer(device):
    from contrapposto.systems.npr.transfer import PoseTransfer
    from tests.mesh.shapes import sphere

    transfer = PoseTransfer.from_pretrained("npr_residual", device=device)
    poses = transfer.source.mesh.vertices[None] * [[[1, 1.1, 1]], [[1.2, 1, 1]]]
    return torch.from_numpy(transfer.transfer(poses, sphere(2)))


def npr_generate(device):
    from contrapposto.mesh import Template
    from contrapposto.systems.npr import PoseGenerator, PoseTransfer
    from tests.mesh.shapes import sphere

    generator = PoseGenerator.from_pretrained(device=device)
    own = Template(next(iter(generator.trained.templates.values())))
    codes = generator.generate(1, 0, steps=2)
    return PoseTransfer(generator.network, own, align=False).apply(codes, Template(sphere(1)))


def _avatar(device):
    from contrapposto.systems.anerf.avatar import Avatar

    avatar = Avatar.from_pretrained("anerf", device=device)
    path = avatar.frames()
    from contrapposto.systems.anerf.paths import MODES

    return avatar, MODES["selected"](path, [0])


def avatar_image(device):
    avatar, path = _avatar(device)
    view = path.view(0, avatar.size).scaled(12 / avatar.size[0])
    return avatar.renderer()(path.world_to_bone[0], view, code_index=-1).colour


def avatar_surface(device):
    from contrapposto.systems.anerf.mesh import density_grid

    avatar, path = _avatar(device)
    return density_grid(avatar.network, path.world_to_bone[0], path.joints[0, 0], resolution=6)


def lifter(device):
    from contrapposto.systems.scail_pose.lifter import Lifter, lift_clip

    torch.manual_seed(0)
    network = Lifter(4, width=16, heads=2, layers=1).eval().to(device)
    rays, scores = torch.randn(10, 28, 2), torch.rand(10, 28)
    return lift_clip(network, 4, rays, scores)


CASES = (
    tracker,
    student,
    transformer,
    sage,
    sage_prepared_live,
    reconstruction,
    posegpt,
    npr_transfer,
    npr_generate,
    avatar_image,
    avatar_surface,
    lifter,
)


class SmallProducts(TorchFunctionMode):
    """Notes where float32 products of 3x3 and 4x4 matrices would be computed in TF32: points and rotations."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[str] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in ("matmul", "__matmul__", "__rmatmul__", "bmm", "einsum"):
            shapes = [
                tuple(x.shape[-2:]) for x in args if isinstance(x, torch.Tensor) and x.dtype == torch.float32
            ]
            if torch.get_float32_matmul_precision() != "highest" and {(3, 3), (4, 4)} & set(shapes):
                self.places.add(place())
        return func(*args, **(kwargs or {}))


@contextmanager
def tf32():
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_inference_on_the_device_has_no_fault_and_the_same_numbers(case):
    with tf32(), SmallProducts() as products:
        expected = case("cpu")
    assert not products.places
    with simulated_cuda() as log:
        found = case("cuda")
        found = found.cpu()
    assert not log.faults
    assert log.launches > 20
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
