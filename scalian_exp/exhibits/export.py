"""Export a function of a network as a graph of operations, in which nothing happens in place, by torch.export."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from scalian_exp.networks.parts.exported import flags_as_values

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


@functools.cache
def recurrent() -> dict[Any, Any]:
    """Return how torch writes recurrent layers as simpler operations; finding them takes a tenth of a second."""
    known = torch.export.default_decompositions()
    return {operation: known[operation] for operation in known if operation.__name__.startswith(RECURRENT)}


def export(called: Called, inputs: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """Return the graph of a function of a network.

    Raises:
        RuntimeError, TypeError, ValueError, NotImplementedError, AssertionError: by torch, where it can't follow.
    """
    with flags_as_values(called), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The tensor attributes")  # of recurrent layers' second list of their weights
        return torch.export.export(called, inputs, strict=False).run_decompositions(recurrent())
