"""One model of every system trains, validates, saves and is evaluated on the simulated device.

`python -m benchmarks.gpu simulate` does it with every model (docs/many_devices.md has its table).
"""

import pytest
import torch

from benchmarks.gpu.simulate import make_stores, simulate
from benchmarks.gpu.simulated import simulated_cuda

WAITS = {"sage_upper_vqvae": 1, "tracker": 1, "npr": 1, "posegpt_vqvae": 1, "posegpt_gpt": 1, "anerf": 4}
"""Host waits in a training step: one of the guard; A-NeRF's sampling needs the number of rays and samples that count."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    make_stores(folder / "stores")
    return folder


@pytest.mark.parametrize("model", WAITS)
def test_a_model_trains_and_is_evaluated_on_the_device(model, folder):
    row = simulate(model, folder / "stores", folder / "runs", "callbacks.progress=null")
    assert not row.error and not row.faults
    assert row.launches > 100
    assert row.waits_per_step <= WAITS[model], row.waits


def test_mixed_precision_has_no_fault(folder):
    row = simulate(
        "tracker", folder / "stores", folder / "bf16", "trainer.precision=bf16-mixed", evaluated=False
    )
    assert not row.error and not row.faults


def test_a_planted_fault_is_found():
    """The control: what the simulation would report of wrong code."""
    with simulated_cuda() as log:
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        _ = there + 2.0  # numbers may be mixed
        assert not log.faults
        _ = there + here
        _ = here[torch.tensor([1], device="cuda")]
        _ = there.numpy()
        _ = torch.randn(3, device="cuda", generator=torch.Generator())
        _ = torch.ones(2, 2, dtype=torch.int64, device="cuda") @ torch.ones(2, 2, dtype=torch.int64).cuda()
        assert len(log.faults) == 5
        log.clear()
        _ = float(there.sum()), there.cpu(), there[there > 0], there.tolist()
        assert {what for what, _ in log.waits} == {
            "_local_scalar_dense",
            "copy to the host",
            "index by a mask",
            "tolist",
        }
        log.clear()
        there.requires_grad_()
        there.grad = torch.full_like(there, 2.0)
        torch.nn.utils.clip_grad_norm_([there], 1.0)  # has no wait
        assert there.grad.norm().cpu().isclose(torch.tensor(1.0)) and len(log.waits) == 1
        log.clear()
        there.grad = None
        (there**2).sum().backward()
        assert there.grad.device.type == "cuda" and not log.waits
        assert torch.equal(there.grad.cpu(), torch.full((3,), 2.0))
