"""The cost of a forward pass, counted by hand."""

import pytest
import torch
from torch import nn

from scalian_exp.metrics.cost import cost


def test_operations_and_memory_by_hand() -> None:
    """There are 8·27 and 8·4 products per pixel, and at most two maps of 8·100 floats at once."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.ReLU(inplace=True))
    result = cost(network, torch.rand(2, 3, 10, 10))
    assert result["gmacs"] == pytest.approx(100 * (8 * 27 + 8 * 4) / 1e9)
    assert result["activations_mb_per_sample"] == pytest.approx((800 + 800) * 4 / 1e6)


def test_views_and_inputs_take_no_memory() -> None:
    class Views(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.view(2, -1).T[:5] + 1).sum()

    assert cost(Views(), torch.rand(2, 50))["activations_mb_per_sample"] == pytest.approx((10 * 4 + 4) / 1e6 / 2)
