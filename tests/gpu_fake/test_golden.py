"""Golden cases on the simulated device: what `pytest -m gpu` will run on a real one, in float32."""

import pytest

from benchmarks.gpu.golden import CASES, run_case
from benchmarks.gpu.simulated import simulated_cuda
from tests.parity.golden import golden_folder

SMALL = ("posegpt_blocks", "posegpt_classifier", "npr_fps")


@pytest.mark.parametrize("case", [case for case in CASES if case[0] in SMALL], ids=SMALL)
def test_golden_case(case):
    if not (golden_folder() / f"{case[0]}.json").is_file():
        pytest.skip(f"{case[0]} is not among the cases in {golden_folder()}")
    with simulated_cuda() as log:
        found = run_case(*case, "cuda")
    assert not log.faults
    assert max(found.errors.values(), default=0.0) < 1e-4 and not found.differing
