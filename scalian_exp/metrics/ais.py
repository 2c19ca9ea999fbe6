"""The partition function of a restricted Boltzmann machine: estimated, or enumerated where it is small.

Salakhutdinov & Murray 2008, "On the quantitative analysis of deep belief networks", section 4; Neal 2001.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from scalian_exp.networks.rbm import RBM
from scalian_exp.ranges import PositiveInt

ENUMERABLE = 20
"""hidden units whose 2^20 states are summed over one by one"""


class LogPartition(NamedTuple):
    value: Tensor
    """log Z, in nats: log p(v) = −F(v) − log Z"""
    standard_error: Tensor
    """of the value; 0 where it is exact"""
    effective_runs: Tensor
    """of the runs of annealed importance sampling: (Σw)² / Σw²; infinite where it is exact"""


class AnnealedImportanceSampling:
    """Z by runs from the base-rate model, whose visible units are independent and have the data's mean, to the RBM.

    The estimate of Z is unbiased, so that of log Z is too low on average and likelihoods look too good: the less
    `effective_runs`, the more.

    Args:
        runs: independent ones, side by side.
        steps: inverse temperatures from 0 to 0.5, to 0.9, and to 1; the paper's are 500, 4,000 and 10,000.
    """

    def __init__(self, runs: PositiveInt = 100, steps: Sequence[PositiveInt] = (500, 4000, 10000)):
        if runs < 2:
            raise ValueError("runs=1 gives no standard error: take 2 or more, better 100.")
        if len(steps) != 3:
            raise ValueError(f"steps={list(steps)} must be three numbers: of temperatures to 0.5, to 0.9 and to 1.")
        self.runs, self.steps = runs, steps

    def temperatures(self) -> Tensor:
        """Inverse ones, from 0 to 1, (T,), in double precision."""
        ends = ((0.0, 0.5), (0.5, 0.9), (0.9, 1.0))
        parts = [torch.linspace(a, b, n + 1).double()[1:] for (a, b), n in zip(ends, self.steps, strict=True)]
        return torch.cat([torch.zeros(1).double(), *parts])

    @torch.no_grad()
    def __call__(self, centred: RBM) -> LogPartition:
        """p_β(v) ∝ exp(x_β·v − base(v) + A(β(c + Wv))) with x_β = (1−β)·base rates + β·b (the paper's eqs 15–18)."""
        rbm = centred.plain()
        rates = rbm.visible.bias(rbm.visible_mean)
        v = rbm.visible.sample(rates.expand(self.runs, -1))
        log_weights = torch.zeros(self.runs, dtype=torch.float64, device=v.device)
        betas = self.temperatures().tolist()
        for last, beta in pairwise(betas):
            x = rbm.hidden_input(v)
            warmer, colder = rbm.hidden.cumulant(last * x), rbm.hidden.cumulant(beta * x)
            log_weights += (beta - last) * (v @ (rbm.visible_bias - rates)) + colder - warmer
            h = rbm.hidden.sample(beta * x)
            v = rbm.visible.sample((1 - beta) * rates + beta * rbm.visible_input(h))
        base = rbm.visible.cumulant(rates) + rbm.hidden.cumulant(torch.zeros_like(rbm.hidden_bias))
        largest = log_weights.max()
        weights = (log_weights - largest).exp()
        value = base + largest + weights.mean().log() + of_offsets(centred, rbm)
        error = weights.std() / weights.mean() / math.sqrt(self.runs)
        return LogPartition(value, error, weights.sum().square() / weights.square().sum())


def of_offsets(centred: RBM, plain: RBM) -> Tensor:
    """What offsets add to log Z: the constant by which free energies of the same distribution differ."""
    nothing = torch.zeros_like(centred.visible_bias)
    return plain.free_energy(nothing.to(plain.weight)) - centred.free_energy(nothing)


@torch.no_grad()
def exact_log_partition(centred: RBM) -> LogPartition:
    """log Z by the sum over all 2^hidden states of binary hidden units."""
    rbm = centred.plain().double()
    size = len(rbm.hidden_bias)
    parts = []
    for numbers in torch.arange(2**size, device=rbm.weight.device).split(2**12):
        states = (numbers.unsqueeze(1) >> torch.arange(size, device=numbers.device) & 1).double()
        parts.append(torch.logsumexp(states @ rbm.hidden_bias + rbm.visible.cumulant(rbm.visible_input(states)), 0))
    value = torch.logsumexp(torch.stack(parts), 0) + of_offsets(centred, rbm)
    return LogPartition(value, torch.zeros_like(value), torch.full_like(value, math.inf))
