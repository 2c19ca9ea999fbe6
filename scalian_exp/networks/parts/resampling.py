"""Resizing of coarse maps to the pixels of finer ones, so that both show the same thing at the same place.

After convolutions and poolings of stride s that are padded by half their kernels (as in ResNet and DeepLab v1), unit i
of a map is centred on pixel s·i, so pixel y of the finer map lies at y/s of the coarse one. Resizing by areas, as
torchvision does (`align_corners=False`), treats unit i as the mean of s pixels, centred on s·i + (s − 1)/2: 7.5 pixels
off at stride 16, by a distance that varies across an image whose sides are not multiples of the stride.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BY_AREAS = {"torchvision_resize": True}
"""behaviour of networks from before their configs had this option"""


def resized(x: Tensor, like: Tensor, stride: int, torchvision: bool = False) -> Tensor:
    """Interpolate a map (B, C, h, w) bilinearly to (H, W), where unit i of the map is centred on pixel stride·i.

    Beyond the last unit its value is repeated.

    Args:
        x: the map.
        like: a tensor (…, H, W) of the size wanted.
        stride: pixels between the centres of neighbouring units.
        torchvision: resize by areas instead, whatever the stride.
    """
    if torchvision:
        return by_areas(x, like)
    # With one more unit, the corners of (h + 1) × (w + 1) and of (stride·h + 1) × (stride·w + 1) values coincide.
    size = [stride * side + 1 for side in x.shape[-2:]]
    x = F.interpolate(F.pad(x, (0, 1, 0, 1), mode="replicate"), size, mode="bilinear", align_corners=True)
    height, width = like.shape[-2:]
    return x[..., :height, :width]


def by_areas(x: Tensor, like: Tensor) -> Tensor:
    """Interpolate a map bilinearly to another's size, where its units stand for equal parts of the finer map.

    Such maps are means over parts of an image, and the results of unpadded poolings; each unit is centred on its part.
    """
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def enlarged(logits: Tensor, like: Tensor, stride: int, torchvision: bool = False) -> Tensor:
    """Resize logits in at least single precision; in bfloat16, classes would tie at borders."""
    return resized(logits.to(torch.promote_types(logits.dtype, torch.float32)), like, stride, torchvision)
