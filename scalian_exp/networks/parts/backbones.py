"""ResNet from torchvision's parts and with its parameter names, at any width and output stride.

At width 1 it can be initialised with torchvision's ImageNet weights.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights, ResNet101_Weights
from torchvision.models.resnet import Bottleneck

from scalian_exp.networks.parts.layers import convolution, scaled
from scalian_exp.networks.parts.weights import load_matching, read_weights
from scalian_exp.ranges import PositiveFloat, PositiveInt

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Standardise(nn.Module):
    """Layer that maps images in [0, 1] to mean 0 and a standard deviation of about 1.

    The statistics are ImageNet's, of which images with other than three channels use the averages for each, or those
    given.

    Args:
        in_channels: channels of the images.
        mean: of each channel; ImageNet's by default.
        std: of each channel; ImageNet's by default.

    Raises:
        ValueError: if the number of given statistics isn't that of channels, or a deviation isn't positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, in_channels: PositiveInt, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ):
        super().__init__()
        for name, given, published in (("mean", mean, IMAGENET_MEAN), ("std", std, IMAGENET_STD)):
            values = given or for_channels(in_channels, published)
            if len(values) != in_channels:
                raise ValueError(f"{name} has {len(values)} numbers for {in_channels} channels; give one each.")
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)
        if std is not None and min(std) <= 0:
            raise ValueError(f"std={[*std]}: deviations are positive.")

    def forward(self, x: Tensor) -> Tensor:
        """Standardise images (B, C, H, W) in [0, 1]."""
        return (x - self.mean) / self.std


def for_channels(in_channels: int, published: Sequence[float]) -> Sequence[float]:
    """Return published statistics of colours for any number of channels: other than three have the average of all."""
    if in_channels == len(published):
        return published
    return (round(200 * sum(published) / len(published)) / 200,) * in_channels


def check_pretrained(pretrained: bool, in_channels: int, width: float) -> None:
    """Check that torchvision has ImageNet weights for such a network, if they are wanted.

    Raises:
        ValueError: if it has none.
    """
    if pretrained and (in_channels != 3 or width != 1):
        raise ValueError(
            "ImageNet weights are for 3 channels and model.network.width=1.0; "
            f"with {in_channels} channels and width {width:g} use model.network.pretrained=false."
        )


def imagenet_weights(weights: Any) -> dict[str, Tensor]:
    """Load a state dict of torchvision's, downloading it if necessary.

    Raises:
        ValueError: if it can't be downloaded or read.
    """
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise ValueError(
            f"The ImageNet weights can't be loaded ({error}); put {weights.url.rsplit('/', 1)[-1]} into "
            f"{torch.hub.get_dir()}/checkpoints, or use model.network.pretrained=false."
        ) from error
    return state


def start_by_fan_out(layer: nn.Conv2d) -> None:
    """Initialise a convolution as torchvision does in VGG and ResNet: He et al. 2015, by fan-out, with zero bias."""
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResNet(nn.Module):
    """ResNet-50 or -101 (He et al. 2016) without its classifier: images → features at strides 4, 8, 16 and 32.

    Args:
        depth: 50 or 101.
        width: factor of all numbers of channels.
        output_stride: 32, or 16 or 8: then the last stages are dilated instead of strided (Chen et al. 2017).
        multi_grid: factors of the dilations in the last stage's three blocks (DeepLab v3: 1, 2, 4).
        deep_stem: three 3×3 convolutions instead of one of 7×7 (FastFCN, PSPNet); there are no ImageNet weights for it.
        pretrained: start from torchvision's ImageNet weights, or from a file of weights with its names.
    """

    torchvision_names: ClassVar = True
    """`bn1` gets what `conv1` returns"""

    def __init__(
        self,
        in_channels: PositiveInt,
        depth: Literal[50, 101] = 50,
        width: PositiveFloat = 1.0,
        output_stride: Literal[8, 16, 32] = 32,
        multi_grid: Sequence[PositiveInt] | None = None,
        deep_stem: bool = False,
        pretrained: bool | str = False,
    ):
        super().__init__()
        check_pretrained(pretrained is True, in_channels, width)
        if pretrained is True and deep_stem:
            raise ValueError("There are no ImageNet weights for deep_stem=true; use pretrained=false.")
        if multi_grid is not None and len(multi_grid) != 3:
            raise ValueError(f"multi_grid={[*multi_grid]}: the last stage has three blocks; give three factors.")
        self.pretrained = pretrained
        self.standardise = Standardise(in_channels)
        self.conv1: nn.Module
        if deep_stem:
            small, large = scaled(64, width), scaled(128, width)
            self.conv1 = nn.Sequential(
                convolution(in_channels, small, 3, stride=2),
                convolution(small, small, 3),
                nn.Conv2d(small, large, 3, padding=1, bias=False),
            )
            before = large
        else:
            before = scaled(64, width)
            self.conv1 = nn.Conv2d(in_channels, before, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stride, dilation = 4, 1
        self.channels: list[int] = []
        """channels of the four stages' features"""
        self.strides: list[int] = []
        """their strides"""
        stages = []
        for stage, count in enumerate({50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}[depth]):
            earlier, step = dilation, 1 if stage == 0 else 2
            if stride * step > output_stride:
                dilation, step = dilation * step, 1
            stride *= step
            if stage == 3 and multi_grid is not None:
                dilations = [dilation * factor for factor in multi_grid]
            else:  # the first block still sees the map of the stage before, so it keeps that stage's dilation
                dilations = [earlier, *[dilation] * (count - 1)]
            planes = scaled(64 * 2**stage, width)
            first = bottleneck(before, planes, step, dilations[0])
            before = planes * Bottleneck.expansion
            stages.append(nn.Sequential(first, *(bottleneck(before, planes, 1, d) for d in dilations[1:])))
            self.channels.append(before)
            self.strides.append(stride)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                start_by_fan_out(module)
        self.weights: Any = {50: ResNet50_Weights, 101: ResNet101_Weights}[depth].IMAGENET1K_V1

    def load_pretrained(self) -> None:
        """Load torchvision's ImageNet weights, or those of the file that `pretrained` names.

        Raises:
            ValueError: if they can't be loaded.
        """
        if isinstance(self.pretrained, str):
            load_matching(self, read_weights(self.pretrained), self.pretrained)
            return
        state = imagenet_weights(self.weights)
        self.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (B, C, H, W) in [0, 1] to the features of the four stages, finest first."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(self.standardise(x)))))
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return features


def bottleneck(before: int, planes: int, stride: int, dilation: int) -> Bottleneck:
    """Return torchvision's bottleneck block, with a projection on its shortcut where the sizes change."""
    projection, after = None, planes * Bottleneck.expansion
    if stride != 1 or before != after:
        projection = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
    return Bottleneck(before, planes, stride, projection, dilation=dilation)
