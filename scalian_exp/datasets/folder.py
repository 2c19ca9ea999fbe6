"""Anybody's own images, streamed from a folder."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from scalian_exp.datasets.base import Batched, Examples
from scalian_exp.datasets.folder_splits import (
    counted,
    given_splits,
    identity_of,
    image_files,
    listed,
    pictures,
    refuse_empty,
    refuse_splits_below,
    shared_out,
    tell,
)
from scalian_exp.datasets.identity import CLASSES, EXAMPLES
from scalian_exp.datasets.image_files import WHITE, Fit, Picture, read_image
from scalian_exp.datasets.images import Images
from scalian_exp.ranges import Fraction, NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal

LOOSE = ""
"""class of images that lie in no class's folder"""


class Files(Batched):
    """Image files, read when asked for.

    Args:
        pictures: files, or pages of such.
        labels: number of each one's class.
        shape: channels, height, width of the images.
        background: red, green, blue behind transparent pixels.
    """

    def __init__(
        self,
        pictures: list[Picture],
        labels: list[int],
        shape: tuple[int, int, int],
        fit: Fit,
        background: Sequence[int] = WHITE,
    ):
        self.pictures, self.labels, self.shape, self.fit, self.background = pictures, labels, shape, fit, background

    @property
    def paths(self) -> list[Path]:
        """The file of each image."""
        return [picture.path for picture in self.pictures]

    def image(self, index: int) -> Tensor:
        path, frame = self.pictures[index]
        return read_image(path, self.shape, self.fit, self.background, frame)

    def __getitem__(self, indices: Tensor) -> Examples:
        images = [self.image(index) for index in indices.tolist()]
        return {"image": torch.stack(images), "label": torch.tensor([self.labels[i] for i in indices.tolist()])}

    def __len__(self) -> int:
        return len(self.pictures)


class ImageFolder(Images):
    """root/<class>/*.png, or images in root itself as one class; or root/train, root/val and root/test of such.

    A split that has no folder of its own is a part of the training files, chosen by their names. Each page of a stack
    or animation is an image, and all of one file are in one split.

    Args:
        root: the folder.
        fit: crop or resize images to image_size.
        background: red, green, blue behind transparent pixels.
        held_out: part of the images for validation, and as many for the test.
        num_classes: how many subfolders there should be, for classifiers.

    Raises:
        Refusal: if the folder is missing, holds too few images, or if a file in it is no image.
    """

    def __init__(
        self,
        root: str,
        in_channels: PositiveInt,
        image_size: Sequence[int],
        batch_size: PositiveInt = 64,
        fit: Literal["crop", "resize"] = "crop",
        held_out: Fraction = 0.1,
        num_workers: NonNegativeInt = 2,
        num_classes: PositiveInt | None = None,
        background: Sequence[NonNegativeInt] = WHITE,
    ):
        super().__init__(in_channels, image_size, batch_size, num_workers)
        if in_channels not in (1, 3):
            raise Refusal(
                f"dataset.in_channels={in_channels}: image files are read as 1 (grey) or 3 (colours) channels."
            )
        self.root, self.fit, self.held_out, self.num_classes = Path(root), fit, held_out, num_classes
        self.background = background
        if not self.root.is_dir():
            raise Refusal(f"There is no folder {root}; say with dataset.root where your images lie.")

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        skipped: Counter[str] = Counter()
        folders = given_splits(self.root, skipped)
        if folders == {"train": self.root}:
            refuse_splits_below(self.root)
        paths = {name: image_files(folder, skipped) for name, folder in folders.items()}
        everything = paths["train"]
        missing = [name for name in ("test", "val") if name not in paths]
        shares = shared_out(everything, self.root, missing, self.held_out)
        paths |= {name: [everything[index] for index in indices] for name, indices in shares.items()}
        refuse_empty(paths, self.root, self.held_out, skipped)
        self.class_names: list[str] = sorted({class_of(path, folders["train"]) for path in everything})
        self.check_classes(folders["train"])
        places = {name: folders.get(name, folders["train"]) for name in paths}
        splits = {name: self.files(files, places[name], self.class_names) for name, files in paths.items()}
        self.identity = {EXAMPLES: {name: identity_of(part.pictures, places[name]) for name, part in splits.items()}}
        if self.num_classes is not None:  # else no output stands for a class
            self.identity[CLASSES] = self.class_names
        self.splits = {**splits}
        self.tell(skipped)

    def files(self, paths: list[Path], folder: Path, classes: list[str]) -> Files:
        """The pictures of files below a folder, with the numbers of their classes.

        Raises:
            Refusal: if a class is not among the training images', or if a file is no image.
        """
        names = [class_of(path, folder) for path in paths]
        if unknown := sorted(set(names) - set(classes)):
            which = f"a class {unknown[0]!r}" if unknown[0] != LOOSE else "images in no class's folder"
            raise Refusal(f"{folder} has {which} that the training images haven't; add some there or remove it.")
        found = pictures(paths)
        labels = [classes.index(name) for name, pages in zip(names, found, strict=True) for _ in pages]
        return Files([page for pages in found for page in pages], labels, self.shape, self.fit, self.background)

    def check_classes(self, folder: Path) -> None:
        """
        Raises:
            Refusal: if the folders of classes are not what num_classes says.
        """
        if self.num_classes is None:
            return
        if self.class_names == [LOOSE]:
            raise Refusal(
                f"{self.root} has no subfolders, so its images have no classes; put those of each class into a folder "
                "of its own, or leave dataset.num_classes out."
            )
        if LOOSE in self.class_names:
            raise Refusal(
                f"{folder} has images beside the folders of classes ({listed(self.class_names[1:])}); put each into "
                "its class's folder, or take them away."
            )
        if self.num_classes != len(self.class_names):
            raise Refusal(
                f"{self.root} has {len(self.class_names)} classes ({', '.join(self.class_names)}), but "
                f"dataset.num_classes is {self.num_classes}; correct it."
            )

    def tell(self, skipped: Counter[str]) -> None:
        """Print what was found."""
        names, what = [name or "in no folder" for name in self.class_names], "images"
        if len(names) > 1:
            labels = Counter(label for part in self.splits.values() for label in part.labels)
            numbers = {name: labels[number] for number, name in enumerate(names)}
            what = f"images of {len(names)} classes" + (f" ({counted(numbers)})" if len(names) <= 10 else "")
        tell(self.root, what, self.splits, skipped)


def class_of(path: Path, folder: Path) -> str:
    """The subfolder in which a file lies, or LOOSE."""
    return path.relative_to(folder).parts[0] if path.parent != folder else LOOSE
