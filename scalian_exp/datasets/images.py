"""Images for training: in memory as one uint8 tensor, or whatever a subclass streams.

Batches are dicts: image (B, C, H, W), float in [0, 1], and label (B,), int64, where the data set has labels.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
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
    """Index tensors, one a batch, in the data's order. Lightning replaces all but SequentialSamplers to overfit."""

    def __init__(self, size: int, batch_size: int):
        self.size, self.batch_size = size, batch_size

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        yield from torch.arange(self.size).split(self.batch_size)

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)


class ShuffledBatches(Sampler[Tensor]):
    """Index tensors, one a batch, shuffled by a generator of (seed, epoch): a resumed run sees the same ones."""

    def __init__(self, size: int, batch_size: int, epoch: int = 0):
        self.size, self.batch_size, self.epoch = size, batch_size, epoch
        self.seed = torch.initial_seed()  # the job's

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed((self.seed * 2**20 + self.epoch) % 2**63)
        yield from torch.randperm(self.size, generator=generator).split(self.batch_size)

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)


def as_it_is(batch: Any) -> Any:
    """What is left to do for a batch that comes whole."""
    return batch


class Batched(Dataset[Examples], ABC):
    """A data set that is asked for whole batches, by tensors of indices."""

    @abstractmethod
    def __getitem__(self, indices: Tensor) -> Examples: ...

    @abstractmethod
    def __len__(self) -> int: ...


class TensorBatches(Batched):
    """Examples in memory: no Python per sample."""

    def __init__(self, examples: Examples):
        self.examples = examples

    def __getitem__(self, indices: Tensor) -> Examples:
        # index_select gathers small rows four times as fast as indexing does
        return {name: values.index_select(0, indices) for name, values in self.examples.items()}

    def __len__(self) -> int:
        return len(self.examples["image"])


class Images(pl.LightningDataModule):
    """What all image data shares: pixels travel as uint8 and become floats on the device.

    Args:
        in_channels: 1 grey, 3 colours.
        image_size: height, width.
        batch_size: images a step; also at validation and test.
        num_workers: processes that prepare batches; 0 prepares them in the main one.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[int],
        batch_size: PositiveInt,
        num_workers: NonNegativeInt = 0,
    ):
        super().__init__()
        height, width = image_size
        self.shape = (in_channels, height, width)
        self.batch_size, self.num_workers = batch_size, num_workers
        self.splits: dict[str, Batched] = {}
        """train, val and test, once `setup` has run"""

    def on_after_batch_transfer(self, batch: Examples, dataloader_idx: int) -> Examples:
        dtype = self.trainer.lightning_module.dtype if self.trainer is not None else torch.float32
        return {**batch, "image": batch["image"].div(255).to(dtype)}  # the network's: bfloat16 with bf16-true

    def loader(self, split: str, shuffle: bool = False) -> DataLoader[Examples]:
        data = self.splits[split]
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        batches = (
            ShuffledBatches(len(data), self.batch_size, epoch)
            if shuffle
            else BatchesInOrder(len(data), self.batch_size)
        )
        return DataLoader(
            data,
            batch_size=None,  # the sampler's index tensors are batches already
            collate_fn=as_it_is,
            sampler=batches,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            # Its own generator: an iterator draws a number when made, which is before an epoch's seeding in a resumed
            # run and after it in others.
            generator=torch.Generator().manual_seed(epoch),
        )

    def train_dataloader(self) -> DataLoader[Examples]:
        always_the_same = getattr(self.trainer, "overfit_batches", 0) > 0
        return self.loader("train", shuffle=not always_the_same)

    def val_dataloader(self) -> DataLoader[Examples]:
        return self.loader("train" if getattr(self.trainer, "overfit_batches", 0) > 0 else "val")

    def test_dataloader(self) -> DataLoader[Examples]:
        return self.loader("test")


class InMemoryImages(Images, ABC):
    """Images that fit in memory; a subclass reads them.

    Args:
        val_size: training images held out for validation, where the data set has no validation split of its own.
        resample_binary: every training batch gets new binary pixels, drawn with the grey values as probabilities;
            validation and test images are drawn once, always the same (Burda et al. 2016).
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[int],
        batch_size: PositiveInt = 128,
        val_size: NonNegativeInt = 0,
        resample_binary: bool = False,
    ):
        super().__init__(in_channels, image_size, batch_size)
        self.val_size, self.resample_binary = val_size, resample_binary

    @abstractmethod
    def read(self) -> dict[str, Examples]:
        """train, test and perhaps val → image (N, C, H, W) uint8 and perhaps label (N,) int64."""

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        splits = self.read()
        for name, examples in splits.items():
            if (found := tuple(examples["image"].shape[1:])) != self.shape:
                raise Refusal(
                    f"The {name} images are {found} (channels, height, width), but the config says {self.shape}; "
                    "correct dataset.in_channels and dataset.image_size."
                )
        if "val" not in splits:
            splits["train"], splits["val"] = self.hold_out(splits["train"])
        if self.resample_binary:
            generator = torch.Generator().manual_seed(SPLIT_SEED)
            for name in ("val", "test"):
                grey = splits[name]["image"]
                drawn = torch.rand(grey.shape, generator=generator) < grey / 255
                splits[name] = {**splits[name], "image": drawn.byte() * 255}
        self.splits = {name: TensorBatches(examples) for name, examples in splits.items()}

    def hold_out(self, train: Examples) -> tuple[Examples, Examples]:
        """Training and validation examples, disjoint, the same for every seed."""
        size = len(train["image"])
        if not 0 < self.val_size < size:
            raise Refusal(
                f"dataset.val_size={self.val_size} must leave some of the {size} training images and take some."
            )
        order = torch.randperm(size, generator=torch.Generator().manual_seed(SPLIT_SEED))
        parts = order[self.val_size :].sort().values, order[: self.val_size].sort().values
        kept, held = ({name: values[part] for name, values in train.items()} for part in parts)
        return kept, held

    def on_after_batch_transfer(self, batch: Examples, dataloader_idx: int) -> Examples:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        if self.resample_binary and self.trainer is not None and self.trainer.training:
            batch["image"] = torch.bernoulli(batch["image"])
        return batch
