"""Cost of a forward pass in operations and memory, the same on every machine."""

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class PeakMemory(TorchDispatchMode):
    """Context that measures the peak memory of all tensors created inside it, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        result = func(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if isinstance(x, Tensor) and id(storage := x.untyped_storage()) not in self.seen | given:
                self.seen.add(id(storage))
                self.alive += storage.nbytes()
                weakref.finalize(storage, self.free, id(storage), storage.nbytes())
        self.peak = max(self.peak, self.alive)
        return result

    def free(self, storage: int, size: int) -> None:
        """Stop counting a storage of `size` bytes."""
        self.seen.discard(storage)
        self.alive -= size


@torch.no_grad()
def cost(network: nn.Module, x: Tensor) -> dict[str, float]:
    """Measure the cost of a forward pass on inputs (B, …), for one of them.

    Returns:
        `gmacs`: 10⁹ multiply-adds, of the operations that torch can count. `activations_mb_per_sample`: 10⁶ bytes of
            activations alive at once, without weights and input.
    """
    with FlopCounterMode(display=False) as flops:
        network(x)
    with PeakMemory() as memory:
        network(x)
    return {"gmacs": flops.get_total_flops() / 2e9 / len(x), "activations_mb_per_sample": memory.peak / 1e6 / len(x)}
