"""Base class of segmentation data: images with a class for every pixel.

Batches are dicts: image (B, C, H, W), float in [0, 1], and mask (B, H, W), int64, 0 … K−1, or −100 where a pixel is
void (torch's ignore_index, whatever number the files use). Until they are on the device, masks are uint8 with void 255.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torchvision.transforms.v2 import Transform

from scalian_exp.batches import VOID, VOID_BYTE
from scalian_exp.datasets.augmentation import augmented, size_after, transforms_of
from scalian_exp.datasets.base import Batched, Examples
from scalian_exp.datasets.images import Images, TensorBatches
from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal


class Masks(Images, ABC):
    """Base class of images with masks; subclasses implement `read`.

    Args:
        num_classes: K, 2 to 254.
        ignore_index: number of void in the files.
        augmentation: name → transform of an image together with its mask, applied in this order in training, to each
            example independently.
        balanced: draw training images by their classes: each class equally often, and as often an image that has it.

    Raises:
        Refusal: if void is a class, or if augmentation leaves images of different sizes.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        num_classes: PositiveInt,
        ignore_index: NonNegativeInt | None = None,
        augmentation: Mapping[str, Transform] | None = None,
        batch_size: PositiveInt = 8,
        num_workers: NonNegativeInt = 0,
        balanced: bool = False,
    ):
        super().__init__(in_channels, image_size, batch_size, num_workers, balanced)
        if not 2 <= num_classes < VOID_BYTE:
            raise Refusal(
                f"dataset.num_classes={num_classes}: masks have 2 to {VOID_BYTE - 1} classes, counting the background "
                "as one."
            )
        if ignore_index is not None and ignore_index > VOID_BYTE:
            raise Refusal(f"dataset.ignore_index={ignore_index}: masks are read with 8 bits, 0 to {VOID_BYTE}.")
        if ignore_index is not None and ignore_index < num_classes:
            raise Refusal(
                f"dataset.ignore_index={ignore_index} is one of the classes, 0 to {num_classes - 1}; give void another "
                "number, or null if there is none."
            )
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.augmentation = transforms_of(augmentation or {})
        self.training_size = size_after(self.augmentation, self.shape)

    @abstractmethod
    def read(self) -> Mapping[str, Batched]:
        """Return the splits train, val and test, whose batches have image (B, C, H, W) and mask (B, H, W), uint8."""

    def setup(self, stage: str | None = None) -> None:
        """Read the splits, and check those in memory.

        Raises:
            Refusal: if the examples don't match the config.
        """
        if self.splits:
            return
        splits = self.read()
        for name, data in splits.items():
            if isinstance(data, TensorBatches):
                self.check(name, data.examples)
        self.splits = dict(splits)

    def check(self, split: str, examples: Examples) -> None:
        """Check examples in memory against the config.

        Raises:
            Refusal: if they have another shape, only void, or too many classes.
        """
        self.check_shape(f"The {split} images of {type(self).__name__}", examples["image"].shape[1:])
        if bool((examples["mask"] == VOID_BYTE).all()):
            refuse_void(f"The {split} masks of {type(self).__name__}")
        if (highest := int((examples["mask"] + 1).max()) - 1) >= self.num_classes:  # void: 255 + 1 = 0
            raise Refusal(
                f"The {split} masks of {type(self).__name__} have the class {highest}, but dataset.num_classes is "
                f"{self.num_classes} (0 to {self.num_classes - 1}); correct it."
            )

    def class_pixels(self) -> tuple[Tensor, Tensor]:
        """Count the training pixels of each class (K,), and the labelled pixels of the images containing it (K,)."""
        pixels, present = torch.zeros(2, self.num_classes, dtype=torch.long)
        for counts in self.pixels_of_images():
            pixels += counts
            present += (counts > 0) * counts.sum()
        return pixels, present

    def pixels_of_images(self) -> Iterator[Tensor]:
        """Yield the number of pixels of each class (K,) for each training image, in their order."""
        for batch in self.loader("train"):
            for mask in batch["mask"]:
                yield mask.flatten().bincount(minlength=VOID_BYTE)[: self.num_classes]

    @cached_property
    def class_members(self) -> Sequence[Tensor]:
        """The indices of the training images that contain each class, (n,) each; all masks are read for it."""
        contained = torch.stack([counts > 0 for counts in self.pixels_of_images()])
        if not contained.any():
            refuse_void("All training masks")
        return [images.nonzero().flatten() for images in contained.T]

    def prepare(self, batch: Examples) -> Examples:
        """Augment in training, then convert image to floats in [0, 1] and mask to int64 with void −100."""
        image, mask = batch["image"], batch["mask"]
        if self.varied and self.augmentation:
            image, mask = augmented(image, mask, self.augmentation)
        mask = mask.long().masked_fill(mask == VOID_BYTE, VOID)
        return super().prepare({**batch, "image": image, "mask": mask})


def refuse_void(which: str) -> None:
    """Refuse masks in which every pixel is void.

    Raises:
        Refusal: always.
    """
    raise Refusal(
        f"{which} are void everywhere, so there is nothing to learn or to measure; give masks with classes, or correct "
        "dataset.ignore_index."
    )
