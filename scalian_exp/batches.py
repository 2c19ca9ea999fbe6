"""The batch contract between datasets and networks: what a batch is and what its numbers mean. No torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Batch = dict[str, "Tensor"]
"""maps image, label, mask, ratings … to one tensor each, whose rows are the examples"""
VOID = -100
"""class index of pixels that no loss counts: torch's default `ignore_index`"""
VOID_BYTE = 255
"""value of void pixels in uint8 masks"""


def batch_size(batch: Batch) -> int:
    """Return the number of examples in a batch."""
    return next(iter(batch.values())).shape[0]  # len() of a tensor takes five times as long


def called(names: Sequence[str] | None, index: int) -> str:
    """Return the name of a class, or its index if the data set has no names."""
    return names[index] if names else str(index)


def above_zero(levels: Sequence[float]) -> float:
    """Return the offset that makes all rating levels positive, since 0 marks a missing rating in a table.

    It moves the lowest level to 1; it is 0 if all levels are positive anyway.
    """
    return max(0.0, 1.0 - levels[0]) if levels[0] <= 0 else 0.0


def first_words(text: str, most: int = 60) -> str:
    """Shorten a text to one line of at most `most` characters, plus an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most] + "…"
