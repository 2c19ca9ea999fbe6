"""Noise for denoising autoencoders (Vincent et al. 2010, JMLR 11, section 3.3) on images in [0, 1]."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from scalian_exp.precision import at_least_single
from scalian_exp.ranges import Fraction, NonNegativeFloat


class Corruption(nn.Module, ABC):
    """Random noise on images, drawn anew at each call.

    `level` is the amount of noise during training; a call may ask for another one.
    """

    highest_level: ClassVar[float] = math.inf
    level_means: ClassVar[str] = "level of the noise"
    """what a level is, for the axes of figures"""

    def __init__(self, level: float):
        super().__init__()
        self.level = level

    def check_level(self, level: float) -> None:
        """Check that there can be this much noise of this kind.

        Raises:
            ValueError: if the level is too high.
        """
        if level > self.highest_level:
            raise ValueError(f"Noise of level {level:g}: {type(self).__name__} takes 0 to {self.highest_level:g}.")

    def forward(self, x: Tensor, level: float | None = None) -> Tensor:
        """Return images (B, C, H, W) with noise of the given level, or of the training's."""
        return self.corrupted(x, self.level if level is None else level)

    @abstractmethod
    def corrupted(self, x: Tensor, level: float) -> Tensor:
        """Return images (B, C, H, W) with noise of the given level."""


class Masking(Corruption):
    """Masking noise: a fraction of the pixels is set to 0."""

    highest_level = 1
    level_means = "share of the pixels set to 0"

    def __init__(self, fraction: Fraction = 0.25):
        super().__init__(fraction)

    def corrupted(self, x: Tensor, level: float) -> Tensor:
        """Set each pixel to 0 with probability `level`."""
        return x * (torch.rand_like(at_least_single(x)) >= level)  # 16 bits would miss the level


class SaltAndPepper(Corruption):
    """Salt-and-pepper noise: a fraction of the pixels is set to 0 or 1 by a fair coin."""

    highest_level = 1
    level_means = "share of the pixels set to 0 or 1"

    def __init__(self, fraction: Fraction = 0.25):
        super().__init__(fraction)

    def corrupted(self, x: Tensor, level: float) -> Tensor:
        """Set each pixel to 0 or 1, by a fair coin, with probability `level`."""
        draw = torch.rand_like(at_least_single(x))
        return torch.where(draw < level, (draw < level / 2).to(x.dtype), x)


class GaussianNoise(Corruption):
    """Gaussian noise: N(0, sigma²) is added to every pixel; values may leave [0, 1], as in the paper."""

    level_means = "standard deviation of the noise"

    def __init__(self, sigma: NonNegativeFloat = 0.25):
        super().__init__(sigma)

    def corrupted(self, x: Tensor, level: float) -> Tensor:
        """Add N(0, level²) to every pixel."""
        return x + level * torch.randn_like(x)
