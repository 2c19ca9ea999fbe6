"""Noise for denoising autoencoders (Vincent et al. 2010, JMLR 11, section 3.3) on images in [0, 1], new each call."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from scalian_exp.ranges import Fraction, NonNegativeFloat


class Corruption(nn.Module, ABC):
    """`level` says how much noise there is; a call may ask for another level than that of training."""

    def __init__(self, level: float):
        super().__init__()
        self.level = level

    def forward(self, x: Tensor, level: float | None = None) -> Tensor:
        return self.corrupted(x, self.level if level is None else level)

    @abstractmethod
    def corrupted(self, x: Tensor, level: float) -> Tensor: ...


class Masking(Corruption):
    """A fraction of the pixels is set to 0."""

    def __init__(self, fraction: Fraction = 0.25):
        super().__init__(fraction)

    def corrupted(self, x: Tensor, level: float) -> Tensor:
        return x * (torch.rand_like(x) >= level)


class SaltAndPepper(Corruption):
    """A fraction of the pixels is set to 0 or 1 by a fair coin."""

    def __init__(self, fraction: Fraction = 0.25):
        super().__init__(fraction)

    def corrupted(self, x: Tensor, level: float) -> Tensor:
        draw = torch.rand_like(x)
        return torch.where(draw < level, (draw < level / 2).to(x.dtype), x)


class GaussianNoise(Corruption):
    """N(0, sigma²) is added to every pixel; values may leave [0, 1], as in the paper."""

    def __init__(self, sigma: NonNegativeFloat = 0.25):
        super().__init__(sigma)

    def corrupted(self, x: Tensor, level: float) -> Tensor:
        return x + level * torch.randn_like(x)
