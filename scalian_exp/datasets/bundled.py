"""Data sets that are installed with the package or its dependencies."""

import csv
import gzip
from importlib.resources import files

import numpy as np
import torch

from scalian_exp.datasets.base import Examples
from scalian_exp.datasets.documents import Documents
from scalian_exp.datasets.images import InMemoryImages
from scalian_exp.datasets.texts import Texts

SAMPLES = files("scalian_exp.datasets") / "samples"


class FashionMNISTSample(InMemoryImages):
    """Fashion-MNIST's first 600 training and 100 test images of each class, shipped inside this package."""

    def read(self) -> dict[str, Examples]:
        """Read the images and labels from the package."""
        with (SAMPLES / "fashion_mnist.npz").open("rb") as file:
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


class PythonDocs(Texts):
    """Docstrings of Python 3.11's standard library, labelled with the family of their module, shipped in this package.

    There are 6,026 of at least eight words, in 25 families. Every fifth is a test text.
    """

    def read(self) -> dict[str, Documents]:
        """Read the docstrings from the package."""
        with (
            (SAMPLES / "python_docs.csv.gz").open("rb") as file,
            gzip.open(file, "rt", encoding="utf-8", newline="") as table,
        ):
            rows = list(csv.DictReader(table))
        parts = {"train": [row for index, row in enumerate(rows) if index % 5 != 4], "test": rows[4::5]}
        return {
            split: Documents([row["text"] for row in part], [row["label"] for row in part])
            for split, part in parts.items()
        }
