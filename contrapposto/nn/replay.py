"""Calls that are repeated with inputs of the same shapes, as CUDA graphs: one launch in place of hundreds.

A step of a live tracker, or of a generator of tokens, is hundreds of small products; a GPU computes them faster than the
host can start them. No GPU has run this yet: `python -m benchmarks.gpu` measures it, and compares the numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Function = Callable[..., tuple[Tensor, ...]]
_WARM_UPS = 3


class StaticCall:
    """A function with inputs and outputs that stay where they are in memory, which is what a graph needs.

    Args:
        function: from tensors to tensors.
        inputs: an example; later inputs have the same shapes and types.
    """

    def __init__(self, function: Function, inputs: Sequence[Tensor]) -> None:
        self.function = function
        self.inputs = [value.clone() for value in inputs]
        self.outputs = self.prepare()

    def prepare(self) -> tuple[Tensor, ...]:
        """The outputs, for `inputs` as they are."""
        return tuple(value.clone() for value in self.function(*self.inputs))

    def replay(self) -> None:
        """Compute `outputs` from `inputs` anew."""
        for place, value in zip(self.outputs, self.function(*self.inputs)):
            place.copy_(value)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The function's results, in memory of their own."""
        for place, value in zip(self.inputs, inputs):
            place.copy_(value)
        self.replay()
        return tuple(value.clone() for value in self.outputs)

    def fits(self, inputs: Sequence[Tensor]) -> bool:
        """Whether inputs have the shapes and types of the example."""
        pairs = zip(self.inputs, inputs, strict=True)
        return all(mine.shape == value.shape and mine.dtype == value.dtype for mine, value in pairs)


class GraphCall(StaticCall):
    """A `StaticCall` captured as a CUDA graph (the recipe of torch's notes on CUDA graphs).

    Raises:
        RuntimeError: the function cannot be captured, as when it waits for the device.
    """

    def prepare(self) -> tuple[Tensor, ...]:
        """Warm up on a stream of its own, then capture."""
        device = self.inputs[0].device
        current, side = torch.cuda.current_stream(device), torch.cuda.Stream(device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                self.function(*self.inputs)
        current.wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), torch.cuda.graph(self.graph):
            return self.function(*self.inputs)

    def replay(self) -> None:
        """Start the graph."""
        self.graph.replay()


class Replay:
    """Calls a function; on a CUDA device as a graph, made with the first call.

    Where the shapes of the inputs change, on other devices, and where no graph can be made of it, the function is called
    as it is.

    Args:
        function: from tensors to tensors, computed by the device alone: it may neither wait for it nor copy to it.

    Attributes:
        graphs: False: call the function as it is, to compare.
    """

    graphs = True

    def __init__(self, function: Function) -> None:
        self.function = function
        self._call: StaticCall | None = None
        self._as_it_is = not torch.backends.cuda.is_built()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The function's results."""
        if self.graphs and not self._as_it_is and inputs[0].device.type == "cuda":
            if self._call is None:
                self._capture(inputs)
            if self._call is not None and self._call.fits(inputs):
                return self._call(*inputs)
        return self.function(*inputs)

    def _capture(self, inputs: Sequence[Tensor]) -> None:
        try:
            self._call = GraphCall(self.function, inputs)
        except RuntimeError as error:
            self._as_it_is = True
            reason = str(error).splitlines()[0]
            warnings.warn(f"No CUDA graph, steps are started one by one: {reason}", stacklevel=3)
