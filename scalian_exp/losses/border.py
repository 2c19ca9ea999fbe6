"""U-Net's loss, which weighs the borders between touching objects (Ronneberger et al. 2015, arXiv:1505.04597)."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from scalian_exp.batches import VOID
from scalian_exp.losses.cross_entropy import divisor
from scalian_exp.losses.segmentation import MedianFrequency, pixel_losses
from scalian_exp.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

REACH = 5
"""how many σ a border reaches; beyond, exp(−d²/2σ²) is less than 4·10⁻⁶ and counts as 0"""


def border_distances(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return each pixel's Euclidean distance, in pixels, to an object's border, both inside and outside the object.

    The border consists of the object's pixels that have a pixel outside it above, below, left or right.
    """
    return ndimage.distance_transform_edt(~inside | ndimage.binary_erosion(inside, border_value=1))


def nearness(objects: NDArray[np.bool_], sigma: float) -> NDArray[np.float32]:
    """Return exp(−(d1 + d2)²/2σ²) for each pixel (H, W), with its distances d1, d2 to the two nearest objects' borders.

    Objects are regions whose pixels meet at their sides; where only corners meet, a border runs between them. With
    fewer than two objects, all values are 0.
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
    """Cross-entropy weighted by w = w_c + w0·exp(−(d1 + d2)²/2σ²) (their eq. 2), divided by the number of pixels.

    d1 and d2 are a pixel's distances to the borders of the two nearest objects of its image, w_c its class's weight by
    median frequency. Border weights are computed from the labels on the CPU, so they fit augmented labels too.

    Args:
        object_class: the class whose connected regions are the objects.
        w0: weight of a pixel that lies on two borders.
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
            raise ValueError(f"None of the {num_classes} classes has number {object_class} (loss.object_class).")
        self.object_class, self.w0, self.sigma = object_class, w0, sigma

    def border_weights(self, labels: Tensor) -> Tensor:
        """Return w0·exp(−(d1 + d2)²/2σ²) for each pixel of the labels (B, H, W)."""
        objects = (labels == self.object_class).cpu().numpy()
        maps = np.stack([nearness(image, self.sigma) for image in objects])
        return self.w0 * torch.from_numpy(maps).to(labels.device)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar in nats, of logits (B, K, H, W) for labels (B, H, W)."""
        weights = self.pixel_weights(labels) + self.border_weights(labels)
        total = (weights * pixel_losses(logits, labels)).sum()
        return total / divisor((labels != VOID).sum(), self.training).clamp_min(1)
