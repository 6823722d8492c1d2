"""The doctor's page."""

import json

import pytest

from contrapposto.doctor import CORE, report


def test_the_report_names_versions_devices_and_data(stores):
    text = report(stores)
    for package in CORE:
        assert package in text
    assert "MISSING" not in text
    assert "tiny" in text and "24 clips" in text
    assert "smplh neutral" in text


def test_every_kind_of_store_is_described(tmp_path):
    from tests.lightning_modules.anerf_tiny import write_sticks
    from tests.lightning_modules.npr_tiny import write_bent

    write_sticks(tmp_path)
    write_bent(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/manifest.json").write_text(json.dumps([1]))
    lines = dict(line.split(maxsplit=1) for line in report(tmp_path).splitlines() if line.startswith("  "))
    assert lines["sticks"] == "16 images, 4 poses, 4 cameras"
    assert lines["bent"] == "3 meshes, 48 poses"
    assert "cannot be read" in lines["broken"]


def test_a_back_end_that_does_not_load_is_explained(tmp_path, monkeypatch):
    """A build for another torch: an answer in place of a traceback, here and where it is chosen."""
    from contrapposto.errors import MissingError
    from contrapposto.render import backends

    (tmp_path / "pytorch3d").mkdir()
    (tmp_path / "pytorch3d/__init__.py").touch()
    (tmp_path / "pytorch3d/_C.py").write_text("raise ImportError('undefined symbol: _ZN3c106detail')")
    monkeypatch.syspath_prepend(tmp_path)
    for known in (backends.why_missing, backends.why_not_loaded):
        known.cache_clear()
    lines = dict(line.split(maxsplit=1) for line in report(tmp_path).splitlines() if line.startswith("  "))
    assert "cannot be loaded by torch" in lines["pytorch3d"] and "undefined symbol" in lines["pytorch3d"]
    assert "pipablepytorch3d" in lines["pytorch3d"] and "NON-COMMERCIAL" in lines["nvdiffrast"]
    with pytest.raises(MissingError, match="pytorch3d cannot be used"):
        backends.require("pytorch3d")
    for known in (backends.why_missing, backends.why_not_loaded):
        known.cache_clear()
