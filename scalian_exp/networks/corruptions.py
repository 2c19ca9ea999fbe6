"""Noise for denoising autoencoders (Vincent et al. 2010, JMLR 11, section 3.3) on images in [0, 1], new each call."""

import torch
from torch import Tensor, nn

from scalian_exp.ranges import Fraction, NonNegativeFloat


class Masking(nn.Module):
    """A fraction of the pixels is set to 0."""

    def __init__(self, fraction: Fraction = 0.25):
        super().__init__()
        self.fraction = fraction

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand_like(x) >= self.fraction)


class SaltAndPepper(nn.Module):
    """A fraction of the pixels is set to 0 or 1 by a fair coin."""

    def __init__(self, fraction: Fraction = 0.25):
        super().__init__()
        self.fraction = fraction

    def forward(self, x: Tensor) -> Tensor:
        draw = torch.rand_like(x)
        return torch.where(draw < self.fraction, (draw < self.fraction / 2).to(x.dtype), x)


class GaussianNoise(nn.Module):
    """N(0, sigma²) is added to every pixel; values may leave [0, 1], as in the paper."""

    def __init__(self, sigma: NonNegativeFloat = 0.25):
        super().__init__()
        self.sigma = sigma

    def forward(self, x: Tensor) -> Tensor:
        return x + self.sigma * torch.randn_like(x)
