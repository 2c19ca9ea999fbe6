"""Your own images, streamed from a folder."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from scalian_exp.datasets.base import Examples
from scalian_exp.datasets.decoded import Decoded, DecodesOnce
from scalian_exp.datasets.folder_splits import (
    counted,
    given_splits,
    has_images,
    identity_of,
    image_files,
    listed,
    pictures,
    print_summary,
    refuse_empty,
    refuse_splits_below,
    subfolders,
)
from scalian_exp.datasets.folds import files_of_fold
from scalian_exp.datasets.identity import CLASSES, EXAMPLES, refuse_shared
from scalian_exp.datasets.image_files import WHITE, Fit, Picture, names_below, read_image
from scalian_exp.datasets.images import Images
from scalian_exp.ranges import Fold, Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal

LOOSE = ""
"""Class of images that lie in no class folder."""


class Files(Decoded):
    """Labelled image files, read when a batch asks for them.

    Args:
        pictures: files, or pages of multi-page files.
        labels: class index of each picture.
        shape: channels, height, width of the images.
        fit: crop or resize to this shape.
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
        self.classes = torch.tensor(labels)

    @property
    def paths(self) -> list[Path]:
        """The file of each image."""
        return [picture.path for picture in self.pictures]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of an image."""
        return {"image": self.shape}

    @property
    def sources(self) -> list[tuple[Path, int]]:
        """The files and pages."""
        return [(path, frame) for path, frame in self.pictures]

    def decode(self, index: int) -> Examples:
        """Read one image, uint8 (C, H, W)."""
        path, frame = self.pictures[index]
        return {"image": read_image(path, self.shape, self.fit, self.background, frame)}

    def __getitem__(self, indices: Tensor) -> Examples:
        return {**self.decoded(indices), "label": self.classes.index_select(0, indices)}

    def __len__(self) -> int:
        return len(self.pictures)


class ImageFolder(Images, DecodesOnce):
    """Your own images: in class folders, directly in root, or in either layout in root/train, val and test.

    A split without a folder takes part of the training files, chosen by their names. Each page of a stack or animation
    is an image, and all pages of a file are in the same split.

    Args:
        root: the folder.
        fit: crop or resize images to image_size.
        background: red, green, blue behind transparent pixels.
        held_out: about this fraction of the files, chosen by name, is for validation, and as much for the test.
        fold: "k/n": part k of n of all files but the test's is for validation instead.
        num_classes: expected number of class folders, for classifiers.
        cache: where images are kept once they are decoded: in memory, or in a file that later runs use too.
        cache_gb: size, in gigabytes, up to which all of them are kept in memory.
        balanced: draw training images so that all classes are equally frequent.

    Raises:
        Refusal: if the folder is missing or has too few images, or if a file in it is not an image.
    """

    def __init__(
        self,
        root: str,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        batch_size: PositiveInt = 64,
        fit: Literal["crop", "resize"] = "crop",
        held_out: Fraction = 0.1,
        num_workers: NonNegativeInt = 2,
        num_classes: PositiveInt | None = None,
        background: Sequence[NonNegativeInt] = WHITE,
        cache: Literal["memory", "disk"] = "memory",
        cache_gb: NonNegativeFloat = 2,
        balanced: bool = False,
        fold: Fold | None = None,
    ):
        super().__init__(in_channels, image_size, batch_size, num_workers, balanced)
        self.cache, self.cache_gb = cache, cache_gb
        if in_channels not in (1, 3):
            raise Refusal(
                f"dataset.in_channels={in_channels}: image files are read as 1 (grey) or 3 (colours) channels."
            )
        self.root, self.fit, self.held_out, self.num_classes = Path(root), fit, held_out, num_classes
        self.background, self.fold = background, fold
        if not self.root.is_dir():
            raise Refusal(f"There is no folder {root}; set dataset.root to the folder of your images.")

    def setup(self, stage: str | None = None) -> None:
        """List the files, assign them to splits and classes, and print a summary.

        Raises:
            Refusal: if a split has no images, or the class folders are not as configured.
        """
        if self.splits:
            return
        skipped: Counter[str] = Counter()
        folders = given_splits(self.root, skipped)
        if folders == {"train": self.root}:
            refuse_splits_below(self.root)
        paths = {name: image_files(folder, skipped) for name, folder in folders.items()}
        everything = paths["train"]
        count_empty(folders, paths, skipped)
        classes = [class_of(path, folders["train"]) for path in everything]
        shares = files_of_fold(everything, self.root, folders, self.held_out, self.fold, classes)
        paths |= {name: [everything[index] for index in indices] for name, indices in shares.items()}
        refuse_empty(paths, self.root, self.held_out, skipped)
        refuse_shared(paths)
        self.class_names: list[str] = sorted({*classes})
        self.check_classes(folders["train"])
        places = {name: folders.get(name, folders["train"]) for name in paths}
        splits = {name: self.files(files, places[name], self.class_names) for name, files in paths.items()}
        self.identity = {EXAMPLES: {name: identity_of(part.pictures, places[name]) for name, part in splits.items()}}
        if self.num_classes is not None:  # otherwise no output of the network depends on the classes
            self.identity[CLASSES] = self.class_names
        for part in splits.values():
            part.names = names_below(self.root, part.pictures)
        self.splits = {**splits}
        self.print_summary(skipped)
        options = (self.root.resolve(), self.shape, self.fit, tuple(self.background))
        self.keep(splits, self.cache, self.cache_gb, (*options, self.held_out if len(shares) > 1 else None))

    def files(self, paths: list[Path], folder: Path, classes: list[str]) -> Files:
        """Return the pictures in these files below a folder, labelled with their class indices.

        Raises:
            Refusal: if a class has no training images, or if a file is not an image.
        """
        names = [class_of(path, folder) for path in paths]
        if unknown := sorted(set(names) - set(classes)):
            which = f"a class {unknown[0]!r}" if unknown[0] != LOOSE else "images outside of class folders"
            raise Refusal(f"{folder} has {which} that the training images lack; add some there or remove it.")
        by_file = pictures(paths)
        labels = [classes.index(name) for name, pages in zip(names, by_file, strict=True) for _ in pages]
        return Files([page for pages in by_file for page in pages], labels, self.shape, self.fit, self.background)

    def check_classes(self, folder: Path) -> None:
        """Check that there are class folders, if they are needed, and that they agree with num_classes.

        Raises:
            Refusal: if they don't.
        """
        if self.num_classes is None and not self.balanced:
            return
        if self.class_names == [LOOSE]:
            asking = "num_classes" if self.num_classes is not None else "balanced"
            raise Refusal(
                f"{self.root} has no subfolders, so its images have no classes; put the images of each class into a "
                f"folder of their own, or leave dataset.{asking} out."
            )
        if LOOSE in self.class_names:
            raise Refusal(
                f"{folder} has images beside the class folders ({listed(self.class_names[1:])}); put each into its "
                "class folder, or remove them."
            )
        if len(self.class_names) == 1:
            alone = folder / self.class_names[0]
            deeper = f"; or, if the classes are the folders in {alone}, set dataset.root={alone}"
            raise Refusal(
                f"{folder} has a single class ({alone.name}), so there is nothing to tell apart: put the images of "
                f"each class into a folder of their own in {folder}{deeper if subfolders(alone) else ''}."
            )
        if self.num_classes not in (None, len(self.class_names)):
            raise Refusal(
                f"{self.root} has {len(self.class_names)} classes ({', '.join(self.class_names)}), but "
                f"dataset.num_classes is {self.num_classes}; correct it."
            )

    def print_summary(self, skipped: Counter[str]) -> None:
        """Print the number of images per split and class, and the files left out."""
        names, what = [name or "in no folder" for name in self.class_names], "images"
        if len(names) > 1:
            labels = Counter(label for part in self.splits.values() for label in part.labels)
            numbers = {name: labels[number] for number, name in enumerate(names)}
            what = f"images of {len(names)} classes" + (f" ({counted(numbers)})" if len(names) <= 10 else "")
        print_summary(self.root, what, self.splits, skipped)


def count_empty(folders: Mapping[str, Path], paths: Mapping[str, Sequence[Path]], skipped: Counter[str]) -> None:
    """Count the subfolders of the splits' folders that have no images, with their names; updates `skipped`.

    Args:
        folders: split → its folder.
        paths: split → the image files in its folder.
        skipped: counts the entries left out, by reason.
    """
    empty = []
    for split, folder in folders.items():
        used = {class_of(path, folder) for path in paths[split]}
        empty += [
            f"{folder.name}/{inside.name}" if len(folders) > 1 else inside.name
            for inside in subfolders(folder)
            if inside.name not in used and not has_images(inside)
        ]
    if empty:
        skipped[f"folder{'s' if len(empty) > 1 else ''} without images ({listed(empty)})"] += len(empty)


def class_of(path: Path, folder: Path) -> str:
    """Return the name of the subfolder that contains a file, or LOOSE."""
    return path.relative_to(folder).parts[0] if path.parent != folder else LOOSE
