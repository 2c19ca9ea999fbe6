"""The share of variance that predictions explain."""

import pytest
import torch
from sklearn.metrics import r2_score

from scalian_exp.metrics.explained import ExplainedVariance


@pytest.mark.parametrize("sizes", [[50], [20, 20, 10], [49, 1]])
def test_it_is_that_of_all_vectors_however_they_are_divided(sizes: list[int]) -> None:
    data = torch.rand(50, 7) * torch.arange(1, 8)
    predicted = data + 0.3 * torch.randn(50, 7)
    explained = ExplainedVariance()
    for part in zip(predicted.split(sizes), data.split(sizes), strict=True):
        explained.update(*part)
    expected = r2_score(data, predicted, multioutput="variance_weighted")
    assert float(explained.compute()) == pytest.approx(expected, abs=1e-5)
    explained.update(data, data)
    assert float(explained.compute()) == 1
