"""Anybody's own images, streamed from a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from scalian_exp.datasets.images import SPLIT_SEED, Batched, Examples, Images
from scalian_exp.ranges import Fraction, NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def read_image(path: Path, shape: tuple[int, int, int], fit: Literal["crop", "resize"]) -> Tensor:
    """An image file as uint8 (C, H, W) of the wanted shape.

    crop: scaled until it covers the wanted size, then cut at the centre. resize: scaled to it, proportions lost.

    Raises:
        Refusal: if the file is no readable image.
    """
    channels, height, width = shape
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
            scale = ImageOps.fit if fit == "crop" else Image.Image.resize
            return pil_to_tensor(scale(image, (width, height), Image.Resampling.BILINEAR))
    except FileNotFoundError as error:
        raise Refusal(f"There is no image file {path}.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise Refusal(f"{path} can't be read as an image ({error}); repair or remove it.") from error


class Files(Batched):
    """Image files, read when asked for."""

    def __init__(
        self, paths: list[Path], labels: list[int], shape: tuple[int, int, int], fit: Literal["crop", "resize"]
    ):
        self.paths, self.labels, self.shape, self.fit = paths, labels, shape, fit

    def __getitem__(self, indices: Tensor) -> Examples:
        images = [read_image(self.paths[index], self.shape, self.fit) for index in indices.tolist()]
        return {"image": torch.stack(images), "label": torch.tensor([self.labels[i] for i in indices.tolist()])}

    def subset(self, indices: list[int]) -> "Files":
        return Files([self.paths[i] for i in indices], [self.labels[i] for i in indices], self.shape, self.fit)

    def __len__(self) -> int:
        return len(self.paths)


class ImageFolder(Images):
    """root/<class>/*.png, or images in root itself as one class; or root/train, root/val and root/test of such.

    Where there are no split folders, a fixed random part is held out for validation, and another for the test.

    Args:
        root: the folder.
        fit: crop or resize images to image_size.
        held_out: part of the images for validation, and as many for the test.

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
    ):
        super().__init__(in_channels, image_size, batch_size, num_workers)
        if in_channels not in (1, 3):
            raise Refusal(
                f"dataset.in_channels={in_channels}: image files are read as 1 (grey) or 3 (colours) channels."
            )
        self.root, self.fit, self.held_out = Path(root), fit, held_out
        if not self.root.is_dir():
            raise Refusal(f"There is no folder {root}; say with dataset.root where your images lie.")

    def files(self, folder: Path) -> Files:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        names = [path.relative_to(folder).parts[0] if path.parent != folder else "" for path in paths]
        classes = sorted(set(names))
        return Files(paths, [classes.index(name) for name in names], self.shape, self.fit)

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        names = ("train", "val", "test")
        if all((self.root / name).is_dir() for name in names):
            self.splits = {name: self.files(self.root / name) for name in names}
        else:
            everything = self.files(self.root)
            order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(SPLIT_SEED)).tolist()
            held = round(self.held_out * len(everything))
            parts = {"val": order[:held], "test": order[held : 2 * held], "train": order[2 * held :]}
            self.splits = {name: everything.subset(sorted(part)) for name, part in parts.items()}
        if empty := [name for name, part in self.splits.items() if len(part) == 0]:
            raise Refusal(
                f"{self.root} leaves no images for {' and '.join(empty)}; it needs more images "
                f"({', '.join(sorted(SUFFIXES))}), or another dataset.held_out (now {self.held_out})."
            )
