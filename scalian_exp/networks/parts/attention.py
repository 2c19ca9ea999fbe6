"""Selective attention: a grid of Gaussian filters over an image for reading, and its transpose for writing.

Gregor et al. 2015, "DRAW" (arXiv:1502.04623), section 3.2. Images are (B, H, C, W) here, rows first, so that one matrix
product handles the rows of all channels at once and another one the columns.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scalian_exp.ranges import PositiveInt

PARAMETERS = 5
"""number of parameters of a grid: g̃_X, g̃_Y, log σ², log δ̃, log γ (eq. 21)"""
LIMIT = 10.0
"""bound on the magnitude of each parameter: larger exponents move the grid out of the image and finally overflow"""


class Filters(NamedTuple):
    """Filters of a grid of N×N points, one grid for each of B images."""

    columns: Tensor
    """F_X (B, N, W), each row sums to 1"""
    rows: Tensor
    """F_Y (B, N, H), each row sums to 1"""
    intensity: Tensor
    """γ (B, 1, 1, 1)"""

    def read(self, images: Tensor) -> Tensor:
        """Read a patch from each channel, γ F_Y x F_Xᵀ (eq. 27): (B, H, C, W) → (B, N, C, N)."""
        channels = images.shape[2]
        strips = self.rows @ images.flatten(2)  # (B, N, C·W)
        patches = strips.unflatten(2, (channels, -1)).flatten(1, 2) @ self.columns.mT
        return self.intensity * patches.unflatten(1, (-1, channels))

    def write(self, patches: Tensor) -> Tensor:
        """Write a patch to each channel, 1/γ F_Yᵀ w F_X (eq. 29): (B, N, C, N) → (B, H, C, W)."""
        channels = patches.shape[2]
        strips = self.rows.mT @ patches.flatten(2)  # (B, H, C·N)
        images = strips.unflatten(2, (channels, -1)).flatten(1, 2) @ self.columns
        return images.unflatten(1, (-1, channels)) / self.intensity


class GaussianGrid(nn.Module):
    """Grid of N×N Gaussian filters (N = `size`) whose place, spacing and width five parameters per image decide.

    The module itself has nothing to learn; another network computes the parameters.
    """

    sides: Tensor
    positions: Tensor
    outside: Tensor
    offsets: Tensor

    def __init__(self, size: PositiveInt, image_size: Sequence[PositiveInt]):
        super().__init__()
        height, width = image_size
        longest = max(height, width)
        if size > longest:
            raise ValueError(
                f"A grid of {size}×{size} points is finer than an image of {height}×{width}; take at most {longest}."
            )
        self.size, self.width, self.height = size, width, height
        self.largest_stride = (longest - 1) / max(size - 1, 1)  # the grid spans the image then
        # Integers, because casting the network to half precision would round floating-point buffers.
        sides = torch.tensor([width, height])
        positions = torch.arange(1, longest + 1)
        self.register_buffer("sides", sides, persistent=False)
        self.register_buffer("positions", positions, persistent=False)
        self.register_buffer("outside", positions > sides[:, None, None], persistent=False)  # (2, 1, longest)
        self.register_buffer("offsets", 2 * torch.arange(1, size + 1) - size - 1, persistent=False)

    def start(self) -> Tensor:
        """Return five initial parameters: centred, over two thirds of the image, filters half a stride wide.

        Strides wider than the filters would leave gaps from which no gradient comes.
        """
        stride = 2 / 3
        deviation = 0.5 * stride * self.largest_stride
        return torch.tensor([0.0, 0.0, 2 * math.log(max(deviation, 0.5)), math.log(stride), 0.0])

    def geometry(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Convert parameters (…, 5) to the centre (g_X, g_Y), (…, 2), in pixels counted from 1; σ²; δ; and γ, (…, 1).

        Eq. 22 to 24.
        """
        exact = parameters.to(torch.promote_types(parameters.dtype, torch.float32)).clamp(-LIMIT, LIMIT)
        centre = (self.sides + 1) / 2 * (exact[..., :2] + 1)
        variance, stride, intensity = exact[..., 2:].exp().split(1, -1)
        return centre, variance, self.largest_stride * stride, intensity

    def forward(self, parameters: Tensor) -> Filters:
        """Compute the filters of B images from their parameters (B, 5); eq. 19, 20, 25, 26."""
        centre, variance, stride, intensity = self.geometry(parameters)
        means = centre[:, :, None] + (0.5 * stride)[:, :, None] * self.offsets  # (B, 2, N)
        distances = (self.positions - means[..., None]).square()  # (B, 2, N, longest)
        exponents = (distances * (-0.5 / variance)[..., None, None]).masked_fill(self.outside, -torch.inf)
        filters = torch.softmax(exponents, -1).to(parameters.dtype)  # normalised, never 0/0
        columns, rows = filters[:, 0, :, : self.width], filters[:, 1, :, : self.height]
        return Filters(columns, rows, intensity.to(parameters.dtype)[..., None, None])

    def box(self, parameters: Tensor) -> Tensor:
        """Return the box (…, 4) that the grid covers, in pixels from the image's corner: left, top, right, bottom.

        It runs through the pixels at the centres of the outermost filters, some of which may lie outside the image.

        Args:
            parameters: of the grid, (…, 5).
        """
        centre, _, stride, _ = self.geometry(parameters)
        reach = stride * (self.size - 1) / 2
        return torch.cat([centre - 1 - reach, centre + reach], -1)
