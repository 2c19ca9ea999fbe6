"""Logits of pixels that take a known number of values, equally spaced from 0 to 1.

For 2 values, logits have the image's shape, (B, C, H, W), and the value 1 has probability sigmoid(logits). For more
values they are (B, values, C, H, W), followed by a softmax (van den Oord et al. 2016, section 2.2).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def logits_per_value(levels: int) -> int:
    """Return the number of logits for one channel of a pixel."""
    return 1 if levels == 2 else levels


def values(x: Tensor, levels: int) -> Tensor:
    """Convert pixels in [0, 1] to integers from 0 to levels − 1."""
    return (x.float() * (levels - 1)).round().long()


def are_values(x: Tensor, levels: int) -> bool:
    """Check whether every pixel has one of the `levels` values, within the precision of 8 bits."""
    nearest = values(x, levels).float() / (levels - 1)
    return bool((nearest - x.float()).abs().max() <= 0.5 / 255 + 1e-3)


def nats(logits: Tensor, x: Tensor) -> Tensor:
    """Return −log p(x), in nats, of every channel of every pixel given those before it: (B, C, H, W)."""
    if logits.dim() == x.dim():
        return F.binary_cross_entropy_with_logits(logits.float(), x.float(), reduction="none")
    return F.cross_entropy(logits.float(), values(x, logits.shape[1]), reduction="none")


def expected(logits: Tensor, dim: int) -> Tensor:
    """Return the expected value of each pixel, in [0, 1]; for 2 values this is the probability of 1.

    Args:
        logits: (B, …) or (B, values, …).
        dim: number of dimensions of the image, which tells the two apart.
    """
    if logits.dim() == dim:
        return torch.sigmoid(logits.float())
    grid = torch.linspace(0, 1, logits.shape[1], dtype=torch.float32, device=logits.device)
    return torch.einsum("bl...,l->b...", logits.float().softmax(1), grid)


def draw(logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """Draw pixel values in [0, 1] from their logits with the given uniform noise.

    Args:
        logits: of the noise's shape, or (values, …).
        noise: uniform in [0, 1).
        temperature: divides the logits.
    """
    scaled = logits.float() / temperature
    if logits.dim() == noise.dim():
        return (noise < torch.sigmoid(scaled)).float()
    below = scaled.softmax(0).cumsum(0)[:-1] <= noise
    return below.sum(0).float() / (len(logits) - 1)
