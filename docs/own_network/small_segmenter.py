"""Example of your own segmentation network: two poolings down, two upsamplings back, with skips."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def double(in_channels: int, out_channels: int) -> nn.Sequential:
    """3×3 convolution, batch norm and ReLU: (B, in, H, W) → (B, out, H, W)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()
    )


class SmallSegmenter(nn.Module):
    """Images (B, C, H, W) of any size → logits (B, num_classes, H, W)."""

    total_stride = 4  # of the deepest map, in pixels: images must be larger

    def __init__(self, in_channels: int, num_classes: int, width: int = 16):
        super().__init__()
        self.first, self.second = double(in_channels, width), double(width, 2 * width)
        self.deepest = double(2 * width, 4 * width)
        self.up_second, self.up_first = double(6 * width, 2 * width), double(3 * width, width)
        self.classes = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)  # (B, w, H, W)
        second = self.second(F.max_pool2d(first, 2))  # (B, 2w, ⌊H/2⌋, ⌊W/2⌋)
        deepest = self.deepest(F.max_pool2d(second, 2))  # (B, 4w, ⌊H/4⌋, ⌊W/4⌋)
        back = self.up_second(torch.cat([F.interpolate(deepest, second.shape[-2:]), second], 1))
        back = self.up_first(torch.cat([F.interpolate(back, first.shape[-2:]), first], 1))
        return self.classes(back)
