"""Bring a coarse map to the pixels of a finer one, so that both show the same thing at the same place.

After convolutions and poolings of stride s that are padded by half their kernels (a ResNet's, DeepLab v1's), unit i of
a map is centred on pixel s·i: pixel y of the finer map lies at y/s of the coarse one. Resizing by areas, as torchvision
does (`align_corners=False`), takes unit i for the mean of s pixels, centred on s·i + (s − 1)/2: 7.5 pixels off at
stride 16, and by a distance that changes across an image whose sides are no multiples of the stride.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BY_AREAS = {"torchvision_resize": True}
"""what networks did when their configs couldn't say it"""


def resized(x: Tensor, like: Tensor, stride: int, torchvision: bool = False) -> Tensor:
    """Interpolate a map (B, C, h, w) bilinearly at the pixels of one (…, H, W) of which it has every stride-th.

    Beyond the last unit its value is continued.

    Args:
        torchvision: resize by areas instead, whatever the stride is.
    """
    if torchvision:
        return by_areas(x, like)
    # With one more unit, the corners of (h + 1) × (w + 1) and of (stride·h + 1) × (stride·w + 1) values coincide.
    size = [stride * side + 1 for side in x.shape[-2:]]
    x = F.interpolate(F.pad(x, (0, 1, 0, 1), mode="replicate"), size, mode="bilinear", align_corners=True)
    height, width = like.shape[-2:]
    return x[..., :height, :width]


def by_areas(x: Tensor, like: Tensor) -> Tensor:
    """Interpolate a map bilinearly whose units stand for equal parts of the finer one, and are centred on the parts.

    Such are means over parts of an image, and what poolings without padding give.
    """
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def enlarged(logits: Tensor, like: Tensor, stride: int, torchvision: bool = False) -> Tensor:
    """Resize logits, in single precision at least: between bfloat16's few values, classes would tie at borders."""
    return resized(logits.to(torch.promote_types(logits.dtype, torch.float32)), like, stride, torchvision)
