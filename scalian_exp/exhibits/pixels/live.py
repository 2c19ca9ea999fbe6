"""Weights of a PixelCNN that the page runs pixel by pixel."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from scalian_exp.exhibits.pack import Pack
from scalian_exp.networks.parts.masked import MaskedConv2d
from scalian_exp.networks.pixelcnn import PixelCNN

WEIGHTS = 250_000
"""most parameters on the page, which are stored exactly"""
PRODUCTS = 1e8
"""most multiplications for an image, so that readers needn't wait long"""
COMPARED = 50_000
"""most logits that the page compares with torch's"""


def is_live(network: nn.Module) -> bool:
    """Return whether the page can run a network: a PixelCNN without context, not too large."""
    if not isinstance(network, PixelCNN) or any(layer.beside is not None for layer in network.layers):
        return False
    weights = sum(parameter.numel() for parameter in network.parameters())
    return weights <= WEIGHTS and weights * math.prod(network.shape) <= PRODUCTS


def convolutions(network: PixelCNN) -> dict[str, MaskedConv2d]:
    """Return the network's convolutions by name."""
    result = {"embed": network.embed}
    for number, layer in enumerate(network.layers):
        result |= {f"layers.{number}.{part}": getattr(layer, part) for part in ("down", "look", "up")}
    return result | {f"head.{number}": layer for number, layer in enumerate(network.head)}


def places(convolution: MaskedConv2d) -> list[tuple[int, int]]:
    """Return the positions in its kernel, (row, column), where a convolution sees anything."""
    return [(row, column) for row, column in convolution.mask.amax((0, 1)).nonzero().tolist()]


def facts_of(network: PixelCNN) -> dict[str, Any]:
    """Return where the convolutions look, as steps (row, column), and how many rows above a pixel it sees."""
    steps = {
        name: [[row - layer.kernel_size[0] // 2, column - layer.kernel_size[1] // 2] for row, column in places(layer)]
        for name, layer in convolutions(network).items()
    }
    above = network.embed.kernel_size[0] // 2 + sum(layer.look.kernel_size[0] // 2 for layer in network.layers)
    return {"taps": steps, "depth": len(network.layers), "above": above}


def put(network: PixelCNN, x: Tensor, pack: Pack) -> dict[str, Any]:
    """Add the weights, (taps, out, in) each, and what torch computes for images x (B, C, H, W), at every few pixels."""
    for name, layer in convolutions(network).items():
        weight = layer.masked
        pack.add(f"{name}.weight", torch.stack([weight[:, :, row, column] for row, column in places(layer)]), "f4")
        pack.add(f"{name}.bias", layer.column[:, 0], "f4")
    logits = network(x)
    by_pixel = logits.permute(0, 2, 3, 1) if network.levels == 2 else logits.permute(0, 3, 4, 2, 1).flatten(3)
    pack.add("probe", x.permute(0, 2, 3, 1), "f4")
    every = math.ceil(by_pixel.numel() / COMPARED)
    pack.add("truth", by_pixel.flatten(1, 2)[:, ::every], "f4")
    return {"every": every}
