"""Base class of published segmentation data that fits in memory, downloaded completely or not at all."""

import hashlib
import shutil
import tempfile
import time
from abc import abstractmethod
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar
from zipfile import BadZipFile

from PIL import Image

from scalian_exp.datasets.base import subset
from scalian_exp.datasets.download import STALE
from scalian_exp.datasets.image_files import Picture, opened
from scalian_exp.datasets.images import TensorBatches
from scalian_exp.datasets.mask_classes import Classes
from scalian_exp.datasets.mask_files import MaskFiles
from scalian_exp.datasets.masks import Masks
from scalian_exp.ranges import PositiveInt
from scalian_exp.refusal import Refusal

Pairs = list[tuple[Path, Path]]


class PublishedMasks(Masks):
    """Base class of published images and masks in a folder below `root`, downloaded if it is missing.

    Args:
        root: the folder that contains the data set's folder.
        image_size: height, width; images of another size are resized to it, ignoring proportions.
        train_size: number of images to train on, the same ones for every run; null takes all.
        kwargs: the arguments of `Masks`.
    """

    folder: ClassVar[str]
    """Name of the data set's folder."""
    url: ClassVar[str]
    """Where it is downloaded from."""
    layout: ClassVar[str]
    """Description of the folder's content, for messages."""
    sizes: ClassVar[Mapping[str, int]]
    """Split → number of pairs."""
    file_size: ClassVar[tuple[int, int]]
    """Width and height of all files."""
    md5: ClassVar[str]
    """MD5 of all pixels (see `md5_of_pixels`), independent of how the files are compressed."""

    def __init__(self, root: str, *args: Any, train_size: PositiveInt | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.path, self.train_size = Path(root) / self.folder, train_size

    @abstractmethod
    def download(self, folder: Path) -> None:
        """Download all files into a new folder.

        Raises:
            OSError: if a download fails.
        """

    @abstractmethod
    def pairs(self, folder: Path) -> dict[str, Pairs]:
        """Return the image and mask paths of train, val and test, in the same order on every machine."""

    def prepare_data(self) -> None:
        """Download the folder if it is missing, and verify its pixels.

        Raises:
            Refusal: if the download fails or differs from what was published.
        """
        for leftover in self.path.parent.glob(f".{self.folder}-*"):  # of a download that was killed
            if time.time() - leftover.stat().st_mtime > STALE:
                shutil.rmtree(leftover, ignore_errors=True)
        if self.path.exists():
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=f".{self.folder}-") as temporary:
                arrived = Path(temporary) / self.folder
                self.download(arrived)
                if md5_of_pixels(self.complete(arrived)) != self.md5:
                    raise ValueError("the download has other pixels")
                if not self.path.exists():  # unless another run was faster
                    arrived.rename(self.path)
        except (OSError, HTTPException, BadZipFile, ValueError, Refusal) as error:
            raise Refusal(
                f"{self.path} is missing and {self.url} could not be downloaded ({error}); put {self.layout} there "
                "yourself, or set dataset.root to the folder that has them."
            ) from error

    def complete(self, folder: Path) -> dict[str, Pairs]:
        """Return the pairs of a folder after checking that all of them are there.

        Raises:
            ValueError: if files are missing or have another size.
        """
        pairs = self.pairs(folder)
        for name, size in self.sizes.items():
            if len(pairs[name]) != size:
                raise ValueError(f"it has {len(pairs[name])} images for {name}, not {size}")
        for path in (path for split in pairs.values() for pair in split for path in pair):
            with Image.open(path) as image:
                if image.size != self.file_size:
                    raise ValueError("{} has {}×{} pixels, not {}×{}".format(path, *image.size, *self.file_size))
        return pairs

    def read(self) -> Mapping[str, TensorBatches]:
        """Read all pairs into memory; of the training pairs only `train_size`, if given.

        Raises:
            Refusal: if the folder is not as it was published.
        """
        classes = Classes(self.num_classes, self.ignore_index)
        try:
            pairs = self.complete(self.path)
            if self.train_size is not None:
                chosen = subset(len(pairs["train"]), self.train_size).tolist()
                pairs["train"] = [pairs["train"][index] for index in chosen]
            pictures = {
                name: [(Picture(image), Picture(mask)) for image, mask in split] for name, split in pairs.items()
            }
            return {
                name: MaskFiles(split, self.shape, "resize", classes).in_memory() for name, split in pictures.items()
            }
        except (OSError, ValueError) as error:
            raise Refusal(
                f"{self.path} is not as it was published: {error}; put {self.layout} there, or delete the folder, and "
                "the next run downloads it."
            ) from error


def md5_of_pixels(pairs: dict[str, Pairs]) -> str:
    """Return the MD5 of all decoded pixels: train's first image, its mask, the second image, …, then val and test."""
    digest = hashlib.md5(usedforsecurity=False)
    for path in (path for name in ("train", "val", "test") for pair in pairs[name] for path in pair):
        with opened(path) as image:
            digest.update(image.tobytes())
    return digest.hexdigest()
