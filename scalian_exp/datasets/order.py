"""Which examples each batch has: in the data's order or shuffled, whole or one process's share, and from where on."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler, SequentialSampler


class BatchesInOrder(SequentialSampler):
    """Index tensors, one a batch, in the data's order. Lightning replaces all but SequentialSamplers to overfit.

    Args:
        rank: which of several processes this is; each gets a share of every batch, so that all see each example once.
        ranks: how many there are.
    """

    skip = 0
    """so many batches of the next pass are left out: a resumed training has had them"""

    def __init__(self, size: int, batch_size: int, rank: int = 0, ranks: int = 1):
        self.size, self.batch_size, self.rank, self.ranks = size, batch_size, rank, ranks

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        for batch in torch.arange(self.size).split(self.batch_size):
            if len(share := batch[self.rank :: self.ranks]):
                yield share

    def __len__(self) -> int:
        whole, rest = divmod(self.size, self.batch_size)
        return whole + (rest > self.rank)


def even_shares(order: Tensor, batch_size: int, rank: int, ranks: int) -> Iterator[Tensor]:
    """What a process takes of each batch in training: as many examples as the others. What is left over of the last
    batch, fewer examples than processes, is left out."""
    for batch in order.split(batch_size):
        if share := len(batch) // ranks:
            yield batch[rank * share : (rank + 1) * share]


def number_of_even_shares(size: int, batch_size: int, ranks: int) -> int:
    whole, rest = divmod(size, batch_size)
    return whole + (rest >= ranks)


class EvenBatchesInOrder(BatchesInOrder):
    """The same for training, in even shares."""

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        skip, self.skip = self.skip, 0
        return islice(even_shares(torch.arange(self.size), self.batch_size, self.rank, self.ranks), skip, None)

    def __len__(self) -> int:
        return number_of_even_shares(self.size, self.batch_size, self.ranks)


class ShuffledBatches(Sampler[Tensor]):
    """Index tensors, one a batch, shuffled by a generator of (seed, epoch): a resumed run sees the same ones.

    Args:
        data: a `Batched` data set, which says how it is shuffled.
        rank: which of several processes this is; they get even shares.
        ranks: how many there are.
    """

    skip = 0
    """as above"""

    def __init__(self, data: Any, batch_size: int, epoch: int = 0, rank: int = 0, ranks: int = 1):
        self.data, self.batch_size, self.epoch, self.rank, self.ranks = data, batch_size, epoch, rank, ranks
        self.seed = torch.initial_seed()  # the job's

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed((self.seed * 2**20 + self.epoch) % 2**63)
        skip, self.skip = self.skip, 0
        yield from islice(even_shares(self.data.order(generator), self.batch_size, self.rank, self.ranks), skip, None)

    def __len__(self) -> int:
        return number_of_even_shares(len(self.data), self.batch_size, self.ranks)
