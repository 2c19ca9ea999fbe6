"""What logits say of pixels that take a known number of values, equally spaced from 0 to 1.

Of 2 values, logits have the shape of the image, (B, C, H, W), and 1 has the probability sigmoid(logits); of more they
are (B, values, C, H, W), a softmax (van den Oord et al. 2016, section 3.3).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def logits_per_value(levels: int) -> int:
    """How many logits a channel of a pixel has."""
    return 1 if levels == 2 else levels


def values(x: Tensor, levels: int) -> Tensor:
    """Pixels as whole numbers, 0 to levels − 1."""
    return (x.float() * (levels - 1)).round().long()


def are_values(x: Tensor, levels: int) -> bool:
    """Does every pixel have one of these values, as far as 8 bits tell?"""
    again = values(x, levels).float() / (levels - 1)
    return bool((again - x.float()).abs().max() <= 0.5 / 255 + 1e-3)


def nats(logits: Tensor, x: Tensor) -> Tensor:
    """−log p(x) of every channel of every pixel, given those before it: (B, C, H, W)."""
    if logits.dim() == x.dim():
        return F.binary_cross_entropy_with_logits(logits.float(), x.float(), reduction="none")
    return F.cross_entropy(logits.float(), values(x, logits.shape[1]), reduction="none")


def expected(logits: Tensor, dim: int) -> Tensor:
    """The mean of what comes next, in [0, 1], for an image of so many dimensions; of 2 values the probability of 1."""
    if logits.dim() == dim:
        return torch.sigmoid(logits.float())
    grid = torch.linspace(0, 1, logits.shape[1], device=logits.device)
    return torch.einsum("bl...,l->b...", logits.float().softmax(1), grid)


def draw(logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """Pixels drawn by uniform noise in [0, 1): logits of the shape of the noise, or (values, …)."""
    scaled = logits.float() / temperature
    if logits.dim() == noise.dim():
        return (noise < torch.sigmoid(scaled)).float()
    below = scaled.softmax(0).cumsum(0)[:-1] <= noise
    return below.sum(0).float() / (len(logits) - 1)
