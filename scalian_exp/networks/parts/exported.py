"""Wrappers that make a network a function of images alone, for export to other runtimes."""

from typing import Any

from torch import Tensor, nn


class Reconstructor(nn.Module):
    """Reconstruction of images (B, C, H, W), as logits, through an encoder and a decoder without noise."""

    def __init__(self, network: Any):
        super().__init__()
        self.network: Any = network

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits of their reconstruction (B, C, H, W)."""
        return self.network.decode(self.network.encode(image))


def class_logits(network: Any, image: Tensor) -> Tensor:
    """Return the class logits of a network whose output is either these or a dict with them under "out"."""
    output = network(image)
    logits: Tensor = output["out"] if isinstance(output, dict) else output
    return logits


class Recogniser(nn.Module):
    """Classification of images (B, C, H, W): logits (B, K), or (B, K, H, W) for every pixel."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to class logits, (B, K) or (B, K, H, W)."""
        return class_logits(self.network, image)
