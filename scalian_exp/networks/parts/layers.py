"""Building blocks that several architectures share."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from scalian_exp.ranges import PositiveInt


def scaled(channels: int, width: float) -> int:
    """Multiply a number of channels by a width factor, rounding to at least 1."""
    return max(1, round(channels * width))


def mlp(sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU, dropout: float = 0.0) -> nn.Sequential:
    """Return linear layers of sizes[0] to sizes[-1] units, each followed by the activation, including the last one.

    With dropout, a share of each layer's units is dropped in training. Weights have the same names with it as without,
    so that either starts from the other's.
    """
    layers: dict[str, nn.Module] = {}
    for i, (before, after) in enumerate(pairwise(sizes)):
        layers[f"{2 * i}"], layers[f"{2 * i + 1}"] = nn.Linear(before, after), activation()
        if dropout > 0:
            layers[f"dropout{i}"] = nn.Dropout(dropout)
    return nn.Sequential(OrderedDict(layers))


def pyramid(image_size: Sequence[PositiveInt], levels: int) -> list[tuple[int, int]]:
    """Return the sizes of an image that is halved `levels` times, rounded down: [(H, W), (H/2, W/2), …].

    Raises:
        ValueError: if a side is shorter than 2^levels, so that nothing would be left of it.
    """
    height, width = image_size
    if levels == 0:
        raise ValueError("A convolutional network needs at least one level (model.network.channels).")
    if min(height, width) < 2**levels:
        most = int(math.log2(min(height, width)))
        raise ValueError(
            f"{levels} levels need images of at least {2**levels}×{2**levels} pixels, but these are "
            f"{height}×{width}; use at most {most} levels here (model.network.channels) or larger images "
            "(dataset.image_size)."
        )
    return [(height >> level, width >> level) for level in range(levels + 1)]


def doubling(
    in_channels: PositiveInt, image_size: Sequence[PositiveInt], channels: Sequence[PositiveInt]
) -> Iterator[nn.ConvTranspose2d]:
    """Yield 4×4 transposed convolutions of stride 2 that lead from a pyramid's smallest map back to the image.

    Args:
        in_channels: channels of the image.
        image_size: height and width of the image.
        channels: of the pyramid's levels, from the image downwards.
    """
    sizes = pyramid(image_size, len(channels))
    widths = [*reversed(channels), in_channels]
    for before, after, (height, width) in zip(widths, widths[1:], reversed(sizes[:-1]), strict=False):
        odd = (height % 2, width % 2)  # restores the row and the column that halving dropped
        yield nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, output_padding=odd)


def start_at_base_rates(decoder: nn.Module, mean: Tensor) -> None:
    """Set the last layer's bias so that decoding starts at the mean image (C, H, W), clipped to [0.001, 0.999].

    A convolution's bias is set to the mean of each channel. This follows the code of Burda et al. 2016.
    """
    layer = [layer for layer in decoder.modules() if isinstance(layer, nn.Linear | nn.ConvTranspose2d)][-1]
    rates = mean.flatten() if isinstance(layer, nn.Linear) else mean.mean((1, 2))
    assert layer.bias is not None
    with torch.no_grad():
        layer.bias.copy_(torch.logit(rates.clamp(0.001, 0.999)))


class ConvEncoder(nn.Module):
    """Encoder of images (B, in_channels, H, W) to features (B, hidden[-1]): 4×4 convolutions, then dense layers.

    The convolutions have stride 2. Higgins et al. 2017 and Burgess et al. 2018 (arXiv:1804.03599) use this shape, as
    does DCGAN's discriminator.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        channels: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
    ):
        super().__init__()
        height, width = pyramid(image_size, len(channels))[-1]
        if not hidden:
            raise ValueError("A convolutional network needs at least one dense layer (model.network.hidden).")
        widths = [in_channels, *channels]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.dense = mlp([channels[-1] * height * width, *hidden])

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, in_channels, H, W) to features (B, hidden[-1])."""
        return self.dense(self.convolutions(x).flatten(1))


class ConvDecoder(nn.Module):
    """Decoder of codes (B, latent_dim) to logits (B, in_channels, H, W): ConvEncoder mirrored, for odd sizes too."""

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        channels: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        latent_dim: PositiveInt,
    ):
        super().__init__()
        self.map_size = (channels[-1], *pyramid(image_size, len(channels))[-1])
        self.dense = mlp([latent_dim, *reversed(hidden), math.prod(self.map_size)])
        layers: list[nn.Module] = []
        for deconvolution in doubling(in_channels, image_size, channels):
            layers += [deconvolution, nn.ReLU()]
        self.deconvolutions = nn.Sequential(*layers[:-1])

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (B, latent_dim) to logits of the pixels (B, in_channels, H, W)."""
        return self.deconvolutions(self.dense(z).unflatten(1, self.map_size))


def dense_decoder(
    shape: Sequence[int], hidden: Sequence[int], latent_dim: int, activation: Callable[[], nn.Module]
) -> nn.Sequential:
    """Return a mirrored dense encoder: codes (B, latent_dim) → hidden[-1], …, hidden[0] units → logits (B, *shape)."""
    widths = [latent_dim, *reversed(hidden)]
    return nn.Sequential(
        mlp(widths, activation), nn.Linear(widths[-1], math.prod(shape)), nn.Unflatten(1, tuple(shape))
    )


class Flat(nn.Module):
    """Adapter that applies a network over vectors to images, flattening (B, C, H, W) to (B, C·H·W)."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to the network's output on their flattened pixels."""
        return self.network(x.flatten(1))


def convolution(
    before: int, after: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """Return a size-preserving convolution (apart from its stride), batch norm and ReLU."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(before, after, kernel, stride, padding, dilation, groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True))
