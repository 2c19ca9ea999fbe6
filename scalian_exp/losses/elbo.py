"""The evidence lower bound, as a loss: reconstruction + β·KL, in nats per image.

Kingma & Welling 2014, eq. 10; Higgins et al. 2017 for β, which multiplies the KL and nothing else. Sums run over pixels
and latents, the mean over the batch: with another scale β would mean something else.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat


class Bernoulli(nn.Module):
    """log p(x|z) of independent binary pixels. Grey pixels in [0, 1] are taken as probabilities: no likelihood then."""

    def forward(self, logits: Tensor, x: Tensor) -> Tensor:
        """Logits (…, B, C, H, W), x (B, C, H, W) → (…, B)."""
        return (x * logits).sum((-3, -2, -1)) - F.softplus(logits.float()).sum((-3, -2, -1))


class Gaussian(nn.Module):
    """log p(x|z) of independent pixels N(sigmoid(logits), sigma²), the constant included."""

    def __init__(self, sigma: PositiveFloat = 0.1):
        super().__init__()
        self.sigma = sigma

    def forward(self, logits: Tensor, x: Tensor) -> Tensor:
        """Logits (…, B, C, H, W), x (B, C, H, W) → (…, B)."""
        squares = ((x - torch.sigmoid(logits)) / self.sigma).square()
        return -0.5 * (squares + math.log(2 * math.pi * self.sigma**2)).sum((-3, -2, -1))


class Terms(NamedTuple):
    loss: Tensor
    """what is minimised: reconstruction + β·kl"""
    reconstruction: Tensor
    """−log p(x|z)"""
    kl: Tensor
    """KL(q(z|x) ‖ p(z))"""


class ELBO(nn.Module):
    """Negative evidence lower bound; β·KL, with β growing linearly over the first `warmup_epochs`."""

    def __init__(self, likelihood: nn.Module, beta: NonNegativeFloat = 1.0, warmup_epochs: NonNegativeInt = 0):
        super().__init__()
        self.likelihood, self.beta, self.warmup_epochs = likelihood, beta, warmup_epochs

    def beta_at(self, epoch: int) -> float:
        """β in an epoch, counted from 0."""
        return self.beta * min(1.0, (epoch + 1) / (self.warmup_epochs + 1))

    def forward(self, logits: Tensor, kl: Tensor, x: Tensor, epoch: int | None = None) -> Terms:
        """Logits and x (B, C, H, W), kl (B, latents): means over the batch, in nats; β of that epoch or the last."""
        reconstruction = -self.likelihood(logits, x).mean()
        total_kl = kl.sum(1).mean()
        beta = self.beta if epoch is None else self.beta_at(epoch)
        return Terms(reconstruction + beta * total_kl, reconstruction, total_kl)
