"""Every golden case is claimed by a test or pending by name."""

from __future__ import annotations

import ast

import pytest

from tests.parity.golden import HERE, case_names, golden_folder
from tests.parity.pending import PENDING


def claims() -> dict[str, str]:
    """Case name to the file whose test claims it, read from the `@parity("...")` decorators."""
    actual: dict[str, str] = {}
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "parity":
                actual.update({ast.literal_eval(argument): path.name for argument in node.args})
    return actual


def test_every_case_is_claimed_or_pending() -> None:
    folder = golden_folder()
    if not folder.is_dir():
        pytest.skip(f"no golden data: {folder} is not a folder (set GOLDEN_DIR)")
    names = case_names(folder)
    assert names, f"{folder} holds no cases"
    unclaimed = set(names) - claims().keys() - PENDING
    assert not unclaimed, f"neither claimed by a test nor pending: {sorted(unclaimed)}"


def test_no_case_is_claimed_and_pending() -> None:
    both = PENDING & claims().keys()
    assert not both, f"claimed by a test, so no longer pending: {sorted(both)}"
    assert len(claims()) > 5
