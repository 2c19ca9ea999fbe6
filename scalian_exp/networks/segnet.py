"""SegNet, which unpools to the encoder's maxima: Badrinarayanan, Kendall & Cipolla 2017 (arXiv:1511.00561)."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG16_BN_Weights

from scalian_exp.networks.parts.backbones import Standardise, check_pretrained
from scalian_exp.networks.parts.layers import scaled
from scalian_exp.networks.parts.vgg import VGG16, load_vgg
from scalian_exp.ranges import PositiveFloat, PositiveInt


def convolutions(*widths: int) -> nn.Sequential:
    """Return 3×3 convolutions from widths[0] to widths[-1] channels, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        convolution = nn.Conv2d(before, after, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")  # He et al. 2015, as the paper's section 3
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class SegNet(nn.Module):
    """Map images (B, in_channels, H, W), of any size, to logits (B, num_classes, H, W).

    The encoder is the thirteen convolutions of VGG-16, with batch norm; its poolings remember where each maximum was.
    The decoder mirrors it: each step puts the values back to those places, zeros elsewhere, and convolves the sparse
    map. Only the places are passed on, which takes less memory than to keep the encoder's maps (figure 2).

    Args:
        in_channels: channels of the images.
        num_classes: classes of the pixels.
        width: factor of all numbers of channels.
        pretrained: initialise the encoder with torchvision's ImageNet weights (3 channels, width 1), as the paper, or
            with a file of weights.
    """

    total_stride = 32

    def __init__(
        self,
        in_channels: PositiveInt,
        num_classes: PositiveInt,
        width: PositiveFloat = 1.0,
        pretrained: bool | str = False,
    ):
        super().__init__()
        check_pretrained(pretrained is True, in_channels, width)
        self.pretrained = pretrained
        self.standardise = Standardise(in_channels)
        blocks = [[scaled(channels, width) for channels in block] for block in VGG16]
        outputs = [block[-1] for block in blocks]
        self.encoder = nn.ModuleList(
            convolutions(before, *block) for before, block in zip([in_channels, *outputs[:-1]], blocks, strict=True)
        )
        upwards = [convolutions(*reversed(block), above) for above, block in zip(outputs[:-1], blocks[1:], strict=True)]
        self.decoder = nn.ModuleList([*reversed(upwards), convolutions(*reversed(blocks[0]))])
        self.classes = nn.Conv2d(blocks[0][0], num_classes, 3, padding=1)

    def load_pretrained(self) -> None:
        """Load torchvision's ImageNet weights of VGG-16 with batch norm into the encoder, or those of a file.

        Raises:
            ValueError: if they can't be loaded.
        """
        load_vgg(self.encoder, self.pretrained, VGG16_BN_Weights.IMAGENET1K_V1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to logits (B, num_classes, H, W)."""
        x = self.standardise(x)
        pooled = []
        for encode in self.encoder:
            x = encode(x)
            size = x.shape[-2:]
            x, places = F.max_pool2d(x, 2, return_indices=True)
            pooled.append((places, size))
        for decode, (places, size) in zip(self.decoder, reversed(pooled), strict=True):
            x = decode(F.max_unpool2d(x, places, [2, 2], output_size=size))
        return self.classes(x)
