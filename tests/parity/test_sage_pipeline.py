"""SAGE end to end, and its Quest logs, against the original's numbers."""

from __future__ import annotations

from pathlib import Path

import torch

from contrapposto import rotations as rot
from contrapposto.io.quest import read_quest
from contrapposto.systems.sage.fast import prepare_tracker
from contrapposto.systems.sage.features import sparse_features
from contrapposto.systems.sage.tracker import SageTracker
from contrapposto.weights import import_official
from tests.parity.golden import Case, parity
from tests.parity.test_sage_figure import sage_body


@parity("sage_pipeline")
def test_pipeline(case: Case) -> None:
    rest = torch.from_numpy(sage_body(case).skeleton.rest_positions[:22])
    tracker = SageTracker(rest_positions=rest).eval()
    for network in ("first", "second", "decoder", "refiner"):
        assert import_official(getattr(tracker, network), case.weights(network)).complete
    sparse = case["sparse"]
    noise = {"upper": case["noise_upper"], "lower": case["noise_lower"]}
    with torch.inference_mode():
        upper, lower = tracker.latents(tracker.windows(sparse), torch.arange(len(sparse)), noise)
        case.check(upper, "upper_latent")
        case.check(lower, "lower_latent")
        case.check(tracker.coarse(sparse, noise=noise, batch_size=5), "coarse6d")
    case.check(prepare_tracker(tracker).track(sparse, noise=noise).sixd, "final6d")
    body = tracker.track(sparse, noise=noise)
    case.check(body.sixd, "final6d")
    case.check(body.rotations, "final_matrot")
    case.check(body.root_translation, "trans")
    case.check(body.joints, "joints")
    motion = body.to_motion()
    expected = rot.axis_angle_to_matrix(case["poses"].unflatten(1, (22, 3)))
    assert (motion.local_matrices() - expected).abs().max() < 1e-4


@parity("sage_quest")
def test_quest(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "00001.txt"
    path.write_bytes(case.arrays["text"].tobytes())
    track = read_quest(path, normalize=False)
    # The original drops its first 100 rows.
    features = sparse_features(track.rotations, track.positions)[100:].flatten(1)
    case.check(features.float(), "sparse54", tolerance=1e-5, absolute=True)
