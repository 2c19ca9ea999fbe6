"""BPR, against a general optimiser for each user, sums over all pairs, and gradients through the solution."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from dense_tables import in_columns
from small_networks import count
from torch import Tensor

from scalian_exp.losses.ratings import PairwiseRanking, drawn
from scalian_exp.networks.bpr import PairwiseFactorisation
from scalian_exp.networks.ratings import Popularity


def factorisation(columns: int = 9, ridge: float = 0.3) -> PairwiseFactorisation:
    network = PairwiseFactorisation(columns, 4.0, 3, ridge).double()
    torch.nn.init.normal_(network.items, std=1.5)
    return network.eval()


def table(rows: int = 6, columns: int = 9) -> Tensor:
    ratings = torch.randint(1, 6, (rows, columns)).double() * (torch.rand(rows, columns) < 0.6)
    ratings[0] = 0  # without likes
    ratings[1] = 5  # without anything else
    return ratings


def criterion(network: PairwiseFactorisation, row: Tensor, p: Tensor) -> Tensor:
    """Return −Σ over likes, of the mean over others, of ln σ(difference), + ridge ‖p‖²: one pair at a time."""
    scores = [network.items[i, 0] + network.items[i, 1:] @ p for i in range(network.columns)]
    liked = [i for i in range(network.columns) if row[i] >= 4]
    others = [i for i in range(network.columns) if row[i] < 4]
    pairs = [torch.log1p(torch.exp(scores[j] - scores[i])) / len(others) for i in liked for j in others]
    return sum(pairs, torch.zeros(()).double()) + network.ridge * p.square().sum()


@pytest.mark.parametrize(("ridge", "tolerance"), [(0.3, 1e-6), (1e-3, 0.05)])
def test_folding_in_maximises_the_criterion(ridge: float, tolerance: float) -> None:
    """Almost without a ridge, some optima are far away; plain Newton's method would diverge."""
    network, ratings = factorisation(ridge=ridge), table()
    network.items.requires_grad_(False)
    for row, folded in zip(ratings, network.fold_in(ratings), strict=True):
        p = torch.zeros(3).double().requires_grad_()
        optimizer = torch.optim.LBFGS([p], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

        def closure(row: Tensor = row, p: Tensor = p) -> Tensor:
            p.grad = None
            value = criterion(network, row, p)
            value.backward()
            return value

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        best, ours = float(criterion(network, row, p.detach())), float(criterion(network, row, folded))
        assert ours <= best + tolerance


def test_scores_and_parameters() -> None:
    network, ratings = factorisation(), table()
    expected = network.items[:, 0] + network.fold_in(ratings) @ network.items[:, 1:].T
    torch.testing.assert_close(network(ratings), expected)
    torch.testing.assert_close(network.items[:, 0] + network.codes(ratings) @ network.effects().T, expected)
    torch.testing.assert_close(network(ratings)[0], network.items[:, 0])  # of this user nothing is known
    assert count(PairwiseFactorisation(1682, 4.0, 20)) == 1682 * 21


def test_the_items_gradient_is_that_of_the_criterion_maximised_over_users() -> None:
    """Of the mean over all pairs, whose draws training uses; by finite differences, with each user solved anew."""
    network, ratings = factorisation(ridge=1.0), table()[2:4]
    batch = {"rating": torch.zeros_like(ratings), "target": ratings}
    liked = (ratings >= 4).double()
    scores = network(ratings)
    pairs = F.softplus(scores.unsqueeze(1) - scores.unsqueeze(2)) * liked.unsqueeze(2) * (1 - liked).unsqueeze(1)
    (pairs.sum((1, 2)) / (1 - liked).sum(1)).sum().backward()
    assert network.items.grad is not None
    for index in [(0, 0), (1, 2), (4, 1), (8, 3)]:
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                network.items[index] += step
                values.append(
                    sum(float(criterion(network, r, p)) for r, p in zip(ratings, network.fold_in(ratings), strict=True))
                )
                network.items[index] -= step
        assert float(network.items.grad[index]) == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-5)
    assert batch["rating"].sum() == 0


def test_the_loss_by_hand() -> None:
    """Of popularity's scores, log(share): σ of a difference is a / (a + b) with the shares a and b.

    Shares are 3/6, 1/6, 2/6. The targets are the first column, and the third may be seen to be liked, so the only other
    column is the second: −ln (3 / (3 + 1)). In training the seen are the targets, and a pair is drawn.
    """
    network = Popularity(3, liked=4.0)
    network.start_from(*in_columns(torch.tensor([[5.0, 1.0, 4.0], [4.0, 3.0, 0.0]])))
    batch = {"rating": torch.tensor([[0.0, 1.0, 4.0]]), "target": torch.tensor([[5.0, 0.0, 0.0]])}
    assert float(PairwiseRanking()(network, batch)) == pytest.approx(-math.log(3 / 4))
    nothing = {"rating": torch.zeros(1, 3), "target": torch.tensor([[5.0, 0.0, 0.0]])}
    expected = -(math.log(3 / 4) + math.log(3 / 5)) / 2
    assert float(PairwiseRanking()(network, nothing)) == pytest.approx(expected)
    seen = torch.tensor([[5.0, 2.0, 0.0], [0.0, 0.0, 0.0], [4.0, 4.0, 4.0]])  # one without likes, one without others
    draws = torch.tensor(
        [3 * float(PairwiseRanking()(network, {"rating": seen, "target": seen}, 0)) for _ in range(400)]
    )
    assert set(draws.mul(1e4).round().int().tolist()) == {round(-1e4 * math.log(part)) for part in (3 / 4, 3 / 5)}
    assert float(draws.mean()) == pytest.approx(expected, abs=0.02)


def test_the_penalty_is_of_training_alone() -> None:
    network, ratings = factorisation(), table()[2:]
    batch = {"rating": ratings, "target": ratings}
    torch.manual_seed(0)
    plain = PairwiseRanking()(network, batch, 0)
    torch.manual_seed(0)
    added = PairwiseRanking(0.5)(network, batch, 0) - plain
    torch.testing.assert_close(added, 0.5 * network.items.square().sum())
    assert float(PairwiseRanking(0.5)(network, batch)) == float(PairwiseRanking()(network, batch))


def test_others_are_drawn_uniformly_and_never_liked() -> None:
    allowed = torch.tensor([[True, False, True, True], [False, False, False, False], [False, True, False, False]])
    rows = torch.tensor([0, 2]).repeat(6000)
    columns = drawn(allowed, rows)
    assert bool((columns[1::2] == 1).all())
    shares = np.bincount(columns[::2], minlength=4) / 6000
    np.testing.assert_allclose(shares, [1 / 3, 0, 1 / 3, 1 / 3], atol=0.025)
