"""CIFAR-10 in torchvision's layout on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torchvision import datasets

from scalian_exp.datasets.base import Examples
from scalian_exp.datasets.images import InMemoryImages
from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal


class CIFAR10(InMemoryImages):
    """Photographs of 32×32 pixels in 10 classes (Krizhevsky 2009): 50,000 for training and 10,000 for the test.

    `val_size` of the training images are held out for validation.

    Args:
        kwargs: the arguments of `InMemoryImages`.
    """

    def __init__(
        self,
        root: str,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        val_size: NonNegativeInt = 5000,
        **kwargs: Any,
    ):
        super().__init__(in_channels, image_size, val_size=val_size, **kwargs)
        self.root = root

    def read(self) -> dict[str, Examples]:
        """Read both published splits, downloading them if they are missing.

        Raises:
            Refusal: if the files are missing or broken and can't be downloaded.
        """
        splits = {}
        for split in ("train", "test"):
            try:
                data = datasets.CIFAR10(self.root, train=split == "train", download=True)
            except (OSError, RuntimeError, ValueError, EOFError) as error:
                raise Refusal(
                    f"CIFAR-10 in {Path(self.root) / datasets.CIFAR10.base_folder} is missing or broken, and could not "
                    f"be downloaded ({' '.join(str(error).split())}); put {datasets.CIFAR10.filename} into "
                    f"{self.root}, or set dataset.root."
                ) from error
            images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
            splits[split] = {"image": images, "label": torch.tensor(data.targets)}
        return splits
