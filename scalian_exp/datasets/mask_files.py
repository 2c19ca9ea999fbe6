"""Pairs of an image file and a mask file."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from scalian_exp.batches import VOID_BYTE
from scalian_exp.datasets.base import Examples
from scalian_exp.datasets.decoded import Decoded
from scalian_exp.datasets.image_files import WHITE, Fit, Picture, fitted, opened, seen
from scalian_exp.datasets.images import TensorBatches
from scalian_exp.datasets.mask_classes import Classes
from scalian_exp.datasets.mask_readings import Checked, Reading
from scalian_exp.files import write_text
from scalian_exp.refusal import Refusal


class MaskFiles(Decoded):
    """Pairs of an image and a mask file, read when a batch asks for them and brought to one shape.

    Args:
        pictures: images and their masks: files, or pages of multi-page files.
        shape: channels, height, width of the images.
        fit: crop, resize or pad (with void) to this shape.
        classes: decoder of the mask files.
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

    def opened(self, pair: tuple[Picture, Picture]) -> tuple[Image.Image, Reading]:
        """Open a pair at the files' size: the image, grey or RGB, and the classes of its pixels.

        Raises:
            Refusal: if a file can't be read, has numbers that denote no class, or if the sizes differ.
        """
        with opened(*pair[0]) as picture:
            image = seen(picture, self.shape[0], self.background)
        with opened(*pair[1]) as mask:
            if image.size != mask.size:
                sizes = ["×".join(map(str, size)) for size in (image.size, mask.size)]
                raise Refusal(f"{pair[0].path} has {sizes[0]} pixels, but its mask {pair[1].path} has {sizes[1]}.")
            return image, self.classes(mask, pair[1].path)

    def example(self, pair: tuple[Picture, Picture]) -> tuple[Tensor, Tensor]:
        """Read a pair as uint8 image (C, H, W), scaled bilinearly, and mask (H, W), scaled to nearest pixels."""
        return self.fitted(*self.opened(pair))

    def fitted(self, image: Image.Image, mask: Reading) -> tuple[Tensor, Tensor]:
        """Bring an image and its mask to the shape of the examples."""
        size = (self.shape[2], self.shape[1])
        x = fitted(image, size, self.fit, Image.Resampling.BILINEAR, fill=0)
        label = fitted(Image.fromarray(mask.classes), size, self.fit, Image.Resampling.NEAREST, fill=VOID_BYTE)
        return pil_to_tensor(x), torch.from_numpy(np.array(label))

    def __getitem__(self, indices: Tensor) -> Examples:
        return self.decoded(indices)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of an image and its mask."""
        return {"image": self.shape, "mask": self.shape[1:]}

    @property
    def sources(self) -> list[tuple[Path, int]]:
        """The files and pages of images and masks."""
        return [(path, frame) for pair in self.pictures for path, frame in pair]

    def decode(self, index: int) -> Examples:
        """Read one pair."""
        image, mask = self.example(self.pictures[index])
        return {"image": image, "mask": mask}

    def check(self) -> list[Checked]:
        """Summarise every mask: read all pairs and keep them if there is a cache, or read an earlier run's summaries.

        Those are stored beside a cache on disk, whose name depends on the state of the files.

        Raises:
            Refusal: if a pair can't be used.
        """
        file = None if self.cache is None or self.cache.file is None else self.cache.file.with_suffix(".json")
        masks = [mask.path for _, mask in self.pictures]
        if file is not None and (known := stored_summaries(file, masks)) is not None:
            return known
        with ThreadPoolExecutor() as pool:
            summaries = list(pool.map(self.checked, range(len(self))))
        if file is not None:
            write_text(file, json.dumps([[sorted(each.classes), each.by, each.legend] for each in summaries]))
        return summaries

    def checked(self, index: int) -> Checked:
        """Read a pair and summarise its mask."""
        pair = self.pictures[index]
        image, mask = self.opened(pair)
        if self.cache is not None and self.cache.lacks(index):
            x, label = self.fitted(image, mask)
            self.cache.put(index, {"image": x, "mask": label})
        classes, by, legend = mask
        return Checked(pair[1].path, set(np.unique(classes).tolist()), by, legend)

    def in_memory(self) -> TensorBatches:
        """Read all pairs into memory."""
        with ThreadPoolExecutor() as pool:
            return TensorBatches(batch_of(list(pool.map(self.example, self.pictures))))

    def subset(self, indices: list[int]) -> "MaskFiles":
        """Return the pairs at these indices as a data set."""
        chosen = [self.pictures[index] for index in indices]
        return MaskFiles(chosen, self.shape, self.fit, self.classes, self.background)

    def __len__(self) -> int:
        return len(self.pictures)


def stored_summaries(file: Path, masks: Sequence[Path]) -> list[Checked] | None:
    """Read summaries of these mask files; None if there are none, or if the file is damaged."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return [
            Checked(path, set(classes), by, {int(number): tuple(colour) for number, colour in legend.items()})
            for path, (classes, by, legend) in zip(masks, rows, strict=True)
        ]
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def batch_of(examples: list[tuple[Tensor, Tensor]]) -> Examples:
    """Collate pairs into image (B, C, H, W) and mask (B, H, W)."""
    images, labels = zip(*examples, strict=True)
    return {"image": torch.stack(images), "mask": torch.stack(labels)}
