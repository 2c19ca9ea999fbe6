"""Reconstruction losses between logits of the pixels and images in [0, 1], both (B, C, H, W).

Each is summed over pixels and averaged over the batch, so that its size means "per image" and doesn't change with the
batch: the squared error is the one that Hinton & Salakhutdinov 2006 report.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def per_image(errors: Tensor) -> Tensor:
    """Mean over images of the sum over pixels."""
    return errors.sum() / errors.shape[0]


class SquaredError(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return per_image(F.mse_loss(torch.sigmoid(logits), target, reduction="none"))


class AbsoluteError(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return per_image(F.l1_loss(torch.sigmoid(logits), target, reduction="none"))


class BinaryCrossEntropy(nn.Module):
    """In nats. A negative log-likelihood for binary pixels only; for grey ones its least value isn't 0."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return per_image(F.binary_cross_entropy_with_logits(logits, target, reduction="none"))
