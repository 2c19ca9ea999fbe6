"""Weights of a PixelCNN or PixelRNN that the page runs pixel by pixel."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scalian_exp.exhibits.pack import Pack
from scalian_exp.networks.parts.masked import MaskedConv2d
from scalian_exp.networks.parts.pixel_network import PixelNetwork
from scalian_exp.networks.pixelcnn import PixelCNN, ResidualBlock
from scalian_exp.networks.pixelrnn import DiagonalBiLSTM, PixelRNN, RowLSTM

WEIGHTS = 250_000
"""most parameters on the page, which are stored exactly"""
PRODUCTS = 2e8
"""most multiplications for an image, so that readers needn't wait long"""
COMPARED = 50_000
"""most logits that the page compares with torch's"""
LAYERS = (ResidualBlock, RowLSTM, DiagonalBiLSTM)
"""kinds of layers that the page knows"""
NEIGHBOURS = {RowLSTM: [[[-1, -1], [-1, 0], [-1, 1]]], DiagonalBiLSTM: [[[0, -1], [-1, 0]], [[0, 1], [-1, 0]]]}
"""the neighbours whose states an LSTM sees, as steps (row, column) in the order of its weights, for each direction"""
MEMORIES = {ResidualBlock: [], RowLSTM: [[-1, 0]], DiagonalBiLSTM: [[0, -1], [0, 1]]}
"""the neighbour from which the memory comes, for each direction"""
SIGHTS: dict[type, str] = {ResidualBlock: "corner", RowLSTM: "triangle", DiagonalBiLSTM: "everything"}
"""the shape of what a pixel sees above: PixelCNNs have a blind spot to the right"""


class View(NamedTuple):
    """Where a convolution looks on a map."""

    taps: list[list[int]]
    """steps (row, column)"""
    inputs: int
    """feature maps that it sees there"""


class Product(NamedTuple):
    """A convolution, or the gates of an LSTM, at one position: a matrix times what its views see, in their order."""

    views: list[View]
    weight: Tensor
    """(out, in), where in counts the features of all taps of all views"""
    bias: Tensor
    """(out,)"""


def sight(network: nn.Module) -> str | None:
    """Return the shape of what a pixel sees above: "corner", "triangle", "everything", or None where layers differ."""
    shapes = {SIGHTS.get(type(layer)) for layer in network.layers} if isinstance(network, PixelNetwork) else {None}
    return shapes.pop() if len(shapes) == 1 else None


def is_live(network: nn.Module) -> bool:
    """Return whether the page can run a network: a PixelCNN or PixelRNN without context, not too large."""
    if not isinstance(network, (PixelCNN, PixelRNN)):
        return False
    if any(type(layer) not in LAYERS or layer.beside is not None for layer in network.layers):
        return False
    weights = sum(parameter.numel() for parameter in network.parameters())
    return weights <= WEIGHTS and weights * math.prod(network.shape) <= PRODUCTS


def convolution(layer: MaskedConv2d) -> Product:
    """Return a masked convolution, without the positions in its kernel where it sees nothing."""
    seen = [(row, column) for row, column in layer.mask.amax((0, 1)).nonzero().tolist()]
    steps = [[row - layer.kernel_size[0] // 2, column - layer.kernel_size[1] // 2] for row, column in seen]
    weight = torch.stack([layer.masked[:, :, row, column] for row, column in seen], 1)
    return Product([View(steps, layer.in_channels)], weight.flatten(1), layer.column[:, 0])


def gates(inputs: MaskedConv2d, state: Tensor, neighbours: list[list[int]]) -> Product:
    """Return the gates of an LSTM, from its inputs and the neighbours' states with weights (taps, 4h, h)."""
    views, weight, bias = convolution(inputs)
    return Product(
        [*views, View(neighbours, state.shape[-1])], torch.cat([weight, state.transpose(0, 1).flatten(1)], 1), bias
    )


def parts(network: PixelNetwork) -> Iterator[tuple[str, Product]]:
    """Yield the network's products by name."""
    yield "embed", convolution(network.embed)
    for number, layer in enumerate(network.layers):
        for direction, neighbours in enumerate(NEIGHBOURS.get(type(layer), [])):
            inputs = layer.inputs if isinstance(layer, RowLSTM) else layer.inputs[direction]
            yield f"layers.{number}.gates.{direction}", gates(inputs, layer.state[direction], neighbours)
        for part in ("down", "look", "up"):
            if hasattr(layer, part):
                yield f"layers.{number}.{part}", convolution(getattr(layer, part))
    for number, layer in enumerate(network.head):
        yield f"head.{number}", convolution(layer)


def facts_of(network: PixelNetwork) -> dict[str, Any]:
    """Return what the page needs beside the weights: views by name, layers, and how many rows above a pixel it sees."""
    above = network.embed.kernel_size[0] // 2
    for layer in network.layers:
        above += layer.look.kernel_size[0] // 2 if isinstance(layer, ResidualBlock) else network.shape[1]
    return {
        "views": {name: [view._asdict() for view in product.views] for name, product in parts(network)},
        "memories": [MEMORIES[type(layer)] for layer in network.layers],
        "beyond": network.beyond,
        "above": min(above, network.shape[1]),
    }


def put(network: PixelNetwork, x: Tensor, pack: Pack) -> dict[str, Any]:
    """Add the weights, and what torch computes for images x (B, C, H, W), at every few pixels."""
    for name, product in parts(network):
        pack.add(f"{name}.weight", product.weight, "f4")
        pack.add(f"{name}.bias", product.bias, "f4")
    logits = network(x)
    by_pixel = logits.permute(0, 2, 3, 1) if network.levels == 2 else logits.permute(0, 3, 4, 2, 1).flatten(3)
    pack.add("probe", x.permute(0, 2, 3, 1), "f4")
    every = math.ceil(by_pixel.numel() / COMPARED)
    pack.add("truth", by_pixel.flatten(1, 2)[:, ::every], "f4")
    return {"every": every}
