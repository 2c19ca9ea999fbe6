"""Autoencoders of texts.

Salakhutdinov & Hinton 2009, "Semantic hashing", Int. J. Approximate Reasoning 50: dense layers over the words of a
document, and a softmax over the vocabulary that gives them back. The paper's code is logistic and starts from RBMs; a
linear one needs neither, and gives bits as well: above the median of the training codes or not.
"""

from collections.abc import Sequence

from torch import nn

from scalian_exp.networks.autoencoder import Autoencoder
from scalian_exp.networks.parts.layers import mlp
from scalian_exp.ranges import PositiveInt


class TextAutoencoder(Autoencoder):
    """Word weights (B, vocabulary_size) → code (B, latent_dim) → logits of the words (B, vocabulary_size)."""

    def __init__(self, vocabulary_size: PositiveInt, hidden: Sequence[PositiveInt], latent_dim: PositiveInt):
        inwards, outwards = [vocabulary_size, *hidden], [latent_dim, *reversed(hidden)]
        encoder = nn.Sequential(mlp(inwards), nn.Linear(inwards[-1], latent_dim))
        decoder = nn.Sequential(mlp(outwards), nn.Linear(outwards[-1], vocabulary_size))
        super().__init__(encoder, decoder, latent_dim)
