"""Segmentation networks of other libraries, such as torchvision and segmentation_models_pytorch."""

import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.parts.backbones import Standardise
from scalian_exp.networks.parts.lonely_batch_norm import LonelyBatchNorm
from scalian_exp.ranges import PositiveInt


class Adapted(nn.Module):
    """Adapter that gives another library's segmentation network images of any size in [0, 1], standardised.

    Args:
        network: maps standardised images (B, C, H, W), whose sides are multiples of `total_stride`, to logits
            (B, num_classes, H, W), or to a dict with logits as `out` and perhaps `aux`.
        in_channels: channels of the images.
        total_stride: stride of its deepest map, in pixels.
    """

    def __init__(self, network: nn.Module, in_channels: PositiveInt, total_stride: PositiveInt = 32):
        super().__init__()
        self.standardise = Standardise(in_channels)
        self.network, self.total_stride = network, total_stride
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = LonelyBatchNorm  # for batches of one image; parameters keep their names

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Map images (B, C, H, W) in [0, 1] to logits (B, num_classes, H, W), or to a dict of them."""
        height, width = x.shape[-2:]
        x = F.pad(self.standardise(x), (0, -width % self.total_stride, 0, -height % self.total_stride))
        outputs = self.network(x)
        maps = outputs if isinstance(outputs, dict) else {"out": outputs}
        maps = {name: logits[..., :height, :width] for name, logits in maps.items()}
        return maps if isinstance(outputs, dict) else maps["out"]
