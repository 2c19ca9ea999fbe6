"""RBM units against sums over all their states."""

import math

import pytest
import torch
from torch import Tensor

from scalian_exp.networks.units import Bernoulli, Gaussian, Joined, Softmax, Units

KINDS: list[tuple[Units, int]] = [
    (Bernoulli(), 3),
    (Gaussian(), 3),
    (Softmax(3), 6),
    (Joined(Bernoulli(), 2, Softmax(3)), 5),
]


def states_of(units: Units, size: int) -> Tensor:
    """Return all states of a small layer, (N, size); for Gaussian units, a fine grid around 0."""
    match units:
        case Bernoulli():
            return torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * size).double()
        case Softmax():
            groups = torch.cartesian_prod(*[torch.arange(units.classes)] * (size // units.classes))
            return torch.nn.functional.one_hot(groups, units.classes).flatten(1).double()
        case Joined():
            first = states_of(units.first, units.size)
            second = states_of(units.second, size - units.size)
            pairs = torch.cartesian_prod(torch.arange(len(first)), torch.arange(len(second)))
            return torch.cat([first[pairs[:, 0]], second[pairs[:, 1]]], 1)
    return torch.cartesian_prod(*[torch.linspace(-9, 9, 91)] * size).double()


@pytest.mark.parametrize(("units", "size"), KINDS)
def test_cumulant_is_the_log_of_the_sum_over_states(units: Units, size: int) -> None:
    x, states = torch.randn(size).double(), states_of(units, size)
    cell = 0.2**size if isinstance(units, Gaussian) else 1.0
    total = torch.logsumexp(states @ x - units.base(states), 0) + math.log(cell)
    torch.testing.assert_close(units.cumulant(x), total, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("units", "size"), KINDS)
@pytest.mark.parametrize("rows", [1, 64, 1000])
def test_known_means_give_the_mean_cumulant_in_any_range(
    units: Units, size: int, rows: int, dtype: torch.dtype
) -> None:
    for near in (-100.0, -90.0, -20.0, -1.0, 0.0, 1.0, 20.0, 100.0):
        x = (0.1 * torch.randn(rows, size) + near).to(dtype)
        wanted = units.cumulant(x.double()).mean()
        close = {"rtol": 1e-6, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.02}
        torch.testing.assert_close(units.mean_cumulant(x, units.mean(x)).double(), wanted, **close)


@pytest.mark.parametrize(("units", "size"), KINDS)
def test_mean_is_the_derivative_of_the_cumulant_and_bias_its_inverse(units: Units, size: int) -> None:
    x = torch.randn(2, size).double().requires_grad_()
    (slope,) = torch.autograd.grad(units.cumulant(x).sum(), x)
    mean = units.mean(x)
    torch.testing.assert_close(mean, slope)
    torch.testing.assert_close(units.mean(units.bias(mean)), mean)


@pytest.mark.parametrize(("units", "size"), KINDS)
def test_samples_are_states_with_the_right_means(units: Units, size: int) -> None:
    x = torch.randn(size)
    rows = x.expand(40_000, size)
    for drawn in (units.sample(rows), units.sample_given(rows, units.mean(rows))):
        torch.testing.assert_close(drawn.mean(0), units.mean(x), rtol=0, atol=0.02)
        if not isinstance(units, Gaussian):
            states = states_of(units, size).float()
            assert all(any(torch.equal(one, state) for state in states) for one in drawn[:20])
