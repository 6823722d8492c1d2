"""evaluate.py report=true, through the entry point."""

import sys
from pathlib import Path

import pytest

from tests.lightning_modules.sage_tiny import entry_point, tiny
from tests.report.test_report import checked


def test_an_evaluation_writes_its_page(stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = tiny("sage_ik", stores, tmp_path, "report=true")
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments])  # which provenance.json records
    entry_point("evaluate", arguments)
    (page,) = tmp_path.rglob("report.html")
    actual = checked(page)
    assert "MPJPE ↓" in actual.text and " on tiny, test" in actual.text
    assert "python evaluate.py model=sage_ik" in actual.text and "report=true" in actual.text
