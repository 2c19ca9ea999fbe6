"""Anybody's own images, streamed from a folder."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from scalian_exp.datasets.base import Batched, Examples
from scalian_exp.datasets.images import Images
from scalian_exp.ranges import Fraction, NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal

Fit = Literal["crop", "resize", "pad"]
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def in_eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey images scaled to 8 bits, which Pillow would clip to white.

    Raises:
        ValueError: if the pixels are of 32 bits, whose range nobody knows.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels are of 32 bits (mode {image.mode}); save it with 8 or 16")
    return image


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file, upright.

    Raises:
        Refusal: if the file is no readable image, also where that shows only later, when its pixels are asked for.
    """
    try:
        with Image.open(path) as image:
            yield ImageOps.exif_transpose(image)
    except FileNotFoundError as error:
        raise Refusal(f"There is no image file {path}.") from error
    except IsADirectoryError as error:
        raise Refusal(f"{path} is a folder, not an image; give a file in it.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise Refusal(f"{path} can't be read as an image ({error}); repair or remove it.") from error


def fitted(image: Image.Image, size: tuple[int, int], fit: Fit, resampling: Image.Resampling, fill: int) -> Image.Image:
    """An image of the wanted (width, height).

    crop: scaled until it covers the wanted size, then cut at the centre. resize: scaled to it, proportions lost. pad:
    scaled until it fits inside, the rest filled.
    """
    if fit == "pad":
        return ImageOps.pad(image, size, resampling, color=fill)
    scale = ImageOps.fit if fit == "crop" else Image.Image.resize
    return scale(image, size, resampling)


def pixels(image: Image.Image, shape: tuple[int, int, int], fit: Fit) -> Tensor:
    """An image as uint8 (C, H, W) of the wanted shape, grey or in colours."""
    channels, height, width = shape
    image = in_eight_bits(image).convert("L" if channels == 1 else "RGB")
    return pil_to_tensor(fitted(image, (width, height), fit, Image.Resampling.BILINEAR, fill=0))


def read_image(path: Path, shape: tuple[int, int, int], fit: Fit) -> Tensor:
    """An image file as uint8 (C, H, W) of the wanted shape.

    Raises:
        Refusal: if the file is no readable image.
    """
    with opened(path) as image:
        return pixels(image, shape, fit)


def place(path: Path, root: Path) -> float:
    """Where an image stands between 0 and 1, by its name alone: when images come or go, the others stay in their split.

    With a random order, repairing a folder would move training images into the test split of a resumed run.
    """
    name = path.relative_to(root).as_posix().encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:6], "big") / 2**48


def given_splits(root: Path) -> dict[str, Path]:
    """train, and perhaps val and test → their folders; without any, the root itself is train.

    Raises:
        Refusal: if there are such folders, but none to train on.
    """
    given = {name: root / name for name in ("train", "val", "test") if (root / name).is_dir()}
    if given and "train" not in given:
        raise Refusal(f"{root} has a folder {min(given)}, but no folder train; add it, or rename {min(given)}.")
    return given or {"train": root}


def shared_out(paths: list[Path], root: Path, missing: Sequence[str], share: float) -> dict[str, list[int]]:
    """Indices of images for every missing split, chosen by their names, and under train those that are left."""
    rest = sorted(range(len(paths)), key=lambda index: place(paths[index], root))
    shares, end = {}, 0.0
    for name in missing:
        end += share
        taken = [index for index in rest if place(paths[index], root) < end]
        taken = taken or rest[: share > 0]  # of few images at least one
        shares[name], rest = sorted(taken), rest[len(taken) :]
    return {**shares, "train": sorted(rest)}


def refuse_empty(splits: Mapping[str, Sized], root: Path, share: float) -> None:
    """
    Raises:
        Refusal: if a split is without images.
    """
    if empty := [name for name in ("train", "val", "test") if not splits.get(name)]:
        raise Refusal(
            f"{root} leaves no images for {' and '.join(empty)}; it needs more images "
            f"({', '.join(sorted(SUFFIXES))}), or another dataset.held_out (now {share})."
        )


class Files(Batched):
    """Image files, read when asked for."""

    def __init__(
        self,
        paths: list[Path],
        labels: list[int],
        shape: tuple[int, int, int],
        fit: Fit,
        classes: list[str],
    ):
        self.paths, self.labels, self.shape, self.fit, self.classes = paths, labels, shape, fit, classes

    def __getitem__(self, indices: Tensor) -> Examples:
        images = [read_image(self.paths[index], self.shape, self.fit) for index in indices.tolist()]
        return {"image": torch.stack(images), "label": torch.tensor([self.labels[i] for i in indices.tolist()])}

    def subset(self, indices: list[int]) -> "Files":
        paths, labels = [self.paths[i] for i in indices], [self.labels[i] for i in indices]
        return Files(paths, labels, self.shape, self.fit, self.classes)

    def __len__(self) -> int:
        return len(self.paths)


class ImageFolder(Images):
    """root/<class>/*.png, or images in root itself as one class; or root/train, root/val and root/test of such.

    A split that has no folder of its own is a part of the training images, chosen by their names.

    Args:
        root: the folder.
        fit: crop or resize images to image_size.
        held_out: part of the images for validation, and as many for the test.
        num_classes: how many subfolders there should be, for classifiers.

    Raises:
        Refusal: if the folder is missing or holds too few images.
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
    ):
        super().__init__(in_channels, image_size, batch_size, num_workers)
        if in_channels not in (1, 3):
            raise Refusal(
                f"dataset.in_channels={in_channels}: image files are read as 1 (grey) or 3 (colours) channels."
            )
        self.root, self.fit, self.held_out, self.num_classes = Path(root), fit, held_out, num_classes
        if not self.root.is_dir():
            raise Refusal(f"There is no folder {root}; say with dataset.root where your images lie.")

    def files(self, folder: Path, classes: list[str] | None = None) -> Files:
        """All images below a folder; their classes are its subfolders, or those of another split."""
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        names = [path.relative_to(folder).parts[0] if path.parent != folder else "" for path in paths]
        known = sorted(set(names)) if classes is None else classes
        if unknown := sorted(set(names) - set(known)):
            raise Refusal(
                f"{folder} has a class {unknown[0]!r} that the training images haven't; add some there or remove it."
            )
        return Files(paths, [known.index(name) for name in names], self.shape, self.fit, known)

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        folders = given_splits(self.root)
        everything = self.files(folders["train"])
        splits = {name: self.files(folder, everything.classes) for name, folder in folders.items() if name != "train"}
        missing = [name for name in ("test", "val") if name not in splits]
        shares = shared_out(everything.paths, self.root, missing, self.held_out)
        splits |= {name: everything.subset(indices) for name, indices in shares.items()}
        refuse_empty(splits, self.root, self.held_out)
        if self.num_classes is not None and everything.classes == [""]:
            raise Refusal(
                f"{self.root} has no subfolders, so its images have no classes; put those of each class into a folder "
                "of its own, or leave dataset.num_classes out."
            )
        if self.num_classes not in (None, len(everything.classes)):
            raise Refusal(
                f"{self.root} has {len(everything.classes)} classes ({', '.join(everything.classes)}), but "
                f"dataset.num_classes is {self.num_classes}; correct it."
            )
        self.splits = dict(splits)
        self.class_names = everything.classes
