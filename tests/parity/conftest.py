"""The fixture behind `@parity(...)`."""

from __future__ import annotations

import pytest

from tests.parity.golden import Case, golden_folder


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    folder = golden_folder()
    if not folder.is_dir():
        pytest.skip(f"no golden data: {folder} is not a folder (set GOLDEN_DIR)")
    if not (folder / f"{request.param}.json").is_file():
        pytest.skip(f"{request.param} is not among the cases in {folder}")
    return Case(folder, request.param)
