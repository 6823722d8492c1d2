"""Prepared trackers as files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from contrapposto.errors import ConfigError, InputError
from contrapposto.nn.packed import LinearKind
from contrapposto.portable import save_portable
from contrapposto.pretrained import find_checkpoint
from contrapposto.runs import ZOO
from contrapposto.systems.sage.fast import prepare_tracker
from contrapposto.systems.sage.features import sage_features
from contrapposto.systems.sage.finishing import Finishing
from contrapposto.systems.sage.methods import load_tracker
from contrapposto.systems.sage.prepared_file import is_prepared, load_prepared, save_prepared
from contrapposto.systems.sage.tracker import SageTracker
from contrapposto.tasks.sage import prepared
from contrapposto.tasks.sage_export import SageExport
from tests.systems.sage.test_features import motion

OPTIONS = {
    "latent": 16,
    "diffusion": {"width": 32, "heads": 2, "layers": 2},
    "decoder_network": {"hidden": 32, "heads": 2, "layers": 1},
    "network": {"layers": 1, "hidden": 24},
    "seed": 3,
    "steps": 2,
}


@pytest.fixture
def tracker() -> SageTracker:
    torch.manual_seed(0)
    model = SageTracker.from_options(OPTIONS).eval()
    model.kinematics.offsets.mul_(1.1)
    return model


@pytest.mark.parametrize("linears", ["packed", "int8"])
@torch.no_grad()
def test_the_file_has_the_same_numbers(tracker: SageTracker, linears: LinearKind, tmp_path: Path) -> None:
    sparse = sage_features(motion(frames=26))["sparse"]
    ready = prepare_tracker(tracker, linears=linears)
    path = tmp_path / "sage.safetensors"
    save_prepared(ready, path, options=OPTIONS, finishing=Finishing(cutoff=3.5), licence="CC0")
    torch.manual_seed(1)  # nothing of the file's may be left to chance
    assert is_prepared(path)
    loaded = load_tracker(path)
    assert isinstance(loaded, SageTracker) and loaded.finishing == Finishing(cutoff=3.5)
    expected = ready.track(sparse)
    torch.testing.assert_close(loaded.track(sparse).joints, expected.joints, atol=1e-5, rtol=0)
    torch.testing.assert_close(loaded.track(sparse).sixd, expected.sixd, atol=1e-6, rtol=0)
    stream = loaded.stream()
    for features, sixd in zip(sparse, expected.sixd):
        # 8 bits round by the range of a call's inputs, which is another in a batch
        close = 1e-5 if linears == "packed" else 0.05
        torch.testing.assert_close(stream.push(features).sixd[0], sixd, atol=close, rtol=close)


def test_steps_are_those_of_the_file(tracker: SageTracker, tmp_path: Path) -> None:
    save_prepared(prepare_tracker(tracker), tmp_path / "sage.safetensors", options=OPTIONS)
    loaded = load_prepared(tmp_path / "sage.safetensors")
    assert loaded.steps == 2 and prepared(loaded, 2, "packed") is loaded
    with pytest.raises(ConfigError, match="prepared for 2"):
        prepared(loaded, 1, "packed")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_portable(path, {"state_dict": {"weight": torch.zeros(3)}})
    assert not is_prepared(path) and not is_prepared(tmp_path / "absent.safetensors")
    with pytest.raises(InputError, match="no prepared tracker"):
        load_prepared(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError):
        load_prepared(path)


def test_the_shipped_tracker_is_exported(tmp_path: Path) -> None:
    config = OmegaConf.create({"paths": {"runs": str(ZOO)}})
    source = find_checkpoint("sage_refiner").parent.parent
    (path,) = SageExport(format="prepared", steps=1)(config, source, tmp_path)
    sparse = sage_features(motion(frames=26))["sparse"]
    loaded, plain = load_prepared(path), SageTracker.from_pretrained(source, device="cpu")
    plain.steps = 1
    assert path.name == "sage_refiner.safetensors" and loaded.finishing == plain.finishing
    torch.testing.assert_close(loaded.track(sparse).joints, plain.track(sparse).joints, atol=1e-4, rtol=0)
    with pytest.raises(ConfigError, match="format"):
        SageExport(format="pickle")
