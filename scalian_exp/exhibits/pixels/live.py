"""PixelCNNs and PixelRNNs that the page runs pixel by pixel: which ones, and what it needs of them."""

import math
from typing import Any

from torch import Tensor, nn

from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.pixels.products import MEMORIES, enlargement_parts, parts
from scalian_exp.networks.parts.pixel_network import PixelByPixel, PixelNetwork
from scalian_exp.networks.pixel_multiscale import MultiScale
from scalian_exp.networks.pixelcnn import PixelCNN, ResidualBlock
from scalian_exp.networks.pixelrnn import DiagonalBiLSTM, PixelRNN, RowLSTM

WEIGHTS = 250_000
"""most parameters on the page, which are stored exactly"""
PRODUCTS = 2e8
"""most multiplications for an image, so that readers needn't wait long"""
COMPARED = 50_000
"""most logits that the page compares with torch's"""
SIGHTS: dict[type, str] = {ResidualBlock: "corner", RowLSTM: "triangle", DiagonalBiLSTM: "everything"}
"""the shape of what a pixel sees above: PixelCNNs have a blind spot to the right"""


def sight(network: nn.Module) -> str | None:
    """Return the shape of what a pixel sees above: "corner", "triangle", "everything", or None where layers differ."""
    shapes = {SIGHTS.get(type(layer)) for layer in network.layers} if isinstance(network, PixelNetwork) else {None}
    return shapes.pop() if len(shapes) == 1 else None


def is_known(network: nn.Module) -> bool:
    """Return whether the page knows all layers of a network."""
    if isinstance(network, MultiScale):
        return is_known(network.small) and is_known(network.large)
    return isinstance(network, (PixelCNN, PixelRNN)) and all(type(layer) in MEMORIES for layer in network.layers)


def is_live(network: PixelByPixel) -> bool:
    """Return whether the page can run a network: a PixelCNN or PixelRNN, perhaps multi-scale, not too large."""
    weights = sum(parameter.numel() for parameter in network.parameters())
    return is_known(network) and weights <= WEIGHTS and weights * math.prod(network.shape) <= PRODUCTS


def rows_above(network: PixelNetwork) -> int:
    """Return how many rows above itself a pixel sees."""
    rows = network.embed.kernel_size[0] // 2
    for layer in network.layers:
        rows += layer.look.kernel_size[0] // 2 if isinstance(layer, ResidualBlock) else network.shape[1]
    return min(rows, network.shape[1])


def facts_of(network: PixelByPixel, name: str = "") -> dict[str, Any]:
    """Return what the page needs beside the weights, whose names begin with `name`."""
    facts: dict[str, Any] = {"name": name, "shape": list(network.shape), "levels": network.levels}
    if isinstance(network, MultiScale):
        views = {part: [view._asdict() for view in product.views] for part, product in enlargement_parts(network)}
        return facts | {
            "stride": network.stride,
            "small": facts_of(network.small, "small."),
            "large": facts_of(network.large, "large."),
            "enlarge": {"first": views["first"], "phase": views["phases.0"]},
        }
    assert isinstance(network, PixelNetwork)
    contexts = [layer.beside.in_channels for layer in network.layers if layer.beside is not None]
    return facts | {
        "views": {part: [view._asdict() for view in product.views] for part, product in parts(network)},
        "memories": [MEMORIES[type(layer)] for layer in network.layers],
        "beyond": network.beyond,
        "above": rows_above(network),
        "context": max(contexts, default=0),
    }


def put(network: PixelByPixel, x: Tensor, pack: Pack) -> dict[str, Any]:
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
