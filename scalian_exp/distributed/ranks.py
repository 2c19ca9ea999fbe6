"""Collectives over the processes that share one training; with one process each returns its argument."""

import torch
import torch.distributed as dist
from torch import Tensor

from scalian_exp.refusal import Refusal


def size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, counted from 0."""
    return dist.get_rank() if size() > 1 else 0


def own_rows(batch: Tensor) -> Tensor:
    """Return this process's share of the rows of a batch.

    Raises:
        Refusal: if they can't be shared evenly.
    """
    share, rest = divmod(len(batch), size())
    if rest:
        raise Refusal(f"{len(batch)} chains or examples can't be shared evenly by {size()} processes; give a multiple.")
    return batch[rank() * share : (rank() + 1) * share]


def all_sum(x: Tensor) -> Tensor:
    """Return the sum over all processes (all-reduce)."""
    if size() > 1:
        x = x.clone()
        dist.all_reduce(x)
    return x


def mean(x: Tensor) -> Tensor:
    """Return the mean over all processes."""
    return all_sum(x) / size()


def in_any(condition: bool, device: torch.device) -> bool:
    """Tell whether a condition holds in any process."""
    return condition if size() == 1 else bool(all_sum(torch.tensor(int(condition), device=device)))


def from_first(x: Tensor) -> Tensor:
    """Return the first process's tensor in all processes (broadcast)."""
    if size() > 1:
        x = x.clone()
        dist.broadcast(x, 0)
    return x


def gather_rows(share: Tensor) -> Tensor:
    """Gather the rows of all processes, whose counts may differ."""
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


def own_row(rows: Tensor, dimensions: int) -> Tensor:
    """Return this process's row of a tensor to which each process has given one; their mean if their number changed.

    Args:
        rows: one row for each process, or a single one without an axis for it, as earlier versions stored.
        dimensions: number of dimensions of a row.
    """
    rows = rows if rows.dim() > dimensions else rows[None]
    return rows[rank()] if len(rows) == size() else rows.mean(0)
