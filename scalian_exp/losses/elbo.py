"""Evidence lower bound as a loss: reconstruction + β·KL, in nats per image.

Kingma & Welling 2014, eq. 10; Higgins et al. 2017 for β, which multiplies the KL divergence and nothing else. Sums run
over pixels and latents, the mean over the batch; with any other scale, β would mean something else.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat


class Bernoulli(nn.Module):
    """Log-likelihood log p(x|z) of independent binary pixels.

    Grey pixels in [0, 1] are treated as probabilities; the result is then not a likelihood.
    """

    def forward(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return log p(x|z), (…, B), in nats, for logits (…, B, C, H, W) and images x (B, C, H, W)."""
        return (x * logits).sum((-3, -2, -1)) - F.softplus(logits.float()).sum((-3, -2, -1))


class Gaussian(nn.Module):
    """Log-likelihood log p(x|z) of independent pixels N(sigmoid(logits), sigma²), including the constant."""

    def __init__(self, sigma: PositiveFloat = 0.1):
        super().__init__()
        self.sigma = sigma

    def forward(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return log p(x|z), (…, B), in nats, for logits (…, B, C, H, W) and images x (B, C, H, W)."""
        squares = ((x - torch.sigmoid(logits)) / self.sigma).square()
        return -0.5 * (squares + math.log(2 * math.pi * self.sigma**2)).sum((-3, -2, -1))


class Terms(NamedTuple):
    """Terms of the loss, each a mean over the batch, in nats."""

    loss: Tensor
    """the total to minimise: reconstruction + β·kl"""
    reconstruction: Tensor
    """−log p(x|z)"""
    kl: Tensor
    """KL(q(z|x) ‖ p(z))"""


class ELBO(nn.Module):
    """Negative evidence lower bound with β·KL, where β grows linearly over the first `warmup_epochs`."""

    def __init__(self, likelihood: nn.Module, beta: NonNegativeFloat = 1.0, warmup_epochs: NonNegativeInt = 0):
        super().__init__()
        self.likelihood, self.beta, self.warmup_epochs = likelihood, beta, warmup_epochs

    def beta_at(self, epoch: int) -> float:
        """Return β in an epoch, counted from 0."""
        return self.beta * min(1.0, (epoch + 1) / (self.warmup_epochs + 1))

    def forward(self, logits: Tensor, kl: Tensor, x: Tensor, epoch: int | None = None) -> Terms:
        """Return the loss and its terms, in nats, for logits and images x (B, C, H, W) and kl (B, latents).

        Each is a mean over the batch. β is that of the given epoch, or its final value.
        """
        reconstruction = -self.likelihood(logits, x).mean()
        total_kl = kl.sum(1).mean()
        beta = self.beta if epoch is None else self.beta_at(epoch)
        return Terms(reconstruction + beta * total_kl, reconstruction, total_kl)
