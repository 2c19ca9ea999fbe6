"""The processes that share one training: which of them this is, and what they know together.

With one process every function gives back what it got.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from scalian_exp.refusal import Refusal


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which one this is, counted from 0."""
    return dist.get_rank() if size() > 1 else 0


def rows(whole: Tensor) -> Tensor:
    """This process's share of the rows of a whole batch.

    Raises:
        Refusal: if they can't be shared evenly.
    """
    share, rest = divmod(len(whole), size())
    if rest:
        raise Refusal(f"{len(whole)} chains or examples can't be shared evenly by {size()} processes; give a multiple.")
    return whole[rank() * share : (rank() + 1) * share]


def total(x: Tensor) -> Tensor:
    """The sum over all processes."""
    if size() > 1:
        x = x.clone()
        dist.all_reduce(x)
    return x


def mean(x: Tensor) -> Tensor:
    """The mean over all processes."""
    return total(x) / size()


def anywhere(here: bool, device: torch.device) -> bool:
    """Whether it is true in any process."""
    return here if size() == 1 else bool(total(torch.tensor(int(here), device=device)))


def first(x: Tensor) -> Tensor:
    """The first process's."""
    if size() > 1:
        x = x.clone()
        dist.broadcast(x, 0)
    return x


def together(share: Tensor) -> Tensor:
    """The rows of all processes, of which each may have another number."""
    if size() == 1:
        return share
    counts = [torch.zeros(1, dtype=torch.long, device=share.device) for _ in range(size())]
    dist.all_gather(counts, torch.tensor([len(share)], device=share.device))
    most = int(torch.cat(counts).max())
    padded = share.new_zeros(most, *share.shape[1:])
    padded[: len(share)] = share
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])
