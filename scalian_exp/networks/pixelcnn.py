"""PixelCNN (van den Oord et al. 2016, arXiv:1601.06759, sections 3.5 and 4, figure 5).

It trains fast but has a blind spot: a stack of masked 3×3 convolutions never sees pixels above to the right at less
than 45°.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.parts.masked import MaskedConv2d, Step, times
from scalian_exp.networks.parts.pixel_network import Layer, PixelNetwork
from scalian_exp.ranges import NonNegativeInt, PositiveInt


class ResidualBlock(Layer):
    """Residual block of masked convolutions: 2h → h → h → 2h maps, added to the input."""

    def __init__(self, features: int, channels: int, context_features: int = 0):
        super().__init__()
        self.down = MaskedConv2d(2 * features, features, (1, 1), channels)
        self.look = MaskedConv2d(features, features, (3, 3), channels)
        self.up = MaskedConv2d(features, 2 * features, (1, 1), channels)
        self.beside = nn.Conv2d(context_features, features, 1, bias=False) if context_features else None

    def forward(self, y: Tensor, context: Tensor | None) -> Tensor:
        """Map features (B, 2h, H, W), and context (B, F, H, W) if any, to (B, 2h, H, W)."""
        seen = self.look(F.relu(self.down(F.relu(y))))
        if self.beside is not None:
            seen = seen + self.beside(context)
        return y + self.up(F.relu(seen))

    def steps(self, count: int, size: tuple[int, int], context: Tensor | None) -> Step:
        """Return this block for `count` images as a function that is called pixel by pixel."""
        down, look, up = self.down.alone(), self.look.steps(count, size), self.up.alone()
        beside = None if self.beside is None or context is None else times(self.beside.weight[:, :, 0, 0], context)

        def step(y: Tensor, row: int, column: int) -> Tensor:
            seen = look(down(y.relu()).relu_(), row, column)
            if beside is not None:
                seen = seen + beside[:, row, column]
            return y + up(seen.relu_())

        return step


class PixelCNN(PixelNetwork):
    """PixelCNN: a masked 7×7 convolution, residual blocks, and masked 1×1 convolutions.

    Args:
        features: the paper's h.
        depth: number of residual blocks.
        context_features: feature maps of the context, if the network is conditional.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        levels: PositiveInt,
        features: PositiveInt = 16,
        depth: PositiveInt = 7,
        head_features: PositiveInt = 32,
        context_features: NonNegativeInt = 0,
    ):
        layers = [ResidualBlock(features, in_channels, context_features) for _ in range(depth)]
        super().__init__(in_channels, image_size, levels, features, layers, head_features)
