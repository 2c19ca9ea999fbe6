"""FastFCN: Wu et al. 2019 (arXiv:1903.11816), with joint pyramid upsampling in place of a dilated backbone."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from scalian_exp.networks.deeplab import ASPP, pooled
from scalian_exp.networks.parts.backbones import ResNet
from scalian_exp.networks.parts.encoders import Backbone, OnEncoder, level, offset
from scalian_exp.networks.parts.layers import convolution, scaled
from scalian_exp.networks.parts.resampling import BY_AREAS, by_areas, enlarged, resized
from scalian_exp.ranges import PositiveFloat, PositiveInt


def separable(before: int, after: int, dilation: int) -> nn.Sequential:
    """Return a depthwise 3×3 and a pointwise convolution, each with batch norm, and ReLU after both."""
    depthwise = convolution(before, before, 3, dilation=dilation, groups=before)[:2]  # without ReLU
    return nn.Sequential(depthwise, convolution(before, after, 1))


class JPU(nn.Module):
    """Joint pyramid upsampling: features at strides 8, 16, 32 → (B, 4·width, H/8, W/8), as if computed at stride 8.

    Convolutions of four dilations over all three maps, brought to the size of the finest (section 3.3).
    """

    implied: ClassVar = BY_AREAS

    def __init__(self, channels: Sequence[int], width: PositiveInt, torchvision_resize: bool = False):
        super().__init__()
        self.torchvision_resize = torchvision_resize
        self.reduce = nn.ModuleList(convolution(c, width, 3) for c in channels)
        self.branches = nn.ModuleList(separable(3 * width, width, dilation) for dilation in (1, 2, 4, 8))

    def forward(self, features: Sequence[Tensor], offsets: Sequence[float] = (0.0, 0.0)) -> Tensor:
        """Map features at strides 8, 16 and 32 to (B, 4·width, H/8, W/8).

        Args:
            features: the three maps, finest first.
            offsets: where the first units of the second and the third are centred, in units of the first.
        """
        finest, *coarser = (reduce(x) for reduce, x in zip(self.reduce, features, strict=True))
        brought = [
            resized(x, finest, stride, self.torchvision_resize, offset)
            for x, stride, offset in zip(coarser, (2, 4), offsets, strict=True)
        ]
        joined = torch.cat([finest, *brought], 1)
        return torch.cat([branch(joined) for branch in self.branches], 1)


class Encoding(nn.Module):
    """Residuals of all pixels to K codewords, softly assigned and summed: (B, D, H, W) → (B, K, D).

    Zhang et al. 2018, eq. 1 and 2, without a tensor of pixels × codewords × D.
    """

    def __init__(self, dim: PositiveInt, codewords: PositiveInt):
        super().__init__()
        bound = (dim * codewords) ** -0.5
        self.codewords = nn.Parameter(torch.empty(codewords, dim).uniform_(-bound, bound))
        self.scale = nn.Parameter(torch.empty(codewords).uniform_(-1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, D, H, W) to summed residuals (B, K, D)."""
        x = x.flatten(2).transpose(1, 2)  # (B, N, D)
        distances = x.square().sum(2, keepdim=True) - 2 * x @ self.codewords.T + self.codewords.square().sum(1)
        weights = torch.softmax(self.scale * distances, 2)  # (B, N, K)
        return weights.transpose(1, 2) @ x - weights.sum(1).unsqueeze(2) * self.codewords


Outputs = dict[str, Tensor]
"""outputs by name: `out`, for some heads `presence`, and in training `aux`"""


class EncNet(nn.Module):
    """Context encoding head (Zhang et al. 2018, arXiv:1803.08904): weighs features by the classes an image contains.

    `out` are logits (B, num_classes, H, W), `presence` the logits of each class being present (B, num_classes).

    Args:
        before: channels of the features.
        kernel: kernel of the first convolution: 1 after JPU, 3 after a dilated backbone.
    """

    def __init__(self, before: PositiveInt, num_classes: PositiveInt, kernel: PositiveInt, codewords: PositiveInt = 32):
        super().__init__()
        inner = max(1, before // 4)
        self.reduce = convolution(before, inner, kernel)
        self.encode = nn.Sequential(convolution(inner, inner, 1), Encoding(inner, codewords))
        self.norm = nn.Sequential(nn.BatchNorm1d(codewords), nn.ReLU())
        self.weigh = nn.Sequential(nn.Linear(inner, inner), nn.Sigmoid())
        self.presence = nn.Linear(inner, num_classes)
        self.head = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(inner, num_classes, 1))

    def forward(self, x: Tensor) -> Outputs:
        """Map features (B, before, H, W) to `out` (B, num_classes, H, W) and `presence` (B, num_classes)."""
        x = self.reduce(x)
        context = self.norm(self.encode(x)).mean(1)
        x = torch.relu(x + x * self.weigh(context)[..., None, None])
        return {"out": self.head(x), "presence": self.presence(context)}


class ASPPHead(nn.Module):
    """Head of DeepLab v3: atrous spatial pyramid pooling and a linear layer per pixel."""

    def __init__(self, before: PositiveInt, num_classes: PositiveInt, kernel: PositiveInt):
        super().__init__()
        inner = max(1, before // 8)
        self.aspp = ASPP(before, inner, rates=(12, 24, 36))
        refine = convolution(inner, inner, 3)
        self.head = nn.Sequential(refine, nn.Dropout2d(0.1), nn.Conv2d(inner, num_classes, 1))

    def forward(self, x: Tensor) -> Outputs:
        """Map features (B, before, H, W) to `out` (B, num_classes, H, W)."""
        return {"out": self.head(self.aspp(x))}


class PSP(nn.Module):
    """Pyramid pooling head (Zhao et al. 2017, arXiv:1612.01105): means over 1, 4, 9 and 36 parts of the image."""

    def __init__(self, before: PositiveInt, num_classes: PositiveInt, kernel: PositiveInt):
        super().__init__()
        inner = max(1, before // 4)
        self.pyramid = nn.ModuleList(pooled(before, inner, size) for size in (1, 2, 3, 6))
        refine = convolution(before + 4 * inner, inner, 3)
        self.head = nn.Sequential(refine, nn.Dropout2d(0.1), nn.Conv2d(inner, num_classes, 1))

    def forward(self, x: Tensor) -> Outputs:
        """Map features (B, before, H, W) to `out` (B, num_classes, H, W)."""
        context = [by_areas(pool(x), like=x) for pool in self.pyramid]
        return {"out": self.head(torch.cat([x, *context], 1))}


class FastFCN(OnEncoder):
    """FastFCN: a ResNet, joint pyramid upsampling, and one of several heads.

    Unit i at stride s is enlarged to lie on pixel s·i. The authors' code sets align_corners=True, which is the same for
    sides of 32·k + 1 pixels.

    Args:
        head: builds the head from the features' channels, num_classes and the kernel of its first convolution.
        joint_upsampling: use a ResNet at stride 32 and JPU; otherwise a dilated ResNet at stride 8, its counterpart.
        width: factor of all numbers of channels.
        torchvision_resize: enlarge maps by areas, up to half their stride off.
        backbone: builds another encoder than the ResNet, whose depth, width and deep stem it doesn't take.
    """

    implied: ClassVar = BY_AREAS

    def __init__(
        self,
        in_channels: PositiveInt,
        num_classes: PositiveInt,
        head: Callable[[int, int, int], nn.Module] = EncNet,
        depth: Literal[50, 101] = 50,
        width: PositiveFloat = 1.0,
        joint_upsampling: bool = True,
        deep_stem: bool = True,
        pretrained: bool | str = False,
        torchvision_resize: bool = False,
        backbone: Backbone | None = None,
    ):
        super().__init__()
        if pretrained is True and deep_stem and backbone is None:
            raise ValueError(
                "There are no ImageNet weights for a deep stem; use model.network.deep_stem=false or "
                "model.network.pretrained=false."
            )
        self.pretrained, self.torchvision_resize = pretrained, torchvision_resize
        self.total_stride: Literal[8, 32] = 32 if joint_upsampling else 8
        if backbone is None:
            self.backbone = ResNet(
                in_channels, depth, width, self.total_stride, deep_stem=deep_stem, pretrained=pretrained
            )
        else:
            self.backbone = self.encoder(backbone, in_channels, self.total_stride, pretrained)
        self.levels = [level(self.backbone, stride) for stride in ((8, 16, 32) if joint_upsampling else (8,))]
        *_, third, last = channels = self.backbone.channels
        joined = [channels[index] for index in self.levels]
        self.jpu = JPU(joined, scaled(512, width), torchvision_resize) if joint_upsampling else None
        features = 4 * scaled(512, width) if joint_upsampling else last
        self.head = head(features, num_classes, 1 if joint_upsampling else 3)
        inner = max(1, third // 4)
        self.aux = nn.Sequential(convolution(third, inner, 3), nn.Dropout2d(0.1), nn.Conv2d(inner, num_classes, 1))

    def forward(self, x: Tensor) -> Outputs:
        """Map images (B, C, H, W) in [0, 1] to `out`, logits (B, num_classes, H, W), and what else the head returns.

        In training there is also `aux`, logits computed from the third stage.
        """
        maps = self.backbone(x)
        finest, *coarser = self.levels
        between = [offset(self.backbone, index, finest) for index in coarser]
        outputs = self.head(maps[-1] if self.jpu is None else self.jpu([maps[index] for index in self.levels], between))
        outputs["out"] = enlarged(outputs["out"], x, 8, self.torchvision_resize, offset(self.backbone, finest))
        if self.training:
            stride, start = self.backbone.strides[-2], offset(self.backbone, -2)
            outputs["aux"] = enlarged(self.aux(maps[-2]), x, stride, self.torchvision_resize, start)
        return outputs
