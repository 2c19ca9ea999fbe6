"""Data sets that come with the installation, and one that is made up."""

from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import torch

from scalian_exp.datasets.base import SPLIT_SEED, Examples
from scalian_exp.datasets.images import InMemoryImages
from scalian_exp.memory import check_images
from scalian_exp.ranges import NonNegativeInt, PositiveInt


class FashionMNISTSample(InMemoryImages):
    """The first 600 training and 100 test images of each class of Fashion-MNIST, inside this package."""

    def read(self) -> dict[str, Examples]:
        with (files("scalian_exp.datasets") / "samples/fashion_mnist.npz").open("rb") as file:
            arrays = np.load(file)
            return {
                split: {
                    "image": torch.from_numpy(arrays[f"{split}_images"]).unsqueeze(1),
                    "label": torch.from_numpy(arrays[f"{split}_labels"]).long(),
                }
                for split in ("train", "test")
            }


class Digits(InMemoryImages):
    """scikit-learn's 1,797 digits of 8×8 pixels in 17 grey levels; every fifth is a test image."""

    def read(self) -> dict[str, Examples]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(digits.images / 16 * 255).round().byte().unsqueeze(1)
        labels = torch.from_numpy(digits.target).long()
        test = torch.arange(len(labels)) % 5 == 4
        return {
            name: {"image": images[part], "label": labels[part]} for name, part in (("train", ~test), ("test", test))
        }


class FakeImages(InMemoryImages):
    """Noise with a bright bar whose height is the class; any size, for tests and first tries."""

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[int],
        num_classes: PositiveInt = 10,
        binary: bool = False,
        train_size: PositiveInt = 64,
        test_size: PositiveInt = 20,
        batch_size: PositiveInt = 16,
        val_size: NonNegativeInt = 16,
    ):
        super().__init__(in_channels, image_size, batch_size, val_size)
        self.num_classes, self.binary = num_classes, binary
        self.sizes = {"train": train_size, "test": test_size}

    def read(self) -> dict[str, Examples]:
        check_images(sum(self.sizes.values()), self.shape)
        generator = torch.Generator().manual_seed(SPLIT_SEED)
        return {split: self.examples(size, generator) for split, size in self.sizes.items()}

    def examples(self, size: int, generator: torch.Generator) -> Examples:
        labels = torch.arange(size) % self.num_classes
        images = torch.rand(size, *self.shape, generator=generator) * 0.4
        for image, label in zip(images, labels.tolist(), strict=True):
            row = label * self.shape[1] // self.num_classes
            image[:, row : row + max(1, self.shape[1] // 4)] += 0.5
        if self.binary:
            images = (images > 0.5).float()
        return {"image": (images * 255).byte(), "label": labels}
