"""Metrics of segmentation.

They are computed class by class from one confusion matrix over a complete split, as the papers' mean IoU is; a mean
over images would be different. Labels (…) are class numbers, −100 where void.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from scalian_exp.batches import called
from scalian_exp.precision import widened

TOLERANCE = Fraction(75, 10_000)
"""share of the image's diagonal by which boundaries may be apart (Csurka et al. 2013)"""


def ious(matrix: Tensor) -> Tensor:
    """Return the intersection over union of each class, (K,), from counts by (true class, predicted class).

    It is NaN for a class that neither occurs nor is predicted.
    """
    matrix = widened(matrix)
    return matrix.diagonal() / (matrix.sum(0) + matrix.sum(1) - matrix.diagonal())


def scores(matrix: Tensor, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Return the four metrics of Long et al. 2015, and the IoU of each class that occurs or is predicted.

    Their means leave out the other classes, as torchmetrics' Jaccard index does; then `miou_classes` counts the classes
    of mean IoU. A class that doesn't occur but is predicted has an IoU of 0.

    Args:
        matrix: counts (K, K) by (true class, predicted class).
        names: of the classes.
    """
    iou = ious(matrix)
    matrix = widened(matrix)
    truth = matrix.sum(1)
    accuracies = matrix.diagonal() / truth
    counted = (~iou.isnan()).sum()
    return {
        "miou": iou.nanmean(),
        **({"miou_classes": counted} if counted < len(iou) else {}),
        "pixel_accuracy": matrix.diagonal().sum() / matrix.sum(),
        "mean_class_accuracy": accuracies.nanmean(),
        "fw_iou": (truth * iou).nansum() / truth.sum(),
        **{f"iou/{called(names, k)}": value for k, value in enumerate(iou) if not value.isnan()},
    }


def boundary_f1(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return the F1 of each image's boundary pixels, matched within 0.75 % of its diagonal (Csurka et al. 2013).

    It is the mean over the classes in the image or in its prediction. The distance isn't rounded: at 120×160 it is 1.5
    pixels, which includes the eight neighbours, and below a diagonal of 134 pixels boundaries must coincide.

    Args:
        predicted: (B, H, W).
        labels: (B, H, W); void pixels count for neither.
        num_classes: K.

    Returns:
        (B,), in [0, 1]; 1 for an image that is void everywhere, as nothing is wrong.
    """
    height, width = labels.shape[1:]
    farthest = int(TOLERANCE**2 * (height**2 + width**2))  # squares of distances are whole numbers
    radius = math.isqrt(farthest)
    rows = torch.arange(-radius, radius + 1, device=labels.device)
    disk = (rows[:, None].square() + rows.square() <= farthest).float().expand(num_classes, 1, -1, -1)
    void = labels < 0
    boundaries = [boundary(ids.masked_fill(void, num_classes), num_classes) for ids in (predicted, labels)]
    near = [F.conv2d(b, disk, padding=radius, groups=num_classes).clamp_max(1) for b in boundaries]
    matched = [(b * n).sum((2, 3)) for b, n in zip(boundaries, reversed(near), strict=True)]
    precision, recall = (m / b.sum((2, 3)).clamp_min(1) for m, b in zip(matched, boundaries, strict=True))
    f1 = 2 * precision * recall / (precision + recall).clamp_min(1e-9)
    ours, theirs = present(predicted.masked_fill(void, -1), num_classes), present(labels, num_classes)
    # a class that fills both images has no boundary, and no error; one that fills only one of them is wrong
    f1 = torch.where(ours & theirs & (boundaries[0].sum((2, 3)) + boundaries[1].sum((2, 3)) == 0), 1.0, f1)
    there = ours | theirs
    return torch.where(there.any(1), (f1 * there).sum(1) / there.sum(1).clamp_min(1), 1.0)


def present(labels: Tensor, num_classes: int) -> Tensor:
    """Return which classes each image of labels (B, H, W) contains, (B, K), bool; void is not a class."""
    classes = torch.zeros(len(labels), num_classes + 1, dtype=torch.bool, device=labels.device)
    return classes.scatter_(1, labels.flatten(1).clamp_min(-1) + 1, True)[:, 1:]


def boundary(ids: Tensor, num_classes: int) -> Tensor:
    """Return each class's pixels with a neighbour (of four) of another class, (B, K, H, W); number K is void."""
    classes = F.one_hot(ids, num_classes + 1).permute(0, 3, 1, 2)[:, :num_classes].float()
    void = (ids == num_classes).unsqueeze(1)
    inner = torch.ones_like(classes, dtype=torch.bool)
    padded = F.pad(torch.where(void, 1.0, classes), (1, 1, 1, 1), value=1.0)  # neither edge nor void is a neighbour
    for rows, columns in ((slice(0, -2), slice(1, -1)), (slice(2, None), slice(1, -1)),
                          (slice(1, -1), slice(0, -2)), (slice(1, -1), slice(2, None))):  # fmt: skip
        inner &= padded[..., rows, columns] > 0
    return classes * ~inner
