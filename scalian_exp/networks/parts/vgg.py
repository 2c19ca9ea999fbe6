"""VGG-16 (Simonyan & Zisserman 2015, arXiv:1409.1556) at any width, and its published weights."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from scalian_exp.networks.parts.backbones import imagenet_weights, start_by_fan_out
from scalian_exp.networks.parts.layers import scaled
from scalian_exp.networks.parts.weights import load_matching, read_weights, without_prefix

DENSE = (("classifier.0", "classifier.3"), ("pre_logits.fc1", "pre_logits.fc2"))
"""names of the two hidden dense layers, by torchvision and by timm"""
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""channels of the 3×3 convolutions of each of the five blocks; each block is followed by a pooling"""


def vgg16_blocks(
    in_channels: int, width: float, dilations: Sequence[int] = (1,) * 5, padding: int = 1
) -> nn.ModuleList:
    """Return the five convolutional blocks of VGG-16 without the poolings after them.

    Args:
        in_channels: channels of the images.
        width: factor of all numbers of channels.
        dilations: dilation of each block's convolutions.
        padding: padding of the very first convolution.
    """
    blocks, before = nn.ModuleList(), in_channels
    for channels, dilation in zip(VGG16, dilations, strict=True):
        widths = [before, *(scaled(c, width) for c in channels)]
        layers: list[nn.Module] = []
        for i, o in pairwise(widths):
            layers += [nn.Conv2d(i, o, 3, padding=dilation, dilation=dilation), nn.ReLU(inplace=True)]
        blocks.append(nn.Sequential(*layers))
        before = widths[-1]
    first: Any = blocks[0]
    first[0].padding = (padding, padding)
    for layer in blocks.modules():
        if isinstance(layer, nn.Conv2d):
            start_by_fan_out(layer)
    return blocks


class AsTorchvision(nn.Module):
    """The convolutional blocks of a VGG under the parameter names that torchvision and timm give them."""

    def __init__(self, blocks: Iterable[Any]):
        super().__init__()
        self.features = nn.Sequential(*(layer for block in blocks for layer in (*block, nn.MaxPool2d(2))))


def load_vgg(blocks: nn.ModuleList, pretrained: bool | str, weights: Any) -> list[dict[str, Tensor]]:
    """Load published weights into the convolutional blocks of a VGG-16, with or without batch norm.

    Args:
        blocks: the blocks, without the poolings after them.
        pretrained: a file of weights, torchvision's, timm's or this package's; True takes `weights`.
        weights: torchvision's.

    Returns:
        Weights and biases of the two hidden dense layers as convolutions, (4096, 512, 7, 7) and (4096, 4096, 1, 1), for
        `load_state_dict`; none if the file has none under torchvision's or timm's names.

    Raises:
        ValueError: if the weights can't be loaded.
    """
    if isinstance(pretrained, str):
        source, state = pretrained, read_weights(pretrained)
    else:
        source, state = "torchvision", imagenet_weights(weights)
    view = AsTorchvision(blocks)
    theirs = without_prefix(state, view.state_dict())
    published = not theirs.keys().isdisjoint(view.state_dict())
    load_matching(view if published else blocks, state, source)  # those of this package have its own names
    return dense_layers(theirs)


def dense_layers(state: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return the two hidden dense layers of a VGG-16 as convolutions, 7×7 and 1×1; none if they aren't there."""
    for names in DENSE:
        if all(f"{name}.{kind}" in state for name in names for kind in ("weight", "bias")):
            return [
                {
                    "weight": state[f"{name}.weight"].reshape(len(state[f"{name}.bias"]), -1, kernel, kernel),
                    "bias": state[f"{name}.bias"],
                }
                for name, kernel in zip(names, (7, 1), strict=True)
            ]
    return []
