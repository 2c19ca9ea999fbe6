"""Export a function of a network as a graph of operations, in which nothing happens in place, by torch.export."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
"""beginnings of the names of recurrent layers and cells, which are written as simpler operations, step by step"""


class Called(nn.Module):
    """A function of a network as a module, which is what torch.export takes."""

    def __init__(self, network: nn.Module, function: Callable[..., Any]):
        super().__init__()
        self.network, self.function = network, function

    def forward(self, *inputs: Tensor) -> Any:
        """Call the function with the network and the inputs."""
        return self.function(self.network, *inputs)


def export(called: Called, inputs: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """Return the graph of a function of a network.

    Raises:
        RuntimeError, TypeError, ValueError, NotImplementedError, AssertionError: by torch, where it can't follow.
    """
    known = torch.export.default_decompositions()
    recurrent = {operation: known[operation] for operation in known if operation.__name__.startswith(RECURRENT)}
    with flags_as_values(called), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The tensor attributes")  # of recurrent layers' second list of their weights
        return torch.export.export(called, inputs, strict=False).run_decompositions(recurrent)


@contextmanager
def flags_as_values(network: nn.Module) -> Iterator[None]:
    """Make buffers of a single bool plain values within, so that export follows the branch that they decide."""
    flags = [
        (module, name, buffer)
        for module in network.modules()
        for name, buffer in module.named_buffers(recurse=False)
        if buffer.dtype == torch.bool and buffer.dim() == 0
    ]
    for module, name, buffer in flags:
        vars(module)[name] = buffer.numpy()[()]  # which hides the buffer
    try:
        yield
    finally:
        for module, name, _ in flags:
            del vars(module)[name]
