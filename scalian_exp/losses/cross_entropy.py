"""Cross-entropy between logits and class numbers."""

import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.ranges import Fraction


class CrossEntropy(nn.Module):
    """In nats, the mean over examples; logits (B, classes), labels (B,).

    Args:
        label_smoothing: share of the target spread over all classes (Szegedy et al. 2016, arXiv:1512.00567).
    """

    def __init__(self, label_smoothing: Fraction = 0.0):
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
