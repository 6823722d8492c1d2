"""A CUDA device that is simulated on the CPU, for machines without one: see `simulated_cuda`."""

from benchmarks.gpu.simulated.device import simulated_cuda
from benchmarks.gpu.simulated.log import Log
from benchmarks.gpu.simulated.tensors import SimulatedTensor

__all__ = ["Log", "SimulatedTensor", "simulated_cuda"]
