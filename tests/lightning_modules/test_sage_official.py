"""evaluate.py official=: a made archive in the layout of Setting 3, its 3-layer refiner and 6 + 6 blocks."""

import json

import pytest

from contrapposto.errors import MissingError
from tests.lightning_modules.sage_tiny import entry_point, tiny
from tests.systems.sage.test_official import write_archive


@pytest.mark.parametrize(
    ("model", "networks"),
    [
        ("sage_refiner", {"first", "second", "decoder", "refiner"}),
        ("sage_second", {"first", "second", "upper_vqvae", "lower_vqvae"}),
        ("sage_upper_vqvae", {"upper_vqvae"}),
    ],
)
def test_an_official_archive_is_evaluated(model, networks, stores, tmp_path, capsys):
    created = write_archive(tmp_path / "official", "S3", wrapped=True, blocks=6, layers=3)
    arguments = tiny(model, stores, tmp_path / "runs")
    entry_point("evaluate", [*arguments, f"official={tmp_path / 'official'}", "stage=val"])
    (folder,) = (tmp_path / "runs" / model / "official" / "evaluation").glob("tiny-val*")
    reports = json.loads((folder / "official.json").read_text())
    assert set(reports) == networks
    for name, report in reports.items():
        assert {*report["matched"], *report["constructed"]} == set(created[name].state_dict())
        assert not report["missing"] and not report["unexpected"]
    metrics = json.loads((folder / "metrics.json").read_text())["val"]
    assert metrics["metrics"]["val/mpjpe"] > 0 and metrics["weights"] == "official"
    assert "tensors matched" in capsys.readouterr().out


def test_a_stage_that_the_archive_lacks_is_named(stores, tmp_path):
    write_archive(tmp_path / "official")
    (tmp_path / "official" / "outputs" / "upper_vqvae" / "best.pth.tar").unlink()
    with pytest.raises(MissingError, match="lack the upper_vqvae"):
        entry_point("evaluate", [*tiny("sage_first", stores, tmp_path), f"official={tmp_path / 'official'}"])
