"""Kinds of units of a Boltzmann machine; a new kind is a class like these.

Each is an exponential family: given the total input x of a unit, p(u|x) ∝ exp(x·u − base(u)), and everything that a
Boltzmann machine asks for follows from its cumulant A(x) = log Σ_u exp(x·u − base(u)), whose derivative is the mean
(Welling, Rosen-Zvi & Hinton 2005, "Exponential family harmoniums").
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from scalian_exp.distributed.noise import bernoulli, exponential, normal, rows_of
from scalian_exp.precision import at_least_single


class Units(ABC):
    """Units of a layer; inputs and states are (…, D)."""

    standardised: ClassVar[bool] = False
    """whether visible units of this kind see data of mean 0 and variance 1"""

    @abstractmethod
    def mean(self, x: Tensor) -> Tensor:
        """Return the mean states given the total inputs."""

    @abstractmethod
    def sample(self, x: Tensor) -> Tensor:
        """Draw states given the total inputs."""

    def sample_given(self, x: Tensor, mean: Tensor) -> Tensor:
        """Draw states given the total inputs and the means, which may save time."""
        return self.sample(x)

    @abstractmethod
    def cumulant(self, x: Tensor) -> Tensor:
        """Return the log normaliser A(x), summed over the layer: (…,)."""

    def mean_cumulant(self, x: Tensor, mean: Tensor) -> Tensor:
        """Return the cumulant's mean over a batch of inputs (B, D), a scalar, given the means, which may save time."""
        return self.cumulant(x).mean()

    @abstractmethod
    def bias(self, mean: Tensor) -> Tensor:
        """Return the inputs that give units these means: the inverse of `mean`, for means estimated from data."""

    def base(self, states: Tensor) -> Tensor:
        """Return the part of the states' energy that doesn't depend on the input, summed over the layer: (…,)."""
        return states.new_zeros(states.shape[:-1])

    def mean_base(self, states: Tensor) -> Tensor | float:
        """Return the mean of `base` over a batch of states (B, D)."""
        return 0.0 if type(self).base is Units.base else self.base(states).mean()


class Bernoulli(Units):
    """Binary units, 0 or 1."""

    def mean(self, x: Tensor) -> Tensor:
        """Return sigmoid(x)."""
        return torch.sigmoid(x)

    def sample(self, x: Tensor) -> Tensor:
        """Draw 0 or 1 with probability sigmoid(x)."""
        return bernoulli(torch.sigmoid(x))

    def sample_given(self, x: Tensor, mean: Tensor) -> Tensor:
        """Draw 0 or 1 with probability `mean`."""
        return bernoulli(mean)

    def cumulant(self, x: Tensor) -> Tensor:
        """Return Σ log(1 + exp(x)), in at least single precision."""
        return F.softplus(at_least_single(x)).sum(-1)

    def mean_cumulant(self, x: Tensor, mean: Tensor) -> Tensor:
        """Return the mean of Σ max(x, 0) − log max(p, 1−p), in less than half the time of log(1 + exp(x)) on a CPU.

        Where exp(x) is subnormal, it takes a tenth of that time.
        """
        if torch.finfo(mean.dtype).bits < 32:
            return super().mean_cumulant(x, mean)
        room = 1 - mean  # reused below: it stays in the processor's cache
        logs = torch.maximum(mean, room, out=room).log_().sum()
        return (torch.clamp(x, min=0, out=room).sum() - logs) / len(x)

    def bias(self, mean: Tensor) -> Tensor:
        """Return log(p/(1−p)) (Hinton 2010, section 8.1), with p clipped to [0.001, 0.999]."""
        return torch.logit(mean.clamp(0.001, 0.999))


class Gaussian(Units):
    """Real-valued units of variance 1."""

    standardised = True

    def mean(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def sample(self, x: Tensor) -> Tensor:
        """Sample from N(x, 1)."""
        return normal(x)

    def cumulant(self, x: Tensor) -> Tensor:
        """Return Σ (x² + log 2π) / 2, in at least single precision."""
        return 0.5 * (at_least_single(x).square() + math.log(2 * math.pi)).sum(-1)

    def bias(self, mean: Tensor) -> Tensor:
        """Return the mean itself."""
        return mean

    def base(self, states: Tensor) -> Tensor:
        """Return Σ u² / 2, in at least single precision."""
        return 0.5 * at_least_single(states).square().sum(-1)


class Softmax(Units):
    """Groups of `classes` units in sequence, exactly one unit of each group being 1."""

    def __init__(self, classes: int):
        self.classes = classes

    def mean(self, x: Tensor) -> Tensor:
        """Return each group's softmax."""
        return torch.softmax(self.grouped(x), -1).flatten(-2)

    def sample(self, x: Tensor) -> Tensor:
        """Draw one unit of each group by adding Gumbel noise, which is faster than torch.multinomial on many groups."""
        grouped = self.grouped(x)
        noisy = grouped - rows_of(exponential, grouped).log_()
        return F.one_hot(noisy.argmax(-1), self.classes).to(x.dtype).flatten(-2)

    def cumulant(self, x: Tensor) -> Tensor:
        """Return the sum of the groups' log-sum-exp, in at least single precision."""
        return torch.logsumexp(self.grouped(at_least_single(x)), -1).sum(-1)

    def bias(self, mean: Tensor) -> Tensor:
        """Return log p, with p at least 0.001."""
        return mean.clamp(min=0.001).log()

    def grouped(self, x: Tensor) -> Tensor:
        """Split units into groups: (…, D) → (…, D / classes, classes)."""
        return x.unflatten(-1, (-1, self.classes))


class Joined(Units):
    """Two kinds of units side by side in one layer: the first `size` units, and the others."""

    def __init__(self, first: Units, size: int, second: Units):
        self.first, self.size, self.second = first, size, second

    def mean(self, x: Tensor) -> Tensor:
        """Return the mean states of both kinds."""
        return torch.cat([self.first.mean(x[..., : self.size]), self.second.mean(x[..., self.size :])], -1)

    def sample(self, x: Tensor) -> Tensor:
        """Draw states of both kinds."""
        return torch.cat([self.first.sample(x[..., : self.size]), self.second.sample(x[..., self.size :])], -1)

    def cumulant(self, x: Tensor) -> Tensor:
        """Return the sum of both kinds' log normalisers."""
        return self.first.cumulant(x[..., : self.size]) + self.second.cumulant(x[..., self.size :])

    def bias(self, mean: Tensor) -> Tensor:
        """Return the inputs that give units of both kinds these means."""
        return torch.cat([self.first.bias(mean[..., : self.size]), self.second.bias(mean[..., self.size :])], -1)

    def base(self, states: Tensor) -> Tensor:
        """Return the sum of both kinds' `base`."""
        return self.first.base(states[..., : self.size]) + self.second.base(states[..., self.size :])


def log_probability(units: Units, x: Tensor, states: Tensor) -> Tensor:
    """Return the log-probability of states (…, D) given their total inputs (…, D), summed over the layer: (…,).

    It has at least single precision: its terms are larger than their difference.
    """
    return (at_least_single(x) * states).sum(-1) - units.base(states) - units.cumulant(x)
