"""Learning rate schedules at known points."""

import pytest

from scalian_exp.schedules import Cosine, Exponential, Polynomial, WarmupCosine


def test_cosine() -> None:
    assert [Cosine()(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.0])
    assert Cosine(final=0.1)(1.0) == pytest.approx(0.1)


def test_polynomial() -> None:
    assert [Polynomial(1.0)(p) for p in (0.0, 0.25, 1.0)] == pytest.approx([1.0, 0.75, 0.0])
    assert Polynomial(0.9)(0.5) == pytest.approx(0.5**0.9)


def test_exponential() -> None:
    """After a tenth of 750 epochs, each of 75 epochs has reduced the learning rate by half a per cent."""
    assert Exponential(0.995**750)(0.1) == pytest.approx(0.995**75)


def test_warmup_rises_to_one_and_then_falls_as_half_a_cosine() -> None:
    schedule = WarmupCosine(warmup=0.2, final=0.1)
    assert [schedule(p) for p in (0.1, 0.2, 0.6, 1.0)] == pytest.approx([0.5, 1.0, 0.55, 0.1])
    assert 0 < schedule(0.0) < 0.01
    assert [WarmupCosine(warmup)(1.0) for warmup in (0.0, 0.5, 1.0)] == [0.0, 0.0, 1.0]
    assert WarmupCosine(0.0)(0.5) == pytest.approx(0.5)
