"""Figures of recommendation: maps of items, and the titles that describe a feature."""

import math

import torch

from scalian_exp.figures.recommendation import feature_titles, item_map, plane


def test_plane_keeps_the_two_widest_directions() -> None:
    points = torch.randn(50, 4) * torch.tensor([5.0, 1.0, 3.0, 0.1])
    flat = plane(points)
    variance = torch.linalg.eigvalsh(torch.cov(points.T))
    torch.testing.assert_close(flat.var(0), variance.flip(0)[:2], rtol=1e-4, atol=0)
    assert plane(torch.randn(5, 1)).shape == (5, 2)


def test_figures_of_diverged_and_of_few() -> None:
    counts = torch.ones(3, dtype=torch.long)
    (axes,) = feature_titles(torch.tensor([[2.0], [-1.0], [1.0]]), ["a", "b", "c"], counts, [0]).axes
    assert [text.get_text() for text in axes.texts] == ["a", "b"]  # one a side, of three
    assert [bar.get_width() for bar in axes.patches] == [1, -0.5]
    assert "diverged" in item_map(torch.full((3, 2), math.nan), ["a", "b", "c"], [], counts).get_suptitle()
    (axes,) = item_map(torch.randn(3, 2), ["a", "b", "c"], [], counts).axes
    assert len(axes.collections[0].get_offsets()) == 3
