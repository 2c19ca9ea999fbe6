"""Metrics of networks whose codes are made to be kept as bits."""

from typing import Any

from torch import Tensor

from scalian_exp.metrics.latents import bimodality
from scalian_exp.tasks.capabilities import HasBits
from scalian_exp.tasks.offers import offers


def bits_logs(network: Any, x: Tensor) -> dict[str, Tensor]:
    """Return how many numbers of the codes of inputs x are near 0 or 1; nothing of a network without bits."""
    return {"bimodality": bimodality(network.encode(x))} if offers(network, HasBits) else {}
