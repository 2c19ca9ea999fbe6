"""Networks that draw pixel by pixel as products of a matrix and what is seen from a position, for the page."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scalian_exp.networks.parts.masked import MaskedConv2d
from scalian_exp.networks.parts.pixel_network import PixelByPixel, PixelNetwork
from scalian_exp.networks.pixel_multiscale import MultiScale
from scalian_exp.networks.pixelcnn import ResidualBlock
from scalian_exp.networks.pixelrnn import DiagonalBiLSTM, RowLSTM

Taps = list[list[int]]
"""steps (row, column) from a position to where something is seen"""
NEIGHBOURS: dict[type, list[Taps]] = {
    RowLSTM: [[[-1, -1], [-1, 0], [-1, 1]]],
    DiagonalBiLSTM: [[[0, -1], [-1, 0]], [[0, 1], [-1, 0]]],
}
"""the neighbours whose states an LSTM sees, in the order of its weights, for each direction"""
MEMORIES: dict[type, Taps] = {ResidualBlock: [], RowLSTM: [[-1, 0]], DiagonalBiLSTM: [[0, -1], [0, 1]]}
"""the neighbour from which the memory comes, for each direction of each kind of layer that the page knows"""


class View(NamedTuple):
    """The part of a map that a computation at one position reads."""

    taps: Taps
    inputs: int
    """feature maps that are seen at each tap"""


class Product(NamedTuple):
    """A convolution, or the gates of an LSTM, at one position."""

    views: list[View]
    weight: Tensor
    """(out, in), where in counts the features of all taps of all views, one after the other"""
    bias: Tensor
    """(out,)"""

    def beside(self, weight: Tensor, taps: Taps) -> "Product":
        """Return this product with another view, whose weights are (out, taps, in)."""
        view = View(taps, weight.shape[2])
        return Product([*self.views, view], torch.cat([self.weight, weight.flatten(1)], 1), self.bias)

    def given(self, context: nn.Conv2d | None, part: slice = slice(None)) -> "Product":
        """Return this product with what a context adds to it, by a part of a 1×1 convolution's outputs."""
        return self if context is None else self.beside(context.weight[part, None, :, 0, 0], [[0, 0]])


def seen(weight: Tensor, bias: Tensor, places: list[tuple[int, int]]) -> Product:
    """Return a convolution, (out, in, height, width), of which only some places of its kernel count."""
    height, width = weight.shape[2:]
    taps = [[row - height // 2, column - width // 2] for row, column in places]
    by_tap = torch.stack([weight[:, :, row, column] for row, column in places], 1)
    return Product([View(taps, weight.shape[1])], by_tap.flatten(1), bias)


def convolution(layer: MaskedConv2d) -> Product:
    """Return a masked convolution, without the places in its kernel where it sees nothing."""
    return seen(layer.masked, layer.column[:, 0], [tuple(at) for at in layer.mask.amax((0, 1)).nonzero().tolist()])


def layer_parts(layer: nn.Module) -> Iterator[tuple[str, Product]]:
    """Yield the products of a layer by name."""
    if isinstance(layer, ResidualBlock):
        yield "down", convolution(layer.down)
        yield "look", convolution(layer.look).given(layer.beside)
        yield "up", convolution(layer.up)
    elif isinstance(layer, (RowLSTM, DiagonalBiLSTM)):
        for direction, taps in enumerate(NEIGHBOURS[type(layer)]):
            inputs = layer.inputs if isinstance(layer, RowLSTM) else layer.inputs[direction]
            state, size = layer.state[direction].transpose(0, 1), inputs.out_channels
            part = slice(direction * size, (direction + 1) * size)
            yield f"gates.{direction}", convolution(inputs).beside(state, taps).given(layer.beside, part)
        yield "up", convolution(layer.up)


def enlargement_parts(network: MultiScale) -> Iterator[tuple[str, Product]]:
    """Yield the products of a small image's enlargement: a convolution, and a transposed one's share at each place.

    Of a cell of stride × stride large pixels, each sees two small ones both ways.
    """
    layers: Any = network.enlarge
    first, _, last, _ = layers
    height, width = first.kernel_size
    yield "first", seen(first.weight, first.bias, [(row, column) for row in range(height) for column in range(width)])
    steps = [(down, across) for down in range(2) for across in range(2)]
    for number in range(network.stride**2):
        row, column = divmod(number, network.stride)
        taps = [last.weight[:, :, row + network.stride * r, column + network.stride * c].T for r, c in steps]
        views = [View([[-down, -across] for down, across in steps], last.in_channels)]
        yield f"phases.{number}", Product(views, torch.stack(taps, 1).flatten(1), last.bias)


def parts(network: PixelByPixel) -> Iterator[tuple[str, Product]]:
    """Yield all products of a network by name."""
    if isinstance(network, MultiScale):
        for name, member in (("small", network.small), ("large", network.large)):
            yield from ((f"{name}.{part}", product) for part, product in parts(member))
        yield from ((f"enlarge.{part}", product) for part, product in enlargement_parts(network))
    elif isinstance(network, PixelNetwork):
        yield "embed", convolution(network.embed)
        for number, layer in enumerate(network.layers):
            yield from ((f"layers.{number}.{part}", product) for part, product in layer_parts(layer))
        yield from ((f"head.{number}", convolution(layer)) for number, layer in enumerate(network.head))
