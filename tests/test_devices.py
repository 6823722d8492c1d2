"""The one choice of a device: names, errors, smaller chunks when memory runs out, tasks and their provenance."""

import json

import pytest
import torch

from benchmarks.gpu.simulated import simulated_cuda
from contrapposto.cli import main
from contrapposto.devices import drawing_device, find_device, in_chunks, using_device
from contrapposto.errors import ConfigError
from contrapposto.shipped import FOLDER


def test_automatic_choice_is_cuda_where_there_is_one():
    assert find_device("auto") == find_device() == torch.device("cpu")
    with simulated_cuda():
        assert find_device("auto") == find_device("cuda") == torch.device("cuda:0")
        assert find_device("cpu") == torch.device("cpu")
        with pytest.raises(ConfigError, match="device=cuda:1 is not there"):
            find_device("cuda:1")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", "", 3])
def test_unknown_names_are_refused(name):
    with pytest.raises(ConfigError, match="not known") as caught:
        find_device(name)
    assert "cuda:1" in caught.value.expected


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_absent_devices_are_refused_with_a_way_out(name):
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ConfigError, match=f"device={name}") as caught:
        find_device(name)
    assert "device=cpu" in caught.value.fix and torch.__version__ in caught.value.found


def test_a_command_decides_for_everything_inside_of_it():
    torch.set_float32_matmul_precision("highest")  # a training of another test may have changed it
    lines = []
    with simulated_cuda():
        assert drawing_device() is None
        with using_device("cpu", lines.append):
            assert find_device() == torch.device("cpu") and drawing_device() == "cpu"
            assert find_device("cuda") == torch.device("cuda:0")
            assert find_device() == torch.device("cpu")
            assert torch.get_float32_matmul_precision() == "highest"
        with using_device("cuda"):
            assert torch.get_float32_matmul_precision() == "high"  # TF32
        assert torch.get_float32_matmul_precision() == "highest"
        assert find_device() == torch.device("cuda:0")
    assert len(lines) == 1 and lines[0].startswith("device: cpu")


def test_work_is_done_in_smaller_chunks_when_memory_runs_out():
    tried = []

    def run(chunk):
        tried.append(chunk)
        if chunk > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return sum(range(100))

    result, chunk = in_chunks(run, 100, device=torch.device("cpu"))
    assert (result, chunk, tried) == (sum(range(100)), 12, [100, 50, 25, 12])
    with pytest.raises(ConfigError, match="memory of cpu does not suffice"):
        in_chunks(run, 100, device=torch.device("cpu"), least=21)


def test_memory_that_runs_out_in_a_command_is_explained():
    with pytest.raises(ConfigError, match="does not suffice"), using_device("cpu"):
        raise torch.OutOfMemoryError("CUDA out of memory.")


def test_a_task_says_where_it_ran(tmp_path, capsys):
    command = [
        "predict",
        "task=sage_track",
        f"input={FOLDER / 'cmu_01_01.npz'}",
        "formats=[npz]",
        "seconds=0.3",
    ]
    assert main([*command, f"output={tmp_path}", "device=cpu"]) == 0
    assert "device: cpu (" in capsys.readouterr().out
    (entry,) = json.loads((tmp_path / "provenance.json").read_text())["results"]
    assert entry["device"].startswith("cpu (")
    assert main([*command, f"output={tmp_path / 'other'}", "device=cuda:7"]) == 2
    assert "device=cuda:7" in capsys.readouterr().err and not (tmp_path / "other").exists()


def test_kinematics_switch_tf32_off_and_nothing_else_does():
    from contrapposto.skeleton import SMPL22, forward_kinematics

    seen = []

    class Asking(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func in (torch.Tensor.matmul, torch.Tensor.__matmul__):
                seen.append(torch.get_float32_matmul_precision())
            return super().__torch_function__(func, types, args, kwargs or {})

    rotations = torch.eye(3).repeat(22, 1, 1).as_subclass(Asking)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        forward_kinematics(SMPL22.parents, rotations, torch.ones(22, 3))
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen and set(seen) == {"highest"}
