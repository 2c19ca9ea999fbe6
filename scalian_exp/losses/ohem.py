"""Online hard example mining: cross-entropy of the pixels that the network classifies worst.

Shrivastava et al. 2016 (arXiv:1604.03540) train a detector on its hardest boxes. Wu et al. 2016 (arXiv:1604.04339) do
the same with a segmentation network's hardest pixels, and call it online bootstrapping.
"""

import math

import torch
from torch import Tensor, nn

from scalian_exp.batches import VOID
from scalian_exp.losses.cross_entropy import divisor
from scalian_exp.losses.segmentation import pixel_losses
from scalian_exp.ranges import Fraction


class OHEM(nn.Module):
    """Cross-entropy averaged over hard pixels: those whose class has a probability below a threshold.

    If these are fewer than a fraction of the batch's labelled pixels, the hardest ones up to that number count. Several
    processes each choose among the pixels of their own images.

    Args:
        threshold: probability of a pixel's class from which on the pixel is not hard.
        min_kept: the fraction of the labelled pixels that counts in any case; 1 is cross-entropy.
    """

    def __init__(self, threshold: Fraction = 0.7, min_kept: Fraction = 0.0625):
        super().__init__()
        self.threshold, self.min_kept = threshold, min_kept

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the pixels that count, a scalar in nats."""
        losses = pixel_losses(logits, labels)[labels != VOID]
        hard = losses[~(torch.exp(-losses) >= self.threshold)]  # NaN is hard, so that a divergence is seen
        least = math.ceil(self.min_kept * len(losses))
        counted = hard if len(hard) >= least else losses.topk(least, sorted=False).values
        return counted.sum() / divisor(torch.tensor(len(counted), device=logits.device), self.training).clamp_min(1)
