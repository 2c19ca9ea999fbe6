"""U-Net's loss, which learns the borders between touching objects (Ronneberger et al. 2015, arXiv:1505.04597)."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from scalian_exp.batches import VOID
from scalian_exp.losses.cross_entropy import shared
from scalian_exp.losses.segmentation import MedianFrequency, pixel_losses
from scalian_exp.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

REACH = 5
"""in σ: beyond it exp(−d²/2σ²) is less than 4·10⁻⁶ and counts as 0"""


def border_distances(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Euclidean distance, in pixels, of each pixel to an object's border, within and without it.

    The border consists of those pixels of the object that have one outside it above, below, left or right.
    """
    return ndimage.distance_transform_edt(~inside | ndimage.binary_erosion(inside, border_value=1))


def nearness(objects: NDArray[np.bool_], sigma: float) -> NDArray[np.float32]:
    """exp(−(d1 + d2)²/2σ²) of each pixel (H, W), d1 and d2 its distances to the nearest two objects' borders.

    Objects are regions whose pixels meet at their sides: where only corners meet, a border runs between them. Where
    there are fewer than two objects, all are 0.
    """
    regions, _ = ndimage.label(objects)
    first, second = np.full((2, *objects.shape), np.inf, np.float32)
    margin = math.ceil(REACH * sigma)
    for number, sides in enumerate(ndimage.find_objects(regions), 1):
        box = tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in sides)
        distances = border_distances(regions[box] == number)
        second[box] = np.minimum(second[box], np.maximum(first[box], distances))
        first[box] = np.minimum(first[box], distances)
    return np.exp(-((first + second) ** 2) / (2 * sigma**2))


class UNetBorder(MedianFrequency):
    """Σ wᵢ·cross-entropyᵢ / number of pixels, with w = w_c + w0·exp(−(d1 + d2)²/2σ²) (their eq. 2).

    d1 and d2 are a pixel's distances to the borders of the two nearest objects of its image, w_c the weight of its
    class by median frequency. Computed from the labels on the CPU, so that it fits them whatever augmented them.

    Args:
        object_class: objects are the connected regions of this class.
        w0: weight of a pixel on two borders at once.
        sigma: how far a border reaches, in pixels.

    Raises:
        ValueError: if there is no class of that number.
    """

    def __init__(
        self,
        num_classes: PositiveInt,
        object_class: NonNegativeInt = 1,
        w0: NonNegativeFloat = 10.0,
        sigma: PositiveFloat = 5.0,
    ):
        super().__init__(num_classes)
        if object_class >= num_classes:
            raise ValueError(f"Of {num_classes} classes, none has number {object_class} (loss.object_class).")
        self.object_class, self.w0, self.sigma = object_class, w0, sigma

    def border_weights(self, labels: Tensor) -> Tensor:
        """w0·exp(−(d1 + d2)²/2σ²) of each pixel (B, H, W)."""
        objects = (labels == self.object_class).cpu().numpy()
        maps = np.stack([nearness(image, self.sigma) for image in objects])
        return self.w0 * torch.from_numpy(maps).to(labels.device)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = self.pixel_weights(labels) + self.border_weights(labels)
        total = (weights * pixel_losses(logits, labels)).sum()
        return total / shared((labels != VOID).sum(), self.training).clamp_min(1)
