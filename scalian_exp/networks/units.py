"""Kinds of units of a Boltzmann machine. A new kind is a class like these.

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


class Units(ABC):
    """A layer's units. Inputs and states are (…, D)."""

    standardised: ClassVar[bool] = False
    """as visible units they see data of mean 0 and variance 1"""

    @abstractmethod
    def mean(self, x: Tensor) -> Tensor:
        """Mean states given the total inputs."""

    @abstractmethod
    def sample(self, x: Tensor) -> Tensor:
        """States drawn given the total inputs."""

    @abstractmethod
    def cumulant(self, x: Tensor) -> Tensor:
        """Log normaliser, summed over the layer: (…,)."""

    @abstractmethod
    def bias(self, mean: Tensor) -> Tensor:
        """The input that gives a unit this mean: the inverse of `mean`, for means that data had."""

    def base(self, states: Tensor) -> Tensor:
        """What a state's energy holds besides its input, summed over the layer: (…,)."""
        return states.new_zeros(states.shape[:-1])


class Bernoulli(Units):
    """0 or 1."""

    def mean(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    def sample(self, x: Tensor) -> Tensor:
        return bernoulli(torch.sigmoid(x))

    def cumulant(self, x: Tensor) -> Tensor:
        return F.softplus(x.to(torch.promote_types(x.dtype, torch.float32))).sum(-1)

    def bias(self, mean: Tensor) -> Tensor:
        """log(p/(1−p)) (Hinton 2010, section 8.1), p kept within [0.001, 0.999]."""
        return torch.logit(mean.clamp(0.001, 0.999))


class Gaussian(Units):
    """Real numbers of variance 1."""

    standardised = True

    def mean(self, x: Tensor) -> Tensor:
        return x

    def sample(self, x: Tensor) -> Tensor:
        return normal(x)

    def cumulant(self, x: Tensor) -> Tensor:
        return 0.5 * (x.square() + math.log(2 * math.pi)).sum(-1)

    def bias(self, mean: Tensor) -> Tensor:
        return mean

    def base(self, states: Tensor) -> Tensor:
        return 0.5 * states.square().sum(-1)


class Softmax(Units):
    """Groups of `classes` units, one after the other, of which exactly one is 1."""

    def __init__(self, classes: int):
        self.classes = classes

    def mean(self, x: Tensor) -> Tensor:
        return torch.softmax(self.grouped(x), -1).flatten(-2)

    def sample(self, x: Tensor) -> Tensor:
        """By the largest of the inputs with Gumbel noise: quicker than torch.multinomial on many groups."""
        grouped = self.grouped(x)
        noisy = grouped - rows_of(exponential, grouped).log_()
        return F.one_hot(noisy.argmax(-1), self.classes).to(x.dtype).flatten(-2)

    def cumulant(self, x: Tensor) -> Tensor:
        return torch.logsumexp(self.grouped(x), -1).sum(-1)

    def bias(self, mean: Tensor) -> Tensor:
        return mean.clamp(min=0.001).log()

    def grouped(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.classes))


class Joined(Units):
    """Two kinds side by side in one layer: the first `size` units, and the others."""

    def __init__(self, first: Units, size: int, second: Units):
        self.first, self.size, self.second = first, size, second

    def mean(self, x: Tensor) -> Tensor:
        return torch.cat([self.first.mean(x[..., : self.size]), self.second.mean(x[..., self.size :])], -1)

    def sample(self, x: Tensor) -> Tensor:
        return torch.cat([self.first.sample(x[..., : self.size]), self.second.sample(x[..., self.size :])], -1)

    def cumulant(self, x: Tensor) -> Tensor:
        return self.first.cumulant(x[..., : self.size]) + self.second.cumulant(x[..., self.size :])

    def bias(self, mean: Tensor) -> Tensor:
        return torch.cat([self.first.bias(mean[..., : self.size]), self.second.bias(mean[..., self.size :])], -1)

    def base(self, states: Tensor) -> Tensor:
        return self.first.base(states[..., : self.size]) + self.second.base(states[..., self.size :])
