"""Random draws for Boltzmann machines, shared by the processes of a training.

Each process gets the rows that a single one would have drawn for its examples, provided that all have the same seed.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from scalian_exp.distributed import ranks


def bernoulli(p: Tensor) -> Tensor:
    """Sample 0 or 1 with probabilities p in [0, 1]; on a CPU in half the time of torch.bernoulli."""
    return rows_of(torch.rand, p).lt_(p).to(p.dtype)  # the noise is in single precision, whatever p is


def normal(mean: Tensor) -> Tensor:
    """Sample from N(mean, 1)."""
    return mean + rows_of(torch.randn, mean).to(mean.dtype)


def exponential(shape: Sequence[int], device: torch.device) -> Tensor:
    """Sample from Exp(1), as a `draw` for `rows_of`."""
    return torch.empty(shape, device=device).exponential_()


def rows_of(draw: Callable[..., Tensor], like: Tensor) -> Tensor:
    """Draw noise for a batch that all processes share, and return this process's rows.

    Args:
        draw: (shape, device=…) → noise: torch.rand, torch.randn or `exponential`.
        like: this process's part of the batch: its shape and device.
    """
    if ranks.size() == 1:
        return draw(like.shape, device=like.device)
    return ranks.own_rows(draw((ranks.size() * len(like), *like.shape[1:]), device=like.device))
