"""Masked convolutions: none of their outputs depends on later pixels (van den Oord et al. 2016, section 3.4).

Pixels are ordered row by row, from left to right; within a pixel, channels are ordered too. Feature maps are divided
among the channels in groups as equal as possible. A group may see those of earlier channels (mask A), or its own as
well (mask B).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Step = Callable[[Tensor, int, int], Tensor]
"""maps features of a pixel (F, B), its row and its column to features of the layer above; called in pixel order"""


def groups(maps: int, channels: int) -> Tensor:
    """Return the channel that each of `maps` feature maps belongs to."""
    return torch.arange(maps) * channels // maps


def times(matrix: Tensor, x: Tensor) -> Tensor:
    """Multiply maps (F, …) by a matrix (G, F) along their first dimension."""
    return (matrix @ x.flatten(1)).unflatten(1, x.shape[1:])


class MaskedConv2d(nn.Conv2d):
    """Size-preserving convolution that sees only earlier pixels: the rows above, and its own row to the left.

    Args:
        channels: channels of the image, into whose groups the feature maps are divided.
        strict: use mask A: within the pixel itself, see only channels before the output's own.
        gates: number of equal blocks that the outputs consist of; each block is divided into groups.
    """

    mask: Tensor

    def __init__(
        self,
        before: int,
        after: int,
        kernel: tuple[int, int] = (1, 1),
        channels: int = 1,
        strict: bool = False,
        gates: int = 1,
    ):
        height, width = kernel
        super().__init__(before, after, kernel, padding=(height // 2, width // 2))
        theirs, own = groups(before, channels), groups(after // gates, channels).repeat(gates)
        mask = torch.ones_like(self.weight)
        mask[:, :, height // 2, width // 2] = (own[:, None] > theirs if strict else own[:, None] >= theirs).float()
        mask[:, :, height // 2, width // 2 + 1 :] = 0
        mask[:, :, height // 2 + 1 :] = 0
        self.register_buffer("mask", mask, persistent=False)

    @property
    def masked(self) -> Tensor:
        """The masked weight, (after, before, height, width)."""
        return self.weight * self.mask

    @property
    def matrix(self) -> Tensor:
        """The masked weight of the rows that are not masked out entirely, (after, before·rows·width)."""
        return self.masked[:, :, : self.weight.shape[2] // 2 + 1].flatten(1)

    @property
    def column(self) -> Tensor:
        """The bias as a column, (after, 1)."""
        assert self.bias is not None
        return self.bias[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, before, H, W) to (B, after, H, W)."""
        return self._conv_forward(x, self.masked, self.bias)

    def features_first(self, x: Tensor) -> Tensor:
        """Apply a 1×1 convolution to maps whose features come first: (before, …) → (after, …)."""
        return torch.addmm(self.column, self.matrix, x.flatten(1)).unflatten(1, x.shape[1:])

    def canvas(self, count: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return zeros for `count` images with the border that the convolution needs, and a view of the part inside it.

        The view is (F, H, W, B).
        """
        (up, left), (height, width) = self.padding_of_past, size
        canvas = self.weight.new_zeros(self.in_channels, height + up, width + 2 * left, count)
        return canvas, canvas[:, up:, left : left + width]

    @property
    def padding_of_past(self) -> tuple[int, int]:
        """Rows of padding above and columns of padding on either side."""
        return self.kernel_size[0] // 2, self.kernel_size[1] // 2

    def at(self, canvas: Tensor) -> Callable[[int, int], Tensor]:
        """Return a function of row and column that computes the outputs (after, B) there from the current canvas."""
        matrix, bias, (up, left) = self.matrix, self.column, self.padding_of_past

        def look(row: int, column: int) -> Tensor:
            return torch.addmm(
                bias, matrix, canvas[:, row : row + up + 1, column : column + 2 * left + 1].flatten(0, 2)
            )

        return look

    def steps(self, count: int, size: tuple[int, int]) -> Step:
        """Return this convolution for `count` images as a function that is called pixel by pixel."""
        canvas, seen = self.canvas(count, size)
        look = self.at(canvas)

        def step(x: Tensor, row: int, column: int) -> Tensor:
            seen[:, row, column] = x
            return look(row, column)

        return step

    def alone(self) -> Callable[[Tensor], Tensor]:
        """Return this 1×1 convolution as a function of one pixel's features: (before, B) → (after, B)."""
        matrix, bias = self.matrix, self.column
        return lambda x: torch.addmm(bias, matrix, x)
