"""Confusion matrices, counted over a complete split."""

import torch
from torch import Tensor

from scalian_exp.distributed import ranks


class Confusion:
    """Counts by (true class, predicted class).

    torchmetrics' needs N×K² numbers where it must be deterministic.
    """

    def __init__(self, num_classes: int):
        self.num_classes = num_classes
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.long)

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Count predicted class numbers against labels, of any shape; labels below 0 are void and not counted."""
        known = labels >= 0
        pairs = labels[known] * self.num_classes + predicted[known]
        counts = torch.bincount(pairs, minlength=self.num_classes**2).view_as(self.counts)
        self.counts = self.counts.to(counts.device) + counts

    def compute(self) -> Tensor:
        """Return the counts (K, K) of all processes."""
        return ranks.all_sum(self.counts)

    def reset(self) -> None:
        """Set the counts to 0."""
        self.counts = torch.zeros_like(self.counts)
