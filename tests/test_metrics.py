"""Metrics against values computed by hand."""

import pytest
import torch

from scalian_exp.metrics.latents import ActiveUnits
from scalian_exp.metrics.means import Means


def test_means_weigh_batches_by_their_size() -> None:
    means = Means()
    means.update({"a": torch.tensor(1.0), "b": torch.tensor(10.0)}, 3)
    means.update({"a": torch.tensor(5.0), "b": torch.tensor(20.0)}, 1)
    assert {name: float(value) for name, value in means.compute().items()} == {"a": 2.0, "b": 12.5}
    means.reset()
    assert means.compute() == {}
    means.update({"a": torch.tensor(7.0), "b": torch.tensor(0.0)}, 2)
    assert float(means.compute()["a"]) == 7.0


def test_means_of_nothing_are_none() -> None:
    assert Means().compute() == {}


def test_active_units_counts_latents_whose_mean_varies() -> None:
    units = ActiveUnits()
    codes = torch.randn(1000, 4) * torch.tensor([1.0, 0.2, 0.05, 0.0]) + 3  # variances 1, .04, .0025, 0
    for batch in codes.split(300):
        units.update(batch)
    assert float(units.compute()) == 2
    assert float(units.compute()) == pytest.approx(float((codes.var(0) > 0.01).sum()))
