"""Files of images and of masks: numbers, palettes or colours → classes."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from scalian_exp.datasets.augmentation import VOID_BYTE
from scalian_exp.datasets.base import Batched, Examples
from scalian_exp.datasets.image_files import WHITE, Fit, Picture, fitted, opened, seen
from scalian_exp.datasets.images import TensorBatches
from scalian_exp.refusal import Refusal

UNKNOWN = -1
COLOURED = {"RGB", "RGBA", "CMYK", "YCbCr"}
"""Pillow's names of modes whose pixels are no numbers"""


class Classes:
    """Mask files → classes: uint8 (H, W), VOID_BYTE where the file says so.

    Args:
        palette: colours of the classes, for files in colours; one more is void's, if ignore_index is num_classes.
        numbers: number in the files → class, where they differ.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        numbers: Mapping[int, int] | None = None,
    ):
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.table = np.full(257, UNKNOWN, dtype=np.int16)  # the last is for numbers that a byte can't hold
        for number, found in (numbers or {n: n for n in range(256)}).items():
            if found == ignore_index:
                self.table[number] = VOID_BYTE
            elif found < num_classes:
                self.table[number] = found
        self.colours = {tuple(colour): self.table[number] for number, colour in enumerate(palette or [])}

    def __call__(self, mask: Image.Image, path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """
        Raises:
            Refusal: if the file has numbers or colours that are no classes.
            ValueError: if it has no whole numbers.
        """
        return self.of_colours(mask, path) if mask.mode in COLOURED else self.of_numbers(mask, path)

    def of_numbers(self, mask: Image.Image, path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if mask.mode == "F":
            raise ValueError("its pixels are fractions; save whole numbers")
        numbers = np.asarray(mask.getchannel(0) if mask.mode in ("LA", "PA") else mask)
        if self.num_classes == 2 and self.ignore_index != 255 and not (numbers % 255).any():
            numbers = numbers // 255  # black and white
        found = self.table[np.clip(numbers.astype(np.int32), -1, 256)]
        if (unknown := found == UNKNOWN).any():
            void = "" if self.ignore_index is None else f" and not void ({self.ignore_index})"
            lossy = " (JPEG alters numbers: save masks as PNG)" if path.suffix.lower() in (".jpg", ".jpeg") else ""
            raise Refusal(
                f"{path} has the number {numbers[unknown][0]}, which is none of the {self.num_classes} classes{void}; "
                f"correct the file{lossy}, dataset.num_classes or dataset.ignore_index."
            )
        return found.astype(np.uint8)

    def of_colours(self, mask: Image.Image, path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if not self.colours:
            raise Refusal(
                f"{path} is in colours; say which class has which: dataset.palette=[[red,green,blue],…], or save masks "
                "with one channel of class numbers."
            )
        red, green, blue = np.moveaxis(np.asarray(mask.convert("RGB"), dtype=np.int32), 2, 0)
        found = np.full(red.shape, UNKNOWN, dtype=np.int16)
        for (r, g, b), number in self.colours.items():
            found[(red == r) & (green == g) & (blue == b)] = number
        if (unknown := found == UNKNOWN).any():
            colour = [int(channel[unknown][0]) for channel in (red, green, blue)]
            raise Refusal(
                f"{path} has the colour {colour}, which is no class's in dataset.palette; add or correct it "
                f"(void's comes last, with dataset.ignore_index={self.num_classes})."
            )
        return found.astype(np.uint8)


class MaskFiles(Batched):
    """Pairs of an image and a mask file, read when asked for and brought to one shape.

    Args:
        pictures: files, or pages of such: images and their masks.
        shape: channels, height, width of the images.
        background: red, green, blue behind transparent pixels.
    """

    def __init__(
        self,
        pictures: list[tuple[Picture, Picture]],
        shape: tuple[int, int, int],
        fit: Fit,
        classes: Classes,
        background: Sequence[int] = WHITE,
    ):
        if shape[0] not in (1, 3):
            raise Refusal(f"dataset.in_channels={shape[0]}: image files are read as 1 (grey) or 3 (colours) channels.")
        self.pictures, self.shape, self.fit, self.classes, self.background = pictures, shape, fit, classes, background

    @property
    def pairs(self) -> list[tuple[Path, Path]]:
        """The files of each example."""
        return [(image.path, mask.path) for image, mask in self.pictures]

    def opened(self, pair: tuple[Picture, Picture]) -> tuple[Image.Image, Image.Image]:
        """An image, grey or in colours, and the classes of its pixels, void 255; both of the files' size.

        Raises:
            Refusal: if a file can't be read, has numbers that are no classes, or if their sizes differ.
        """
        with opened(*pair[0]) as picture:
            image = seen(picture, self.shape[0], self.background)
        with opened(*pair[1]) as mask:
            if image.size != mask.size:
                sizes = ["×".join(map(str, size)) for size in (image.size, mask.size)]
                raise Refusal(f"{pair[0].path} has {sizes[0]} pixels, but its mask {pair[1].path} has {sizes[1]}.")
            return image, Image.fromarray(self.classes(mask, pair[1].path))

    def example(self, pair: tuple[Picture, Picture]) -> tuple[Tensor, Tensor]:
        """uint8 (C, H, W) and (H, W): the image smoothed when scaled, the mask by its nearest pixels."""
        image, classes = self.opened(pair)
        size = (self.shape[2], self.shape[1])
        x = fitted(image, size, self.fit, Image.Resampling.BILINEAR, fill=0)
        label = fitted(classes, size, self.fit, Image.Resampling.NEAREST, fill=VOID_BYTE)
        return pil_to_tensor(x), torch.from_numpy(np.array(label))

    def __getitem__(self, indices: Tensor) -> Examples:
        return batch_of([self.example(self.pictures[index]) for index in indices.tolist()])

    def check(self) -> set[int]:
        """Read every file once: which classes there are, void 255.

        Raises:
            Refusal: if anything is wrong with one.
        """
        with ThreadPoolExecutor() as pool:
            return set().union(*pool.map(self.classes_in, self.pictures))

    def classes_in(self, pair: tuple[Picture, Picture]) -> set[int]:
        return set(np.unique(np.asarray(self.opened(pair)[1])).tolist())

    def in_memory(self) -> TensorBatches:
        with ThreadPoolExecutor() as pool:
            return TensorBatches(batch_of(list(pool.map(self.example, self.pictures))))

    def subset(self, indices: list[int]) -> "MaskFiles":
        chosen = [self.pictures[index] for index in indices]
        return MaskFiles(chosen, self.shape, self.fit, self.classes, self.background)

    def __len__(self) -> int:
        return len(self.pictures)


def batch_of(examples: list[tuple[Tensor, Tensor]]) -> Examples:
    images, labels = zip(*examples, strict=True)
    return {"image": torch.stack(images), "mask": torch.stack(labels)}
