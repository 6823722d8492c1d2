"""evaluate.py report=true, through the door."""

from pathlib import Path

from tests.lightning_modules.sage_tiny import door, tiny
from tests.report.test_report import checked


def test_an_evaluation_writes_its_page(stores: Path, tmp_path: Path) -> None:
    door("evaluate", tiny("sage_ik", stores, tmp_path, "report=true"))
    (page,) = tmp_path.rglob("report.html")
    found = checked(page)
    assert "MPJPE ↓" in found.text and " on tiny, test" in found.text
    assert "report=true" in found.text  # the command
