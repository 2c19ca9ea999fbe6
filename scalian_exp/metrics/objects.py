"""Metrics of objects, which are connected regions of a class (Arganda-Carreras et al. 2015, foreground-restricted).

Pixels that truly belong to no object are left out; each predicted border pixel inside a true object counts as an object
of its own. Labels (B, H, W) are class numbers.
"""

from collections.abc import Iterator

import numpy as np
import torch
from scipy.ndimage import label as connected
from torch import Tensor


def rand_error(predicted: Tensor, labels: Tensor, object_class: int) -> Tensor:
    """Return the adapted Rand error of each image, (B,), in [0, 1]: 1 − the F1 of pairs of pixels in the same object.

    It is 0 where there is no object to be split or merged.
    """
    errors = []
    for both, ours, true in overlaps(predicted, labels, object_class):
        errors.append(1 - 2 * pairs(both) / (pairs(ours) + pairs(true)) if len(both) else 0.0)
    return torch.tensor(errors, device=labels.device, dtype=torch.float32)


def variation_of_information(predicted: Tensor, labels: Tensor, object_class: int) -> Tensor:
    """Return H(predicted | true) + H(true | predicted) of each image, (B,), in bits: what splits and merges cost.

    It is 0 where there is no object to be split or merged (Meilă 2003).
    """
    values = []
    for both, ours, true in overlaps(predicted, labels, object_class):
        values.append(2 * entropy(both) - entropy(ours) - entropy(true))
    return torch.tensor(values, device=labels.device, dtype=torch.float32)


def overlaps(
    predicted: Tensor, labels: Tensor, object_class: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield for each image the numbers of pixels of its pairs of objects, its predicted objects, its true objects."""
    for ids, truth in zip(predicted.cpu().numpy(), labels.cpu().numpy(), strict=True):
        regions, true_regions = connected(ids == object_class)[0], connected(truth == object_class)[0]
        inside = true_regions > 0
        true, ours = true_regions[inside].astype(np.int64), regions[inside].astype(np.int64)
        alone = ours == 0
        ours[alone] = regions.max() + 1 + np.arange(alone.sum())
        numbers = (true * (ours.max(initial=0) + 1) + ours, ours, true)
        both, of_ours, of_true = (np.unique(each, return_counts=True)[1].astype(np.int64) for each in numbers)
        yield both, of_ours, of_true


def pairs(counts: np.ndarray) -> int:
    """Count ordered pairs of pixels in the same object, including each pixel with itself."""
    return int((counts**2).sum())


def entropy(counts: np.ndarray) -> float:
    """Return the entropy of the objects' shares of the pixels, in bits; 0 without pixels."""
    shares = counts / max(counts.sum(), 1)
    return float(-(shares * np.log2(shares)).sum())
