"""Fully convolutional networks: Long, Shelhamer & Darrell 2015; Shelhamer et al. 2017 (arXiv:1605.06211)."""

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from scalian_exp.networks.parts.backbones import Standardise, check_pretrained, start_by_fan_out
from scalian_exp.networks.parts.encoders import Backbone, OnEncoder, level, offset
from scalian_exp.networks.parts.layers import convolution, scaled
from scalian_exp.networks.parts.resampling import enlarged, resized
from scalian_exp.networks.parts.vgg import load_vgg, vgg16_blocks
from scalian_exp.ranges import FractionBelowOne, PositiveFloat, PositiveInt


def bilinear(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return a deconvolution initialised as bilinear upsampling of each channel separately, by an even factor."""
    layer = nn.ConvTranspose2d(channels, channels, 2 * factor, stride=factor, bias=False)
    ramp = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel] = torch.outer(ramp, ramp)
    return layer


def overlap(a: Tensor, b: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """Crop two maps to their overlap, where pixel i of the first lies on pixel i + shift of the second."""
    a, b = a[..., max(-shift, 0) :, max(-shift, 0) :], b[..., max(shift, 0) :, max(shift, 0) :]
    height, width = min(a.shape[-2], b.shape[-2]), min(a.shape[-1], b.shape[-1])
    return a[..., :height, :width], b[..., :height, :width]


class FCN(OnEncoder):
    """Fully convolutional network from images (B, in_channels, H, W) to logits (B, num_classes, H, W), for any H and W.

    VGG-16 with its dense layers turned into convolutions; their scores are upsampled twofold and added to those of the
    fourth pooling (FCN-16s), again to those of the third (FCN-8s), and upsampled to the image by a fixed deconvolution.

    Args:
        stride: stride of the finest scores: 32, 16 or 8.
        width: factor of all numbers of channels.
        border: surround the image by 100 pixels of zeros, as in the paper, for the 7×7 convolution to see at its edges.
            False lets that convolution pad its own input: the same network, several times faster on small images.
        pretrained: initialise with torchvision's ImageNet weights, including the dense layers, or with a file of them;
            dense layers that aren't in the file stay random.
        backbone: builds another encoder than VGG-16: its deepest maps of strides 32, 16 and 8 are scored, the first
            after a 3×3 convolution to a quarter of its channels instead of the dense layers, and enlarged bilinearly.
    """

    total_stride = 32

    def __init__(
        self,
        in_channels: PositiveInt,
        num_classes: PositiveInt,
        stride: Literal[8, 16, 32] = 8,
        width: PositiveFloat = 1.0,
        border: bool = True,
        dropout: FractionBelowOne = 0.5,
        pretrained: bool | str = False,
        backbone: Backbone | None = None,
    ):
        super().__init__()
        self.stride, self.pretrained = stride, pretrained
        self.dropout = nn.Dropout(dropout)
        finer_strides = [16, 8][: {32: 0, 16: 1, 8: 2}[stride]]
        if backbone is not None:
            self.backbone = self.encoder(backbone, in_channels, 32, pretrained)
            self.levels = [level(self.backbone, each) for each in (32, *finer_strides)]
            deepest, *finer = (self.backbone.channels[index] for index in self.levels)
            dense = max(1, deepest // 4)
            self.refine = convolution(deepest, dense, 3)
        else:
            self.standardise = Standardise(in_channels)
            self.backbone = vgg16_blocks(in_channels, width, padding=100 if border else 1)
            pool3, pool4, pool5, dense = (scaled(channels, width) for channels in (256, 512, 512, 4096))
            finer = [pool4, pool3][: len(finer_strides)]
            self.fc6 = nn.Conv2d(pool5, dense, 7, padding=0 if border else 3)
            self.fc7 = nn.Conv2d(dense, dense, 1)
            start_by_fan_out(self.fc6)
            start_by_fan_out(self.fc7)
            check_pretrained(pretrained is True, in_channels, width)
        self.score = nn.Conv2d(dense, num_classes, 1)
        self.skips = nn.ModuleList(nn.Conv2d(channels, num_classes, 1) for channels in finer)
        for layer in (self.score, *self.skips):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        if backbone is not None:
            return
        self.doublings = nn.ModuleList(bilinear(num_classes, 2) for _ in finer)
        self.upsampling = bilinear(num_classes, stride)
        self.upsampling.weight.requires_grad_(False)
        # Where an upsampled map's pixel 0 lies on the finer one: the border's 100 pixels, less what the valid 7×7
        # convolution and the deconvolutions' kernels take away.
        self.shifts = (5, 9) if border else (-1, -1)
        self.margin = {32: 19, 16: 27, 8: 31}[stride] if border else stride // 2

    def load_pretrained(self) -> None:
        """Load torchvision's ImageNet weights or a file's, including those of the dense layers, or another encoder's.

        Raises:
            ValueError: if they can't be loaded.
        """
        if not isinstance(self.backbone, nn.ModuleList):
            self.backbone.load_pretrained()
            return
        dense = load_vgg(self.backbone, self.pretrained, VGG16_Weights.IMAGENET1K_V1)
        for layer, state in zip((self.fc6, self.fc7), dense, strict=False):  # there may be none
            layer.load_state_dict(state)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to logits (B, num_classes, H, W)."""
        return self.from_vgg(x) if isinstance(self.backbone, nn.ModuleList) else self.from_encoder(x)

    def from_encoder(self, x: Tensor) -> Tensor:
        """Compute logits from the maps of another encoder than VGG-16."""
        maps = self.backbone(x)
        deepest, *finer = (maps[index] for index in self.levels)
        scores = self.score(self.dropout(self.refine(deepest)))
        for skip, features, pair in zip(self.skips, finer, pairwise(self.levels), strict=True):
            scores = resized(scores, features, 2, offset=offset(self.backbone, *pair)) + skip(features)
        return enlarged(scores, x, self.stride, offset=offset(self.backbone, self.levels[-1]))

    def from_vgg(self, x: Tensor) -> Tensor:
        """Compute logits from the poolings of VGG-16."""
        height, width = x.shape[-2:]
        pools = []
        x = self.standardise(x)
        for block in self.backbone:
            x = F.max_pool2d(block(x), 2, ceil_mode=True)
            pools.append(x)
        x = self.dropout(torch.relu(self.fc6(x)))
        x = self.dropout(torch.relu(self.fc7(x)))
        scores = self.score(x)
        steps = zip(self.doublings, self.skips, reversed(pools[:4]), self.shifts, strict=False)
        for double, skip, pool, shift in steps:
            upsampled, finer = overlap(double(scores), skip(pool), shift)
            scores = upsampled + finer
        top, left = self.margin, self.margin
        return self.upsampling(scores)[..., top : top + height, left : left + width]
