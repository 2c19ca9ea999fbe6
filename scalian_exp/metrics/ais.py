"""The partition function of a restricted Boltzmann machine: estimated, or enumerated where it is small.

Salakhutdinov & Murray 2008, "On the quantitative analysis of deep belief networks", section 4; Neal 2001. From both
sides: Grosse, Ghahramani & Adams 2015, "Sandwiching the marginal likelihood using bidirectional Monte Carlo".
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
from scalian_exp.ranges import NonNegativeInt, PositiveInt

ENUMERABLE = 20
"""hidden units whose 2^20 states are summed over one by one"""


class LogPartition(NamedTuple):
    """What is known of log Z; every field is a scalar tensor."""

    value: Tensor
    """log Z, in nats: log p(v) = −F(v) − log Z"""
    low: Tensor
    """log Z is above this, but in about one of 700 cases"""
    high: Tensor
    """log Z is below this, as far as the runs can tell; infinite where they tell nothing"""
    effective_runs: Tensor
    """of the forward runs of annealed importance sampling, (Σw)² / Σw²; infinite where the value is exact"""
    reverse: Tensor
    """log Z by the reverse runs: too high on average where `value` is too low; NaN without such runs"""
    reverse_effective_runs: Tensor
    """of the reverse runs; NaN without them"""
    reliable: Tensor
    """bool: enough effective runs, and no reverse runs that contradict; these may be few if they give more"""

    @property
    def kind(self) -> Literal["exact", "ais"]:
        return "exact" if bool(self.effective_runs.isinf()) else "ais"

    def worth(self) -> dict[str, Tensor]:
        """What to log of an estimate beside its value; nothing of an exact one."""
        if self.kind == "exact":
            return {}
        found = {"ais_effective_runs": self.effective_runs, "ais_reliable": self.reliable.float()}
        if bool(self.reverse.isnan()):
            return found
        return found | {
            "log_partition_reverse": self.reverse,
            "ais_reverse_effective_runs": self.reverse_effective_runs,
        }

    def interval(self, name: str, log_likelihood: Tensor) -> dict[str, Tensor]:
        """A log-likelihood, −F − log Z, by its name and, where log Z is an estimate, the ends of its interval."""
        found = {name: log_likelihood}
        if self.kind == "exact":
            return found
        low, high = log_likelihood + self.value - self.high, log_likelihood + self.value - self.low
        return found | {f"{name}_low": low, f"{name}_high": high}


class LogMean(NamedTuple):
    """The logarithm of a mean of positive random numbers."""

    value: Tensor
    arm: Tensor
    """how far the logarithm of the expectation may lie to either side, in nats; infinite where that isn't known"""
    effective: Tensor
    """how many equal numbers would give a mean as certain, (Σw)² / Σw²"""


def log_mean(log_weights: Tensor) -> LogMean:
    """The logarithm of the mean of exp(log_weights), (N,).

    Its interval is Salakhutdinov & Murray's, log(mean ± 3 standard errors), with the longer arm, −log(1 − 3 relative
    standard errors), on both sides: weights are skewed, so that a mean which missed the large ones is too low, and its
    standard error too small.
    """
    largest = log_weights.max()
    weights = (log_weights - largest).exp()
    error = weights.std() / weights.mean() / math.sqrt(len(weights))
    arm = -torch.log((1 - 3 * error).clamp_min(0))
    return LogMean(largest + weights.mean().log(), arm, weights.sum().square() / weights.square().sum())


class AnnealedImportanceSampling:
    """Z by runs from the base-rate model, whose visible units are independent and have the data's mean, to the RBM, and
    by runs from the RBM back to the base-rate model.

    The forward estimate of Z is unbiased, so that of log Z is too low on average (Jensen's inequality) and likelihoods
    look too good. The reverse estimate of 1/Z is unbiased if its runs start at exact samples of the RBM; then that of
    log Z is too high on average, and the truth lies between the two. The samples here are approximate: states of Gibbs
    chains that start at data. Where the chains don't reach all that the RBM generates, the reverse estimate is no upper
    bound, not even on average, and can be below the forward one.

    Args:
        runs: independent ones, side by side, in each direction.
        steps: inverse temperatures from 0 to 0.5, to 0.9, and to 1; the paper's are 500, 4,000 and 10,000.
        gibbs_steps: of the chains that start at data, before a reverse run begins.
    """

    def __init__(
        self,
        runs: PositiveInt = 100,
        steps: Sequence[PositiveInt] = (500, 4000, 10000),
        gibbs_steps: NonNegativeInt = 1000,
    ):
        if runs < 2:
            raise ValueError("runs=1 gives no standard error: take 2 or more, better 100.")
        if len(steps) != 3:
            raise ValueError(f"steps={list(steps)} must be three numbers: of temperatures to 0.5, to 0.9 and to 1.")
        self.runs, self.steps, self.gibbs_steps = runs, steps, gibbs_steps

    def temperatures(self) -> list[float]:
        """The inverse ones, from 0 to 1."""
        ends = ((0.0, 0.5), (0.5, 0.9), (0.9, 1.0))
        parts = [torch.linspace(a, b, n + 1).double()[1:] for (a, b), n in zip(ends, self.steps, strict=True)]
        return [0.0, *torch.cat(parts).tolist()]

    @torch.no_grad()
    def __call__(self, centred: RBM, data: Tensor | None = None) -> LogPartition:
        """Estimate log Z.

        Args:
            data: visible states (N, visible) where the chains of the reverse runs start, repeated if they are too few;
                without any there are no reverse runs, which take as long as the forward ones.
        """
        rbm, betas = centred.plain(), self.temperatures()
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
        backward = log_mean(anneal(rbm, samples, betas[::-1]))  # of base's Z / Z
        reverse = of_base - backward.value
        known, arm = backward.effective >= RELIABLE, backward.arm.clamp_max(FARTHEST)
        contradicted = ((reverse - value).abs() > forward.arm + arm) & (known | (reverse > value))
        # below the forward estimate, reverse runs show that their chains missed some of what the RBM generates
        useless = (enough & ~known & ~contradicted) | (reverse + arm < value)
        both = torch.where(high.isinf(), reverse + arm, torch.maximum(high, reverse + arm))
        high, reliable = torch.where(useless, high, both), enough & ~contradicted
        return LogPartition(value, low, high, forward.effective, reverse, backward.effective, reliable)


@torch.no_grad()
def anneal(rbm: RBM, v: Tensor, betas: Sequence[float]) -> Tensor:
    """Log weights (N,), float64, of runs that start at v, (N, visible), samples at the first inverse temperature: the
    mean weight is Z at the last one over Z at the first.

    p_β(v) ∝ exp(x_β·v − base(v) + A(β(c + Wv))) with x_β = (1−β)·base rates + β·b (the paper's eqs 15–18); the RBM is
    one without offsets.
    """
    rates = rbm.visible.bias(rbm.visible_mean)
    log_weights = torch.zeros(len(v), dtype=torch.float64, device=v.device)
    for here, there in pairwise(betas):
        x = rbm.hidden_input(v)
        change = rbm.hidden.cumulant(there * x) - rbm.hidden.cumulant(here * x)
        log_weights += (there - here) * (v @ (rbm.visible_bias - rates)) + change
        h = rbm.hidden.sample(there * x)
        v = rbm.visible.sample((1 - there) * rates + there * rbm.visible_input(h))
    return log_weights


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
    nothing = torch.full_like(value, torch.nan)
    return LogPartition(value, value, value, torch.full_like(value, math.inf), nothing, nothing, nothing.isnan())


def log_partition(rbm: RBM, estimate: AnnealedImportanceSampling, data: Tensor | None = None) -> LogPartition:
    """log Z: exact where the hidden units are binary and at most 20, else estimated; reverse runs start at data."""
    enumerable = len(rbm.hidden_bias) <= ENUMERABLE and isinstance(rbm.hidden, Bernoulli)
    return exact_log_partition(rbm) if enumerable else estimate(rbm, data)
