"""Autoencoders of texts.

Salakhutdinov & Hinton 2009, "Semantic hashing", Int. J. Approximate Reasoning 50: dense layers over word counts, a
softmax over the vocabulary, and noise on the code's inputs in training, which drives the codes towards bits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scalian_exp.networks.layers import mlp
from scalian_exp.ranges import Fraction, NonNegativeFloat, PositiveInt


class TextAutoencoder(nn.Module):
    """Word weights (B, vocabulary_size) → code (B, latent_dim) in (0, 1) → logits of the words (B, vocabulary_size).

    Args:
        noise: standard deviation of what is added to the code's inputs in training (the paper's is 4).
        word_dropout: share of a document's words left out in training.
    """

    def __init__(
        self,
        vocabulary_size: PositiveInt,
        hidden: Sequence[PositiveInt],
        latent_dim: PositiveInt,
        noise: NonNegativeFloat = 1.0,
        word_dropout: Fraction = 0.0,
    ):
        super().__init__()
        self.latent_dim, self.noise = latent_dim, noise
        widths = [vocabulary_size, *hidden]
        self.encoder = nn.Sequential(nn.Dropout(word_dropout), mlp(widths), nn.Linear(widths[-1], latent_dim))
        widths = [latent_dim, *reversed(hidden)]
        self.decoder = nn.Sequential(mlp(widths), nn.Linear(widths[-1], vocabulary_size))

    def encode(self, x: Tensor) -> Tensor:
        """Codes in (0, 1); above one half they count as bits that are set."""
        return torch.sigmoid(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def forward(self, x: Tensor) -> Tensor:
        inputs = self.encoder(x)
        if self.training:
            inputs = inputs + self.noise * torch.randn_like(inputs)
        return self.decode(torch.sigmoid(inputs))
