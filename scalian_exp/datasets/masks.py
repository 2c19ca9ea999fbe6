"""Images with a class for every pixel.

Batches are dicts: image (B, C, H, W), float in [0, 1], and mask (B, H, W), int64, 0 … K−1, or −100 where a pixel is
void: torch's own ignored index, whatever number the files use. On their way to the device masks are uint8, and void is
255.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

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
    """What all such data shares; a subclass reads its splits.

    Args:
        num_classes: K, at most 254.
        ignore_index: what the files call void.
        augmentation: name → what changes image and mask alike while training, in this order, each example by itself.

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
    ):
        super().__init__(in_channels, image_size, batch_size, num_workers)
        if not 2 <= num_classes < VOID_BYTE:
            raise Refusal(
                f"dataset.num_classes={num_classes}: masks have 2 to {VOID_BYTE - 1} classes, what is around the "
                "objects being one."
            )
        if ignore_index is not None and ignore_index > VOID_BYTE:
            raise Refusal(f"dataset.ignore_index={ignore_index}: masks are read with 8 bits, 0 to {VOID_BYTE}.")
        if ignore_index is not None and ignore_index < num_classes:
            raise Refusal(
                f"dataset.ignore_index={ignore_index} is one of the classes, 0 to {num_classes - 1}; void needs a "
                "number of its own, or null if there is none."
            )
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.augmentation = transforms_of(augmentation or {})
        self.training_size = size_after(self.augmentation, self.shape)

    @abstractmethod
    def read(self) -> Mapping[str, Batched]:
        """train, val and test → image (B, C, H, W) and mask (B, H, W), uint8."""

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        splits = self.read()
        for name, data in splits.items():
            if isinstance(data, TensorBatches):
                self.check(name, data.examples)
        self.splits = dict(splits)

    def check(self, split: str, examples: Examples) -> None:
        """Check masks before training.

        Raises:
            Refusal: if the examples are not what the config says.
        """
        self.check_shape(f"The {split} images of {type(self).__name__}", examples["image"].shape[1:])
        if bool((examples["mask"] == VOID_BYTE).all()):
            refuse_void(f"The {split} masks of {type(self).__name__}")
        if (highest := int((examples["mask"] + 1).max()) - 1) >= self.num_classes:  # void became 0: 255 + 1 overflows
            raise Refusal(
                f"The {split} masks of {type(self).__name__} have the class {highest}, but dataset.num_classes is "
                f"{self.num_classes} (0 to {self.num_classes - 1}); correct it."
            )

    def class_pixels(self) -> tuple[Tensor, Tensor]:
        """Of the training split: (K,) pixels of each class, (K,) labelled pixels of the images that contain it."""
        pixels, present = torch.zeros(2, self.num_classes, dtype=torch.long)
        for batch in self.loader("train"):
            for mask in batch["mask"]:
                counts = mask.flatten().bincount(minlength=VOID_BYTE)[: self.num_classes]
                pixels += counts
                present += (counts > 0) * counts.sum()
        return pixels, present

    def prepare(self, batch: Examples) -> Examples:
        image, mask = batch["image"], batch["mask"]
        if self.varied and self.augmentation:
            image, mask = augmented(image, mask, self.augmentation)
        mask = mask.long().masked_fill(mask == VOID_BYTE, VOID)
        return super().prepare({**batch, "image": image, "mask": mask})


def refuse_void(which: str) -> None:
    """Refuse masks in which no pixel counts.

    Raises:
        Refusal: always; of masks in which no pixel has a class.
    """
    raise Refusal(
        f"{which} are void everywhere, so there is nothing to learn or to measure; give masks with classes, or correct "
        "dataset.ignore_index."
    )
