"""The contract of encoders, the package's own or another library's: maps of known channels and strides."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor, nn


class Encoder(Protocol):
    """Maps images to feature maps, finest first."""

    channels: Sequence[int]
    """channels of each map"""
    strides: Sequence[int]
    """pixels of the image between neighbouring units of each map; never smaller than that of the map before"""
    pretrained: bool | str
    """whether to start from published weights, or the file to start from"""
    # offsets: Sequence[float], the pixels on which the first unit of each map is centred; 0 for all if there are none

    def load_pretrained(self) -> None:
        """Load the weights; raise a ValueError, whose message says what to do, if they can't be had."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (B, C, H, W) in [0, 1] to maps (B, channels[i], ⌈H/strides[i]⌉, ⌈W/strides[i]⌉)."""


Backbone = Callable[..., nn.Module]
"""builds an encoder from the images' channels and, by name, the `output_stride` of its last map"""


def level(encoder: Any, stride: int) -> int:
    """Return the index of an encoder's deepest map with this stride.

    Raises:
        ValueError: if it has no such map.
    """
    levels = [index for index, each in enumerate(encoder.strides) if each == stride]
    if not levels:
        raise ValueError(
            f"this network needs a map of stride {stride}, and those of the encoder {name_of(encoder)} have strides "
            f"{', '.join(map(str, encoder.strides))}; choose another encoder (model.network.backbone.name)."
        )
    return levels[-1]


def offset(encoder: Any, coarse: int, fine: int | None = None) -> float:
    """Return where the first unit of a map is centred, in units of a finer map, or in pixels of the image.

    Args:
        encoder: the encoder; one without `offsets` centres the first unit of each map on the first pixel.
        coarse: index of the map.
        fine: index of the finer map; None stands for the image.
    """
    offsets = getattr(encoder, "offsets", None) or [0.0] * len(encoder.strides)
    return offsets[coarse] if fine is None else (offsets[coarse] - offsets[fine]) / encoder.strides[fine]


def name_of(encoder: Any) -> str:
    """Return an encoder's name, for messages."""
    return getattr(encoder, "name", type(encoder).__name__)


class OnEncoder(nn.Module):
    """Base class of networks over an encoder, which may start from published weights."""

    backbone: Any
    pretrained: bool | str = False
    """whether to start from published weights, or the file to start from"""

    def encoder(self, backbone: Backbone, in_channels: int, output_stride: int, pretrained: bool | str) -> nn.Module:
        """Build another encoder than the network's own.

        Raises:
            ValueError: if the network's own encoder is to be pretrained at the same time.
        """
        if pretrained:
            raise ValueError(
                "model.network.pretrained is for this network's own encoder; with model/network/backbone=… use "
                "model.network.backbone.pretrained."
            )
        encoder: Any = backbone(in_channels, output_stride=output_stride)
        self.pretrained = encoder.pretrained
        return encoder

    def load_pretrained(self) -> None:
        """Load published weights into the encoder.

        Raises:
            ValueError: if they can't be loaded.
        """
        self.backbone.load_pretrained()
