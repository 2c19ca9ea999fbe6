"""Scenes composed of the Fashion-MNIST images shipped with the package: segmentation without a download."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image

from scalian_exp.datasets.base import SPLIT_SEED, Examples, held_out
from scalian_exp.datasets.bundled import FashionMNISTSample
from scalian_exp.datasets.images import TensorBatches
from scalian_exp.datasets.masks import Masks
from scalian_exp.ranges import PositiveInt

Array = np.ndarray[Any, Any]


class FashionScenes(Masks):
    """Scenes of three to six tinted garments on darker textured backgrounds, which are class 0.

    A garment's side is 7/24 to 5/12 of the image's shorter side (28 to 40 pixels of 96). Of ten random places it takes
    the one that hides least of the earlier garments: garments overlap, but few become unrecognisable. Splits share no
    garment: test scenes show the sample's test images, validation scenes 1,000 training images that no training scene
    shows. The scenes are the same for every run's seed.

    Args:
        kwargs: the arguments of `Masks`.
    """

    def __init__(
        self,
        *args: Any,
        train_size: PositiveInt = 2000,
        val_size: PositiveInt = 200,
        test_size: PositiveInt = 300,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.sizes = {"train": train_size, "val": val_size, "test": test_size}

    def read(self) -> Mapping[str, TensorBatches]:
        """Compose the scenes of the three splits."""
        sample = FashionMNISTSample(1, [28, 28]).read()
        train, val = held_out(len(sample["train"]["label"]), 1000)
        garments = {
            "train": {name: values[train] for name, values in sample["train"].items()},
            "val": {name: values[val] for name, values in sample["train"].items()},
            "test": sample["test"],
        }
        return {
            split: self.scenes(garments[split], size, np.random.default_rng([SPLIT_SEED, number]))
            for number, (split, size) in enumerate(self.sizes.items())
        }

    def scenes(self, garments: Examples, size: int, rng: Generator) -> TensorBatches:
        """Compose `size` scenes: images (size, 3, H, W) and masks (size, H, W), uint8."""
        images, labels = garments["image"].squeeze(1).numpy(), garments["label"].numpy()
        drawn = [self.scene(images, labels, rng) for _ in range(size)]
        canvases, masks = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
        return TensorBatches({"image": torch.from_numpy(canvases).permute(0, 3, 1, 2), "mask": torch.from_numpy(masks)})

    def scene(self, images: Array, labels: Array, rng: Generator) -> tuple[Array, Array]:
        """Compose one scene: an image (H, W, 3) and its mask (H, W), uint8."""
        _, height, width = self.shape
        canvas, mask = ground(height, width, rng), np.zeros((height, width), np.uint8)
        for index in rng.integers(len(images), size=rng.integers(3, 7)):
            side = round(min(height, width) * rng.uniform(7 / 24, 5 / 12))
            top, left = free_place(mask, side, rng)
            grey = np.asarray(Image.fromarray(images[index]).resize((side, side), Image.Resampling.BILINEAR)) / 255
            square, garment = (slice(top, top + side), slice(left, left + side)), grey > 0.15
            canvas[square][garment] = (grey[..., None] * rng.uniform(0.6, 1, 3))[garment]
            mask[square][garment] = labels[index] + 1
        return (canvas * 255).astype(np.uint8), mask


def free_place(mask: Array, side: int, rng: Generator, places: int = 10) -> tuple[int, int]:
    """Return top and left of the random square, out of `places`, that has the fewest pixels of classes above 0."""
    height, width = mask.shape
    tops, lefts = rng.integers(height - side + 1, size=places), rng.integers(width - side + 1, size=places)
    covered = [np.count_nonzero(mask[y : y + side, x : x + side]) for y, x in zip(tops, lefts, strict=True)]
    best = int(np.argmin(covered))
    return int(tops[best]), int(lefts[best])


def ground(height: int, width: int, rng: Generator) -> Array:
    """Draw a background (H, W, 3) in [0, 1]: a gradient, stripes or smooth noise between two colours, with grain."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width] / max(height, width)
    along = np.cos(angle) * x + np.sin(angle) * y
    match rng.integers(3):
        case 0:
            pattern = (along - along.min()) / np.ptp(along)
        case 1:
            pattern = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(3, 12) * along)
        case _:
            coarse = Image.fromarray(rng.random((6, 6)).astype(np.float32))
            pattern = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    one, other = rng.uniform(0, 0.5, (2, 3))
    grain = rng.normal(0, 0.03, (height, width, 1))
    return np.clip(one + pattern[..., None] * (other - one) + grain, 0, 1)
