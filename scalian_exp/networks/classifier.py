"""Classifiers whose last hidden layer serves as a representation, which `encode` returns."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from scalian_exp.networks.parts.layers import Flat, mlp, pyramid
from scalian_exp.ranges import FractionBelowOne, PositiveInt


class Classifier(nn.Module):
    """Classifier of images: encoder (B, C, H, W) → features (B, F), then dropout and a linear layer to the logits."""

    def __init__(self, encoder: nn.Module, features: PositiveInt, num_classes: PositiveInt, dropout: FractionBelowOne):
        super().__init__()
        self.encoder, self.dropout, self.num_classes = encoder, nn.Dropout(dropout), num_classes
        self.head = nn.Linear(features, num_classes)

    def encode(self, x: Tensor) -> Tensor:
        """Encode images (B, C, H, W) in [0, 1] to features (B, F)."""
        return self.encoder(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to logits of the classes (B, num_classes)."""
        return self.head(self.dropout(self.encode(x)))


class MLPClassifier(Classifier):
    """Classifier of dense layers: C·H·W - hidden… - num_classes.

    Its encoder has the parameter names and shapes of a stacked autoencoder's, and can be initialised from one. Dropout
    acts on every hidden layer (Srivastava et al. 2014, "Dropout", JMLR 15).
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        num_classes: PositiveInt,
        activation: Callable[[], nn.Module] = nn.Sigmoid,
        dropout: FractionBelowOne = 0.0,
    ):
        widths = [math.prod((in_channels, *image_size)), *hidden]
        super().__init__(Flat(mlp(widths, activation, dropout)), widths[-1], num_classes, dropout=0.0)


class ConvClassifier(Classifier):
    """Classifier of levels of 3×3 convolution, batch norm, ReLU and 2×2 max-pooling, then one dense layer.

    It takes images of any size that can be halved once per level.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        channels: Sequence[PositiveInt],
        features: PositiveInt,
        num_classes: PositiveInt,
        dropout: FractionBelowOne = 0.5,
    ):
        height, width = pyramid(image_size, len(channels))[-1]
        layers: list[nn.Module] = []
        for before, after in pairwise([in_channels, *channels]):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        dense = nn.Sequential(nn.Flatten(), nn.Linear(channels[-1] * height * width, features), nn.ReLU())
        super().__init__(nn.Sequential(*layers, *dense), features, num_classes, dropout)
