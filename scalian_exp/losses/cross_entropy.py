"""Cross-entropy between logits and class numbers, of images or of pixels."""

import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.batches import VOID
from scalian_exp.distributed import ranks
from scalian_exp.ranges import FractionBelowOne


def divisor(count: Tensor, training: bool) -> Tensor:
    """Return what to divide this process's sum of losses by; in training, the mean count over all processes.

    Processes average their gradients, but may differ in their numbers of void pixels or of pixels of rare classes.
    """
    return ranks.mean(count.float()) if training else count


class CrossEntropy(nn.Module):
    """Cross-entropy in nats, averaged over what isn't void; 0 if everything is.

    Logits (B, classes) go with labels (B,), and logits (B, classes, H, W) with labels (B, H, W): the pixel-wise log
    loss.

    Args:
        label_smoothing: share of the target spread over all classes (Szegedy et al. 2016, arXiv:1512.00567).
    """

    def __init__(self, label_smoothing: FractionBelowOne = 0.0):
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar, of logits (B, classes, …) for labels (B, …)."""
        total = F.cross_entropy(logits.float(), labels, reduction="sum", label_smoothing=self.label_smoothing)
        return total / divisor((labels != VOID).sum(), self.training).clamp_min(1)  # torch's own mean of nothing is NaN
