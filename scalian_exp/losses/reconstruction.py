"""Reconstruction losses between logits of the pixels and images in [0, 1], both (B, C, H, W).

Each is summed over pixels and averaged over the batch, so that values are per image and don't depend on the batch size.
The squared error is the one that Hinton & Salakhutdinov 2006 report.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.precision import at_least_single


def per_image(errors: Tensor) -> Tensor:
    """Return the mean over images of the sum over pixels, in at least single precision."""
    return at_least_single(errors).sum() / errors.shape[0]


class SquaredError(nn.Module):
    """Squared error between sigmoid(logits) and the images."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the error per image, a scalar, for logits and images (B, C, H, W)."""
        return per_image(F.mse_loss(torch.sigmoid(logits), target, reduction="none"))


class AbsoluteError(nn.Module):
    """Absolute error between sigmoid(logits) and the images."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the error per image, a scalar, for logits and images (B, C, H, W)."""
        return per_image(F.l1_loss(torch.sigmoid(logits), target, reduction="none"))


class BinaryCrossEntropy(nn.Module):
    """Binary cross-entropy in nats.

    It is a negative log-likelihood for binary pixels only; for grey ones its minimum isn't 0.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy per image, a scalar, for logits and images (B, C, H, W)."""
        return per_image(F.binary_cross_entropy_with_logits(logits, target, reduction="none"))
