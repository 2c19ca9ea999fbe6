"""Selective attention: a grid of Gaussian filters laid over an image, and its transpose to paint with.

Gregor et al. 2015, "DRAW" (arXiv:1502.04623), section 3.2. Images are (B, H, C, W) here, rows first: so one product of
matrices takes the rows of all channels at once, and one the columns.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scalian_exp.ranges import PositiveInt

PARAMETERS = 5
"""of a grid: g̃_X, g̃_Y, log σ², log δ̃, log γ (eq. 21)"""
LIMIT = 10.0
"""of each parameter: exp of more leaves no image in sight, and overflows in the end"""


class Filters(NamedTuple):
    """A grid of N×N filters for each of B images."""

    columns: Tensor
    """F_X (B, N, W), each row sums to 1"""
    rows: Tensor
    """F_Y (B, N, H), the same"""
    intensity: Tensor
    """γ (B, 1, 1, 1)"""

    def read(self, images: Tensor) -> Tensor:
        """γ F_Y x F_Xᵀ of each channel: (B, H, C, W) → (B, N, C, N); eq. 27."""
        channels = images.shape[2]
        strips = self.rows @ images.flatten(2)  # (B, N, C·W)
        patches = strips.unflatten(2, (channels, -1)).flatten(1, 2) @ self.columns.mT
        return self.intensity * patches.unflatten(1, (-1, channels))

    def write(self, patches: Tensor) -> Tensor:
        """1/γ F_Yᵀ w F_X of each channel: (B, N, C, N) → (B, H, C, W); eq. 29."""
        channels = patches.shape[2]
        strips = self.rows.mT @ patches.flatten(2)  # (B, H, C·N)
        images = strips.unflatten(2, (channels, -1)).flatten(1, 2) @ self.columns
        return images.unflatten(1, (-1, channels)) / self.intensity


class GaussianGrid(nn.Module):
    """N×N Gaussian filters, `size` = N, over images of one size; where they lie, how far apart and how wide they are is
    said by five numbers an image. It learns nothing itself."""

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
        # Whole numbers: a network of half precision would round others.
        sides = torch.tensor([width, height])
        positions = torch.arange(1, longest + 1)
        self.register_buffer("sides", sides, persistent=False)
        self.register_buffer("positions", positions, persistent=False)
        self.register_buffer("outside", positions > sides[:, None, None], persistent=False)  # (2, 1, longest)
        self.register_buffer("offsets", 2 * torch.arange(1, size + 1) - size - 1, persistent=False)

    def start(self) -> Tensor:
        """Five numbers to begin with: in the middle, over two thirds of the image, filters half a stride wide. Wider
        strides than filters would leave gaps that nothing is learned about."""
        stride = 2 / 3
        deviation = 0.5 * stride * self.largest_stride
        return torch.tensor([0.0, 0.0, 2 * math.log(max(deviation, 0.5)), math.log(stride), 0.0])

    def geometry(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(…, 5) → centre g_X, g_Y (…, 2), pixels counting from 1; σ², δ and γ, each (…, 1); eq. 22 to 24."""
        exact = parameters.to(torch.promote_types(parameters.dtype, torch.float32)).clamp(-LIMIT, LIMIT)
        centre = (self.sides + 1) / 2 * (exact[..., :2] + 1)
        variance, stride, intensity = exact[..., 2:].exp().split(1, -1)
        return centre, variance, self.largest_stride * stride, intensity

    def forward(self, parameters: Tensor) -> Filters:
        """(B, 5) → the filters of B images; eq. 19, 20, 25, 26."""
        centre, variance, stride, intensity = self.geometry(parameters)
        means = centre[:, :, None] + (0.5 * stride)[:, :, None] * self.offsets  # (B, 2, N)
        distances = (self.positions - means[..., None]).square()  # (B, 2, N, longest)
        exponents = (distances * (-0.5 / variance)[..., None, None]).masked_fill(self.outside, -torch.inf)
        filters = torch.softmax(exponents, -1).to(parameters.dtype)  # normalised, never 0/0
        columns, rows = filters[:, 0, :, : self.width], filters[:, 1, :, : self.height]
        return Filters(columns, rows, intensity.to(parameters.dtype)[..., None, None])

    def box(self, parameters: Tensor) -> Tensor:
        """(…, 5) → left, top, right and bottom of the pixels in the outermost filters' middle, (…, 4), from the image's
        corner; some may lie outside the image."""
        centre, _, stride, _ = self.geometry(parameters)
        reach = stride * (self.size - 1) / 2
        return torch.cat([centre - 1 - reach, centre + reach], -1)
