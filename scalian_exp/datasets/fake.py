"""Synthetic images and masks, for tests and first experiments."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from scalian_exp.batches import VOID_BYTE
from scalian_exp.datasets.base import SPLIT_SEED, Examples
from scalian_exp.datasets.folds import divided
from scalian_exp.datasets.images import InMemoryImages, TensorBatches
from scalian_exp.datasets.masks import Masks
from scalian_exp.memory import check_images
from scalian_exp.ranges import Fold, NonNegativeInt, PositiveInt


class FakeImages(InMemoryImages):
    """Noise images with a bright bar whose vertical position is the class, for tests and first experiments.

    Args:
        kwargs: the arguments of `InMemoryImages`.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        num_classes: PositiveInt = 10,
        binary: bool = False,
        train_size: PositiveInt = 64,
        test_size: PositiveInt = 20,
        val_size: NonNegativeInt = 16,
        **kwargs: Any,
    ):
        super().__init__(in_channels, image_size, val_size=val_size, **kwargs)
        self.num_classes, self.binary = num_classes, binary
        self.sizes = {"train": train_size, "test": test_size}

    def read(self) -> dict[str, Examples]:
        """Generate the training and test images, the same for every run's seed."""
        check_images(sum(self.sizes.values()), self.shape)
        generator = torch.Generator().manual_seed(SPLIT_SEED)
        return {split: self.examples(size, generator) for split, size in self.sizes.items()}

    def examples(self, size: int, generator: torch.Generator) -> Examples:
        """Generate images (size, C, H, W), uint8, and their labels (size,)."""
        labels = torch.arange(size) % self.num_classes
        images = torch.rand(size, *self.shape, generator=generator) * 0.4
        for image, label in zip(images, labels.tolist(), strict=True):
            row = label * self.shape[1] // self.num_classes
            image[:, row : row + max(1, self.shape[1] // 4)] += 0.5
        if self.binary:
            images = (images > 0.5).float()
        return {"image": (images * 255).byte(), "label": labels}


class FakeMasks(Masks):
    """Noise images with a rectangle for each class, brighter the higher the class, on a background of class 0.

    With an ignore_index, the top left pixels of every image are void.

    Args:
        fold: "k/n", which divides all images but the test's anew: part k of n is for validation.
        kwargs: the arguments of `Masks`.
    """

    def __init__(
        self,
        *args: Any,
        train_size: PositiveInt = 24,
        val_size: PositiveInt = 8,
        test_size: PositiveInt = 8,
        fold: Fold | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.fold = fold
        self.sizes = {"train": train_size, "val": val_size, "test": test_size}

    def read(self) -> Mapping[str, TensorBatches]:
        """Generate the three splits, the same for every run's seed."""
        check_images(sum(self.sizes.values()), self.shape)
        generator = torch.Generator().manual_seed(SPLIT_SEED)
        splits = {split: self.examples(size, generator) for split, size in self.sizes.items()}
        if self.fold:
            parts = splits["train"].examples, splits["val"].examples
            every = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
            for split, chosen in zip(("train", "val"), divided(len(every["image"]), self.fold), strict=True):
                splits[split] = TensorBatches({name: values[chosen] for name, values in every.items()})
        return splits

    def examples(self, size: int, generator: torch.Generator) -> TensorBatches:
        """Generate images (size, C, H, W) and masks (size, H, W), uint8."""
        _, height, width = self.shape
        labels = torch.zeros(size, height, width, dtype=torch.uint8)
        for label in labels:
            for number in range(1, self.num_classes):
                top, left = (int(torch.randint(side, (), generator=generator)) for side in (height, width))
                label[top : top + max(1, height // 3), left : left + max(1, width // 3)] = number
        noise = torch.rand(size, *self.shape, generator=generator)
        images = 0.2 * noise + 0.8 * labels.unsqueeze(1) / self.num_classes
        if self.ignore_index is not None:
            labels[:, : max(1, height // 8), : max(1, width // 8)] = VOID_BYTE
        return TensorBatches({"image": (images * 255).byte(), "mask": labels})
