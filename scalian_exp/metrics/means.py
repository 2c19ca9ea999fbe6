"""Means of logged values, accumulated without synchronising the device until the epoch ends."""

from typing import Any

import torch
from torch import Tensor

from scalian_exp.distributed import ranks
from scalian_exp.precision import at_least_single


class Means:
    """Mean of named values over samples; each update adds a batch's means, weighted by the batch's size.

    Sums have at least single precision, whatever the values have. An update is two small tensor operations; Lightning's
    `self.log` costs as much as a small network's entire step.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.totals: Tensor | None = None
        self.count = 0

    def update(self, values: dict[str, Tensor], size: int) -> None:
        """Add a batch's means, scalars by name, of `size` samples."""
        means = [value.detach() for value in values.values()]
        batch = at_least_single(torch.stack(means) if len(means) > 1 else means[0])
        if self.totals is None:
            self.names, self.totals = list(values), batch.new_zeros(len(means))
        self.totals.add_(batch, alpha=size)
        self.count += size

    def compute(self) -> dict[str, Tensor]:
        """Return the means over all processes; nothing before the first update."""
        if self.totals is None:
            return {}
        sums = ranks.all_sum(torch.cat([self.totals, self.totals.new_tensor([self.count])]))
        return dict(zip(self.names, (sums[:-1] / sums[-1]).unbind(), strict=True))

    def reset(self) -> None:
        """Discard all values."""
        self.totals, self.count = None, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the values accumulated so far, with a row of totals for each process."""
        totals = None if self.totals is None else ranks.gather_rows(self.totals[None])
        return {"names": self.names, "totals": totals, "count": self.count}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore the values of a state dict."""
        totals = state["totals"]  # an earlier version's may have 16 bits
        self.totals = None if totals is None else at_least_single(ranks.own_row(totals, 1).to(device))
        self.names, self.count = list(state["names"]), state["count"]
