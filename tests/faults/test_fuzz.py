"""Damaged files for every reader: a result or one clear error. What fuzzing has found once stays found."""

from pathlib import Path

import pytest

from benchmarks.faults.fuzz import attempt, case, seed_files, write_files
from benchmarks.faults.readers import READERS

CORPUS = Path(__file__).parent / "corpus"
KEPT = sorted(folder.relative_to(CORPUS).as_posix() for folder in CORPUS.glob("*/*") if folder.is_dir())
SLOW = {"prepare", "motion_store", "view_store", "glb", "animated_glb"}


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused(name, tmp_path):
    """A few of the cases of `python -m benchmarks.faults fuzz`, after the undamaged one."""
    files = seed_files(READERS[name])
    write_files(tmp_path / "case", files)
    assert attempt(READERS[name], tmp_path / "case") == "read"
    for number in range(4 if name in SLOW else 12):
        write_files(tmp_path / "case", case(name, files, number))
        assert attempt(READERS[name], tmp_path / "case") in ("read", "refused"), number


@pytest.mark.parametrize("kept", KEPT)
def test_what_was_found_stays_found(kept, tmp_path):
    """Inputs of tests/faults/corpus/READER/, each of which once brought its reader down."""
    folder = CORPUS / kept
    files = {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }
    write_files(tmp_path / "case", files)
    assert attempt(READERS[Path(kept).parts[0]], tmp_path / "case") in ("read", "refused")


def test_the_harness_sees_what_it_looks_for(tmp_path, monkeypatch):
    """Other errors, endless loops, and memory that is taken for nothing."""
    from benchmarks.faults import fuzz
    from benchmarks.faults.readers import Reader

    monkeypatch.setattr(fuzz, "CPU_SECONDS", 0.05)
    monkeypatch.setattr(fuzz, "MEMORY", 50 * 2**20)

    def endless(folder):
        while True:
            try:
                sum(range(1000))
            except Exception:  # as a careless reader would
                continue

    kept = []
    reads = {
        "KeyError at tests/faults": lambda folder: {}["x"],
        "TooSlow at tests/faults": endless,
        "memory grew": lambda folder: kept.append(b"x" * 2**28),
    }
    for actual, read in reads.items():
        assert attempt(Reader(lambda folder: None, read), tmp_path).startswith(actual)
