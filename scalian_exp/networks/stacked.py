"""The stacked autoencoder: layers that are trained one after the other, each to encode the code of the one before.

Vincent et al. 2010, "Stacked denoising autoencoders", JMLR 11, section 3.4: 784-1000-1000-1000, logistic units.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from scalian_exp.networks.layers import Flat, mlp
from scalian_exp.ranges import PositiveInt


class StackedAutoencoder(nn.Module):
    """Images (B, C, H, W) → code (B, hidden[-1]) → logits of the pixels (B, C, H, W).

    `layer_encoders[k]` and `layer_decoders[k]` are the autoencoder of layer k, over vectors; decoders give logits.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        activation: Callable[[], nn.Module] = nn.Sigmoid,
    ):
        super().__init__()
        self.shape = (in_channels, *image_size)
        widths = [math.prod(self.shape), *hidden]
        self.latent_dim = widths[-1]
        self.encoder = Flat(mlp(widths, activation))
        self.layer_decoders = nn.ModuleList(nn.Linear(after, before) for before, after in pairwise(widths))
        self.squash = activation()

    @property
    def layer_encoders(self) -> list[nn.Sequential]:
        layers = list(self.encoder.network.children())
        return [nn.Sequential(*layers[start : start + 2]) for start in range(0, len(layers), 2)]

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        for decoder in list(self.layer_decoders)[:0:-1]:
            z = self.squash(decoder(z))
        return self.layer_decoders[0](z).unflatten(1, self.shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))
