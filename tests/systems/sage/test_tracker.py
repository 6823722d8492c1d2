"""The tracker at tiny size: live equals offline, batches do not matter, files of the authors' layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrapposto.errors import InputError
from contrapposto.systems.sage.decoder import FullBodyDecoder, Refiner
from contrapposto.systems.sage.diffusion import MotionDiffusion
from contrapposto.systems.sage.features import sage_features
from contrapposto.systems.sage.tracker import SageStream, SageTracker
from tests.systems.sage.test_features import motion


def networks(seed=0):
    torch.manual_seed(seed)
    size = dict(latent=16, width=32, heads=2, layers=2)
    return [
        MotionDiffusion(False, **size),
        MotionDiffusion(True, **size),
        FullBodyDecoder(latent=16, hidden=32, heads=2, layers=1),
        Refiner(hidden=24),
    ]


@pytest.fixture
def tracker():
    return SageTracker(*networks(), seed=5).eval()


@pytest.fixture
def sparse():
    return sage_features(motion(frames=31))["sparse"]


def test_live_equals_offline(tracker, sparse):
    whole, stream = tracker.track(sparse), SageStream(tracker)
    for _ in range(2):  # the second time after a reset
        for frame, features in enumerate(sparse):
            body = stream.push(features.flatten() if frame % 2 else features)
            torch.testing.assert_close(body.joints[0], whole.joints[frame], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(body.sixd[0], whole.sixd[frame], atol=1e-5, rtol=1e-5)
        stream.reset()


def test_batch_size_does_not_matter_but_the_seed_does(tracker, sparse):
    whole = tracker.track(sparse)
    torch.testing.assert_close(tracker.track(sparse, batch_size=7).sixd, whole.sixd, atol=1e-5, rtol=1e-5)
    tracker.seed = 6
    assert not torch.equal(tracker.track(sparse).sixd, whole.sixd)


def test_windows_repeat_the_first_frame(tracker, sparse):
    windows = tracker.windows(sparse)
    assert windows.shape == (30, 20, 3, 18)
    assert torch.equal(windows[29], sparse[10:30])
    assert torch.equal(windows[3, :17], sparse[:1].expand(17, 3, 18))
    assert torch.equal(windows[3, 16:], sparse[:4])


def test_the_head_is_where_it_was_observed(tracker, sparse):
    body = tracker.track(sparse)
    torch.testing.assert_close(body.joints[:, 15], sparse[:, 0, 12:15], atol=1e-5, rtol=0)
    clip = body.to_motion()
    assert clip.fps == 60
    np.testing.assert_allclose(clip.joint_positions(), body.joints.numpy(), atol=1e-4)


def test_files_as_released(tracker, sparse, tmp_path):
    first, second, decoder, refiner = networks(seed=1)
    content = {"upper": first, "lower": second, "decoder": decoder}
    torch.save(
        {"epoch": 11, **{f"{name}_state_dict": net.state_dict() for name, net in content.items()}},
        tmp_path / "decoder.pth.tar",
    )
    for name, layout in (
        ("bare", refiner.state_dict()),
        ("own", {"epoch": 3, "state_dict": refiner.state_dict()}),
    ):
        torch.save(layout, tmp_path / f"{name}.pth.tar")
        reports = tracker.load_official(tmp_path / "decoder.pth.tar", tmp_path / f"{name}.pth.tar")
        assert set(reports) == {"first", "second", "decoder", "refiner"}
        assert all(report.complete for report in reports.values())
        expected = SageTracker(first, second, decoder, refiner, seed=5).eval().track(sparse)
        assert torch.equal(tracker.track(sparse).sixd, expected.sixd)
    with pytest.raises(InputError):
        tracker.load_official(tmp_path / "bare.pth.tar", tmp_path / "bare.pth.tar")
