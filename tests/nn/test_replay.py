"""Calls with fixed memory, which CUDA graphs need: the same results, and results that later calls leave alone."""

import torch

from benchmarks.gpu.simulated import simulated_cuda
from contrapposto.nn.constants import constant
from contrapposto.nn.replay import Replay, StaticCall
from tests.gpu_fake.test_predict import _sage, device_features


def function(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return first @ second, first + 1


def test_a_static_call_gives_what_the_function_gives():
    numbers = torch.Generator().manual_seed(0)
    inputs = [(torch.randn(3, 4, generator=numbers), torch.randn(4, 2, generator=numbers)) for _ in range(3)]
    call = StaticCall(function, inputs[0])
    results = [call(*pair) for pair in inputs]
    for pair, result in zip(inputs, results):
        for value, wanted in zip(result, function(*pair)):
            assert torch.equal(value, wanted)
    assert torch.equal(call.inputs[0], inputs[2][0]) and call.inputs[0] is not inputs[2][0]
    assert call.fits(inputs[1])
    assert not call.fits((inputs[0][0][:2], inputs[0][1])) and not call.fits([v.double() for v in inputs[0]])


def test_without_a_device_the_function_is_called_as_it_is(recwarn):
    replay, (first, second) = Replay(function), (torch.ones(2, 2), torch.ones(2, 2))
    assert torch.equal(replay(first, second)[0], first @ second)
    with simulated_cuda():
        on_device = Replay(function)(first.to("cuda"), second.to("cuda"))
        assert on_device[0].device.type == "cuda"
    assert not recwarn.list


def test_steps_of_live_trackers_are_the_devices_own_work():
    """No wait of the host and no copy to the device, either of which would end the capture of a graph."""
    from contrapposto.systems.sage.fast import prepare_tracker
    from contrapposto.systems.sage.student import StudentTracker

    features = device_features(4)
    with simulated_cuda() as log, torch.inference_mode():
        student = StudentTracker.from_pretrained(device="cuda")
        trackers = []
        for frame in ("world", "heading"):
            tracker = _sage().to("cuda")
            tracker.frame = frame
            trackers += [tracker, prepare_tracker(tracker)]
        sparse, number = features.to("cuda")[None], torch.tensor([7], device="cuda")
        _, state = student.network(sparse[:, :1], None)
        steps = [lambda: student.network(sparse[:, :1], state)]
        steps += [lambda one=tracker: one.coarse_windows(sparse, number) for tracker in trackers]
        for step in steps:
            step()  # what is copied to the device once
            log.clear()
            step()
            assert log.launches > 20
            assert not log.waits and not log.uploads and not log.faults


def test_constants_are_copied_to_a_device_once():
    here = constant((1.0, 2.0), torch.zeros(1, dtype=torch.float64))
    assert here.tolist() == [1, 2] and here.dtype == torch.float64
    with simulated_cuda() as log:
        like = torch.zeros(1, device="cuda")
        there = constant((1.0, 2.5), like)
        log.clear()
        assert constant((1.0, 2.5), like) is there and not log.uploads
        assert constant((1, 2), like, torch.int64).dtype == torch.int64
        assert there.cpu().tolist() == [1, 2.5]
