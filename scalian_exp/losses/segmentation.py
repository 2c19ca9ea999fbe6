"""Losses of segmentation networks: logits (B, K, H, W), labels (B, H, W) in 0…K−1, void pixels (−100) left out.

All compute in single precision, and give 0 with zero gradients where every pixel is void.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.batches import VOID
from scalian_exp.losses.cross_entropy import divisor
from scalian_exp.ranges import NonNegativeFloat, PositiveInt


@runtime_checkable
class Balanced(Protocol):
    """Loss that weighs classes by their frequency; `balance` is called once, before training."""

    def balance(self, pixels: Tensor, present: Tensor) -> None:
        """Set weights from each class's training pixels (K,) and the labelled pixels of the images with it (K,).

        Raises:
            ValueError: if no class has a pixel.
        """


def pixel_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return −log of the probability of each pixel's class, (B, H, W), in nats; 0 for void."""
    return F.cross_entropy(logits.float(), labels, reduction="none")


class MedianFrequency(nn.Module):
    """Cross-entropy in which rare classes weigh more: Σ wᵢ·lossᵢ / Σ wᵢ, with the weight w_c of each pixel's class.

    w_c = median(f) / f_c, where f_c = pixels of c / labelled pixels of the images with c (Eigen & Fergus 2015,
    arXiv:1411.4734; SegNet, arXiv:1511.00561). For an even number of classes, the median is the mean of the middle two.
    A class absent from training has weight 0. Until `balance` is called, all weights are 1.
    """

    weights: Tensor

    def __init__(self, num_classes: PositiveInt):
        super().__init__()
        self.register_buffer("weights", torch.ones(num_classes))

    def balance(self, pixels: Tensor, present: Tensor) -> None:
        """Set the weights from class counts of the training split.

        Args:
            pixels: number of pixels of each class, (K,).
            present: number of labelled pixels of the images that contain the class, (K,).

        Raises:
            ValueError: if no class has a pixel.
        """
        seen = pixels > 0
        if not seen.any():
            raise ValueError("The training labels are void everywhere; give some pixels a class.")
        frequencies = (pixels / present)[seen]
        self.weights.zero_()
        self.weights[seen] = (frequencies.quantile(0.5) / frequencies).to(self.weights)

    def pixel_weights(self, labels: Tensor) -> Tensor:
        """Return w_c for each pixel of the labels (B, H, W); 0 for void."""
        return self.weights.float()[labels.clamp_min(0)] * (labels != VOID)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted mean of the cross-entropy, a scalar in nats."""
        weights = self.pixel_weights(labels)
        return (weights * pixel_losses(logits, labels)).sum() / divisor(weights.sum(), self.training).clamp_min(1e-12)


class Focal(nn.Module):
    """Focal loss −(1 − p)^γ·log p with the probability p of a pixel's class, mean over pixels (Lin et al. 2017, eq. 4).

    Well-classified pixels count less, the more so the larger γ; with γ = 0 it is cross-entropy (arXiv:1708.02002).
    """

    def __init__(self, gamma: NonNegativeFloat = 2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over labelled pixels, a scalar."""
        losses = pixel_losses(logits, labels)
        missing = (1 - torch.exp(-losses)).clamp_min(1e-12)  # at 0 a power below 1 has an infinite slope
        return (missing**self.gamma * losses).sum() / divisor((labels != VOID).sum(), self.training).clamp_min(1)


def labelled_pixels(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities (K, N) and the true classes one-hot (K, N), bool, of the N pixels that aren't void."""
    labelled = labels != VOID
    probabilities = torch.softmax(logits.float(), 1).movedim(1, 0)[:, labelled]
    return probabilities, F.one_hot(labels[labelled], logits.shape[1]).T.bool()


def mean_over_present(losses: Tensor, truth: Tensor) -> Tensor:
    """Average losses (K,) over the classes that occur in truth (K, N); 0 if none does."""
    present = truth.any(1)
    return (losses * present).sum() / present.sum().clamp_min(1)


class Dice(nn.Module):
    """Soft Dice loss, 1 − 2·Σ pᵢgᵢ / (Σ pᵢ + Σ gᵢ) of each class, averaged over the classes that the labels contain.

    Sums run over the pixels of the batch; pᵢ is the probability of the class, and gᵢ is 1 where it is true. It is the
    soft Dice of Milletari et al. 2016 (arXiv:1606.04797), but with plain sums in the denominator where theirs has sums
    of squares.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar in [0, 1]."""
        probabilities, truth = labelled_pixels(logits, labels)
        overlaps = 2 * (probabilities * truth).sum(1)
        sizes = probabilities.sum(1) + truth.sum(1)
        # a class that occurs has a size of 1 or more
        return mean_over_present(1 - overlaps / sizes.clamp_min(1), truth)


class LovaszSoftmax(nn.Module):
    """Lovász extension of 1 − Jaccard index of each class, averaged over the classes that the batch's labels contain.

    Berman et al. 2018 (arXiv:1705.08790). A class's errors are mᵢ = 1 − pᵢ where it is true and pᵢ elsewhere, over the
    pixels of the batch. They are sorted in decreasing order, and each is multiplied by how much its pixel adds to the
    Jaccard loss if it is counted as wrong besides those before it. For certain predictions the sum is the Jaccard loss
    itself.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar in [0, 1]."""
        probabilities, truth = labelled_pixels(logits, labels)
        errors, order = (truth.float() - probabilities).abs().sort(dim=1, descending=True)
        true = truth.gather(1, order)
        intersections = true.sum(1, keepdim=True) - true.cumsum(1)  # if the pixels so far are wrong
        unions = (true.sum(1, keepdim=True) + (~true).cumsum(1)).float()  # integers divide to torch's default type
        # 1 − I/U grows by 1/U when I loses a pixel, and by I/(U − 1) − I/U when U gains one. Subtracting the Jaccard
        # losses themselves would leave few significant digits with millions of pixels.
        steps = torch.where(true, 1 / unions, intersections / (unions * (unions - 1).clamp_min(1)))
        return mean_over_present((errors * steps).sum(1), truth)


class Sum(nn.Module):
    """Σ weightᵢ · lossᵢ of any number of named losses.

    Args:
        part: name → {loss: a loss of logits and labels, weight: its factor}; null drops a part.

    Raises:
        ValueError: if there is no part, or a weight is negative.
    """

    def __init__(self, part: Mapping[str, Mapping[str, Any] | None] | None = None):
        super().__init__()
        parts = {name: given for name, given in (part or {}).items() if given is not None}
        if not parts:
            raise ValueError("A sum needs parts: loss/part=[cross_entropy,dice].")
        if negative := [name for name, given in parts.items() if not given["weight"] >= 0]:
            raise ValueError(f"loss.part.{negative[0]}.weight={parts[negative[0]]['weight']} must be a number from 0.")
        for name, given in parts.items():
            self.add_module(name, given["loss"])
        self.factors = {name: float(given["weight"]) for name, given in parts.items()}

    def balance(self, pixels: Tensor, present: Tensor) -> None:
        """Weigh the classes in those parts that do so; arguments as in MedianFrequency.balance."""
        for loss in self.children():
            if isinstance(loss, Balanced):
                loss.balance(pixels, present)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted sum, a scalar."""
        terms = [self.factors[name] * loss(logits, labels) for name, loss in self.named_children()]
        return torch.stack(terms).sum()


class WeightedSum(Sum):
    """weights[0]·first + weights[1]·second: what runs of version 0.1 name.

    Raises:
        ValueError: if there aren't two weights.
    """

    def __init__(self, first: nn.Module, second: nn.Module, weights: Sequence[NonNegativeFloat]):
        if len(weights) != 2:
            raise ValueError(f"Two losses need two weights, not {len(weights)} (loss.weights).")
        pair = zip(("first", "second"), (first, second), weights, strict=True)
        super().__init__({name: {"loss": loss, "weight": weight} for name, loss, weight in pair})
