"""A scene as the page shows it: cells of one or several pixels, with the target, the prediction and the loss."""

import torch
import torch.nn.functional as F
from torch import Tensor

from scalian_exp.batches import VOID, VOID_BYTE
from scalian_exp.losses.segmentation import pixel_losses

LEVELS = 255


def levels(losses: Tensor, most: float) -> Tensor:
    """Return −log p as integers 0 … 255, evenly spaced in its square root: fine where p is near 1, coarse near 0."""
    return ((losses.clamp(0, most) / most).sqrt() * LEVELS).round()


def exact_levels(losses: Tensor, weights: Tensor, most: float) -> Tensor:
    """Return `levels` of the losses, rounded so that their weighted sum stays as close as possible.

    Where rounding has made the sum too small, the losses that were rounded down the most are rounded up instead, and
    vice versa.
    """
    exact = (losses.double().clamp(0, most) / most).sqrt().flatten() * LEVELS
    weighing, result = weights.double().flatten(), exact.round()
    lacking = weighing * most * (exact.square() - result.square()) / LEVELS**2
    way = 1 if lacking.sum() > 0 else -1
    other = result + way
    gains = weighing * most * (other.square() - result.square()).abs() / LEVELS**2
    candidates = (((exact - result) * way > 0) & (other <= LEVELS) & (gains > 0)).nonzero().flatten()
    rest = float(lacking.sum().abs())
    for at in candidates[((result - exact) * way)[candidates].argsort()].tolist():
        if gains[at] <= rest:
            rest -= float(gains[at])
            result[at] = other[at]
    return result.view_as(losses)


class Scene:
    """One test image as the page shows it, in cells of `shrink` × `shrink` pixels (h, w).

    A cell's loss is the mean over its labelled pixels, so that the mean of all cells, weighted by `counted`, is the
    image's. Its target, prediction and probabilities are those of the pixel in its middle.

    Args:
        image: (C, H, W) in [0, 1].
        labels: (H, W), −100 where void.
        logits: (K, H, W).
        shrink: side of a cell, in pixels.
        top: number of classes whose probabilities are shown, the likeliest if there are more.
    """

    def __init__(self, image: Tensor, labels: Tensor, logits: Tensor, shrink: int, top: int):
        image, labels, logits = image.cpu(), labels.cpu(), logits.cpu()
        log_losses, labelled = -logits.log_softmax(0), labels != VOID
        self.losses = pixel_losses(logits[None], labels[None])[0]
        self.pixels = int(labelled.sum())
        """number of labelled pixels"""
        self.loss = float(self.losses.double().sum()) / max(self.pixels, 1)
        self.right = int((logits.argmax(0) == labels).sum())
        sums = pooled(torch.stack([self.losses * labelled, labelled.float()]), shrink)
        self.counted = sums[1].round()
        self.cells = sums[0] / self.counted.clamp_min(1)
        self.image = (F.avg_pool2d(image[None], shrink, ceil_mode=True, count_include_pad=False)[0] * 255).round()
        rows, columns = (middles(size, shrink) for size in labels.shape)
        here = (slice(None), rows[:, None], columns)
        target = labels[here[1:]]
        self.targets = torch.where(target == VOID, VOID_BYTE, target)
        self.predicted = logits[here].argmax(0)
        self.own = torch.where(target == VOID, 0, self.losses[here[1:]])
        self.classes, self.ranks = log_losses[here], torch.empty(0)
        if top < len(logits):
            self.classes, self.ranks = self.classes.topk(top, 0, largest=False)


def middles(size: int, side: int) -> Tensor:
    """Return the index of the middle pixel of each cell of this side; the last cell may be smaller."""
    return torch.arange(side // 2, size + side // 2, side).clamp(max=size - 1)[: -(-size // side)]


def pooled(values: Tensor, side: int) -> Tensor:
    """Sum values (C, H, W) over squares of this side; the last ones may be smaller."""
    height, width = values.shape[1:]
    padded = F.pad(values, (0, -width % side, 0, -height % side))
    return F.avg_pool2d(padded[None], side, divisor_override=1)[0]
