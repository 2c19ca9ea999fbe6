"""Resizing of coarse maps to the pixels of finer ones, so that both show the same thing at the same place.

After convolutions and poolings of stride s that are padded by half their kernels (as in ResNet and DeepLab v1), unit i
of a map is centred on pixel s·i, so pixel y of the finer map lies at y/s of the coarse one. Resizing by areas, as
torchvision does (`align_corners=False`), treats unit i as the mean of s pixels, centred on s·i + (s − 1)/2: 7.5 pixels
off at stride 16, by a distance that varies across an image whose sides are not multiples of the stride. Other encoders
centre their units elsewhere, see centres.py: unit i lies on pixel s·i + offset.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BY_AREAS = {"torchvision_resize": True}
"""behaviour of networks from before their configs had this option"""


def resized(x: Tensor, like: Tensor, stride: int, torchvision: bool = False, offset: float = 0.0) -> Tensor:
    """Interpolate a map (B, C, h, w) bilinearly to (H, W); its unit i is centred on pixel stride·i + offset.

    Before the first unit and beyond the last one their values are repeated.

    Args:
        x: the map.
        like: a tensor (…, H, W) of the size wanted.
        stride: pixels between the centres of neighbouring units.
        torchvision: resize by areas instead, whatever stride and offset.
        offset: the pixel on which the first unit is centred, rounded to halves, and to whole ones for odd strides.
    """
    if torchvision:
        return by_areas(x, like)
    # Units lie on values of the interpolated map, or in the middle between two of them.
    between = stride % 2 == 0 and round(2 * offset) % 2 == 1
    start = round((stride - 1) / 2 - offset if between else -offset)  # of the image, in the interpolated map
    before, after = max(0, math.ceil(-start / stride)), max(0, math.ceil(start / stride)) + (0 if between else 1)
    x = F.pad(x, (before, after, before, after), mode="replicate") if before or after else x
    size = [stride * side if between else stride * (side - 1) + 1 for side in x.shape[-2:]]
    x = F.interpolate(x, size, mode="bilinear", align_corners=not between)
    top, (height, width) = start + before * stride, like.shape[-2:]
    return x[..., top : top + height, top : top + width]


def by_areas(x: Tensor, like: Tensor) -> Tensor:
    """Interpolate a map bilinearly to another's size, where its units stand for equal parts of the finer map.

    Such maps are means over parts of an image, and the results of unpadded poolings; each unit is centred on its part.
    """
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def enlarged(logits: Tensor, like: Tensor, stride: int, torchvision: bool = False, offset: float = 0.0) -> Tensor:
    """Resize logits in at least single precision; in bfloat16, classes would tie at borders."""
    return resized(logits.to(torch.promote_types(logits.dtype, torch.float32)), like, stride, torchvision, offset)
