"""How much of data's variance predictions explain."""

import torch
from torch import Tensor

from scalian_exp.distributed import ranks


class ExplainedVariance:
    """The share of the variance of vectors that predictions explain, 1 − Σ‖x − x̂‖² / Σ‖x − x̄‖², over all batches.

    The mean x̄ is that of all vectors, so the value doesn't depend on how they are divided into batches.
    """

    def __init__(self) -> None:
        self.totals: Tensor | None = None
        """Σ‖x − x̂‖², Σ‖x‖², their number, and Σx: (3 + D,)"""

    def update(self, predicted: Tensor, data: Tensor) -> None:
        """Add a batch of predictions and data, (B, D) each."""
        predicted, data = predicted.detach().float(), data.detach().float()
        count = data.new_tensor(len(data))
        scalars = torch.stack([(predicted - data).square().sum(), data.square().sum(), count])
        batch = torch.cat([scalars, data.sum(0)])
        self.totals = batch if self.totals is None else self.totals + batch

    def compute(self) -> Tensor:
        """Return the share over all processes, at most 1, negative if the mean explains more; forget all batches."""
        if self.totals is None:
            raise RuntimeError("nothing was added")
        (error, squares, count), total = ranks.all_sum(self.totals).split([3, len(self.totals) - 3])
        self.totals = None
        return 1 - error / (squares - total.square().sum() / count).clamp_min(1e-12)
