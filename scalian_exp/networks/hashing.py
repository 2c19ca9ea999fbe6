"""Autoencoders whose codes are made of bits.

Salakhutdinov & Hinton 2009, "Semantic hashing", Int. J. Approximate Reasoning 50, section 3: noise on the total inputs
of the code's logistic units. A unit can only tell the decoder something if its input is large against the noise, so
training drives the units' activities to 0 and 1, and a threshold turns them into bits. The paper fixes the noise of
each training case beforehand, because its conjugate gradients need an objective without chance; here it is drawn anew.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from scalian_exp.networks.autoencoder import DenseAutoencoder
from scalian_exp.networks.text import TextAutoencoder
from scalian_exp.ranges import Fraction, NonNegativeFloat, PositiveInt


class NoisySigmoid(nn.Module):
    """Logistic units that get noise N(0, noise²) beside their inputs in training, and none otherwise."""

    def __init__(self, noise: NonNegativeFloat):
        super().__init__()
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        """Return activities in [0, 1], of the same shape as the inputs."""
        return torch.sigmoid(x + self.noise * torch.randn_like(x) if self.training else x)


class Hashing:
    """Part of a network whose codes are near 0 and 1."""

    threshold: float
    """activity above which a bit is 1"""

    def bits(self, codes: Tensor) -> Tensor:
        """Return which numbers of codes (B, latent_dim) exceed the threshold, bool."""
        return codes > self.threshold


class SemanticHashing(Hashing, TextAutoencoder):
    """Autoencoder of word weights (B, vocabulary_size) with codes (B, latent_dim) near 0 and 1.

    Args:
        vocabulary_size: number of words.
        hidden: widths of the encoder's hidden layers.
        latent_dim: length of a code.
        noise: standard deviation of the noise on the code's inputs in training; the paper's variance is 16.
        threshold: activity above which a bit is 1.
        tied: make the decoder's weights the encoder's, transposed.
    """

    def __init__(
        self,
        vocabulary_size: PositiveInt,
        hidden: Sequence[PositiveInt],
        latent_dim: PositiveInt,
        noise: NonNegativeFloat = 4.0,
        threshold: Fraction = 0.5,
        tied: bool = False,
    ):
        super().__init__(vocabulary_size, hidden, latent_dim, partial(NoisySigmoid, noise), tied)
        self.threshold = threshold


class HashingAutoencoder(Hashing, DenseAutoencoder):
    """Autoencoder of images (B, C, H, W) with codes (B, latent_dim) near 0 and 1.

    Args:
        in_channels: channels of the images.
        image_size: height and width of the images.
        hidden: widths of the encoder's hidden layers.
        latent_dim: length of a code.
        activation: activation of the hidden units.
        noise: standard deviation of the noise on the code's inputs in training.
        threshold: activity above which a bit is 1.
        tied: make the decoder's weights the encoder's, transposed.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        latent_dim: PositiveInt,
        activation: Callable[[], nn.Module] = nn.ReLU,
        noise: NonNegativeFloat = 4.0,
        threshold: Fraction = 0.5,
        tied: bool = False,
    ):
        code = partial(NoisySigmoid, noise)
        super().__init__(in_channels, image_size, hidden, latent_dim, activation, code, tied)
        self.threshold = threshold
