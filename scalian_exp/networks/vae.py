"""Variational autoencoders.

Kingma & Welling 2014, "Auto-encoding variational Bayes" (arXiv:1312.6114): q(z|x) = N(μ(x), σ²(x)), p(z) = N(0, 1),
p(x|z) factorises over pixels. Burda et al. 2016 (arXiv:1509.00519): the importance-weighted bound.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from scalian_exp.networks.parts.layers import ConvDecoder, ConvEncoder, Flat, dense_decoder, mlp, start_at_base_rates
from scalian_exp.precision import at_least_single
from scalian_exp.ranges import PositiveInt


def kl_from_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(μ, σ²) ‖ N(0, 1)) of each latent, in nats (Kingma & Welling, appendix B)."""
    mean, log_variance = at_least_single(mean), at_least_single(log_variance)
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def log_prior_ratio(z: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Return log p(z) − log q(z|x) of each latent, in nats, for z = μ + σ·noise."""
    z, log_variance, noise = at_least_single(z), at_least_single(log_variance), at_least_single(noise)
    return 0.5 * (noise.square() + log_variance - z.square())


class VAE(nn.Module):
    """VAE with an encoder (B, C, H, W) → features (B, F) and a decoder (B, latent_dim) → logits (B, C, H, W)."""

    def __init__(self, encoder: nn.Module, features: PositiveInt, decoder: nn.Module, latent_dim: PositiveInt):
        super().__init__()
        self.encoder, self.decoder, self.latent_dim = encoder, decoder, latent_dim
        self.mean = nn.Linear(features, latent_dim)
        self.log_variance = nn.Linear(features, latent_dim)

    def start_from(self, mean: Tensor) -> None:
        """Make decoding start at the training images' mean, (C, H, W)."""
        start_at_base_rates(self.decoder, mean)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of q(z|x), each (B, latent_dim), for images (B, C, H, W) in [0, 1]."""
        features = self.encoder(x)
        return self.mean(features), self.log_variance(features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (B, C, H, W) in [0, 1] to logits (B, C, H, W) for one z ~ q(z|x), and to the KL divergence.

        KL(q(z|x) ‖ p(z)) is given for each latent, (B, latent_dim), in nats.
        """
        mean, log_variance = self.posterior(x)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)  # eq. 4
        return self.decode(z), kl_from_prior(mean, log_variance)

    def importance(self, x: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """Draw `samples` codes z ~ q(z|x) for each image (B, C, H, W).

        Returns:
            Logits (samples, B, C, H, W), and log p(z) − log q(z|x), (samples, B).
        """
        mean, log_variance = self.posterior(x)
        noise = torch.randn(samples, *mean.shape, device=mean.device, dtype=mean.dtype)
        z = mean + torch.exp(0.5 * log_variance) * noise
        log_ratio = log_prior_ratio(z, log_variance, noise).sum(-1)
        return self.decode(z.flatten(0, 1)).unflatten(0, z.shape[:2]), log_ratio

    def encode(self, x: Tensor) -> Tensor:
        """Encode images (B, C, H, W) in [0, 1] to posterior means (B, latent_dim)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Decode codes (B, latent_dim) to logits of the pixels (B, C, H, W); their sigmoid is the mean image."""
        return self.decoder(z)

    def sample(self, count: int) -> Tensor:
        """Draw mean images (count, C, H, W) in [0, 1] for z ~ p(z)."""
        z = torch.randn(count, self.latent_dim, device=self.mean.weight.device, dtype=self.mean.weight.dtype)
        return torch.sigmoid(self.decode(z))


class DenseVAE(VAE):
    """VAE of dense layers: C·H·W - hidden… - latent_dim, mirrored in the decoder."""

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        latent_dim: PositiveInt,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ):
        shape = (in_channels, *image_size)
        widths = [math.prod(shape), *hidden]
        decoder = dense_decoder(shape, hidden, latent_dim, activation)
        super().__init__(Flat(mlp(widths, activation)), widths[-1], decoder, latent_dim)


class ConvVAE(VAE):
    """VAE with the β-VAE's convolutions (Burgess et al. 2018, arXiv:1804.03599), for any image size and channels."""

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        channels: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        latent_dim: PositiveInt,
    ):
        encoder = ConvEncoder(in_channels, image_size, channels, hidden)
        decoder = ConvDecoder(in_channels, image_size, channels, hidden, latent_dim)
        super().__init__(encoder, hidden[-1], decoder, latent_dim)
