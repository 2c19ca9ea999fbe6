"""Recommendation metrics against hand-computed values."""

import math

import pytest
import torch

from scalian_exp.metrics import recommendation


def test_errors_are_averaged_over_ratings_rather_than_users() -> None:
    predicted = torch.tensor([[4.0, 2.0, 3.0], [1.0, 9.0, 9.0]])
    target = torch.tensor([[5.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    result = recommendation.errors(predicted, target)
    assert float(result["rmse"]) == pytest.approx(math.sqrt((1 + 0 + 4 + 4) / 4))
    assert float(result["mae"]) == pytest.approx((1 + 0 + 2 + 2) / 4)


SCORES = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5], [1.0, 0.0, 0.0, 0.0, 0.0]])
SEEN = torch.tensor([[1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]).bool()
RELEVANT = torch.tensor([[0, 0, 1, 0, 1], [1, 0, 0, 1, 0], [0, 0, 0, 0, 0]]).bool()


def test_rankings_by_hand() -> None:
    """Items already seen are not ranked, and a user who likes nothing doesn't count.

    The first user's list is 1 2 (0 was seen), the second's 3 2 (4 was seen); the third user likes nothing.
    """
    best = recommendation.ranked(SCORES, SEEN, 2)
    assert best[:2].tolist() == [[1, 2], [3, 2]]
    second, most = 1 / math.log2(3), 1 + 1 / math.log2(3)
    assert float(recommendation.ndcg(best, RELEVANT)) == pytest.approx((second / most + 1 / most) / 2)
    assert float(recommendation.recall(best, RELEVANT)) == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_recalls_denominator_is_at_most_k() -> None:
    best, relevant = torch.tensor([[0, 1]]), torch.tensor([[True, True, True, True]])
    assert float(recommendation.recall(best, relevant)) == 1
    assert float(recommendation.ndcg(best, relevant)) == 1
    one = torch.tensor([[False, True, False, False]])
    assert float(recommendation.recall(best, one)) == 1
    assert float(recommendation.ndcg(best, one)) == pytest.approx(1 / math.log2(3))


def test_ndcg_equals_scikit_learns() -> None:
    from sklearn.metrics import ndcg_score

    scores, relevant = torch.rand(20, 30), torch.rand(20, 30) < 0.2
    relevant[:, 0] = True  # scikit-learn counts users without any as 0
    best = recommendation.ranked(scores, torch.zeros(20, 30, dtype=torch.bool), 10)
    assert float(recommendation.ndcg(best, relevant)) == pytest.approx(ndcg_score(relevant, scores, k=10))


def test_coverage_and_cold_starts_by_hand() -> None:
    best = torch.tensor([[0, 1], [0, 3]])
    seen = torch.tensor([[False, False, True, True], [False, True, True, True]])  # one candidate left
    assert float(recommendation.catalogue_coverage(best, seen)) == pytest.approx(2 / 4)
    seen = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 0, 0]]).bool()
    target = torch.tensor([[0.0, 3.0, 1.0], [2.0, 4.0, 0.0], [5.0, 0.0, 0.0]])
    result = recommendation.cold_start(seen, target)
    assert {name: float(value) for name, value in result.items()} == {
        "coverage": pytest.approx(1 / 5),
        "cold_users": 1,
        "cold_items": 2,
    }
