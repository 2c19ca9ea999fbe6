"""The batch contract: what a batch is and what the numbers in it mean, for datasets and networks alike. No torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Batch = dict[str, "Tensor"]
"""name → one tensor of all examples, which are its rows: image, label, mask, ratings …"""
VOID = -100
"""the class number of pixels that no loss counts: torch's own, which F.cross_entropy gives 0"""
VOID_BYTE = 255
"""void in masks of uint8"""


def batch_size(batch: Batch) -> int:
    """The number of examples in a batch."""
    return len(next(iter(batch.values())))


def called(names: Sequence[str] | None, index: int) -> str:
    """The name of a class; its number where the data set has no names."""
    return names[index] if names else str(index)


def above_zero(levels: Sequence[float]) -> float:
    """What is added to all ratings of a table, where 0 means that there is none: so much that the lowest level is 1, or
    nothing if all are above 0 anyway."""
    return max(0.0, 1.0 - levels[0]) if levels[0] <= 0 else 0.0
