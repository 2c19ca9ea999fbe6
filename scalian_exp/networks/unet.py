"""U-Net: Ronneberger, Fischer & Brox 2015 (arXiv:1505.04597), figure 1."""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.parts.encoders import Backbone, OnEncoder, level
from scalian_exp.networks.parts.layers import scaled
from scalian_exp.ranges import FractionBelowOne, PositiveFloat, PositiveInt


def mirrored(x: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Pad an image (…, H, W) with its mirror image, repeated as often as necessary."""
    for dim, before, after in ((-2, top, bottom), (-1, left, right)):
        period = max(2 * (x.shape[dim] - 1), 1)
        places = torch.arange(-before, x.shape[dim] + after, device=x.device) % period
        x = x.index_select(dim, torch.minimum(places, period - places) % x.shape[dim])
    return x


def cropped(x: Tensor, height: int, width: int) -> Tensor:
    """Crop the centre of an image (…, H, W)."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def double_convolution(before: int, after: int, padded: bool) -> nn.Sequential:
    """Return two 3×3 convolutions, each with ReLU, and with batch norm in between if they are padded."""
    layers: list[nn.Module] = []
    for channels in (before, after):
        convolution = nn.Conv2d(channels, after, 3, padding=int(padded), bias=not padded)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")  # N(0, √(2/N)), as the paper
        layers += [convolution, *([nn.BatchNorm2d(after)] if padded else []), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(OnEncoder):
    """U-Net from images (B, in_channels, H, W) to logits (B, num_classes, H, W), for any H and W.

    The paper's convolutions are unpadded, so its output is smaller than its input. Here the input is padded with its
    mirror image, as the paper does at the edges, so that the output covers the image. `valid` is the bare network.

    Args:
        width: factor of the paper's 64, 128, … channels.
        depth: how often the map is halved; 4 in the paper.
        padded: use zero-padded convolutions and batch norm, the usual variant since. Images are still padded with their
            mirror image to a multiple of 2^depth.
        dropout: at the end of the contracting path.
        deep_supervision: every level of the expanding path computes logits of its own, which are enlarged and added to
            those of the next (Isensee et al. 2018, arXiv:1802.10508): a short path for gradients to the deep levels.
            Without it, a narrow network soon learns outlines, but classes only slowly.
        average_flipped: in evaluation, average the logits of an image and of its left-right mirror image: twice the
            time, and slightly better (the paper averages seven rotations). Train with flipped images.
        skips: concatenate the contracting path's maps to those of the expanding path, as in the paper. False leaves out
            these concatenations and nothing else: the first convolution of each level on the way up sees half as many
            channels, and all that the logits depend on passes through the deepest map.
        backbone: builds an encoder that replaces the contracting path, `depth` included: its deepest map of each stride
            takes the place of a level's. The expanding path then has 16, 32, … channels times `width`.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        num_classes: PositiveInt,
        width: PositiveFloat = 1.0,
        depth: PositiveInt = 4,
        padded: bool = False,
        dropout: FractionBelowOne = 0.5,
        deep_supervision: bool = False,
        average_flipped: bool = False,
        skips: bool = True,
        backbone: Backbone | None = None,
    ):
        super().__init__()
        self.padded, self.average_flipped, self.skips = padded, average_flipped, skips
        if backbone is None:
            self.total_stride = 2**depth
            widths = encoded = [scaled(64 * 2**level, width) for level in range(depth + 1)]
            self.entry = double_convolution(in_channels, widths[0], padded)
            self.down = nn.ModuleList(double_convolution(a, b, padded) for a, b in pairwise(widths))
            self.pool = nn.MaxPool2d(2)
        else:
            if not padded:
                raise ValueError("A backbone pads its convolutions: use model.network.padded=true with it.")
            self.backbone = self.encoder(backbone, in_channels, 32, pretrained=False)
            self.total_stride = max(self.backbone.strides)
            level(self.backbone, 2 ** (self.total_stride.bit_length() - 1))  # refuses other strides than powers of two
            at = dict(zip(self.backbone.strides, self.backbone.channels, strict=True))  # the deepest of equal strides
            encoded = [at.get(2**level, 0) for level in range(self.total_stride.bit_length())]
            widths = [*(scaled(16 * 2**level, width) for level in range(len(encoded) - 1)), encoded[-1]]
        self.dropout = nn.Dropout(dropout)
        self.grow = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in reversed([*pairwise(widths)]))
        skipped = [channels if skips else 0 for channels in encoded[:-1]]
        self.up = nn.ModuleList(
            double_convolution(skip + a, a, padded) for a, skip in reversed([*zip(widths, skipped, strict=False)])
        )
        self.head = nn.Conv2d(widths[0], num_classes, 1)
        coarse = reversed(widths[1:]) if deep_supervision else []
        self.coarse_heads = nn.ModuleList(nn.Conv2d(channels, num_classes, 1) for channels in coarse)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to logits (B, num_classes, H, W)."""
        if self.training or not self.average_flipped:
            return self.continued(x)
        return (self.continued(x) + self.continued(x.flip(-1)).flip(-1)) / 2

    def continued(self, x: Tensor) -> Tensor:
        """Map images to logits without averaging, padding them with their mirror image."""
        height, width = x.shape[-2:]
        (inner_height, outer_height), (inner_width, outer_width) = self.fitting(height), self.fitting(width)
        # centre the output on the image
        top = (inner_height - height) // 2 + (outer_height - inner_height) // 2
        left = (inner_width - width) // 2 + (outer_width - inner_width) // 2
        x = mirrored(x, top, outer_height - height - top, left, outer_width - width - left)
        return cropped(self.valid(x), height, width)

    def valid(self, x: Tensor) -> Tensor:
        """Apply the bare network of the paper's figure 1, whose output may be smaller than its input.

        At depth 4, sides of 16·k + 188 pixels give 16·k + 4; with `padded`, sides are multiples of 16 and stay.
        """
        *finer_maps, deepest = self.contracted(x)
        levels = [self.dropout(deepest)]
        for grow, convolve, finer_map in zip(self.grow, self.up, reversed(finer_maps), strict=True):
            x = grow(levels[-1])
            joined = self.skips and finer_map is not None
            levels.append(convolve(torch.cat([cropped(finer_map, *x.shape[-2:]), x], 1) if joined else x))
        logits: Any = 0
        for head, coarse, finer in zip(self.coarse_heads, levels, levels[1:], strict=False):  # there may be no heads
            enlarged = F.interpolate(logits + head(coarse), scale_factor=2, mode="bilinear")
            logits = cropped(enlarged, *finer.shape[-2:])
        return self.head(levels[-1]) + logits

    def contracted(self, x: Tensor) -> list[Any]:
        """Map images (B, C, H, W) to a map for each of the strides 1, 2, 4, …; None where an encoder has none."""
        if "backbone" in self._modules:
            at = dict(zip(self.backbone.strides, self.backbone(x), strict=True))
            return [at.get(2**level) for level in range(self.total_stride.bit_length())]
        maps = [self.entry(x)]
        for convolve in self.down:
            maps.append(convolve(self.pool(maps[-1])))
        return maps

    def fitting(self, side: int) -> tuple[int, int]:
        """Return the smallest side of at least `side` pixels that the network can output, and the side of its input."""
        step = self.total_stride
        if self.padded:
            fit = (side + step - 1) // step * step  # not −(−side // step): ONNX divides negative numbers otherwise
            return fit, fit
        lost = 4 * (step - 1)  # each level but the deepest loses 2 pixels in each of its two convolutions
        deepest = (side + lost + step - 1) // step
        return step * deepest - lost, step * (deepest + 4) + lost
