"""Choices of ours in SAGE's stages: heading frame, convolutions, continuous latents, regression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.decoder import FullBodyDecoder, Refiner
from contrapposto.systems.sage.diffusion import MotionDiffusion
from contrapposto.systems.sage.fast import prepare_tracker
from contrapposto.systems.sage.features import sage_features
from contrapposto.systems.sage.tracker import SageTracker
from contrapposto.systems.sage.vqvae import SageVQVAE
from contrapposto.systems.sage.window_frame import root_in, root_out, windows_in
from tests.systems.sage.test_features import motion

SMALL = {"width": 16, "heads": 2, "layers": 1}


def _turned(degrees: float, shift: tuple[float, float]) -> dict[str, torch.Tensor]:
    """Features of a clip in a room that was turned and moved."""
    clip, turn = motion(frames=31), Rotation.from_euler("z", degrees, degrees=True)
    root = (turn * Rotation.from_rotvec(clip.rotations[:, 0])).as_rotvec()
    clip.rotations[:, 0] = root
    pelvis = clip.root_translation + SMPL22.offsets[0]
    clip.root_translation[:] = turn.apply(pelvis) + np.array([*shift, 0.0]) - SMPL22.offsets[0]
    return sage_features(clip)


def test_a_window_in_the_heading_frame_does_not_depend_on_the_room() -> None:
    first, second = _turned(0.0, (0, 0)), _turned(130.0, (2, -3))
    parts = []
    for features in (first, second):
        sparse, turn = windows_in("heading", features["sparse"][None, 5:25])
        pose = root_in(features["rotation_local_6d"][None, 5:25], turn)
        torch.testing.assert_close(root_out(pose, turn), features["rotation_local_6d"][None, 5:25])
        parts.append((sparse, pose))
    for one, other in zip(*parts):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)
    assert float(parts[0][0][0, -1, 0, 12:14].norm()) < 1e-6
    raw = first["sparse"][None]
    assert windows_in("world", raw) == (raw, None)
    with pytest.raises(ValueError, match="room"):
        windows_in("room", raw)  # type: ignore[arg-type]


@pytest.mark.parametrize("prior", ["diffusion", "regression"])
def test_a_tracker_in_the_heading_frame_turns_with_the_room(prior: str) -> None:
    torch.manual_seed(0)
    options = {**SMALL, "prior": prior}
    tracker = SageTracker(
        MotionDiffusion(False, 8, 16, **options),  # type: ignore[arg-type]
        MotionDiffusion(True, 8, 16, **options),  # type: ignore[arg-type]
        FullBodyDecoder(8, 16, hidden=16, heads=2, layers=1),
        Refiner(1, 8),
        frame="heading",
        steps=2,
    ).eval()
    torch.nn.init.zeros_(tracker.refiner.linear.weight)  # the refiner reads the world's rotations
    torch.nn.init.zeros_(tracker.refiner.linear.bias)
    turn, shift = Rotation.from_euler("z", 130.0, degrees=True), np.array([2.0, -3.0, 0.0])
    sparse = _turned(0.0, (0, 0))["sparse"]
    joints = tracker.track(sparse).joints.double().numpy()
    moved = tracker.track(_turned(130.0, (2, -3))["sparse"]).joints.numpy()
    np.testing.assert_allclose(
        moved, turn.apply(joints.reshape(-1, 3)).reshape(joints.shape) + shift, atol=1e-3
    )
    fast = prepare_tracker(tracker).track(sparse)
    torch.testing.assert_close(fast.joints, tracker.track(sparse).joints, atol=1e-4, rtol=1e-4)
    stream = tracker.stream()
    live = torch.cat([stream.push(frame).joints for frame in sparse])
    torch.testing.assert_close(live, tracker.track(sparse).joints, atol=1e-4, rtol=1e-4)


def test_regression_looks_at_no_noise() -> None:
    torch.manual_seed(0)
    network = MotionDiffusion(False, 8, 16, **SMALL, prior="regression").eval()  # type: ignore[arg-type]
    sparse = torch.randn(3, 8, 3, 18)
    one, other = (network.sample(sparse, torch.randn(3, 4, 16)) for _ in range(2))
    assert torch.equal(one, other) and not torch.equal(one[0], one[1])
    trained = network(torch.randn(3, 4, 16), torch.tensor([5, 900, 3]), sparse)
    torch.testing.assert_close(trained, one)


@pytest.mark.parametrize("latents", ["quantized", "continuous"])
def test_a_convolutional_auto_encoder_learns_a_batch(latents: str) -> None:
    torch.manual_seed(0)
    features = sage_features(motion(frames=41))
    network = SageVQVAE(
        "lower",
        num_layers=(2, 2),
        hidden=32,
        num_books=4,
        num_codes=64,
        code_dim=32,
        dropout=0.0,
        architecture="conv",
        latents=latents,  # type: ignore[arg-type]
    )
    pose = features["rotation_local_6d"].unfold(0, 20, 4).movedim(-1, 1)[..., :54]
    sparse = features["sparse"].unfold(0, 20, 4).movedim(-1, 1)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        output = network(pose, sparse)
        loss = (output.reconstruction - pose).square().mean()
        optimizer.zero_grad()
        (loss + output.quantizer_loss.mean()).backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.2 * losses[0]
    network.eval()
    whole = network(pose, sparse)
    last = network(pose, sparse, last_only=True)
    torch.testing.assert_close(last.reconstruction[:, -1], whole.reconstruction[:, -1])
    assert (whole.indices.min() < 0) == (latents == "continuous")
