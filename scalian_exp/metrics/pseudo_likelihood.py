"""Pseudo-likelihood: a cheap curve that rises while a Boltzmann machine learns."""

import torch
import torch.nn.functional as F
from torch import Tensor

from scalian_exp.networks.rbm import RBM


def pseudo_likelihood(rbm: RBM, v: Tensor) -> Tensor:
    """Estimate the pseudo-log-likelihood of binary states (B, visible): (B,), in nats.

    It is D · log p(v_i | all others) for one unit i drawn at random for each example, on average the sum over all
    units.
    """
    flipped = v.clone()
    unit = torch.randint(v.shape[1], (len(v), 1), device=v.device)
    flipped.scatter_(1, unit, 1 - v.gather(1, unit))
    return -v.shape[1] * F.softplus(rbm.free_energy(v) - rbm.free_energy(flipped))
