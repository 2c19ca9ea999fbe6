"""Data sets that are installed with the package or its dependencies."""

from importlib.resources import files

import numpy as np
import torch

from scalian_exp.datasets.base import Examples
from scalian_exp.datasets.images import InMemoryImages


class FashionMNISTSample(InMemoryImages):
    """Fashion-MNIST's first 600 training and 100 test images of each class, shipped inside this package."""

    def read(self) -> dict[str, Examples]:
        """Read the images and labels from the package."""
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
        """Load the digits from scikit-learn and scale them to 0 … 255."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(digits.images / 16 * 255).round().byte().unsqueeze(1)
        labels = torch.from_numpy(digits.target).long()
        test = torch.arange(len(labels)) % 5 == 4
        return {
            name: {"image": images[part], "label": labels[part]} for name, part in (("train", ~test), ("test", test))
        }
