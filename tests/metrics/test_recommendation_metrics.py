"""Recommendation metrics against hand-computed values."""

import math

import pytest
import torch
from torch import Tensor

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
    assert recommendation.ndcg(best, RELEVANT).tolist() == pytest.approx([second / most, 1 / most])
    assert recommendation.recall(best, RELEVANT).tolist() == pytest.approx([1 / 2, 1 / 2])


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
    assert float(recommendation.ndcg(best, relevant).mean()) == pytest.approx(ndcg_score(relevant, scores, k=10))


def slow_metrics(scores: Tensor, seen: Tensor, relevant: Tensor, k: int) -> tuple[list[float], list[float]]:
    """Return recall@k and NDCG@k of each user by the formulas of Liang et al. 2018, section 4.2, with loops."""
    recalls, ndcgs = [], []
    for user in range(len(scores)):
        liked = {item for item in range(scores.shape[1]) if relevant[user, item]}
        order = sorted((i for i in range(scores.shape[1]) if not seen[user, i]), key=lambda i: -scores[user, i])[:k]
        if liked:
            recalls.append(sum(item in liked for item in order) / min(k, len(liked)))
            gain = sum((2 ** (item in liked) - 1) / math.log2(rank + 1) for rank, item in enumerate(order, 1))
            best = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(liked)) + 1))
            ndcgs.append(gain / best)
    return recalls, ndcgs


@pytest.mark.parametrize("k", [1, 20, 50, 100, 300])
def test_rankings_equal_a_slow_twin(k: int) -> None:
    """Users like from no to 60 items, more and fewer than k; 300 is more than there are items."""
    scores, draws = torch.rand(25, 120), torch.rand(25, 120)
    relevant = draws < torch.linspace(0, 0.5, 25).unsqueeze(1)
    seen = (torch.rand(25, 120) < 0.3) & ~relevant
    best = recommendation.ranked(scores, seen, k)
    recalls, ndcgs = slow_metrics(scores, seen, relevant, k)
    assert recommendation.recall(best, relevant).tolist() == pytest.approx(recalls)
    assert recommendation.ndcg(best, relevant).tolist() == pytest.approx(ndcgs)


def test_the_standard_error_by_hand() -> None:
    """Deviations from the mean, 2, are −1, 0, 1: a variance of 1 over three users."""
    assert float(recommendation.standard_error(torch.tensor([1.0, 2.0, 3.0]))) == pytest.approx(1 / math.sqrt(3))


def test_coverage_and_cold_starts_by_hand() -> None:
    best = torch.tensor([[0, 1], [0, 3]])
    seen = torch.tensor([[False, False, True, True], [False, True, True, True]])  # one candidate left
    assert float(recommendation.catalogue_coverage(best, seen)) == pytest.approx(2 / 4)
    seen = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 0, 0]]).bool()
    target = torch.tensor([[0.0, 3.0, 1.0], [2.0, 4.0, 0.0], [5.0, 0.0, 0.0]])
    result = recommendation.cold_start(seen, target, seen.any(0))
    assert {name: float(value) for name, value in result.items()} == {
        "coverage": pytest.approx(1 / 5),
        "cold_users": 1,
        "cold_items": 2,
    }
