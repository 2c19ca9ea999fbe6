"""Binary states are drawn with the requested probabilities."""

import pytest
import torch
from precisions import default_type

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


def test_rare_states_are_as_rare_as_they_should_be() -> None:
    p = torch.tensor([3e-6, 1 - 3e-6]).repeat(500)
    counts = sum(bernoulli(p.expand(2000, 1000)).sum(0) for _ in range(10))
    rare, common = float(counts[::2].sum()), float(20_000 * 500 - counts[1::2].sum())
    for count in (rare, common):  # 30 ± 5.5 expected; to 16 bits p would be 0 or 1.5e-5
        assert 5 < count < 60


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rare_states_are_drawn_in_steps_of_16_bits(dtype: torch.dtype) -> None:
    with default_type(dtype):
        p = torch.tensor([0.0005, 0.002, 0.3])
        share = bernoulli(p.expand(400_000, 3)).float().mean(0)
    expected = p.float()
    assert p.dtype == dtype
    assert ((share - expected).abs() <= 5 * (expected * (1 - expected) / 400_000).sqrt()).all()


def test_draws_are_independent_of_their_neighbours_in_rows_and_columns() -> None:
    drawn = bernoulli(torch.full((1000, 1000), 0.3)) - 0.3
    bound = 5 * 0.3 * 0.7 / 1000
    for rows, columns in ((0, 1), (0, 2), (0, 4), (1, 0), (2, 0), (3, 3)):
        shifted = drawn.roll((rows, columns), (0, 1))
        assert abs(float((drawn * shifted).mean())) < bound


def test_a_seed_gives_the_same_states_in_any_shape_of_rows() -> None:
    p = torch.rand(6, 5)
    torch.manual_seed(0)
    flat = bernoulli(p)
    torch.manual_seed(0)
    assert torch.equal(bernoulli(p.view(6, 5, 1)), flat.view(6, 5, 1))
    assert bernoulli(p[:0]).shape == (0, 5)
