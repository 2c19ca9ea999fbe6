"""Autoencoders of texts.

Salakhutdinov & Hinton 2009, "Semantic hashing", Int. J. Approximate Reasoning 50: dense layers over the words of a
document, and a softmax over the vocabulary to reconstruct them. The paper's logistic code needs pretraining by RBMs. A
linear code doesn't, and can be turned into bits as well, by whether it is above the median of the training codes; codes
trained to be bits are in hashing.py.
"""

from collections.abc import Callable, Sequence

from torch import nn

from scalian_exp.networks.autoencoder import Autoencoder
from scalian_exp.networks.parts.layers import mlp
from scalian_exp.ranges import PositiveInt


class TextAutoencoder(Autoencoder):
    """Autoencoder of word weights (B, vocabulary_size), with codes (B, latent_dim) and logits of the words."""

    def __init__(
        self,
        vocabulary_size: PositiveInt,
        hidden: Sequence[PositiveInt],
        latent_dim: PositiveInt,
        code_activation: Callable[[], nn.Module] = nn.Identity,
        tied: bool = False,
    ):
        inwards, outwards = [vocabulary_size, *hidden], [latent_dim, *reversed(hidden)]
        encoder = nn.Sequential(mlp(inwards), nn.Linear(inwards[-1], latent_dim), code_activation())
        decoder = nn.Sequential(mlp(outwards), nn.Linear(outwards[-1], vocabulary_size))
        super().__init__(encoder, decoder, latent_dim, tied)
