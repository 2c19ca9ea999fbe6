"""Cross-entropy between logits and class numbers, of whole inputs or of pixels."""

import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.batches import VOID
from scalian_exp.distributed import ranks
from scalian_exp.ranges import Fraction


def shared(count: Tensor, training: bool) -> Tensor:
    """What to divide this process's sum of losses by: processes average their gradients, but may have unlike numbers of
    void pixels, or of rare ones."""
    return ranks.mean(count.float()) if training else count


class CrossEntropy(nn.Module):
    """In nats, the mean over what isn't void; 0 if everything is.

    Logits (B, classes) with labels (B,), or (B, classes, H, W) with (B, H, W): the pixel-wise log loss.

    Args:
        label_smoothing: share of the target spread over all classes (Szegedy et al. 2016, arXiv:1512.00567).
    """

    def __init__(self, label_smoothing: Fraction = 0.0):
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        total = F.cross_entropy(logits.float(), labels, reduction="sum", label_smoothing=self.label_smoothing)
        return total / shared((labels != VOID).sum(), self.training).clamp_min(1)  # torch's own mean of nothing is NaN
