"""Means of logged values, accumulated without synchronising the device until the epoch ends."""

from typing import Any

import torch
from torch import Tensor

from scalian_exp.distributed import ranks

WAITING = 256
"""Batches whose values are kept until they are added up at once."""


class Means:
    """Mean of named values over samples; each update adds a batch's means, weighted by the batch's size.

    An update keeps references only; Lightning's `self.log` costs as much as a small network's entire step.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.totals: Tensor | None = None
        self.waiting: list[Tensor] = []
        """values of batches that aren't in `totals` yet, one batch after the other"""
        self.sizes: list[int] = []
        """sizes of these batches"""
        self.count = 0

    def update(self, values: dict[str, Tensor], size: int) -> None:
        """Add a batch's means, scalars by name, of `size` samples."""
        self.names = list(values)
        self.waiting += [value.detach() for value in values.values()]
        self.sizes.append(size)
        self.count += size
        if len(self.sizes) == WAITING:
            self.totals = self.sums()
            self.waiting, self.sizes = [], []

    def sums(self) -> Tensor | None:
        """Return the sums over all samples so far, (names,); None before the first update."""
        if not self.sizes:
            return self.totals
        batches = torch.stack(self.waiting).float().unflatten(0, (len(self.sizes), -1))
        sums = (batches * batches.new_tensor(self.sizes)[:, None]).sum(0)
        return sums if self.totals is None else self.totals + sums

    def compute(self) -> dict[str, Tensor]:
        """Return the means over all processes; nothing before the first update."""
        sums = self.sums()
        if sums is None:
            return {}
        sums = ranks.all_sum(torch.cat([sums, sums.new_tensor([self.count])]))
        return dict(zip(self.names, (sums[:-1] / sums[-1]).unbind(), strict=True))

    def reset(self) -> None:
        """Forget all values."""
        self.totals, self.waiting, self.sizes, self.count = None, [], [], 0

    def state_dict(self) -> dict[str, Any]:
        """Return the values so far, with a row for each process; a resumed training adds them up in the same order."""
        totals = None if self.totals is None else ranks.gather_rows(self.totals[None])
        waiting = ranks.gather_rows(torch.stack(self.waiting).float()[None]) if self.waiting else None
        return {"names": self.names, "totals": totals, "waiting": waiting, "sizes": self.sizes, "count": self.count}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore the values of a state dict; older ones have nothing waiting."""
        totals, waiting = state["totals"], state.get("waiting")
        self.names, self.totals = list(state["names"]), None if totals is None else ranks.own_row(totals, 1).to(device)
        self.waiting = [] if waiting is None else list(ranks.own_row(waiting, 1).to(device).unbind())
        self.sizes, self.count = list(state.get("sizes", [])), state["count"]
