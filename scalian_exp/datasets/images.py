"""Images for training: in memory as one uint8 tensor, or whatever a subclass streams.

Batches are dicts: image (B, C, H, W), float in [0, 1], and label (B,), int64, where the data set has labels.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from scalian_exp.datasets.base import SPLIT_SEED, Batched, Data, Examples, held_out
from scalian_exp.distributed.noise import bernoulli
from scalian_exp.memory import check_images
from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal


class TensorBatches(Batched):
    """Examples in memory: no Python per sample."""

    def __init__(self, examples: Examples):
        self.examples, self.labels = examples, examples.get("label")

    def __getitem__(self, indices: Tensor) -> Examples:
        # index_select gathers small rows four times as fast as indexing does
        return {name: values.index_select(0, indices) for name, values in self.examples.items()}

    def __len__(self) -> int:
        return len(self.examples["image"])


class Images(Data):
    """What all image data shares: pixels travel as uint8 and become floats on the device.

    Args:
        in_channels: 1 grey, 3 colours.
        image_size: height, width.
        batch_size: images a step; also at validation and test.
        num_workers: processes that prepare batches; 0 prepares them in the main one.
    """

    noun: ClassVar = "images"

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[int],
        batch_size: PositiveInt,
        num_workers: NonNegativeInt = 0,
    ):
        super().__init__(batch_size, num_workers)
        height, width = image_size
        self.shape = (in_channels, height, width)
        self.training_size = (height, width)
        """height, width of training images"""
        check_images(1, self.shape)

    def check_shape(self, which: str, found: Sequence[int]) -> None:
        """
        Raises:
            Refusal: if images are not of the config's shape.
        """
        if tuple(found) != self.shape:
            raise Refusal(
                f"{which} are {tuple(found)} (channels, height, width), but the config says {self.shape}; "
                "correct dataset.in_channels and dataset.image_size."
            )

    @property
    def varied(self) -> bool:
        """Does chance change the examples? While training, unless a few batches are to be learned by heart."""
        return self.trainer is not None and bool(self.trainer.training) and not self.overfits

    def prepare(self, batch: Examples) -> Examples:
        return {**batch, "image": batch["image"].div(255).to(self.dtype)}


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
            self.check_shape(f"The {name} images", examples["image"].shape[1:])
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
        """Training and validation examples."""
        parts = held_out(len(train["image"]), self.val_size)
        kept, held = ({name: values[part] for name, values in train.items()} for part in parts)
        return kept, held

    def prepare(self, batch: Examples) -> Examples:
        batch = super().prepare(batch)
        if not self.resample_binary:
            return batch
        grey = batch["image"]
        if self.varied:
            return {**batch, "image": bernoulli(grey)}
        generator = torch.Generator(grey.device).manual_seed(SPLIT_SEED)  # always the same; binary pixels stay
        return {**batch, "image": torch.bernoulli(grey, generator=generator)}
