"""Batch samplers: in the data's order or shuffled, complete or one process's share, resumable within an epoch."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler, SequentialSampler


class BatchesInOrder(SequentialSampler):
    """Sampler that yields one index tensor per batch, in the data's order.

    A SequentialSampler, because Lightning replaces any other when trainer.overfit_batches is set.

    Args:
        size: number of examples.
        batch_size: examples per batch, over all processes together.
        rank: this process's number; each process gets a share of every batch, so that each example is seen once.
        ranks: number of processes.
    """

    skip = 0
    """Batches to leave out of the next pass, because a resumed run has already trained on them."""

    def __init__(self, size: int, batch_size: int, rank: int = 0, ranks: int = 1):
        self.size, self.batch_size, self.rank, self.ranks = size, batch_size, rank, ranks

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        for batch in torch.arange(self.size).split(self.batch_size):
            if len(share := batch[self.rank :: self.ranks]):
                yield share

    def __len__(self) -> int:
        complete, rest = divmod(self.size, self.batch_size)
        return complete + (rest > self.rank)


def even_shares(order: Tensor, batch_size: int, rank: int, ranks: int) -> Iterator[Tensor]:
    """Yield a process's share of each training batch, equally large for all processes.

    Examples of a batch that can't be divided evenly are left out.
    """
    for batch in order.split(batch_size):
        if share := len(batch) // ranks:
            yield batch[rank * share : (rank + 1) * share]


def number_of_even_shares(size: int, batch_size: int, ranks: int) -> int:
    """Return how many batches `even_shares` yields."""
    complete, rest = divmod(size, batch_size)
    return complete + (rest >= ranks)


class EvenBatchesInOrder(BatchesInOrder):
    """Sampler of training batches in the data's order, in equally large shares for all processes."""

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        skip, self.skip = self.skip, 0
        return islice(even_shares(torch.arange(self.size), self.batch_size, self.rank, self.ranks), skip, None)

    def __len__(self) -> int:
        return number_of_even_shares(self.size, self.batch_size, self.ranks)


def members_of(labels: Tensor) -> Sequence[Tensor]:
    """Return the indices of the examples of each class that occurs in labels (N,), in ascending order."""
    _, counts = labels.unique(return_counts=True)
    return labels.argsort(stable=True).split(counts.tolist())


def equally_often(members: Sequence[Tensor], size: int, generator: torch.Generator) -> Tensor:
    """Draw examples so that all classes are equally frequent: indices (size,) in random order.

    Each class is drawn size // classes times or once more, and within it each example as often as any other or once
    more: those of rare classes are repeated, and of frequent classes each epoch leaves out others.

    Args:
        members: for each class, the indices of its examples (n,); an example may belong to several classes, and classes
            without examples are left out.
        size: number of examples to draw.
        generator: source of the random numbers.
    """
    members = [indices for indices in members if len(indices)]
    complete, rest = divmod(size, len(members))
    chosen = torch.randperm(len(members), generator=generator)[:rest].tolist()
    drawn = []
    for number, indices in enumerate(members):
        quota = complete + (number in chosen)
        rounds = max(1, -(-quota // len(indices)))
        places = torch.cat([torch.randperm(len(indices), generator=generator) for _ in range(rounds)])
        drawn.append(indices[places[:quota]])
    together = torch.cat(drawn)
    return together[torch.randperm(size, generator=generator)]


class BalancedOrder:
    """Order of an epoch in which all classes are equally frequent, in place of the data's own.

    Args:
        members: for each class, the indices of its examples (n,).
        size: number of examples in an epoch.
    """

    def __init__(self, members: Sequence[Tensor], size: int):
        self.members, self.size = members, size

    def order(self, generator: torch.Generator) -> Tensor:
        """Return the indices (size,) of an epoch's examples."""
        return equally_often(self.members, self.size, generator)

    def __len__(self) -> int:
        return self.size


class ShuffledBatches(Sampler[Tensor]):
    """Sampler that yields one index tensor per batch, shuffled by (seed, epoch): a resumed run sees the same batches.

    Args:
        data: a `Batched` data set, whose `order` shuffles it, or a `BalancedOrder` of one.
        batch_size: examples per batch, over all processes together.
        epoch: the epoch of the first pass.
        rank: this process's number; all processes get equally large shares.
        ranks: number of processes.
    """

    skip = 0
    """Batches to leave out of the next pass, because a resumed run has already trained on them."""

    def __init__(self, data: Any, batch_size: int, epoch: int = 0, rank: int = 0, ranks: int = 1):
        self.data, self.batch_size, self.epoch, self.rank, self.ranks = data, batch_size, epoch, rank, ranks
        self.seed = torch.initial_seed()  # the seed of the run

    def set_epoch(self, epoch: int) -> None:
        """Shuffle the next pass as in this epoch; called by Lightning."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed((self.seed * 2**20 + self.epoch) % 2**63)
        skip, self.skip = self.skip, 0
        yield from islice(even_shares(self.data.order(generator), self.batch_size, self.rank, self.ranks), skip, None)

    def __len__(self) -> int:
        return number_of_even_shares(len(self.data), self.batch_size, self.ranks)
