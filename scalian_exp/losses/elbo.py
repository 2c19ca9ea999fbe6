"""Evidence lower bound as a loss: reconstruction + β·KL, in nats per image.

Kingma & Welling 2014, eq. 10; Higgins et al. 2017 for β, which multiplies the KL divergence and nothing else. Sums run
over pixels and latents, the mean over the batch; with any other scale, β would mean something else. Kingma et al. 2016,
"Improved variational inference with inverse autoregressive flow" (arXiv:1606.04934), eq. 15, for free bits.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.precision import at_least_single
from scalian_exp.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat


class Bernoulli(nn.Module):
    """Log-likelihood log p(x|z) of independent binary pixels.

    Grey pixels in [0, 1] are treated as probabilities; the result is then not a likelihood.
    """

    def forward(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return log p(x|z), (…, B), in nats, for logits (…, B, C, H, W) and images x (B, C, H, W)."""
        logits, x = at_least_single(logits), at_least_single(x)  # both sums are larger than their difference
        return (x * logits).sum((-3, -2, -1)) - F.softplus(logits).sum((-3, -2, -1))


class Gaussian(nn.Module):
    """Log-likelihood log p(x|z) of independent pixels N(sigmoid(logits), sigma²), including the constant."""

    def __init__(self, sigma: PositiveFloat = 0.1):
        super().__init__()
        self.sigma = sigma

    def forward(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return log p(x|z), (…, B), in nats, for logits (…, B, C, H, W) and images x (B, C, H, W)."""
        squares = ((at_least_single(x) - torch.sigmoid(at_least_single(logits))) / self.sigma).square()
        return -0.5 * (squares + math.log(2 * math.pi * self.sigma**2)).sum((-3, -2, -1))


class Terms(NamedTuple):
    """Terms of the loss, each a mean over the batch, in nats."""

    loss: Tensor
    """the total to minimise, by the formula that each loss states; not always a sum of the terms below"""
    reconstruction: Tensor
    """−log p(x|z)"""
    kl: Tensor
    """KL(q(z|x) ‖ p(z))"""
    kl_of_latents: Tensor | None = None
    """what each latent adds to kl, (latents,); None where the loss doesn't tell them apart"""
    bounds: Mapping[str, Tensor] = MappingProxyType({})
    """further upper bounds of −log p(x), by the name under which they are logged"""


class ELBO(nn.Module):
    """Negative evidence lower bound with β·KL, where β grows linearly over the first `warmup_epochs`.

    With KL_j of latent j, a mean over the batch, the loss is reconstruction + β Σ_j max(λ, KL_j).

    Args:
        likelihood: module: logits (…, B, C, H, W) and images (B, C, H, W) → log p(x|z), (…, B).
        beta: final β.
        warmup_epochs: number of epochs over which β grows, from beta / (warmup_epochs + 1) in the first.
        free_bits: nats λ that each latent may carry for free: its KL, a mean over the batch, counts as at least λ, so
            that making it smaller gains nothing. The KL that is reported stays the true one.
    """

    def __init__(
        self,
        likelihood: nn.Module,
        beta: NonNegativeFloat = 1.0,
        warmup_epochs: NonNegativeInt = 0,
        free_bits: NonNegativeFloat = 0.0,
    ):
        super().__init__()
        self.likelihood, self.beta, self.warmup_epochs, self.free_bits = likelihood, beta, warmup_epochs, free_bits

    def beta_at(self, epoch: int) -> float:
        """Return β in an epoch, counted from 0."""
        return self.beta * min(1.0, (epoch + 1) / (self.warmup_epochs + 1))

    def terms(self, network: Any, x: Tensor, epoch: int | None = None) -> Terms:
        """Return the loss and its terms, in nats, for a network and images x (B, C, H, W), with one code of each."""
        terms: Terms = self(*network(x), x, epoch)
        return terms

    def forward(self, logits: Tensor, kl: Tensor, x: Tensor, epoch: int | None = None) -> Terms:
        """Return the loss and its terms, in nats, for logits and images x (B, C, H, W) and kl (B, latents).

        Each is a mean over the batch. β is that of the given epoch, or its final value.
        """
        reconstruction = -self.likelihood(logits, x).mean()
        total_kl, of_latents = kl.sum(1).mean(), kl.mean(0)
        counted = of_latents.clamp_min(self.free_bits).sum() if self.free_bits > 0 else total_kl
        beta = self.beta if epoch is None else self.beta_at(epoch)
        return Terms(reconstruction + beta * counted, reconstruction, total_kl, of_latents.detach())
