"""Random states, of which Boltzmann machines draw many. Where several processes share a batch, each gets the rows that
one process would have drawn for its examples, provided that they draw from the same seed."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from scalian_exp import ranks


def bernoulli(p: Tensor) -> Tensor:
    """0 or 1 with probabilities p in [0, 1]: on a CPU in half the time of torch.bernoulli."""
    return (drawn(torch.rand, p) < p).to(p.dtype)  # in single precision, whatever p is in


def normal(mean: Tensor) -> Tensor:
    """Of variance 1."""
    return mean + drawn(torch.randn, mean).to(mean.dtype)


def exponential(shape: Sequence[int], device: torch.device) -> Tensor:
    """Of rate 1: what the `draw` of `drawn` can be, besides torch.rand and torch.randn."""
    return torch.empty(shape, device=device).exponential_()


def drawn(draw: Callable[..., Tensor], like: Tensor) -> Tensor:
    """This process's rows of a whole batch's."""
    if ranks.size() == 1:
        return draw(like.shape, device=like.device)
    return ranks.rows(draw((ranks.size() * len(like), *like.shape[1:]), device=like.device))
