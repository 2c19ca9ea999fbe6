"""Generative adversarial networks.

Goodfellow et al. 2014 (arXiv:1406.2661); Radford et al. 2016, "DCGAN" (arXiv:1511.06434), section 3: strided and
transposed convolutions of 4×4, batch norm except in the generator's last and the discriminator's first layer, ReLU and
LeakyReLU, weights from N(0, 0.02²). Miyato et al. 2018, "Spectral normalization for generative adversarial networks"
(arXiv:1802.05957): each weight of the discriminator, as a matrix (out, …), divided by its largest singular value.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from scalian_exp.networks.parts.layers import doubling, pyramid
from scalian_exp.ranges import PositiveInt


class Generator(nn.Module):
    """Network from noise (B, latent_dim) to images (B, in_channels, H, W) in [0, 1]; mirrors the discriminator."""

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        channels: Sequence[PositiveInt],
        latent_dim: PositiveInt,
    ):
        super().__init__()
        height, width = pyramid(image_size, len(channels))[-1]
        self.map_size = (channels[-1], height, width)
        self.project = nn.Linear(latent_dim, math.prod(self.map_size), bias=False)
        layers: list[nn.Module] = []
        for deconvolution in doubling(in_channels, image_size, channels):
            layers += [nn.BatchNorm2d(deconvolution.in_channels), nn.ReLU(), deconvolution]
        self.deconvolutions = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Map noise (B, latent_dim) to images (B, in_channels, H, W) in [0, 1]."""
        return torch.sigmoid(self.deconvolutions(self.project(z).unflatten(1, self.map_size)))


class Discriminator(nn.Module):
    """Network from images (B, in_channels, H, W) in [0, 1] to logits (B,) of being real.

    Args:
        in_channels: channels of the images.
        image_size: height and width of the images.
        channels: output channels of the convolutions, each of which halves the image.
        batch_norm: normalise the outputs of all convolutions but the first by the batch.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        channels: Sequence[PositiveInt],
        batch_norm: bool = True,
    ):
        super().__init__()
        height, width = pyramid(image_size, len(channels))[-1]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(pairwise([in_channels, *channels])):
            normalised = batch_norm and level > 0
            layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not normalised))
            layers += [nn.BatchNorm2d(after)] if normalised else []
            layers.append(nn.LeakyReLU(0.2))
        self.convolutions = nn.Sequential(*layers)
        self.head = nn.Linear(channels[-1] * height * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, in_channels, H, W) in [0, 1] to logits (B,) of being real."""
        return self.head(self.convolutions(2 * x - 1).flatten(1)).squeeze(1)


class GAN(nn.Module):
    """Pair of a generator and a discriminator; calling it generates images from noise.

    Args:
        in_channels: channels of the images.
        image_size: height and width of the images.
        channels: output channels of the discriminator's convolutions; the generator mirrors them.
        latent_dim: length of the noise vector.
        spectral_norm: spectral norm in the discriminator in place of batch norm, which would scale it again. Each
            training pass improves the estimate of the singular values by a step of power iteration.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        channels: Sequence[PositiveInt],
        latent_dim: PositiveInt,
        spectral_norm: bool = False,
    ):
        super().__init__()
        self.latent_dim = latent_dim
        self.generator = Generator(in_channels, image_size, channels, latent_dim)
        self.discriminator = Discriminator(in_channels, image_size, channels, batch_norm=not spectral_norm)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(module.weight, 0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1, 0.02)
        if spectral_norm:
            for module in [*self.discriminator.modules()]:
                if isinstance(module, nn.Conv2d | nn.Linear):
                    parametrizations.spectral_norm(module)

    def noise(self, count: int) -> Tensor:
        """Draw noise (count, latent_dim) from N(0, 1)."""
        weight = self.generator.project.weight
        return torch.randn(count, self.latent_dim, device=weight.device, dtype=weight.dtype)

    def forward(self, z: Tensor) -> Tensor:
        """Map noise (B, latent_dim) to images (B, in_channels, H, W) in [0, 1]."""
        return self.generator(z)

    def sample(self, count: int) -> Tensor:
        """Draw images (count, C, H, W) in [0, 1]."""
        return self.generator(self.noise(count))
