"""DeepLab v1 to v3+: atrous (dilated) convolutions, which see far while keeping the map large.

v1: Chen et al. 2015 (arXiv:1412.7062); v2: 2016 (arXiv:1606.00915); v3: 2017 (arXiv:1706.05587); v3+: 2018
(arXiv:1802.02611). All map images (B, in_channels, H, W) to logits (B, num_classes, H, W), for any H and W.

Unit i of a map at stride s is centred on pixel s·i, and maps are enlarged accordingly, whatever the image's size. The
authors' code aligns the centres of the corners instead, which is the same for sides of s·k + 1 pixels.
`torchvision_resize` enlarges maps by areas, (s − 1)/2 pixels off, for weights that were trained that way.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from scalian_exp.networks.parts.backbones import ResNet, Standardise, check_pretrained, start_by_fan_out
from scalian_exp.networks.parts.encoders import Backbone, OnEncoder, level, offset
from scalian_exp.networks.parts.layers import convolution, scaled
from scalian_exp.networks.parts.lonely_batch_norm import LonelyBatchNorm
from scalian_exp.networks.parts.resampling import BY_AREAS, by_areas, enlarged, resized
from scalian_exp.networks.parts.vgg import load_vgg, vgg16_blocks
from scalian_exp.ranges import FractionBelowOne, PositiveFloat, PositiveInt


class LargeFOV(nn.Module):
    """DeepLab v1: VGG-16 at stride 8 whose first dense layer became a 3×3 convolution of rate 12.

    It leaves out the average pooling after the last block that the authors' released files have.

    The paper's loss looks at every eighth pixel; here the logits are upsampled first, as the paper does at test time.

    Args:
        width: factor of all numbers of channels.
        pretrained: initialise with torchvision's ImageNet weights, or with a file of them; the dense layers take every
            fourth unit and third pixel.
        torchvision_resize: enlarge the logits by areas, half a stride off.
    """

    total_stride = 8
    implied: ClassVar = BY_AREAS

    def __init__(
        self,
        in_channels: PositiveInt,
        num_classes: PositiveInt,
        width: PositiveFloat = 1.0,
        dropout: FractionBelowOne = 0.5,
        pretrained: bool | str = False,
        torchvision_resize: bool = False,
    ):
        super().__init__()
        dense = scaled(1024, width)
        fc6, fc7 = nn.Conv2d(scaled(512, width), dense, 3, padding=12, dilation=12), nn.Conv2d(dense, dense, 1)
        for layer in (fc6, fc7):
            start_by_fan_out(layer)
        # The dense layers belong to the backbone: only the last layer is new, and gets a higher learning rate.
        self.backbone = vgg16_blocks(in_channels, width, dilations=(1, 1, 1, 1, 2))
        self.backbone.append(nn.Sequential(fc6, nn.ReLU(), nn.Dropout(dropout), fc7, nn.ReLU(), nn.Dropout(dropout)))
        self.standardise = Standardise(in_channels)
        self.fc8 = nn.Conv2d(dense, num_classes, 1)
        start_small(self.fc8)
        check_pretrained(pretrained is True, in_channels, width)
        self.pretrained, self.torchvision_resize = pretrained, torchvision_resize

    def load_pretrained(self) -> None:
        """Load published weights into the backbone, subsampling those of the dense layers, if there are any.

        Raises:
            ValueError: if the weights can't be loaded.
        """
        dense: Any = self.backbone[-1]
        layers = load_vgg(self.backbone[:-1], self.pretrained, VGG16_Weights.IMAGENET1K_V1)
        places = ((dense[0], (slice(None), slice(None, None, 3))), (dense[3], (slice(None, None, 4), slice(None))))
        for (layer, (inputs, pixels)), state in zip(places, layers, strict=False):
            weight = state["weight"][::4, inputs, pixels, pixels]
            layer.load_state_dict({"weight": weight, "bias": state["bias"][::4]})

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to logits (B, num_classes, H, W)."""
        image, x = x, self.standardise(x)
        *blocks, dense = self.backbone
        for block, stride in zip(blocks, (2, 2, 2, 1, 1), strict=True):
            x = F.max_pool2d(block(x), 3, stride, padding=1)
        return enlarged(self.fc8(dense(x)), image, self.total_stride, self.torchvision_resize)


class DeepLabV2(OnEncoder):
    """DeepLab v2: ResNet at stride 8, and the summed logits of convolutions of several rates."""

    total_stride = 8
    implied: ClassVar = BY_AREAS

    def __init__(
        self,
        in_channels: PositiveInt,
        num_classes: PositiveInt,
        depth: Literal[50, 101] = 101,
        width: PositiveFloat = 1.0,
        rates: Sequence[PositiveInt] = (6, 12, 18, 24),
        pretrained: bool | str = False,
        torchvision_resize: bool = False,
        backbone: Backbone | None = None,
    ):
        super().__init__()
        if not rates:
            raise ValueError("The pyramid needs at least one rate (model.network.rates).")
        self.pretrained, self.torchvision_resize = pretrained, torchvision_resize
        if backbone is None:
            self.backbone = ResNet(in_channels, depth, width, output_stride=8, pretrained=pretrained)
        else:
            self.backbone = self.encoder(backbone, in_channels, 8, pretrained)
            level(self.backbone, 8)
        features = self.backbone.channels[-1]
        self.pyramid = nn.ModuleList(nn.Conv2d(features, num_classes, 3, padding=r, dilation=r) for r in rates)
        for branch in self.pyramid:
            start_small(branch)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to logits (B, num_classes, H, W)."""
        features = self.backbone(x)[-1]
        logits = torch.stack([branch(features) for branch in self.pyramid]).sum(0)
        return enlarged(logits, x, self.total_stride, self.torchvision_resize, offset(self.backbone, -1))


def start_small(layer: nn.Module) -> None:
    """Initialise a layer that computes logits as DeepLab does: weights from N(0, 0.01²), zero bias."""
    nn.init.normal_(layer.weight, std=0.01)  # type: ignore[arg-type]
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def pooled(before: int, after: int, size: int) -> nn.Sequential:
    """Return layers that average size×size parts of the image, then a 1×1 convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(size), nn.Conv2d(before, after, 1, bias=False), LonelyBatchNorm(after), nn.ReLU()
    )


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling of v3: a 1×1 convolution, several rates and the image's mean, projected."""

    def __init__(self, before: int, after: int, rates: Sequence[PositiveInt], dropout: FractionBelowOne = 0.5):
        super().__init__()
        branches = [convolution(before, after, 1), *(convolution(before, after, 3, dilation=rate) for rate in rates)]
        self.branches = nn.ModuleList(branches)
        self.image = pooled(before, after, size=1)
        self.project = nn.Sequential(convolution((len(branches) + 1) * after, after, 1), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, before, H, W) to (B, after, H, W)."""
        maps = [branch(x) for branch in self.branches]
        return self.project(torch.cat([*maps, by_areas(self.image(x), like=x)], 1))


class DeepLabV3(OnEncoder):
    """DeepLab v3: ResNet with a multi-grid of dilations, ASPP and a linear layer per pixel.

    Args:
        output_stride: the encoder's stride: 16, with rates 6, 12 and 18, or 8, with rates twice as large.
        width: factor of all numbers of channels.
        backbone: builds another encoder than the ResNet, whose depth, width and multi-grid it doesn't take.
    """

    implied: ClassVar = BY_AREAS

    def __init__(
        self,
        in_channels: PositiveInt,
        num_classes: PositiveInt,
        depth: Literal[50, 101] = 50,
        width: PositiveFloat = 1.0,
        output_stride: Literal[8, 16] = 16,
        pretrained: bool | str = False,
        torchvision_resize: bool = False,
        backbone: Backbone | None = None,
    ):
        super().__init__()
        self.pretrained, self.torchvision_resize = pretrained, torchvision_resize
        self.total_stride = output_stride
        if backbone is None:
            grid = (1, 2, 4)
            self.backbone = ResNet(in_channels, depth, width, output_stride, multi_grid=grid, pretrained=pretrained)
        else:
            self.backbone = self.encoder(backbone, in_channels, output_stride, pretrained)
            level(self.backbone, output_stride)
        rates = [rate * 16 // output_stride for rate in (6, 12, 18)]
        self.aspp = ASPP(self.backbone.channels[-1], scaled(256, width), rates)
        self.head = nn.Conv2d(scaled(256, width), num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to logits (B, num_classes, H, W)."""
        logits = self.head(self.aspp(self.backbone(x)[-1]))
        return enlarged(logits, x, self.total_stride, self.torchvision_resize, offset(self.backbone, -1))


class DeepLabV3Plus(DeepLabV3):
    """DeepLab v3+: v3 as an encoder, with a decoder that joins its map with the finer one of stride 4."""

    def __init__(
        self,
        in_channels: PositiveInt,
        num_classes: PositiveInt,
        depth: Literal[50, 101] = 50,
        width: PositiveFloat = 1.0,
        output_stride: Literal[8, 16] = 16,
        pretrained: bool | str = False,
        torchvision_resize: bool = False,
        backbone: Backbone | None = None,
    ):
        super().__init__(
            in_channels, num_classes, depth, width, output_stride, pretrained, torchvision_resize, backbone
        )
        features, low = scaled(256, width), scaled(48, width)
        self.fine = level(self.backbone, 4)
        self.reduce = convolution(self.backbone.channels[self.fine], low, 1)
        self.refine = nn.Sequential(convolution(features + low, features, 3), convolution(features, features, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to logits (B, num_classes, H, W)."""
        maps = self.backbone(x)
        fine, coarse = maps[self.fine], maps[-1]
        between = offset(self.backbone, -1, self.fine)
        coarse = resized(self.aspp(coarse), fine, self.total_stride // 4, self.torchvision_resize, between)
        joined = self.refine(torch.cat([coarse, self.reduce(fine)], 1))
        return enlarged(self.head(joined), x, 4, self.torchvision_resize, offset(self.backbone, self.fine))
