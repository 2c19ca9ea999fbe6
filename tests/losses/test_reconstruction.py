"""Losses against hand-computed values."""

import math

import pytest
import torch

from scalian_exp.losses.reconstruction import AbsoluteError, BinaryCrossEntropy, SquaredError

LOGITS = torch.tensor([[0.0, 0.0], [math.log(3), -math.log(3)]]).view(2, 1, 1, 2)  # sigmoid: .5 .5 | .75 .25
TARGET = torch.tensor([[1.0, 0.5], [1.0, 0.0]]).view(2, 1, 1, 2)


@pytest.mark.parametrize(
    ("loss", "images"),
    [
        (SquaredError(), [0.25 + 0.0, 0.0625 + 0.0625]),
        (AbsoluteError(), [0.5 + 0.0, 0.25 + 0.25]),
        (BinaryCrossEntropy(), [2 * math.log(2), 2 * math.log(4 / 3)]),
    ],
)
def test_sum_over_pixels_mean_over_images(loss: torch.nn.Module, images: list[float]) -> None:
    assert float(loss(LOGITS, TARGET)) == pytest.approx(sum(images) / 2)
