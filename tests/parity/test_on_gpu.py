"""Golden cases on a CUDA device: `pytest -m gpu`. Without one they run on the simulated device in `tests/gpu_fake`."""

import pytest
import torch

from benchmarks.gpu.golden import CASES, TOLERANCES, precision, run_case
from tests.parity.golden import golden_folder


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize("kind", TOLERANCES)
@pytest.mark.parametrize(("name", "module", "function"), CASES, ids=[name for name, *_ in CASES])
def test_golden_case(name, module, function, kind):
    if not (golden_folder() / f"{name}.json").is_file():
        pytest.skip(f"{name} is not among the cases in {golden_folder()}")
    with precision(kind, "cuda"):
        case = run_case(name, module, function, "cuda")
    assert case.errors or name == "npr_fps"
    assert max(case.errors.values(), default=0.0) <= TOLERANCES[kind]
    if kind == "float32":
        assert case.differing == 0
