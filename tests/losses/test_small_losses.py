"""Adversarial and multinomial losses and the PSNR, against hand-computed values."""

import math

import pytest
import torch

from scalian_exp.losses.adversarial import Hinge, NonSaturating
from scalian_exp.losses.multinomial import Multinomial
from scalian_exp.tasks.reconstruction import psnr


def test_adversarial_and_multinomial_losses_by_hand() -> None:
    zeros = torch.zeros(5)
    assert float(NonSaturating().discriminator(zeros, zeros)) == pytest.approx(2 * math.log(2))
    assert float(NonSaturating().generator(zeros)) == pytest.approx(math.log(2))
    smooth = -0.9 * math.log(0.8) - 0.1 * math.log(0.2)
    assert float(NonSaturating(0.9).discriminator(torch.logit(torch.tensor([0.8])), torch.tensor([-1e9]))) == (
        pytest.approx(smooth, rel=1e-5)
    )
    assert float(Hinge().discriminator(torch.tensor([0.5, 2]), torch.tensor([-3, 0.5]))) == pytest.approx(1.0)
    assert float(Hinge().generator(torch.tensor([1.0, 3.0]))) == -2
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    expected = -(0.75 * math.log(0.5) + 0.25 * math.log(0.25))
    assert float(Multinomial()(logits, torch.tensor([[3.0, 1.0, 0.0]]))) == pytest.approx(expected)
    assert float(Multinomial()(logits, torch.zeros(1, 3))) == 0
    with_empty_row = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert float(Multinomial()(logits.expand(2, 3), with_empty_row)) == pytest.approx(expected)


def test_psnr_by_hand() -> None:
    clean = torch.zeros(2, 1, 4, 4)
    assert psnr(torch.full_like(clean, 0.1), clean).tolist() == pytest.approx([20, 20], rel=1e-5)
