"""Where a plane of codes is empty."""

import torch
from torch import Tensor

WITHIN = 0.98


def spacing(codes: Tensor) -> float:
    """Return the distance within which 98 % of codes (N, D) have another code.

    Random codes of the same distribution lie farther from all of these codes in about 2 % of cases, others more often.
    """
    distances = far(codes, codes).fill_diagonal_(torch.inf)
    return float(distances.amin(1).quantile(WITHIN))


def share_in_holes(drawn: Tensor, codes: Tensor, within: float) -> float:
    """Return the share of random codes (M, D) that have none of the codes (N, D) within a distance."""
    return float((far(drawn, codes).amin(1) > within).double().mean())


def far(ones: Tensor, others: Tensor) -> Tensor:
    """Return the distances (M, N) of points (M, D) and (N, D), without rounding errors of close ones."""
    return torch.cdist(ones, others, compute_mode="donot_use_mm_for_euclid_dist")
