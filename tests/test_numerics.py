"""Stable functions against torch's own in double precision."""

import pytest
import torch
import torch.nn.functional as F

from scalian_exp.numerics import binary_cross_entropy, softplus

EXTREME = [0.0, -0.0, 1e-30, -1e-30, 1e-4, -1e-4, 17.0, -17.0, 20.1, -20.1, 88.0, -88.0, 104.0, -104.0, 1e4, -1e4, 3e38]


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_softplus_and_its_gradient_are_those_of_double_precision(kind: torch.dtype) -> None:
    values = torch.cat([torch.tensor(EXTREME, dtype=kind), torch.linspace(-40, 40, 20_001, dtype=kind)])
    x, exact = values.clone().requires_grad_(), values.double().requires_grad_()
    softplus(x).sum().backward()
    F.softplus(exact, threshold=800).sum().backward()
    unit = torch.finfo(kind).eps
    wanted = F.softplus(values.double(), threshold=800)
    assert bool(((softplus(values).double() - wanted).abs() <= unit * wanted.clamp_min(2)).all())
    assert x.grad is not None
    assert exact.grad is not None
    assert bool(((x.grad.double() - exact.grad).abs() <= 2 * unit).all())


def test_softplus_of_infinities_and_nan() -> None:
    values = softplus(torch.tensor([torch.inf, -torch.inf, torch.nan]))
    assert values[:2].tolist() == [torch.inf, 0]
    assert bool(values[2].isnan())


def test_gradients_pass_through_twice_and_by_finite_differences() -> None:
    x = torch.randn(20, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(softplus, x)
    assert torch.autograd.gradgradcheck(softplus, x)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_the_cross_entropy_is_torchs(target: float) -> None:
    x = torch.tensor([*EXTREME[:-1], 2.5], dtype=torch.float64)
    targets = torch.full_like(x, target)
    wanted = F.binary_cross_entropy_with_logits(x, targets, reduction="none")
    torch.testing.assert_close(binary_cross_entropy(x, targets), wanted, rtol=1e-12, atol=1e-14)
