"""Base classes of all data: named splits, fetched a batch at a time, in an order that a resumed run repeats.

Batches are dicts: name → tensor whose first dimension is the batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from scalian_exp.datasets.identity import CLASSES, EXAMPLES, FOLD, check_classes, check_fold, check_splits
from scalian_exp.datasets.order import BalancedOrder, BatchesInOrder, EvenBatchesInOrder, ShuffledBatches, members_of
from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal

SPLIT_SEED = 0
"""Seed of all splits: they belong to the data set and don't change with the seed of a run."""

Examples = dict[str, Tensor]


def identity_collate(batch: Any) -> Any:
    """Return the batch unchanged: the sampler already yields whole batches."""
    return batch


class Batched(Dataset[Examples], ABC):
    """A data set indexed by tensors of indices (B,), which returns a whole batch at once."""

    labels: Any = None
    """Class index of each example (N,), where each has one."""
    texts: Sequence[str] | None = None
    """The texts themselves, if examples are texts."""
    names: Sequence[str] | None = None
    """Name of each example, such as its file; None if examples have nothing but their index."""

    @abstractmethod
    def __getitem__(self, indices: Tensor) -> Examples: ...

    @abstractmethod
    def __len__(self) -> int: ...

    def order(self, generator: torch.Generator) -> Tensor:
        """Return all indices (N,) in the order of a training epoch; shuffled uniformly unless overridden."""
        return torch.randperm(len(self), generator=generator)


class Indexed(Dataset[Examples]):
    """Add `index` (B,), the examples' positions in the split, to the batches of a data set."""

    def __init__(self, data: Batched):
        self.data = data

    def __getitem__(self, indices: Tensor) -> Examples:
        return {**self.data[indices], "index": indices}

    def __len__(self) -> int:
        return len(self.data)


class Batches(DataLoader[Examples]):
    """A loader whose sampler yields whole batches; without worker processes it asks the data for them directly."""

    def __iter__(self) -> Any:
        if self.num_workers or self.pin_memory:
            return super().__iter__()
        return (self.dataset[indices] for indices in self.sampler)


class Data(pl.LightningDataModule):
    """Base class of data modules with the splits train, val and test.

    Args:
        batch_size: examples per step, over all processes together; also for validation and test.
        num_workers: processes that prepare batches; 0 prepares them in the main process.
        balanced: draw training examples so that all classes are equally frequent in an epoch, which remains as long
            as it is: those of rare classes several times, and of frequent ones not all.
    """

    noun: ClassVar = "examples"
    """Plural noun for the examples, in messages."""
    fold: str | None = None
    """Part of the training examples that is the validation split, such as "1/5"; see folds.py."""
    class_names: Sequence[str] | None = None
    """Names of the classes, as the files give them; None before `setup`, or if the files don't name them."""

    def __init__(self, batch_size: PositiveInt, num_workers: NonNegativeInt = 0, balanced: bool = False):
        super().__init__()
        self.batch_size, self.num_workers, self.balanced = batch_size, num_workers, balanced
        self.splits: dict[str, Batched] = {}
        """The splits train, val and test; empty until `setup` has run."""
        self.identity: dict[str, Any] = {}
        """Fingerprint of data that may change between runs, stored in checkpoints; see identity.py. Set by `setup`."""

    @classmethod
    def infer(cls, node: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG003
        """Infer from the data's files every config value that is `auto`, and any that depend on it: name → value.

        Called once per run before anything is built, because models may refer to these values.

        Args:
            node: the data set's config, with interpolations resolved.
        """
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the identity of the data, for the checkpoint."""
        return {**self.identity, **({FOLD: self.fold} if self.fold else {})}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that the data is what a checkpoint was trained on, as far as the checkpoint records it.

        Raises:
            Refusal: if the classes or splits differ.
        """
        check_fold(state_dict.get(FOLD), self.fold)
        where = str(getattr(self, "root", None) or type(self).__name__)
        if CLASSES in self.identity:
            check_classes(state_dict.get(CLASSES), self.identity[CLASSES], where)
        check_splits(state_dict.get(EXAMPLES), self.identity.get(EXAMPLES, {}), where, self.noun)

    @property
    def classes_in_labels(self) -> int:
        """Number of classes in the labels of all splits: the highest label plus one; 0 without labels."""
        parts = [part.labels for part in self.splits.values() if part.labels is not None]
        return max((1 + int(torch.as_tensor(labels).max()) for labels in parts), default=0)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the network's inputs: bfloat16 with trainer.precision=bf16-true."""
        dtype: Any = self.trainer.lightning_module.dtype if self.trainer is not None else torch.float32
        return dtype

    @property
    def overfits(self) -> bool:
        """Whether training is to overfit a few batches (trainer.overfit_batches)."""
        trainer: Any = self.trainer
        return trainer is not None and trainer.overfit_batches > 0

    def prepare(self, batch: Examples) -> Examples:
        """Convert a stored batch, already on its device, to what the network takes; unchanged unless overridden."""
        return batch

    def on_after_batch_transfer(self, batch: Examples, dataloader_idx: int) -> Examples:
        """Prepare a batch before Lightning passes it to the task."""
        return self.prepare(batch)

    @property
    def epoch(self) -> int:
        """Number of training epochs completed; 0 without a trainer."""
        # trainer.current_epoch is still one too low when a resumed run makes its loaders, and their worker processes
        # start at once.
        progress: Any = self.trainer.fit_loop.epoch_progress.current if self.trainer is not None else None
        return int(progress.processed) if progress is not None else 0

    @property
    def process(self) -> tuple[int, int]:
        """This process's number, and the number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    @cached_property
    def class_members(self) -> Sequence[Tensor]:
        """The indices of the training examples of each class, (n,) each; read when it is first asked for.

        Raises:
            Refusal: if the training examples have no labels.
        """
        data = self.splits["train"]
        if data.labels is None:
            raise Refusal(
                f"dataset.balanced=true draws training {self.noun} by their classes, but {type(self).__name__} doesn't "
                "hold any; leave it out."
            )
        return members_of(torch.as_tensor(data.labels))

    def loader(self, split: str, shuffle: bool = False) -> DataLoader[Examples]:
        """Return a loader of all batches of a split, in the data's order or in that of the current training epoch."""
        data = self.splits[split]
        shuffled = ShuffledBatches(data, self.batch_size, self.epoch)
        return self.loader_of(split, shuffled if shuffle else BatchesInOrder(len(data), self.batch_size))

    def train_dataloader(self) -> DataLoader[Examples]:
        """Return this process's training batches, shuffled unless trainer.overfit_batches is set."""
        data = self.splits["train"]
        if self.overfits:
            return self.loader_of("train", EvenBatchesInOrder(len(data), self.batch_size, *self.process))
        order = BalancedOrder(self.class_members, len(data)) if self.balanced else data
        return self.loader_of("train", ShuffledBatches(order, self.batch_size, self.epoch, *self.process))

    def val_dataloader(self) -> DataLoader[Examples]:
        """Return this process's validation batches; with trainer.overfit_batches, those of the training split."""
        split = "train" if self.overfits else "val"
        return self.loader_of(split, BatchesInOrder(len(self.splits[split]), self.batch_size, *self.process))

    def test_dataloader(self) -> DataLoader[Examples]:
        """Return this process's test batches."""
        return self.loader_of("test", BatchesInOrder(len(self.splits["test"]), self.batch_size, *self.process))

    def loader_of(self, split: str, batches: Sampler[Any]) -> DataLoader[Examples]:
        """Return a loader of the batches of a split whose indices a sampler yields."""
        return Batches(
            Indexed(self.splits[split]),
            batch_size=None,  # the sampler's index tensors are batches already
            collate_fn=identity_collate,
            sampler=batches,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # A separate generator: an iterator draws a number when it is created, which is before the epoch is seeded
            # in a resumed run and after it otherwise.
            generator=torch.Generator().manual_seed(self.epoch),
        )


def held_out(size: int, val_size: int) -> tuple[Tensor, Tensor]:
    """Split `size` examples into sorted indices for training and for validation, the same for every run's seed.

    Raises:
        Refusal: if either part would be empty.
    """
    if not 0 < val_size < size:
        raise Refusal(
            f"dataset.val_size={val_size} must take some of the {size} training examples and leave some; "
            + (f"give a number from 1 to {size - 1}." if size > 1 else "there must be at least two.")
        )
    order = shuffled(size)
    return order[val_size:].sort().values, order[:val_size].sort().values


def subset(size: int, train_size: int) -> Tensor:
    """Draw the indices of `train_size` training examples; a smaller draw is a subset of a larger one.

    Raises:
        Refusal: if there are fewer than `train_size`.
    """
    if train_size > size:
        raise Refusal(f"dataset.train_size={train_size} is more than the {size} training images available.")
    return shuffled(size)[:train_size]


def shuffled(size: int) -> Tensor:
    """Return all indices (size,) in a random order that is the same for every run's seed."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(SPLIT_SEED))
