"""Schedules: progress of the training, 0 to 1 → factor of the learning rate, or another number.

A schedule knows neither steps nor epochs, so it fits a run of any length.
"""

import math

from scalian_exp.ranges import Fraction, NonNegativeFloat, PositiveFloat


class Cosine:
    """From 1 down to `final` along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts)."""

    def __init__(self, final: Fraction = 0.0):
        self.final = final

    def __call__(self, progress: float) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


class Polynomial:
    """(1 − progress)^power: power 1 falls linearly, 0.9 is DeepLab's."""

    def __init__(self, power: PositiveFloat = 0.9):
        self.power = power

    def __call__(self, progress: float) -> float:
        return (1 - progress) ** self.power


class Exponential:
    """final^progress: the same factor at every step, `final` in the end. 0.995 an epoch is final=0.995^epochs."""

    def __init__(self, final: PositiveFloat):
        self.final = final

    def __call__(self, progress: float) -> float:
        return float(self.final**progress)


class Switch:
    """One value, and from a point of the training on another: the momentum of Hinton 2010, section 9."""

    def __init__(self, before: NonNegativeFloat, after: NonNegativeFloat, at: Fraction):
        self.before, self.after, self.at = before, after, at

    def __call__(self, progress: float) -> float:
        return self.after if progress >= self.at else self.before
