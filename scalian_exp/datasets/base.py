"""What all data shares: named splits, and batches that are asked for whole, in an order that a resumed run repeats.

Batches are dicts: name → tensor whose first dimension is the batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scalian_exp.datasets.identity import CLASSES, EXAMPLES, check_classes, check_splits
from scalian_exp.datasets.order import BatchesInOrder, EvenBatchesInOrder, ShuffledBatches
from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal

SPLIT_SEED = 0
"""splits are facts of a data set: they don't change with the seed of a run"""

Examples = dict[str, Tensor]


def as_it_is(batch: Any) -> Any:
    """What is left to do for a batch that comes whole."""
    return batch


class Batched(Dataset[Examples], ABC):
    """A data set that is asked for whole batches, by tensors of indices."""

    labels: Any = None
    """class numbers of all examples (N,), where they have one each"""
    texts: Sequence[str] | None = None
    """the texts themselves, where examples are texts"""

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

    noun: ClassVar = "examples"
    """what they are, for sentences"""
    class_names: Sequence[str] | None = None
    """names of the classes that the files tell, once `setup` has run; None if they tell none"""

    def __init__(self, batch_size: PositiveInt, num_workers: NonNegativeInt = 0):
        super().__init__()
        self.batch_size, self.num_workers = batch_size, num_workers
        self.splits: dict[str, Batched] = {}
        """train, val and test, once `setup` has run"""
        self.identity: dict[str, Any] = {}
        """what checkpoints keep of data that may change between two starts, once `setup` has run: see identity.py"""

    @classmethod
    def found(cls, node: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG003
        """Values of a config that its files tell: name → value, for all that are `auto`, and others that go with them.

        Asked once a start, before anything is built: models may refer to them.

        Args:
            node: the config of the data set, with interpolations resolved.
        """
        return {}

    def state_dict(self) -> dict[str, Any]:
        return self.identity

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare the data with what a checkpoint keeps of a run's; what it doesn't keep may be anything.

        Raises:
            Refusal: if the classes or splits are others.
        """
        where = str(getattr(self, "root", None) or type(self).__name__)
        if CLASSES in self.identity:
            check_classes(state_dict.get(CLASSES), self.identity[CLASSES], where)
        check_splits(state_dict.get(EXAMPLES), self.identity.get(EXAMPLES, {}), where, self.noun)

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

    @property
    def overfits(self) -> bool:
        """Whether a few batches are to be learned by heart (trainer.overfit_batches)."""
        trainer: Any = self.trainer
        return trainer is not None and trainer.overfit_batches > 0

    def prepare(self, batch: Examples) -> Examples:
        """A stored batch, already on its device, as the network takes it."""
        return batch

    def on_after_batch_transfer(self, batch: Examples, dataloader_idx: int) -> Examples:
        """Lightning's hook: what it hands to the task."""
        return self.prepare(batch)

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
        return self.loader("train", shuffle=not self.overfits, shared=True, training=True)

    def val_dataloader(self) -> DataLoader[Examples]:
        return self.loader("train" if self.overfits else "val", shared=True)

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


def subset(size: int, train_size: int) -> Tensor:
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
