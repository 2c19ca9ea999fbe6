"""Stacked autoencoder: layers trained one after another, each to encode the code of the layer below.

Vincent et al. 2010, "Stacked denoising autoencoders", JMLR 11, section 3.4: 784-1000-1000-1000, logistic units.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from scalian_exp.networks.autoencoder import Autoencoder
from scalian_exp.networks.parts.layers import Flat, mlp
from scalian_exp.ranges import PositiveInt


class StackedAutoencoder(Autoencoder):
    """Autoencoder of images (B, C, H, W) with codes (B, hidden[-1]), which can be trained layer by layer.

    `layer_encoders[k]` and `layer_decoders[k]` make up the autoencoder of layer k, over vectors; decoders return
    logits.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        activation: Callable[[], nn.Module] = nn.Sigmoid,
        tied: bool = False,
    ):
        if not hidden:
            raise ValueError("A stack needs at least one layer (model.network.hidden).")
        shape = (in_channels, *image_size)
        widths = [math.prod(shape), *hidden]
        encoder = Flat(mlp(widths, activation))
        outwards = [layer for before, after in pairwise(widths) for layer in (activation(), nn.Linear(after, before))]
        decoder = nn.Sequential(*reversed([nn.Unflatten(1, shape), *outwards[1:]]))
        super().__init__(encoder, decoder, widths[-1], tied)

    def layer_codes(self, x: Tensor) -> list[Tensor]:
        """Return the codes of each layer, (B, hidden[k]), from the image upwards."""
        codes = [x.flatten(1)]
        for encoder in self.layer_encoders:
            codes.append(encoder(codes[-1]))
        return codes[1:]

    @property
    def layer_encoders(self) -> list[nn.Sequential]:
        """Encoders of the layers, from the image upwards."""
        layers: Any = self.encoder.network
        return [layers[start : start + 2] for start in range(0, len(layers), 2)]

    @property
    def layer_decoders(self) -> list[nn.Linear]:
        """Decoders of the layers, from the image upwards."""
        return [layer for layer in self.decoder.children() if isinstance(layer, nn.Linear)][::-1]
