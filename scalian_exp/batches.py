"""The batch contract: what the numbers in a batch mean, for datasets and networks alike."""

from collections.abc import Sequence


def above_zero(levels: Sequence[float]) -> float:
    """What is added to all ratings of a table, where 0 means that there is none: so much that the lowest level is 1, or
    nothing if all are above 0 anyway."""
    return max(0.0, 1.0 - levels[0]) if levels[0] <= 0 else 0.0
