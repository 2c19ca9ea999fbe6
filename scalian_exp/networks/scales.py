"""Inference at several scales: class probabilities averaged over enlarged, reduced and mirrored copies of an image.

Usual with DeepLab: Chen et al. 2017 (arXiv:1706.05587, section 4.1) average over scales 0.5, 0.75, … 1.75 and mirror
images. DeepLab v2 (arXiv:1606.00915, section 4.1.2) rather takes the maximum over scales 0.5, 0.75 and 1, also in
training.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.parts.exported import class_logits
from scalian_exp.ranges import PositiveFloat


def scaled_size(size: Sequence[int], scale: float) -> tuple[int, int]:
    """Return the height and width of a scaled image, rounded to whole pixels, at least one."""
    height, width = (max(1, round(scale * side)) for side in size)
    return height, width


def resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize images or maps (B, C, h, w) to (B, C, *size) with antialiasing, in single precision.

    Pixels stand for equal parts of the image, so that a map that is resized back belongs to the same places again, also
    if the scale had to be rounded.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x.float()
    return F.interpolate(x.float(), tuple(size), mode="bilinear", antialias=True)


class MultiScale(nn.Module):
    """A trained segmentation network whose class probabilities are averaged over scales and mirror images.

    At each scale the image is resized, the network's logits are resized back, and their softmax is taken. Networks take
    images of any size, so that scaled sides needn't be multiples of a stride.

    Args:
        network: maps images (B, C, H, W) to logits (B, K, H, W), or to a dict with logits as `out`.
        scales: factors of height and width; 1 is the image as it is.
        flip: average over the left-right mirror image at each scale, too.

    Raises:
        ValueError: if there is no scale.
    """

    def __init__(self, network: Any, scales: Sequence[PositiveFloat] = (1,), flip: bool = False):
        super().__init__()
        if not scales:
            raise ValueError("There is no scale to average over; give at least one, such as 1.")
        self.network, self.scales, self.flip = network, list(scales), flip

    @property
    def total_stride(self) -> int:
        """The stride of the network's deepest map, in pixels."""
        stride: int = self.network.total_stride
        return stride

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logarithms of averaged probabilities (B, K, H, W), in single precision."""
        mean = torch.zeros((), device=x.device)
        for scale in self.scales:  # added one by one, so that few are held at once
            mean = mean + self.at(scale, x) / len(self.scales)
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()

    def at(self, scale: float, x: Tensor) -> Tensor:
        """Return class probabilities (B, K, H, W) seen at one scale."""
        seen = resized(x, scaled_size(x.shape[-2:], scale)).to(x.dtype)
        probabilities = self.probabilities(seen, x)
        if self.flip:
            probabilities = (probabilities + self.probabilities(seen.flip(-1), x).flip(-1)) / 2
        return probabilities

    def probabilities(self, seen: Tensor, like: Tensor) -> Tensor:
        """Return class probabilities of images, resized to the size of others."""
        return resized(class_logits(self.network, seen), like.shape[-2:]).softmax(1)
