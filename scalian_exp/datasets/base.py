"""What all data shares: named splits, and batches that are asked for whole, in an order that a resumed run repeats.

Batches are dicts: name → tensor whose first dimension is the batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler

from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal

SPLIT_SEED = 0
"""splits are facts of a data set: they don't change with the seed of a run"""

Examples = dict[str, Tensor]


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
        rank: which of several processes this is; they get even shares.
        ranks: how many there are.
    """

    skip = 0
    """as above"""

    def __init__(self, data: "Batched", batch_size: int, epoch: int = 0, rank: int = 0, ranks: int = 1):
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


def as_it_is(batch: Any) -> Any:
    """What is left to do for a batch that comes whole."""
    return batch


class Batched(Dataset[Examples], ABC):
    """A data set that is asked for whole batches, by tensors of indices."""

    labels: Any = None
    """class numbers of all examples (N,), where they have one each"""

    @abstractmethod
    def __getitem__(self, indices: Tensor) -> Examples: ...

    @abstractmethod
    def __len__(self) -> int: ...

    def order(self, generator: torch.Generator) -> Tensor:
        """All indices as a training epoch takes them."""
        return torch.randperm(len(self), generator=generator)


class Indexed(Dataset[Examples]):
    """The same batches, which also say where in the split their examples stand: `index` (B,)."""

    def __init__(self, data: Batched):
        self.data = data

    def __getitem__(self, indices: Tensor) -> Examples:
        return {**self.data[indices], "index": indices}

    def __len__(self) -> int:
        return len(self.data)


class Data(pl.LightningDataModule):
    """Train, val and test.

    Args:
        batch_size: examples a step, of all processes together; also at validation and test.
        num_workers: processes that prepare batches; 0 prepares them in the main one.
    """

    def __init__(self, batch_size: PositiveInt, num_workers: NonNegativeInt = 0):
        super().__init__()
        self.batch_size, self.num_workers = batch_size, num_workers
        self.splits: dict[str, Batched] = {}
        """train, val and test, once `setup` has run"""

    @property
    def classes_found(self) -> int:
        """How many classes the labels of all splits have: one more than the highest; 0 without labels."""
        parts = [part.labels for part in self.splits.values() if part.labels is not None]
        return max((1 + int(torch.as_tensor(labels).max()) for labels in parts), default=0)

    @property
    def dtype(self) -> torch.dtype:
        """The network's: bfloat16 with trainer.precision=bf16-true."""
        dtype: Any = self.trainer.lightning_module.dtype if self.trainer is not None else torch.float32
        return dtype

    def loader(
        self, split: str, shuffle: bool = False, shared: bool = False, training: bool = False
    ) -> DataLoader[Examples]:
        """Batches of a split.

        Args:
            shuffle: in the order of the training's present epoch.
            shared: only this process's share of each.
            training: even shares also without shuffling.
        """
        data = self.splits[split]
        # trainer.current_epoch is still one too low when a resumed training makes its loaders, whose processes begin
        # at once.
        progress: Any = self.trainer.fit_loop.epoch_progress.current if self.trainer is not None else None
        epoch = progress.processed if progress is not None else 0
        which = (self.trainer.global_rank, self.trainer.world_size) if shared and self.trainer is not None else (0, 1)
        in_order = EvenBatchesInOrder if training else BatchesInOrder
        batches = (
            ShuffledBatches(data, self.batch_size, epoch, *which)
            if shuffle
            else in_order(len(data), self.batch_size, *which)
        )
        return DataLoader(
            Indexed(data),
            batch_size=None,  # the sampler's index tensors are batches already
            collate_fn=as_it_is,
            sampler=batches,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Its own generator: an iterator draws a number when made, which is before an epoch's seeding in a resumed
            # run and after it in others.
            generator=torch.Generator().manual_seed(epoch),
        )

    def train_dataloader(self) -> DataLoader[Examples]:
        always_the_same = getattr(self.trainer, "overfit_batches", 0) > 0
        return self.loader("train", shuffle=not always_the_same, shared=True, training=True)

    def val_dataloader(self) -> DataLoader[Examples]:
        return self.loader("train" if getattr(self.trainer, "overfit_batches", 0) > 0 else "val", shared=True)

    def test_dataloader(self) -> DataLoader[Examples]:
        return self.loader("test", shared=True)


def held_out(size: int, val_size: int) -> tuple[Tensor, Tensor]:
    """Indices of training and validation examples, disjoint, sorted, the same for every seed of a run.

    Raises:
        Refusal: if one of the two would be empty.
    """
    if not 0 < val_size < size:
        raise Refusal(
            f"dataset.val_size={val_size} must leave some of the {size} training examples and take some; "
            + (f"give a number from 1 to {size - 1}." if size > 1 else "there must be two at least.")
        )
    order = shuffled(size)
    return order[val_size:].sort().values, order[:val_size].sort().values


def drawn(size: int, train_size: int) -> Tensor:
    """Indices of `train_size` of the training examples, a smaller draw being part of a larger one.

    Raises:
        Refusal: if there are not so many.
    """
    if train_size > size:
        raise Refusal(f"dataset.train_size={train_size} is more than the {size} training images there are.")
    return shuffled(size)[:train_size]


def shuffled(size: int) -> Tensor:
    """All indices, in an order that is the same for every seed of a run."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(SPLIT_SEED))
