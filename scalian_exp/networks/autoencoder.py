"""Autoencoders: networks that encode their input to a short code and decode it again.

Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", Science 313: 784-1000-500-250-d
and back, with a linear code. The paper's logistic units need pretraining by a stack of RBMs; ReLU units train from a
random initialisation.
"""

import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from scalian_exp.networks.parts.layers import ConvDecoder, ConvEncoder, Flat, dense_decoder, mlp
from scalian_exp.networks.parts.tied import tie
from scalian_exp.ranges import PositiveInt


class Autoencoder(nn.Module):
    """Pair of an encoder, inputs (B, …) → codes (B, latent_dim), and a decoder, codes → logits of the inputs (B, …).

    With `tied`, the decoder's weights are the encoder's, transposed.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, latent_dim: PositiveInt, tied: bool = False):
        super().__init__()
        if tied:
            tie(encoder, decoder)
        self.encoder, self.decoder, self.latent_dim = encoder, decoder, latent_dim

    def encode(self, x: Tensor) -> Tensor:
        """Encode inputs (B, …), such as images in [0, 1], to codes (B, latent_dim)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """Decode codes (B, latent_dim) to logits of the inputs (B, …); their sigmoid is the reconstruction."""
        return self.decoder(z)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (B, …) to logits of their reconstruction (B, …)."""
        return self.decode(self.encode(x))


class DenseAutoencoder(Autoencoder):
    """Autoencoder of dense layers: C·H·W - hidden[0] - … - latent_dim - … - hidden[0] - C·H·W.

    Args:
        code_activation: activation of the code; the default is a linear code, and without hidden layers a linear
            network.
        tied: make the decoder's weights the encoder's, transposed.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        latent_dim: PositiveInt,
        activation: Callable[[], nn.Module] = nn.ReLU,
        code_activation: Callable[[], nn.Module] = nn.Identity,
        tied: bool = False,
    ):
        shape = (in_channels, *image_size)
        widths = [math.prod(shape), *hidden]
        code = nn.Linear(widths[-1], latent_dim)
        encoder = Flat(nn.Sequential(mlp(widths, activation), code, code_activation()))
        super().__init__(encoder, dense_decoder(shape, hidden, latent_dim, activation), latent_dim, tied)


class ConvAutoencoder(Autoencoder):
    """Autoencoder of 4×4 convolutions with stride 2 and dense layers, mirrored in the decoder, for any image size."""

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        channels: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        latent_dim: PositiveInt,
        tied: bool = False,
    ):
        encoder = nn.Sequential(
            ConvEncoder(in_channels, image_size, channels, hidden), nn.Linear(hidden[-1], latent_dim)
        )
        decoder = ConvDecoder(in_channels, image_size, channels, hidden, latent_dim)
        super().__init__(encoder, decoder, latent_dim, tied)
