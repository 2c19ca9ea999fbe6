"""How often pairs of pixels are on together, and how well two samples agree in it."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

BINS = 48
"""cells of a density along each axis"""


def frequencies(states: Tensor) -> Tensor:
    """Return how often each pair of pixels is on together, (D, D), in states (N, D); on the diagonal each alone."""
    states = states.double()
    return states.T @ states / len(states)


def covariances(pairs: Tensor) -> Tensor:
    """Return the covariances (D, D) of pixels: how much more often pairs are on together than by chance."""
    alone = pairs.diagonal()
    return pairs - alone[:, None] * alone


def apart(pairs: Tensor) -> Tensor:
    """Return the entries of a symmetric matrix (D, D) for pairs of different pixels, each pair once."""
    rows, columns = torch.triu_indices(len(pairs), len(pairs), offset=1)
    return pairs[rows, columns]


def agreement(data: Tensor, model: Tensor) -> dict[str, float | None]:
    """Compare frequencies (D, D) of pairs of pixels.

    `difference` is the mean absolute difference over pairs of different pixels, `correlation` that of the frequencies,
    and `covariance_correlation` that of the covariances; None where one side doesn't vary.
    """
    return {
        "difference": float((apart(data) - apart(model)).abs().mean()),
        "correlation": correlation(apart(data), apart(model)),
        "covariance_correlation": correlation(apart(covariances(data)), apart(covariances(model))),
    }


def correlation(ones: Tensor, others: Tensor) -> float | None:
    """Return the correlation of numbers (N,) and (N,); None if one side doesn't vary."""
    value = torch.corrcoef(torch.stack([ones, others]))[0, 1]
    return float(value) if value.isfinite() else None


def density(data: Tensor, model: Tensor, most: float = 1.0) -> Tensor:
    """Return how many pairs have which frequencies, (BINS, BINS): data along columns, the model up the rows, 0 … 255.

    Numbers are logarithmic, the highest frequency in the first row.

    Args:
        data: frequencies (D, D) of pairs.
        model: likewise.
        most: the frequency at the ends of both axes.
    """
    columns, rows = ((apart(pairs) / most * BINS).long().clamp(max=BINS - 1) for pairs in (data, model))
    counts = torch.bincount((BINS - 1 - rows) * BINS + columns, minlength=BINS * BINS).double().log1p()
    return (255 * counts / counts.max()).round().view(BINS, BINS)


def highest(frequencies_of_all: Iterable[Tensor]) -> float:
    """Return the highest frequency of a pair of different pixels, rounded up to a tenth, at least 0.1."""
    most = max(float(apart(pairs).max()) for pairs in frequencies_of_all)
    return max(1, math.ceil(10 * most - 1e-9)) / 10


def telling(data: Tensor) -> int:
    """Return the pixel whose state tells most of the others': the sum of its absolute correlations is largest."""
    deviations = covariances(data).diagonal().clamp_min(0).sqrt()
    among = deviations > 0.5 * deviations.max()
    correlations = covariances(data) / (deviations[:, None] * deviations).clamp_min(1e-9)
    return int((correlations[:, among].abs().sum(1) * among).argmax())
