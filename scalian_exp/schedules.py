"""Schedules map the progress of a training, from 0 to 1, to a factor of the learning rate or another number.

A schedule knows neither steps nor epochs, so it fits a training of any length.
"""

import math

from scalian_exp.ranges import Fraction, NonNegativeFloat, PositiveFloat


class Cosine:
    """Decay from 1 to `final` along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts)."""

    def __init__(self, final: Fraction = 0.0):
        self.final = final

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress in [0, 1]."""
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


class Polynomial:
    """Decay as (1 − progress)^power, from 1 to 0: power 1 is linear, 0.9 is the power of DeepLab."""

    def __init__(self, power: PositiveFloat = 0.9):
        self.power = power

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress in [0, 1]."""
        return (1 - progress) ** self.power


class Exponential:
    """Decay as final^progress, by the same factor at every step: 0.995 an epoch is final=0.995^epochs."""

    def __init__(self, final: PositiveFloat):
        self.final = final

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress in [0, 1]."""
        return float(self.final**progress)


class WarmupCosine:
    """A linear rise from near 0 to 1 over a share `warmup` of the training, then half a cosine down to `final`.

    Goyal et al. 2017, arXiv:1706.02677 (the rise); Loshchilov & Hutter 2017, arXiv:1608.03983 (the fall). The rise
    starts at a thousandth: with a factor of 0 the first step would be lost.
    """

    def __init__(self, warmup: Fraction = 0.05, final: Fraction = 0.0):
        self.warmup, self.fall = warmup, Cosine(final)

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress in [0, 1]."""
        if progress < self.warmup:
            return max(progress / self.warmup, 1e-3)
        return self.fall((progress - self.warmup) / (1 - self.warmup) if self.warmup < 1 else 0.0)


class Switch:
    """Step from one value to another at a point of the training, as the momentum in Hinton 2010, section 9."""

    def __init__(self, before: NonNegativeFloat, after: NonNegativeFloat, at: Fraction):
        self.before, self.after, self.at = before, after, at

    def __call__(self, progress: float) -> float:
        """Return the value at a progress in [0, 1]."""
        return self.after if progress >= self.at else self.before
