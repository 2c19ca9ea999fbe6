"""Base classes of image data: held in memory as one uint8 tensor, or streamed by a subclass.

Batches are dicts: image (B, C, H, W), float in [0, 1], and label (B,), int64, where the data set has labels.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from scalian_exp.datasets.base import SPLIT_SEED, Batched, Data, Examples, held_out
from scalian_exp.datasets.folds import divided
from scalian_exp.distributed.noise import bernoulli
from scalian_exp.memory import check_images
from scalian_exp.ranges import Fold, NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal


class TensorBatches(Batched):
    """Examples held in memory as tensors; a batch is gathered without Python code per example."""

    def __init__(self, examples: Examples):
        self.examples, self.labels = examples, examples.get("label")

    def __getitem__(self, indices: Tensor) -> Examples:
        # index_select gathers small rows four times as fast as indexing
        return {name: values.index_select(0, indices) for name, values in self.examples.items()}

    def __len__(self) -> int:
        return len(self.examples["image"])


class Images(Data):
    """Base class of image data: pixels are transferred as uint8 and converted to floats on the device.

    Args:
        in_channels: 1 for grey, 3 for RGB.
        image_size: height, width.
        batch_size: images per step, over all processes together; also for validation and test.
        num_workers: processes that prepare batches; 0 prepares them in the main process.
        balanced: draw training images so that all classes are equally frequent.
    """

    noun: ClassVar = "images"

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        batch_size: PositiveInt,
        num_workers: NonNegativeInt = 0,
        balanced: bool = False,
    ):
        super().__init__(batch_size, num_workers, balanced)
        height, width = image_size
        self.shape = (in_channels, height, width)
        self.training_size = (height, width)
        """Height and width of training images, after any augmentation."""
        check_images(1, self.shape)

    def check_shape(self, which: str, actual: Sequence[int]) -> None:
        """Check that images have the config's shape.

        Raises:
            Refusal: if they don't.
        """
        if tuple(actual) != self.shape:
            raise Refusal(
                f"{which} are {tuple(actual)} (channels, height, width), but the config says {self.shape}; "
                "correct dataset.in_channels and dataset.image_size."
            )

    @property
    def varied(self) -> bool:
        """Whether examples are randomly augmented: in training, unless trainer.overfit_batches is set."""
        return self.trainer is not None and bool(self.trainer.training) and not self.overfits

    def prepare(self, batch: Examples) -> Examples:
        """Convert pixels from uint8 to floats in [0, 1], on the device."""
        return {**batch, "image": batch["image"].div(255).to(self.dtype)}


class InMemoryImages(Images, ABC):
    """Base class of images that fit in memory; subclasses implement `read`.

    Args:
        val_size: training images held out for validation, where the data set has no validation split.
        resample_binary: draw new binary pixels for every training batch, with the grey values as probabilities;
            validation and test images are drawn once, the same for every run (Burda et al. 2016).
        balanced: draw training images so that all classes are equally frequent.
        fold: "k/n", which holds out part k of n of the training images in place of `val_size` of them.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        batch_size: PositiveInt = 128,
        val_size: NonNegativeInt = 0,
        resample_binary: bool = False,
        balanced: bool = False,
        fold: Fold | None = None,
    ):
        super().__init__(in_channels, image_size, batch_size, balanced=balanced)
        self.val_size, self.resample_binary, self.fold = val_size, resample_binary, fold

    @abstractmethod
    def read(self) -> dict[str, Examples]:
        """Return the splits train, test and optionally val: image (N, C, H, W) uint8, optionally label (N,) int64."""

    def setup(self, stage: str | None = None) -> None:
        """Read the images, hold out a validation split if there is none, and binarise held-out images if asked to.

        Raises:
            Refusal: if images don't have the config's shape, or val_size or fold is not possible.
        """
        if self.splits:
            return
        splits = self.read()
        for name, examples in splits.items():
            self.check_shape(f"The {name} images", examples["image"].shape[1:])
        if "val" not in splits:
            splits["train"], splits["val"] = self.hold_out(splits["train"])
        elif self.fold:
            raise Refusal(f"dataset.fold={self.fold}: {type(self).__name__} has a validation split; leave it out.")
        if self.resample_binary:
            generator = torch.Generator().manual_seed(SPLIT_SEED)
            for name in ("val", "test"):
                grey = splits[name]["image"]
                drawn = torch.rand(grey.shape, generator=generator) < grey / 255
                splits[name] = {**splits[name], "image": drawn.byte() * 255}
        self.splits = {name: TensorBatches(examples) for name, examples in splits.items()}

    def hold_out(self, train: Examples) -> tuple[Examples, Examples]:
        """Split the training examples into those to train on and those held out for validation."""
        size, labels = len(train["image"]), train["label"].tolist() if "label" in train else None
        parts = divided(size, self.fold, labels) if self.fold else held_out(size, self.val_size)
        remaining, held = ({name: values[part] for name, values in train.items()} for part in parts)
        return remaining, held

    def prepare(self, batch: Examples) -> Examples:
        """Convert pixels to floats in [0, 1]; with resample_binary, then draw binary pixels."""
        batch = super().prepare(batch)
        if not self.resample_binary:
            return batch
        grey = batch["image"]
        if self.varied:
            return {**batch, "image": bernoulli(grey)}
        generator = torch.Generator(grey.device).manual_seed(SPLIT_SEED)  # fixed draws; pixels that are binary stay
        return {**batch, "image": torch.bernoulli(grey, generator=generator)}
