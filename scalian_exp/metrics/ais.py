"""Partition function of a restricted Boltzmann machine: estimated, or enumerated if it is small.

Salakhutdinov & Murray 2008, "On the quantitative analysis of deep belief networks", section 4; Neal 2001. Bounds from
both sides: Grosse, Ghahramani & Adams 2015, "Sandwiching the marginal likelihood using bidirectional Monte Carlo".
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from scalian_exp.metrics.reliability import FARTHEST, RELIABLE
from scalian_exp.networks.rbm import RBM
from scalian_exp.networks.units import Bernoulli
from scalian_exp.precision import widened
from scalian_exp.ranges import NonNegativeInt, PositiveInt

ENUMERABLE = 20
"""largest number of hidden units whose states, 2^20, are summed over one by one"""


class LogPartition(NamedTuple):
    """Value of log Z, exact or estimated, with its uncertainty; every field is a scalar tensor."""

    value: Tensor
    """log Z, in nats: log p(v) = −F(v) − log Z"""
    low: Tensor
    """lower bound of log Z, except in about one of 700 cases"""
    high: Tensor
    """upper bound of log Z, as far as the runs can show; infinite where they show nothing"""
    effective_runs: Tensor
    """effective number of forward runs of annealed importance sampling, (Σw)² / Σw²; infinite if the value is exact"""
    reverse: Tensor
    """estimate of log Z from the reverse runs: too high on average where `value` is too low; NaN without such runs"""
    reverse_effective_runs: Tensor
    """effective number of reverse runs; NaN without them"""
    reliable: Tensor
    """bool: enough effective runs, and reverse runs don't contradict; even few of them do if they give much more"""

    @property
    def kind(self) -> Literal["exact", "ais"]:
        """Whether the value is exact or an estimate by annealed importance sampling."""
        return "exact" if bool(self.effective_runs.isinf()) else "ais"

    def quality(self) -> dict[str, Tensor]:
        """Return what to log about the quality of an estimate; nothing if the value is exact."""
        if self.kind == "exact":
            return {}
        forward = {"ais_effective_runs": self.effective_runs, "ais_reliable": self.reliable.float()}
        if bool(self.reverse.isnan()):
            return forward
        return forward | {
            "log_partition_reverse": self.reverse,
            "ais_reverse_effective_runs": self.reverse_effective_runs,
        }

    def interval(self, name: str, log_likelihood: Tensor) -> dict[str, Tensor]:
        """Return a log-likelihood, −F − log Z, under its name and, if log Z is estimated, the ends of its interval."""
        values = {name: log_likelihood}
        if self.kind == "exact":
            return values
        low, high = log_likelihood + self.value - self.high, log_likelihood + self.value - self.low
        return values | {f"{name}_low": low, f"{name}_high": high}


class LogMean(NamedTuple):
    """Logarithm of a mean of positive random numbers, with its uncertainty."""

    value: Tensor
    arm: Tensor
    """how far the logarithm of the expectation may lie on either side, in nats; infinite if unknown"""
    effective: Tensor
    """number of equal values whose mean would be as certain, (Σw)² / Σw²"""


def log_mean(log_weights: Tensor) -> LogMean:
    """Return the logarithm of the mean of exp(log_weights), (N,), with its uncertainty.

    Its interval is Salakhutdinov & Murray's, log(mean ± 3 standard errors), with the longer arm, −log(1 − 3 relative
    standard errors), on both sides: weights are skewed, so a mean that missed the large ones is too low, and its
    standard error too small.
    """
    largest = log_weights.max()
    weights = (log_weights - largest).exp()
    error = weights.std() / weights.mean() / math.sqrt(len(weights))
    arm = -torch.log((1 - 3 * error).clamp_min(0))
    return LogMean(largest + weights.mean().log(), arm, weights.sum().square() / weights.square().sum())


class AnnealedImportanceSampling:
    """Estimator of Z by annealed runs from the base-rate model to the RBM, and back.

    The base-rate model has independent visible units with the data's mean. The forward estimate of Z is unbiased, so
    that of log Z is too low on average (Jensen's inequality) and likelihoods look too good. The reverse estimate of 1/Z
    is unbiased if its runs start at exact samples of the RBM; the estimate of log Z is then too high on average, and
    the truth lies between the two. The samples here are approximate: states of Gibbs chains that start at data. If the
    chains don't reach everything that the RBM generates, the reverse estimate is not an upper bound, not even on
    average, and can be below the forward one.

    Args:
        runs: number of independent runs, side by side, in each direction.
        steps: numbers of inverse temperatures from 0 to 0.5, to 0.9, and to 1; the paper's are 500, 4,000 and 10,000.
        gibbs_steps: length of the chains that start at data, before a reverse run begins.
    """

    def __init__(
        self,
        runs: PositiveInt = 100,
        steps: Sequence[PositiveInt] = (500, 4000, 10000),
        gibbs_steps: NonNegativeInt = 1000,
    ):
        if runs < 2:
            raise ValueError("runs=1 gives no standard error; use at least 2, better 100.")
        if len(steps) != 3:
            raise ValueError(f"steps={list(steps)} must be three numbers of temperatures: to 0.5, to 0.9 and to 1.")
        self.runs, self.steps, self.gibbs_steps = runs, steps, gibbs_steps

    def temperatures(self) -> list[float]:
        """Return the inverse temperatures, from 0 to 1."""
        ends = ((0.0, 0.5), (0.5, 0.9), (0.9, 1.0))
        parts = [torch.linspace(a, b, n + 1)[1:] for (a, b), n in zip(ends, self.steps, strict=True)]
        return [0.0, *torch.cat(parts).tolist()]

    @torch.no_grad()
    def __call__(self, centred: RBM, data: Tensor | None = None) -> LogPartition:
        """Estimate log Z of an RBM, which may be centred.

        Args:
            centred: the RBM.
            data: visible states (N, visible) where the chains of the reverse runs start, repeated if they are too few;
                without them there are no reverse runs, which take as long as the forward ones.
        """
        rbm, betas = centred.uncentred(), self.temperatures()
        rates = rbm.visible.bias(rbm.visible_mean)
        of_base = rbm.visible.cumulant(rates) + rbm.hidden.cumulant(torch.zeros_like(rbm.hidden_bias))
        of_base = of_base + of_offsets(centred, rbm)
        forward = log_mean(anneal(rbm, rbm.visible.sample(rates.expand(self.runs, -1)), betas))
        value, enough = of_base + forward.value, forward.effective >= RELIABLE
        low, high = value - forward.arm.clamp_max(FARTHEST), value + forward.arm
        if data is None:
            nothing = torch.full_like(value, torch.nan)
            return LogPartition(value, low, high, forward.effective, nothing, nothing, enough)
        rows = torch.arange(self.runs, device=data.device) % len(data)
        samples = rbm.gibbs(data[rows].to(rbm.weight), self.gibbs_steps)
        backward = log_mean(anneal(rbm, samples, betas[::-1]))  # estimates the base-rate model's Z / Z
        reverse = of_base - backward.value
        known, arm = backward.effective >= RELIABLE, backward.arm.clamp_max(FARTHEST)
        contradicted = ((reverse - value).abs() > forward.arm + arm) & (known | (reverse > value))
        # A reverse estimate below the forward one shows that its chains missed some of what the RBM generates.
        useless = (enough & ~known & ~contradicted) | (reverse + arm < value)
        both = torch.where(high.isinf(), reverse + arm, torch.maximum(high, reverse + arm))
        high, reliable = torch.where(useless, high, both), enough & ~contradicted
        return LogPartition(value, low, high, forward.effective, reverse, backward.effective, reliable)


@torch.no_grad()
def anneal(rbm: RBM, v: Tensor, betas: Sequence[float]) -> Tensor:
    """Run annealed importance sampling from v (N, visible), and return log weights (N,) as exact as the device allows.

    v are samples at the first inverse temperature. The mean weight estimates Z at the last temperature over Z at the
    first.

    p_β(v) ∝ exp(x_β·v − base(v) + A(β(c + Wv))) with x_β = (1−β)·base rates + β·b (the paper's eqs 15–18); the RBM has
    no offsets.
    """
    rates = rbm.visible.bias(rbm.visible_mean)
    log_weights = widened(v.new_zeros(len(v)))
    for beta, following in pairwise(betas):
        x = rbm.hidden_input(v)
        change = rbm.hidden.cumulant(following * x) - rbm.hidden.cumulant(beta * x)
        log_weights += (following - beta) * (v @ (rbm.visible_bias - rates)) + change
        h = rbm.hidden.sample(following * x)
        v = rbm.visible.sample((1 - following) * rates + following * rbm.visible_input(h))
    return log_weights


def of_offsets(centred: RBM, plain: RBM) -> Tensor:
    """Return what offsets add to log Z: the constant by which free energies of the same distribution differ.

    It is −μ·b − λ·(c − Wμ), and c − Wμ is the hidden bias of the machine without offsets, in whose precision it is.
    """
    of_visible, of_hidden, bias = (
        each.to(plain.weight) for each in (centred.visible_offset, centred.hidden_offset, centred.visible_bias)
    )
    return -(of_visible @ bias) - of_hidden @ plain.hidden_bias


@torch.no_grad()
def exact_log_partition(centred: RBM) -> LogPartition:
    """Compute log Z by summing over all 2^hidden states of binary hidden units."""
    rbm = centred.uncentred().to(widened(centred.weight))
    size = len(rbm.hidden_bias)
    parts = []
    for numbers in torch.arange(2**size, device=rbm.weight.device).split(2**12):
        states = (numbers.unsqueeze(1) >> torch.arange(size, device=numbers.device) & 1).to(rbm.weight)
        parts.append(torch.logsumexp(states @ rbm.hidden_bias + rbm.visible.cumulant(rbm.visible_input(states)), 0))
    value = torch.logsumexp(torch.stack(parts), 0) + of_offsets(centred, rbm)
    nothing = torch.full_like(value, torch.nan)
    return LogPartition(value, value, value, torch.full_like(value, math.inf), nothing, nothing, nothing.isnan())


def log_partition(rbm: RBM, estimate: AnnealedImportanceSampling, data: Tensor | None = None) -> LogPartition:
    """Return log Z: exact if the hidden units are binary and at most 20, else estimated.

    Args:
        rbm: the machine.
        estimate: the estimator.
        data: visible states (N, visible) where reverse runs start.
    """
    enumerable = len(rbm.hidden_bias) <= ENUMERABLE and isinstance(rbm.hidden, Bernoulli)
    return exact_log_partition(rbm) if enumerable else estimate(rbm, data)
