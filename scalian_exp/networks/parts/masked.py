"""Masked convolutions: none of their outputs depends on later pixels (van den Oord et al. 2016, section 3.4).

Pixels come row after row, from left to right; within a pixel, the channels come in their order. Feature maps belong to
channels in groups as equal as can be, as each may see the channels before its own (mask A), and its own (mask B).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Step = Callable[[Tensor, int, int], Tensor]
"""features of a pixel (F, B), its row and column → features of the layer above; pixels come in their order"""


def groups(maps: int, channels: int) -> Tensor:
    """The channel that each of so many feature maps belongs to."""
    return torch.arange(maps) * channels // maps


def times(matrix: Tensor, x: Tensor) -> Tensor:
    """A matrix and maps (F, …)."""
    return (matrix @ x.flatten(1)).unflatten(1, x.shape[1:])


class MaskedConv2d(nn.Conv2d):
    """A convolution that keeps the size and sees what comes before: rows above, and in its own row what is left.

    Args:
        channels: of the image, into whose groups the feature maps are divided.
        strict: mask A: of the pixel itself only the channels before the own one.
        gates: the outputs are so many blocks, each divided into groups.
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
        """The weight: (after, before, height, width)."""
        return self.weight * self.mask

    @property
    def matrix(self) -> Tensor:
        """The same of the rows that it sees, (after, before·rows·width)."""
        return self.masked[:, :, : self.weight.shape[2] // 2 + 1].flatten(1)

    @property
    def column(self) -> Tensor:
        """The bias, (after, 1)."""
        assert self.bias is not None
        return self.bias[:, None]

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.masked, self.bias)

    def features_first(self, x: Tensor) -> Tensor:
        """The same for 1×1 kernels: (before, …) → (after, …)."""
        return torch.addmm(self.column, self.matrix, x.flatten(1)).unflatten(1, x.shape[1:])

    def canvas(self, count: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Zeros for `count` images with the border that the convolution needs, and the view of what lies within, (F, H,
        W, B)."""
        (up, left), (height, width) = self.padding_of_past, size
        canvas = self.weight.new_zeros(self.in_channels, height + up, width + 2 * left, count)
        return canvas, canvas[:, up:, left : left + width]

    @property
    def padding_of_past(self) -> tuple[int, int]:
        return self.kernel_size[0] // 2, self.kernel_size[1] // 2

    def at(self, canvas: Tensor) -> Callable[[int, int], Tensor]:
        """A row and a column → the outputs there (after, B), of what lies on the canvas at that time."""
        matrix, bias, (up, left) = self.matrix, self.column, self.padding_of_past

        def look(row: int, column: int) -> Tensor:
            return torch.addmm(
                bias, matrix, canvas[:, row : row + up + 1, column : column + 2 * left + 1].flatten(0, 2)
            )

        return look

    def steps(self, count: int, size: tuple[int, int]) -> Step:
        """The same for `count` images, one pixel after the other."""
        canvas, seen = self.canvas(count, size)
        look = self.at(canvas)

        def step(x: Tensor, row: int, column: int) -> Tensor:
            seen[:, row, column] = x
            return look(row, column)

        return step

    def alone(self) -> Callable[[Tensor], Tensor]:
        """The same for 1×1 kernels: features (F, B) → (after, B)."""
        matrix, bias = self.matrix, self.column
        return lambda x: torch.addmm(bias, matrix, x)
