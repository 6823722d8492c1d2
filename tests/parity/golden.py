"""Golden cases: where they lie, how their weights are made, how a test claims one (rules: README.md beside
the cases).

    @parity("sage_rotations")
    def test_rotations(case): ...

gives one test per case with the case's name in its id. Folder: the environment variable GOLDEN_DIR, else
`../shared/golden` beside the repository, else the subset that is kept here.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

HERE = Path(__file__).parent
SUBSET = HERE / "golden"


def golden_folder() -> Path:
    """The folder of the cases; it may be missing."""
    inputs = os.environ.get("GOLDEN_DIR")
    if inputs:
        return Path(inputs)
    shared = HERE.parents[2] / "shared" / "golden"
    return shared if shared.is_dir() else SUBSET


def case_names(folder: Path) -> list[str]:
    """`<system>_<case>` of every manifest in a folder."""
    return sorted(path.stem for path in folder.glob("*.json"))


def parity(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Claim cases: the test runs once for each, with its `Case` as the argument `case`."""
    return pytest.mark.parametrize("case", [pytest.param(name, id=name) for name in names], indirect=True)


class Case:
    """One golden case.

    Args:
        folder: where it lies.
        name: `<system>_<case>`.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.manifest: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Inputs and outputs by name."""
        with np.load(self.folder / f"{self.name}.npz", allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    def __getitem__(self, key: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[key])

    def sibling(self, name: str) -> Case:
        """Another case of the same folder."""
        return Case(self.folder, name)

    def weights(self, network: str = "") -> dict[str, torch.Tensor]:
        """Original-style state dict of a network (of `''` where the case has only one), without constructed
        entries.
        """
        tensors = self.manifest.get("tensors") or []
        entries = tensors[network] if isinstance(tensors, dict) else tensors
        return {e["name"]: torch.from_numpy(self._values(e)) for e in entries if not e.get("constructed")}

    def _values(self, entry: dict[str, Any]) -> np.ndarray:
        if "value" in entry:
            return np.full(entry["shape"], entry["value"], entry.get("dtype", "float32"))
        generator = np.random.default_rng([self.manifest["seed"], zlib.crc32(entry["name"].encode())])
        values = entry["mean"] + entry["std"] * generator.standard_normal(entry["shape"])
        return (np.abs(values) + 0.1 if entry.get("abs") else values).astype(np.float32)

    def number(self, key: str, pattern: str) -> float:
        """A number that the manifest states only in the text that describes an array: the first group of `pattern`."""
        entry = self.manifest["arrays"][key]
        text = next(entry[name] for name in ("what", "desc", "about", "description") if name in entry)
        match = re.search(pattern, text)
        assert match, f"{key}: {text!r} has no {pattern}"
        return float(match[1])

    def check(
        self, actual: torch.Tensor, key: str, *, tolerance: float = 1e-4, absolute: bool = False
    ) -> None:
        """Compare with a stored array: exactly for integers, else to `tolerance` of the array's largest
        value.

        With `absolute` the tolerance is absolute.
        """
        expected = self.arrays[key]
        found = actual.detach().cpu().numpy()
        assert found.shape == expected.shape, f"{key}: shape {found.shape}, expected {expected.shape}"
        if expected.dtype.kind in "iub":
            assert (found == expected).all(), f"{key}: {(found != expected).sum()} of {expected.size} differ"
            return
        scale = 1.0 if absolute else max(float(np.abs(expected).max()), 1e-30)
        self.check_error(float(np.abs(found - expected).max()) / scale, key, tolerance)

    def check_error(self, error: float, key: str, tolerance: float) -> None:
        """Whether an error that a test computes itself, as a share of the largest value, is small enough."""
        assert error <= tolerance, f"{key}: error {error:.2e}, tolerance {tolerance:.0e}"
