"""Phase 2: golden cases on the device: the original systems' numbers in float32, TF32 and bfloat16; then `pytest -m gpu`."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu.plan import Plan, described
from tests.parity.golden import Case, golden_folder

CASES: tuple[tuple[str, str, str], ...] = (
    ("sage_vqvae_lower", "test_sage_vqvae", "test_vqvae"),
    ("sage_refiner", "test_sage_diffusion", "test_refiner"),
    ("posegpt_blocks", "test_posegpt_blocks", "test_blocks"),
    ("posegpt_classifier", "test_posegpt_gpt", "test_classifier"),
    ("posegpt_gpt_class_prepend", "test_posegpt_gpt", "test_generator"),
    ("posegpt_geometry", "test_posegpt_figure", "test_geometry"),
    ("npr_fps", "test_npr_network", "test_fps"),
    ("npr_transfer", "test_npr_network", "test_transfer"),
    ("npr_diffusion_keypoints", "test_npr_diffusion", "test_keypoints"),
)
"""Case, module of tests/parity, its function."""
TOLERANCES = {"float32": 1e-3, "tf32": 3e-2, "bf16": 2e-1}
"""Largest error of an output, as a share of its largest value."""


class DeviceCase(Case):
    """A golden case whose inputs are on a device, and whose errors are recorded in place of asserted."""

    def __init__(self, name: str, device: str) -> None:
        super().__init__(golden_folder(), name)
        self.device, self.differing = device, 0.0
        self.errors: dict[str, float] = {}

    def __getitem__(self, key: str) -> Tensor:
        return super().__getitem__(key).to(self.device)

    def check(self, actual: Tensor, key: str, *, tolerance: float = 1e-4, absolute: bool = False) -> None:
        """Record how far an output is from the stored one; of integers, the share that differ."""
        expected, measured = self.arrays[key], actual.detach().float().cpu().numpy()
        if expected.dtype.kind in "iub":
            self.differing = max(self.differing, float((measured != expected).mean()))
            return
        scale = 1.0 if absolute else max(float(np.abs(expected).max()), 1e-30)
        self.check_error(float(np.abs(measured - expected).max()) / scale, key, tolerance)

    def check_error(self, error: float, key: str, tolerance: float) -> None:
        """Record an error that a case computes itself."""
        self.errors[key] = error


@contextmanager
def precision(name: str, device: str) -> Iterator[None]:
    """float32 exactly, float32 with TF32 products, or bfloat16 by autocast."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=name == "bf16"):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def run_case(name: str, module: str, function: str, device: str) -> DeviceCase:
    """Run the test of a golden case with everything that it makes on a device."""
    case = DeviceCase(name, device)
    work: Callable[[Case], None] = getattr(importlib.import_module(f"tests.parity.{module}"), function)
    with torch.device(device):
        work(case)
    return case


def golden_cases(plan: Plan, results: dict[str, Any]) -> dict[str, Any]:
    """Errors of every case in every precision, and whether they are within `TOLERANCES`."""
    entry: dict[str, Any] = {"tolerances": TOLERANCES, "cases": {}}
    for kind, tolerance in TOLERANCES.items():
        for name, module, function in CASES[:4] if plan.rehearse else CASES:
            if plan.left() < 0:
                entry["stopped"] = "out of time"
                break
            row = entry["cases"].setdefault(name, {})
            try:
                with precision(kind, plan.device):
                    case = run_case(name, module, function, plan.device)
            except Exception as error:
                row[kind] = {"failed": described(error)}
                continue
            worst = max(case.errors.values(), default=0.0)
            row[kind] = {"error": worst, "indices differing": case.differing, "within": worst <= tolerance}
    if not plan.rehearse:
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-x", "tests"]
        finished = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=max(plan.left(), 20)
        )
        entry["pytest -m gpu"] = {"status": finished.returncode, "tail": finished.stdout.splitlines()[-5:]}
    return entry
