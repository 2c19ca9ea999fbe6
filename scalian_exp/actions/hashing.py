"""Codes as bits: how they are made, and what lies within a Hamming radius of a query."""

from typing import Any

import numpy as np
import torch
from rich.table import Table

from scalian_exp.actions.representations import Split
from scalian_exp.commandline.terminal import display
from scalian_exp.metrics.retrieval import within_radius
from scalian_exp.tasks.capabilities import HasBits
from scalian_exp.tasks.offers import offers

RADII = (0, 1, 2, 4, 8, 16, 32)
"""Hamming distances within which neighbours are counted."""


def as_bits(network: Any, train: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return codes (N, D) as bits, 0 or 1 in single precision.

    They are the network's own, if it has any; otherwise a bit says whether a number is above its median over the
    training codes `train` (M, D).
    """
    if offers(network, HasBits):
        return network.bits(torch.from_numpy(codes)).numpy().astype(np.float32)
    return (codes > np.median(train, 0)).astype(np.float32)


def radius_table(network: Any, train: Split, test: Split) -> dict[str, float]:
    """Print what lies within each Hamming radius of the test codes, and return the numbers by name.

    Nothing is printed of a network whose codes aren't made for bits.
    """
    if not offers(network, HasBits) or train.labels is None or test.labels is None:
        return {}
    examples, queries = (as_bits(network, train.codes, split.codes) for split in (train, test))
    title = f"training examples within a Hamming radius of {len(queries)} test queries"
    table = Table("radius", "found", "precision", "recall", "none found", title=title)
    values: dict[str, float] = {}
    for radius in [r for r in RADII if r < examples.shape[1]]:
        ball = within_radius(examples, queries, train.labels, test.labels, radius)
        shares = [f"{100 * share:.1f} %" for share in (ball.precision, ball.recall, ball.none)]
        table.add_row(str(radius), f"{ball.found:.1f}", *shares)
        values |= {f"radius_{radius}/{name}": value for name, value in ball._asdict().items()}
    display(table)
    return values
