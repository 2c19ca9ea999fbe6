"""Base class of tasks whose network encodes images and decodes codes."""

import torch
from torch import Tensor, nn

from scalian_exp.networks.parts.exported import Reconstructor
from scalian_exp.tasks.base import Task


class Decoding(Task):
    """A task whose network offers `encode(images)` and `decode(codes)`, which gives logits of the pixels."""

    @property
    def exported(self) -> nn.Module:
        """The network for other runtimes: image (B, C, H, W) → logits of its pixels, without noise."""
        return Reconstructor(self.network)

    def decoded(self, codes: Tensor) -> Tensor:
        """Decode codes (B, D), in any precision, to images in [0, 1]."""
        return probabilities(self.network.decode(codes.to(self.dtype)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Reconstruct images (B, C, H, W), in [0, 1]."""
        return probabilities(self.network(x))


def probabilities(logits: Tensor) -> Tensor:
    """Turn logits into pixels in [0, 1], in single precision whatever the network computed in."""
    return torch.sigmoid(logits.float())
