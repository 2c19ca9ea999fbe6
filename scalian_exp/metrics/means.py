"""Means of whatever a step logs, gathered without touching a Python number until the epoch ends."""

import torch
from torch import Tensor
from torchmetrics import Metric


class Means(Metric):
    """Mean of named values over samples; each update adds a batch's means, weighted by its size.

    One update costs three small tensor operations, where Lightning's `self.log` costs as much as a small network's
    step. It is summed over processes like any other metric.
    """

    full_state_update = False
    totals: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.add_state("totals", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, values: dict[str, Tensor], size: int) -> None:
        self.names = list(values)
        self.totals = self.totals + torch.stack([value.detach() for value in values.values()]) * size
        self.count = self.count + size

    def compute(self) -> dict[str, Tensor]:
        if not self.names:
            return {}
        return dict(zip(self.names, (self.totals / self.count).float().unbind(), strict=True))
