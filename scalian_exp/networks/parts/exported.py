"""Wrappers that make a network a function of images alone, for export to other runtimes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
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
