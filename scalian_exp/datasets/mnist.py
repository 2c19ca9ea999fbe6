"""MNIST and its relatives, as torchvision lays them out on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torchvision import datasets

from scalian_exp.datasets.base import Examples, drawn
from scalian_exp.datasets.download import fetch
from scalian_exp.datasets.images import InMemoryImages
from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal


class MNIST(InMemoryImages):
    """Handwritten digits (LeCun et al. 1998): 60,000 training images, of which val_size are held out; 10,000 test.

    Args:
        train_size: train on so many of the others, drawn once; null takes all.
    """

    source: type[datasets.MNIST] = datasets.MNIST

    def __init__(
        self,
        root: str,
        in_channels: PositiveInt,
        image_size: Sequence[int],
        batch_size: PositiveInt = 128,
        val_size: NonNegativeInt = 10_000,
        resample_binary: bool = False,
        train_size: PositiveInt | None = None,
    ):
        super().__init__(in_channels, image_size, batch_size, val_size, resample_binary)
        self.root, self.train_size = root, train_size

    def read(self) -> dict[str, Examples]:
        folder = Path(self.root) / self.source.__name__ / "raw"
        splits = {}
        for split in ("train", "test"):
            try:
                data = self.source(self.root, train=split == "train", download=True)
            except (OSError, RuntimeError, ValueError, EOFError) as error:
                raise Refusal(
                    f"The files of {self.source.__name__} in {folder} are missing or broken, and could not be "
                    f"downloaded ({' '.join(str(error).split())}); "
                    "put the four idx files there (delete broken ones), or set dataset.root."
                ) from error
            splits[split] = {"image": data.data.unsqueeze(1), "label": data.targets.long()}
        return splits

    def hold_out(self, train: Examples) -> tuple[Examples, Examples]:
        kept, held = super().hold_out(train)
        if self.train_size is None:
            return kept, held
        chosen = drawn(len(kept["image"]), self.train_size)
        return {name: values[chosen] for name, values in kept.items()}, held


class FashionMNIST(MNIST):
    """Clothes (Xiao et al. 2017, arXiv:1708.07747), in MNIST's format."""

    source = datasets.FashionMNIST


class BinarizedMNIST(InMemoryImages):
    """The fixed binarisation (Salakhutdinov & Murray 2008; Larochelle's files): 50,000/10,000/10,000, no labels.

    The test file is sorted by digit: a likelihood over a prefix of it means nothing. Of the validation file the last
    `val_size` images are held out; the others join the training set.

    Args:
        train_size: train on so many, drawn once; null takes all.
    """

    url = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
    hashes: ClassVar[dict[str, str]] = {
        "train": "db28b1a6ae0fe70cbd3da91acf46e477",
        "valid": "bf37822a04e94123630de6a7dfd9c9ef",
        "test": "14e41ae11040adba6ab8cb291eda0dd8",
    }

    def __init__(
        self,
        root: str,
        in_channels: PositiveInt,
        image_size: Sequence[int],
        batch_size: PositiveInt = 128,
        val_size: PositiveInt = 10_000,
        train_size: PositiveInt | None = None,
    ):
        super().__init__(in_channels, image_size, batch_size, val_size)
        self.root, self.train_size = root, train_size

    def file(self, part: str) -> Path:
        return Path(self.root) / "BinarizedMNIST" / f"binarized_mnist_{part}.amat"

    def prepare_data(self) -> None:
        for part, md5 in self.hashes.items():
            fetch(self.url + self.file(part).name, self.file(part), md5)

    def read(self) -> dict[str, Examples]:
        train, valid, test = (self.images(part) for part in ("train", "valid", "test"))
        if self.val_size > len(valid):
            raise Refusal(
                f"dataset.val_size={self.val_size} is more than the {len(valid)} validation images there are."
            )
        joined, held = valid[: len(valid) - self.val_size], valid[len(valid) - self.val_size :]
        kept = torch.cat([train, joined])
        if self.train_size is not None:
            kept = kept[drawn(len(kept), self.train_size)]
        return {"train": {"image": kept}, "val": {"image": held}, "test": {"image": test}}

    def images(self, part: str) -> Tensor:
        """All images of a file, (N, 1, 28, 28) uint8, 0 or 255."""
        text = np.fromfile(self.file(part), dtype=np.uint8)  # "0 1 0 … 0\n": a digit, then one separator
        return torch.from_numpy(text[::2] - ord("0")).view(-1, 1, 28, 28) * 255
