"""The doctor's page."""

import json

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
