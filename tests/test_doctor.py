"""The doctor's page."""

from contrapposto.doctor import CORE, report


def test_the_report_names_versions_devices_and_data(stores):
    text = report(stores)
    for package in CORE:
        assert package in text
    assert "MISSING" not in text
    assert "tiny" in text and "24 clips" in text
    assert "smplh neutral" in text
