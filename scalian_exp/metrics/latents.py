"""Metrics of latent codes."""

import torch
from torch import Tensor
from torchmetrics import Metric

from scalian_exp.ranges import PositiveFloat


def bimodality(codes: Tensor) -> Tensor:
    """Return the share of numbers of codes (B, D) in [0, 1] that lie within 0.1 of 0 or of 1."""
    return ((codes < 0.1) | (codes > 0.9)).float().mean()


class ActiveUnits(Metric):
    """Number of latents that carry information: Var_x(E_q[z|x]) > threshold (Burda et al. 2016, section 5.2)."""

    full_state_update = False
    total: Tensor
    squares: Tensor
    count: Tensor

    def __init__(self, threshold: PositiveFloat = 0.01) -> None:
        super().__init__()
        self.threshold = threshold
        for name in ("total", "squares"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")  # an integer, which no precision rounds

    def update(self, means: Tensor) -> None:
        """Add a batch of means of q(z|x), (B, latent_dim)."""
        means = means.float()
        self.total = self.total + means.sum(0)
        self.squares = self.squares + means.square().sum(0)
        self.count = self.count + len(means)

    def compute(self) -> Tensor:
        """Return the number of active latents."""
        variance = self.squares / self.count - (self.total / self.count).square()
        return (variance > self.threshold).sum().float()
