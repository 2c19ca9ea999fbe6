"""MNIST, Fashion-MNIST and binarised MNIST."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torchvision import datasets

from scalian_exp.datasets.base import Examples, subset
from scalian_exp.datasets.download import fetch, sources
from scalian_exp.datasets.images import InMemoryImages
from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal


class PublishedMNIST(datasets.MNIST):
    """torchvision's MNIST reader, restricted to the four published files.

    torchvision itself would prefer the files of its older versions in processed/, which are pickles of unknown origin.
    """

    mirrors: ClassVar = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ]

    def _check_legacy_exist(self) -> bool:
        return False

    @property
    def raw_folder(self) -> str:
        """Folder of the four published files."""
        return str(Path(self.root) / "MNIST/raw")


class PublishedFashionMNIST(datasets.FashionMNIST):
    """torchvision's Fashion-MNIST reader, restricted to the four published files."""

    mirrors: ClassVar = [
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ]

    def _check_legacy_exist(self) -> bool:
        return False

    @property
    def raw_folder(self) -> str:
        """Folder of the four published files."""
        return str(Path(self.root) / "FashionMNIST/raw")


class MNIST(InMemoryImages):
    """Handwritten digits (LeCun et al. 1998): 60,000 training images, of which val_size are held out; 10,000 test.

    Args:
        train_size: number of the remaining images to train on, the same ones for every run; null takes all.
        kwargs: the arguments of `InMemoryImages`.
    """

    source: type[datasets.MNIST] = PublishedMNIST
    name = "MNIST"

    def __init__(
        self,
        root: str,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        val_size: NonNegativeInt = 10_000,
        train_size: PositiveInt | None = None,
        **kwargs: Any,
    ):
        super().__init__(in_channels, image_size, val_size=val_size, **kwargs)
        self.root, self.train_size = root, train_size

    def read(self) -> dict[str, Examples]:
        """Read both published splits, downloading them if they are missing.

        Raises:
            Refusal: if the files are missing or broken and can't be downloaded.
        """
        folder = Path(self.root) / self.name / "raw"
        splits = {}
        for split in ("train", "test"):
            try:
                data = self.source(self.root, train=split == "train", download=True)
            except (OSError, RuntimeError, ValueError, EOFError) as error:
                raise Refusal(
                    f"The files of {self.name} in {folder} are missing or broken, and could not be "
                    f"downloaded ({' '.join(str(error).split())}); "
                    "put the four idx files there (delete broken ones), or set dataset.root."
                ) from error
            splits[split] = {"image": data.data.unsqueeze(1), "label": data.targets.long()}
        return splits

    def hold_out(self, train: Examples) -> tuple[Examples, Examples]:
        """Hold out validation images, then draw `train_size` of the others."""
        remaining, held = super().hold_out(train)
        if self.train_size is None:
            return remaining, held
        chosen = subset(len(remaining["image"]), self.train_size)
        return {name: values[chosen] for name, values in remaining.items()}, held


class FashionMNIST(MNIST):
    """Photographs of clothes (Xiao et al. 2017, arXiv:1708.07747) in MNIST's format and numbers."""

    source = PublishedFashionMNIST
    name = "FashionMNIST"


class BinarizedMNIST(InMemoryImages):
    """MNIST in Larochelle's fixed binarisation (Salakhutdinov & Murray 2008): 50,000/10,000/10,000, unlabelled.

    The test file is sorted by digit, so a likelihood over a prefix of it means nothing. The last `val_size` images of
    the validation file are held out; the others join the training set.

    Args:
        train_size: number of images to train on, the same ones for every run; null takes all.
        kwargs: the arguments of `InMemoryImages`.
    """

    url = "https://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
    hashes: ClassVar[dict[str, str]] = {
        "train": "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
        "valid": "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
        "test": "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
    }
    """SHA-256 of each file."""

    def __init__(
        self,
        root: str,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        val_size: PositiveInt = 10_000,
        train_size: PositiveInt | None = None,
        **kwargs: Any,
    ):
        super().__init__(in_channels, image_size, val_size=val_size, resample_binary=False, **kwargs)
        self.root, self.train_size = root, train_size

    def file(self, part: str) -> Path:
        """Return the path of the file of train, valid or test."""
        return Path(self.root) / "BinarizedMNIST" / f"binarized_mnist_{part}.amat"

    def prepare_data(self) -> None:
        """Download missing files."""
        for part, sha256 in self.hashes.items():
            fetch(sources(self.url + self.file(part).name), self.file(part), sha256)

    def read(self) -> dict[str, Examples]:
        """Read the three files and divide their images into splits.

        Raises:
            Refusal: if val_size or train_size exceeds the number of images.
        """
        train, valid, test = (self.images(part) for part in ("train", "valid", "test"))
        if self.val_size > len(valid):
            raise Refusal(
                f"dataset.val_size={self.val_size} is more than the {len(valid)} validation images available."
            )
        joined, held = valid[: len(valid) - self.val_size], valid[len(valid) - self.val_size :]
        train = torch.cat([train, joined])
        if self.train_size is not None:
            train = train[subset(len(train), self.train_size)]
        return {"train": {"image": train}, "val": {"image": held}, "test": {"image": test}}

    def images(self, part: str) -> Tensor:
        """Read all images of a file, (N, 1, 28, 28) uint8, 0 or 255."""
        text = np.fromfile(self.file(part), dtype=np.uint8)  # "0 1 0 … 0\n": a digit, then one separator
        return torch.from_numpy(text[::2] - ord("0")).view(-1, 1, 28, 28) * 255
