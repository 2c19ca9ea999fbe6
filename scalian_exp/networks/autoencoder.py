"""Autoencoders: x → code → x.

Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", Science 313: 784-1000-500-250-d
and back, a linear code. The paper's units are logistic and start from a stack of RBMs; ReLU units start from nothing.
"""

import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from scalian_exp.networks.parts.layers import ConvDecoder, ConvEncoder, Flat, dense_decoder, mlp
from scalian_exp.ranges import PositiveInt


class Autoencoder(nn.Module):
    """Inputs (B, …), images for instance, → codes (B, latent_dim) → logits of the inputs (B, …)."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, latent_dim: PositiveInt):
        super().__init__()
        self.encoder, self.decoder, self.latent_dim = encoder, decoder, latent_dim

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class DenseAutoencoder(Autoencoder):
    """C·H·W - hidden[0] - … - latent_dim - … - hidden[0] - C·H·W.

    Args:
        code_activation: of the code; without one the code is linear, and with no hidden layers the network is as well.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        latent_dim: PositiveInt,
        activation: Callable[[], nn.Module] = nn.ReLU,
        code_activation: Callable[[], nn.Module] = nn.Identity,
    ):
        shape = (in_channels, *image_size)
        widths = [math.prod(shape), *hidden]
        code = nn.Linear(widths[-1], latent_dim)
        encoder = Flat(nn.Sequential(mlp(widths, activation), code, code_activation()))
        super().__init__(encoder, dense_decoder(shape, hidden, latent_dim, activation), latent_dim)


class ConvAutoencoder(Autoencoder):
    """4×4 convolutions of stride 2, then dense layers, and their mirror image; any number of channels, any size."""

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        channels: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        latent_dim: PositiveInt,
    ):
        encoder = nn.Sequential(
            ConvEncoder(in_channels, image_size, channels, hidden), nn.Linear(hidden[-1], latent_dim)
        )
        super().__init__(encoder, ConvDecoder(in_channels, image_size, channels, hidden, latent_dim), latent_dim)
