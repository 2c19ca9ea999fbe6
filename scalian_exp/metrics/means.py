"""Means of whatever a step logs, gathered without touching a Python number until the epoch ends."""

from typing import Any

import torch
from torch import Tensor

from scalian_exp.distributed import ranks


class Means:
    """Mean of named values over samples; each update adds a batch's means, weighted by its size.

    An update is two small tensor operations; Lightning's `self.log` costs as much as a small network's whole step.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.totals: Tensor | None = None
        self.count = 0

    def update(self, values: dict[str, Tensor], size: int) -> None:
        batch = torch.stack([value.detach() for value in values.values()]).float()
        if self.totals is None:
            self.names, self.totals = list(values), torch.zeros_like(batch)
        self.totals.add_(batch, alpha=size)
        self.count += size

    def compute(self) -> dict[str, Tensor]:
        """The means over all processes; nothing before the first update."""
        if self.totals is None:
            return {}
        sums = ranks.all_sum(torch.cat([self.totals, self.totals.new_tensor([self.count])]))
        return dict(zip(self.names, (sums[:-1] / sums[-1]).unbind(), strict=True))

    def reset(self) -> None:
        self.totals, self.count = None, 0

    def state_dict(self) -> dict[str, Any]:
        """What has been gathered so far, the same in all processes."""
        totals = None if self.totals is None else ranks.mean(self.totals)
        return {"names": self.names, "totals": totals, "count": self.count}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        totals = state["totals"]
        self.names, self.totals = list(state["names"]), None if totals is None else totals.to(device)
        self.count = state["count"]
