"""Noise follows its definition and is redrawn at each call."""

import pytest
import torch

from scalian_exp.networks.corruptions import GaussianNoise, Masking, SaltAndPepper

X = torch.full((10, 1, 50, 50), 0.6)


def test_masking_sets_a_fraction_to_zero_and_leaves_the_rest() -> None:
    y = Masking(0.3)(X)
    assert abs(float((y == 0).float().mean()) - 0.3) < 0.01
    assert torch.equal(y[y != 0], X[y != 0])


def test_salt_and_pepper_are_equally_frequent() -> None:
    y = SaltAndPepper(0.4)(X)
    assert abs(float((y == 0).float().mean()) - 0.2) < 0.01
    assert abs(float((y == 1).float().mean()) - 0.2) < 0.01
    assert abs(float((y == X).float().mean()) - 0.6) < 0.01


@pytest.mark.parametrize("level", [0.001, 0.1])
def test_low_levels_are_kept_in_16_bits(level: float) -> None:
    x = torch.full((1000, 1, 50, 50), 0.5, dtype=torch.bfloat16)
    bound = 5 * (level * (1 - level) / x.numel()) ** 0.5
    for corruption in (Masking(level), SaltAndPepper(level)):
        y = corruption(x)
        assert y.dtype == x.dtype
        assert abs(float((y != x).float().mean()) - level) < bound, corruption


def test_gaussian_noise_has_its_standard_deviation() -> None:
    difference = GaussianNoise(0.25)(X) - X
    assert abs(float(difference.std()) - 0.25) < 0.005
    assert abs(float(difference.mean())) < 0.01


def test_each_call_draws_new_noise() -> None:
    for corruption in (Masking(0.5), SaltAndPepper(0.5), GaussianNoise(0.5)):
        assert not torch.equal(corruption(X), corruption(X))
