"""Networks as functions of images alone: what is exported to other runtimes."""

from typing import Any

from torch import Tensor, nn


class Reconstructor(nn.Module):
    """image (B, C, H, W) → logits of its pixels, by an encoder and a decoder, without noise."""

    def __init__(self, network: Any):
        super().__init__()
        self.network: Any = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network.decode(self.network.encode(image))


def class_logits(network: nn.Module, image: Tensor) -> Tensor:
    """Of a network that gives them alone, or with others' beside them."""
    found: Any = network(image)
    logits: Tensor = found["out"] if isinstance(found, dict) else found
    return logits


class Recogniser(nn.Module):
    """image (B, C, H, W) → logits of the classes, (B, K), or of each pixel's, (B, K, H, W)."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return class_logits(self.network, image)
