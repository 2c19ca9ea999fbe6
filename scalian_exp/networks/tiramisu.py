"""The One Hundred Layers Tiramisu (FC-DenseNet): Jégou et al. 2017 (arXiv:1611.09326), figures 1 and 2."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from scalian_exp.networks.parts.layers import scaled
from scalian_exp.networks.unet import cropped, mirrored
from scalian_exp.ranges import FractionBelowOne, PositiveFloat, PositiveInt


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that can use the statistics of the current batch at test time too."""

    def __init__(self, channels: int, batch_statistics: bool):
        super().__init__(channels)
        self.batch_statistics = batch_statistics

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        if self.batch_statistics and not self.training:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return super().forward(x)


def layer(before: int, after: int, kernel: int, dropout: float, batch_statistics: bool) -> nn.Sequential:
    """Return batch norm, ReLU, a convolution, and dropout of single values."""
    convolution = he_uniform(nn.Conv2d(before, after, kernel, padding=kernel // 2))
    return nn.Sequential(BatchNorm(before, batch_statistics), nn.ReLU(inplace=True), convolution, nn.Dropout(dropout))


def he_uniform(convolution: nn.Module) -> nn.Module:
    """Initialise a convolution with He's uniform weights and zero bias, and return it."""
    nn.init.kaiming_uniform_(convolution.weight, nonlinearity="relu")  # type: ignore[arg-type]
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution


def first_and_again(norm: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return contexts for a checkpointed computation, whose second run leaves running statistics alone."""

    @contextmanager
    def again() -> Iterator[None]:
        momentum, norm.momentum = norm.momentum, 0.0  # type: ignore[assignment]
        try:
            yield
        finally:
            norm.momentum = momentum

    return nullcontext(), again()


class DenseBlock(nn.Module):
    """Block of layers that each see all maps before them; returns the new maps: (B, C, H, W) → (B, count·growth, H, W).

    Args:
        checkpointing: recompute the layers in the backward pass instead of keeping their activations.
    """

    def __init__(
        self, before: int, count: int, growth: int, dropout: float, batch_statistics: bool, checkpointing: bool
    ):
        super().__init__()
        self.checkpointing = checkpointing
        self.layers = nn.ModuleList(
            layer(before + i * growth, growth, 3, dropout, batch_statistics) for i in range(count)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, before, H, W) to the layers' new features (B, count·growth, H, W)."""
        new: list[Tensor] = []
        for dense in self.layers:
            seen = torch.cat([x, *new], 1)
            if self.checkpointing and self.training:
                twice = partial(first_and_again, next(dense.children()))
                new.append(checkpoint(dense, seen, use_reentrant=False, context_fn=twice))
            else:
                new.append(dense(seen))
        return torch.cat(new, 1)


class FCDenseNet(nn.Module):
    """FC-DenseNet from images (B, in_channels, H, W) to logits (B, num_classes, H, W), for any H and W.

    On the way up, only a block's new maps are upsampled, not its input, because the number of maps would explode
    otherwise.

    A 3×3 transposed convolution of stride 2 is centred half a pixel below and right of the four pixels that a pooling
    joined, and is cropped as in the authors' code; its kernel learns where pixels lie.

    Args:
        layers: number of layers of each dense block on the way down, and last of the bottleneck; the way up mirrors
            them.
        growth: maps that each layer adds.
        width: factor of growth and of the first convolution's 48 channels.
        batch_statistics: normalise by the current batch's statistics at test time too, as the paper's code does;
            results then depend on what else is in a batch.
        checkpointing: trade time for memory by recomputing layers in the backward pass.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        num_classes: PositiveInt,
        layers: Sequence[PositiveInt],
        growth: PositiveInt,
        width: PositiveFloat = 1.0,
        dropout: FractionBelowOne = 0.2,
        batch_statistics: bool = True,
        checkpointing: bool = False,
    ):
        super().__init__()
        growth, channels = scaled(growth, width), scaled(48, width)
        shared = (dropout, batch_statistics)
        self.total_stride = 2 ** (len(layers) - 1)
        self.entry = he_uniform(nn.Conv2d(in_channels, channels, 3, padding=1))
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        skips = []
        for count in layers[:-1]:
            self.down.append(DenseBlock(channels, count, growth, *shared, checkpointing))
            channels += count * growth
            skips.append(channels)
            self.shrink.append(nn.Sequential(layer(channels, channels, 1, *shared), nn.MaxPool2d(2)))
        self.bottleneck = DenseBlock(channels, layers[-1], growth, *shared, checkpointing)
        new = layers[-1] * growth
        self.grow, self.up = nn.ModuleList(), nn.ModuleList()
        for count, skip in zip(reversed(layers[:-1]), reversed(skips), strict=True):
            self.grow.append(he_uniform(nn.ConvTranspose2d(new, new, 3, stride=2)))
            channels = new + skip
            self.up.append(DenseBlock(channels, count, growth, *shared, checkpointing))
            new = count * growth
        self.head = he_uniform(nn.Conv2d(channels + new, num_classes, 1))  # the last block's input too

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to logits (B, num_classes, H, W)."""
        height, width = x.shape[-2:]
        least = 2 * self.total_stride  # batch norm needs more than one pixel in the deepest map
        x = self.entry(mirrored(x, 0, max(least - height, 0), 0, max(least - width, 0)))
        skips = []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            x = torch.cat([x, block(x)], 1)
            skips.append(x)
            x = shrink(x)
        new = self.bottleneck(x)
        for grow, block, skip in zip(self.grow, self.up, reversed(skips), strict=True):
            x = torch.cat([cropped(grow(new), *skip.shape[-2:]), skip], 1)
            new = block(x)
        return self.head(torch.cat([x, new], 1))[..., :height, :width]
