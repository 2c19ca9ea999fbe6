"""Base classes of PixelRNN and PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016, arXiv:1601.06759, table 1).

p(x) = Π p(x_i | x_1 … x_{i−1}) over the channels of the pixels, row by row: a 7×7 convolution with mask A, layers that
look at earlier pixels, two 1×1 convolutions, and a sigmoid or a softmax over a pixel's values.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.parts.masked import MaskedConv2d, Step
from scalian_exp.networks.parts.pixels import draw, expected, logits_per_value, nats


class Layer(nn.Module, ABC):
    """Layer that maps feature maps to feature maps without looking at later pixels."""

    beyond = 0
    """number of columns to the right of the image that the layer processes as well"""

    @abstractmethod
    def steps(self, count: int, size: tuple[int, int], context: Tensor | None) -> Step:
        """Return this layer for `count` images as a function that is called pixel by pixel.

        A pixel may be passed again once more of its channels are known.

        Args:
            count: number of images.
            size: height and width.
            context: the context that `forward` takes, as (F, H, W, B).
        """


class PixelByPixel(nn.Module, ABC):
    """Network from images (B, C, H, W) to logits of their pixels, each given the pixels before it.

    See parts/pixels.py for the shapes of the logits.
    """

    shape: tuple[int, int, int]
    """channels, height and width of an image"""
    levels: int
    """number of values that a channel of a pixel can take"""
    rows_drawn: int
    """number of images that `pixel_by_pixel` yields"""

    @abstractmethod
    def pixel_by_pixel(
        self, x: Tensor, known: Tensor, temperature: float = 1.0, noise: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Draw the unknown pixels of images one by one, each given those before it; yield the images after each row.

        Known pixels that come later have no influence. The images (B, C, H, W) are always the same tensor.

        Args:
            x: images (B, C, H, W) in [0, 1].
            known: bool (B, 1, H, W).
            temperature: divides the logits.
            noise: uniform in [0, 1), shaped like x; drawn if not given.
        """

    def next_pixel(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return each pixel's expected value given those before it, in [0, 1], and −log p of the actual one, in nats.

        Both are shaped like x.
        """
        logits = self(x)
        return expected(logits, x.dim()), nats(logits, x)

    def complete(self, x: Tensor, known: Tensor, temperature: float = 1.0) -> Tensor:
        """Draw the unknown pixels of images (B, C, H, W) and return the completed images; see `pixel_by_pixel`."""
        *_, image = self.pixel_by_pixel(x, known, temperature)
        return image

    def sample(self, count: int, temperature: float = 1.0) -> Tensor:
        """Draw images (count, C, H, W) in [0, 1]."""
        x = next(self.parameters()).new_zeros(count, *self.shape)
        return self.complete(x, torch.zeros_like(x[:, :1], dtype=torch.bool), temperature)


class PixelNetwork(PixelByPixel):
    """Network over pixels: a masked 7×7 convolution, layers, and masked 1×1 convolutions.

    Args:
        in_channels: channels of the image; of three, green sees red, and blue sees both.
        levels: number of values that a channel of a pixel can take.
        features: the paper's h; there are 2h feature maps.
        layers: the layers between the first convolution and the last ones.
        head_features: feature maps of the last convolution but one.

    Raises:
        ValueError: if there are fewer feature maps than channels, or fewer than two values.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: Sequence[int],
        levels: int,
        features: int,
        layers: Sequence[Layer],
        head_features: int,
    ):
        super().__init__()
        if min(features, head_features) < in_channels:
            raise ValueError(
                f"Each of the {in_channels} channels needs its own feature map, but there are {features} features "
                f"and {head_features} head_features; give at least {in_channels}."
            )
        if levels < 2:
            raise ValueError(f"A pixel takes at least 2 values, not {levels}; correct dataset.levels.")
        height, width = image_size
        self.shape, self.levels, self.rows_drawn = (in_channels, height, width), levels, height
        self.embed = MaskedConv2d(in_channels, 2 * features, (7, 7), in_channels, strict=True)
        self.layers: Any = nn.ModuleList(layers)
        self.beyond = max(layer.beyond for layer in layers)
        logits = in_channels * logits_per_value(levels)
        widths = [2 * features, head_features, head_features, logits]
        self.head: Any = nn.ModuleList(
            MaskedConv2d(before, after, channels=in_channels) for before, after in pairwise(widths)
        )

    def trunk(self, y: Tensor, context: Tensor | None) -> Tensor:
        """Apply all layers and the last convolutions: (B, 2h, H, W) → (B, logits, H, W)."""
        for layer in self.layers:
            y = layer(y, context)
        for convolution in self.head:
            y = convolution(F.relu(y))
        return y

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the logits of every pixel of images (B, C, H, W) in [0, 1], each given the pixels before it.

        Args:
            x: the images.
            context: features to condition on, (B, F, H, W).
        """
        width, room = x.shape[-1], (0, self.beyond)
        y = self.trunk(self.embed(F.pad(x, room)), None if context is None else F.pad(context, room))[..., :width]
        return y if self.levels == 2 else y.unflatten(1, (len(x[0]), self.levels)).transpose(1, 2)

    def looking(self, canvas: Tensor, context: Tensor | None) -> Callable[[int, int], Tensor]:
        """Return a function of row and column that gives the logits there, (C, B) or (C, values, B).

        It must be called in pixel order, including the columns beyond the image. Each call computes only what depends
        on the newest pixel.

        Args:
            canvas: canvas of the first convolution, onto which the image is drawn.
            context: features to condition on, (B, F, H, W).
        """
        count, size = canvas.shape[-1], (self.shape[1], self.shape[2] + self.beyond)
        beside = None if context is None else F.pad(context, (0, self.beyond)).permute(1, 2, 3, 0)
        embed = self.embed.at(canvas)
        layers = [layer.steps(count, size, beside) for layer in self.layers]
        head = [convolution.alone() for convolution in self.head]

        def look(row: int, column: int) -> Tensor:
            y = embed(row, column)
            for step in layers:
                y = step(y, row, column)
            for convolution in head:
                y = convolution(y.relu())
            return y if self.levels == 2 else y.unflatten(0, (-1, self.levels))

        return look

    @torch.no_grad()
    def pixel_by_pixel(
        self,
        x: Tensor,
        known: Tensor,
        temperature: float = 1.0,
        noise: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Draw the unknown pixels of images one by one; see `PixelByPixel.pixel_by_pixel`.

        Args:
            x: images (B, C, H, W) in [0, 1].
            known: bool (B, 1, H, W).
            temperature: divides the logits.
            noise: uniform in [0, 1), shaped like x; drawn if not given.
            context: features to condition on, (B, F, H, W).
        """
        noise = torch.rand(x.shape, device=x.device) if noise is None else noise
        channels, height, width = self.shape
        canvas, image = self.embed.canvas(len(x), (height, width + self.beyond))
        image = image[:, :, :width]
        image.copy_(torch.where(known, x, torch.zeros_like(x)).permute(1, 2, 3, 0))
        look = self.looking(canvas, context)
        fixed, noise, given = known[:, 0].permute(1, 2, 0), noise.permute(1, 2, 3, 0), known.all(0)[0].tolist()
        for row in range(height):
            for column in range(width):
                for channel in range(channels):
                    logits = look(row, column)
                    if given[row][column]:
                        break
                    drawn = draw(logits[channel], noise[channel, row, column], temperature).to(image.dtype)
                    pixel = image[channel, row, column]
                    pixel.copy_(torch.where(fixed[row, column], pixel, drawn))
            for column in range(width, width + self.beyond):
                look(row, column)
            yield image.permute(3, 0, 1, 2)
