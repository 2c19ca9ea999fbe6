"""Binary states are drawn with the requested probabilities."""

import pytest
import torch

from scalian_exp.distributed.noise import bernoulli


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_states_have_their_probabilities(precision: torch.dtype) -> None:
    p = torch.tensor([0.0, 1 / 1024, 0.3, 1 - 1 / 256, 1.0], dtype=precision)
    drawn = bernoulli(p.expand(200_000, 5))
    assert drawn.dtype == precision
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    share, expected = drawn.float().mean(0), p.float()
    assert share[0] == 0
    assert share[-1] == 1
    assert ((share - expected).abs() <= 5 * (expected * (1 - expected) / len(drawn)).sqrt()).all()
