"""Matrix factorisation, against least squares for each user and gradients through the solution."""

import math

import numpy as np
import torch
from dense_tables import in_columns
from torch import Tensor

from scalian_exp.networks.matrix_factorisation import MatrixFactorisation, SVDPlusPlus, solved


def table(rows: int = 6, columns: int = 5, share: float = 0.6) -> Tensor:
    ratings = torch.randint(1, 6, (rows, columns)).double()
    return ratings * (torch.rand(rows, columns) < share)


def factorisation() -> MatrixFactorisation:
    network = MatrixFactorisation(7, 3, ridge=0.8).double()
    torch.nn.init.normal_(network.items)
    network.start_from(*in_columns(table(20, 7)))
    return network


def test_a_diverged_factorisation_predicts_nan_instead_of_raising() -> None:
    network = factorisation()
    with torch.no_grad():
        network.items[2, 1] = torch.nan
    assert network(table(20, 7)).isnan().any()


def test_nan_in_one_column_leaves_the_rows_that_lack_it_alone() -> None:
    network, ratings = factorisation(), table(20, 7)
    expected = network.fold_in(ratings)
    with torch.no_grad():
        network.items[2, 1] = torch.nan
    folded, rated = network.fold_in(ratings), ratings[:, 2] > 0
    assert folded[rated].isnan().all()
    torch.testing.assert_close(folded[~rated], expected[~rated])


def test_equations_that_rounding_makes_indefinite_are_solved_too() -> None:
    gram, right = torch.tensor([[[1.0, 1 + 1e-6], [1 + 1e-6, 1.0]], [[2.0, 1.0], [1.0, 2.0]]]), torch.ones(2, 2)
    assert torch.linalg.cholesky_ex(gram).info.tolist() == [2, 0]
    torch.testing.assert_close(solved(gram, right), torch.tensor([[0.5, 0.5], [1 / 3, 1 / 3]]), atol=1e-5, rtol=0)


def test_folding_in_is_ridge_regression() -> None:
    """Compare with least squares for one user at a time, with the penalty as additional rows."""
    network, ratings = factorisation(), table(5, 7)
    ratings[1] = 0
    folded = network.fold_in(ratings)
    items = network.items.detach().numpy()
    for row, values in enumerate(ratings.numpy()):
        seen = values > 0
        design = np.column_stack([np.ones(seen.sum()), items[seen, 1:]])
        targets = values[seen] - float(network.mean) - items[seen, 0]
        design, targets = np.vstack([design, math.sqrt(0.8) * np.eye(4)]), np.append(targets, np.zeros(4))
        solution = np.linalg.lstsq(design, targets, rcond=None)[0]
        np.testing.assert_allclose(folded[row], solution, atol=1e-9)
        predicted = float(network.mean) + items[:, 0] + solution[0] + items[:, 1:] @ solution[1:]
        np.testing.assert_allclose(network(ratings)[row].detach(), predicted)


def test_the_items_gradient_is_that_of_the_objective_minimised_over_users() -> None:
    """By the envelope theorem, gradients needn't flow through the solution; here they do, with the same result."""
    network, ratings = factorisation(), table(5, 7)
    seen = (ratings > 0).double()
    error = (((network(ratings) - ratings) * seen) ** 2).sum()
    (gradient,) = torch.autograd.grad(error, network.items)

    items = network.items
    design = torch.cat([torch.ones(7, 1, dtype=torch.double), items[:, 1:]], 1)
    objective = torch.zeros((), dtype=torch.double)
    for row in range(5):
        x, rest = design[seen[row] > 0], (ratings[row] - network.mean - items[:, 0])[seen[row] > 0]
        folded = torch.linalg.solve(x.T @ x + 0.8 * torch.eye(4), x.T @ rest)
        objective = objective + (rest - x @ folded).square().sum() + 0.8 * folded.square().sum()
    (expected,) = torch.autograd.grad(objective, items)
    torch.testing.assert_close(gradient, expected)


def test_factors_in_principal_axes_give_the_same_predictions() -> None:
    network, ratings = factorisation(), table(5, 7)
    rows = network.fold_in(ratings)
    predicted = network.mean + network.items[:, 0] + rows[:, :1] + network.codes(ratings) @ network.effects().T
    torch.testing.assert_close(predicted, network(ratings))
    gram = network.effects().T @ network.effects()
    torch.testing.assert_close(gram, torch.diag(torch.diag(gram)), atol=1e-9, rtol=0)


def plus_plus() -> SVDPlusPlus:
    network = SVDPlusPlus(7, 3, ridge=0.8).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight)
    network.start_from(*in_columns(table(20, 7)))
    return network


def slow_svdpp(network: SVDPlusPlus, ratings: Tensor) -> tuple[np.ndarray, float]:
    """Return predictions by Koren's eq. 15, one pair at a time, and the objective; least squares give b_u and p_u."""
    mean, items, y = float(network.mean), network.items.detach().numpy(), network.implicit.detach().numpy()
    predicted, objective = np.zeros(ratings.shape), 0.0
    for u, values in enumerate(ratings.numpy()):
        n = [i for i, rating in enumerate(values) if rating > 0]
        implied = sum((y[j] for j in n), np.zeros(3)) / math.sqrt(max(len(n), 1))
        design = [[1.0, *items[i, 1:]] for i in n] + (math.sqrt(0.8) * np.eye(4)).tolist()
        targets = [values[i] - mean - items[i, 0] - items[i, 1:] @ implied for i in n] + [0.0] * 4
        own = np.linalg.lstsq(np.array(design), np.array(targets), rcond=None)[0]
        for i in range(len(values)):
            predicted[u, i] = mean + items[i, 0] + own[0] + items[i, 1:] @ (own[1:] + implied)
        objective += sum((values[i] - predicted[u, i]) ** 2 for i in n) + 0.8 * float(own @ own)
    return predicted, objective


def test_svdpp_predicts_by_the_papers_equation() -> None:
    network, ratings = plus_plus(), table(5, 7)
    ratings[1] = 0
    np.testing.assert_allclose(network(ratings).detach(), slow_svdpp(network, ratings)[0], atol=1e-9)
    with torch.no_grad():
        network.implicit.zero_()
    plain = MatrixFactorisation(7, 3, ridge=0.8).double()
    plain.load_state_dict({name: value for name, value in network.state_dict().items() if name != "implicit"})
    torch.testing.assert_close(network(ratings), plain(ratings))


def test_svdpps_gradients_are_those_of_the_objective_minimised_over_users() -> None:
    """For q, b and y, by finite differences of the slow objective, in which each user's b and p are solved anew."""
    network, ratings = plus_plus(), table(5, 7)
    error = (((network(ratings) - ratings) * (ratings > 0)) ** 2).sum()
    error.backward()
    for parameter in (network.items, network.implicit):
        assert parameter.grad is not None
        for index in np.ndindex(*parameter.shape):
            values = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    parameter[index] += step
                    values.append(slow_svdpp(network, ratings)[1])
                    parameter[index] -= step
            np.testing.assert_allclose(parameter.grad[index], (values[0] - values[1]) / 2e-5, atol=1e-6)


def test_what_was_rated_counts_even_where_its_rating_says_nothing() -> None:
    """A user whose only rating is as expected gets plain means from matrix factorisation, but not from SVD++."""
    network = plus_plus()
    with torch.no_grad():
        network.items[2, 0] = 4.0 - network.mean
        network.items[2, 1:] = 0
    ratings = torch.zeros(1, 7).double()
    ratings[0, 2] = 4.0
    implied = network.items[:, 1:] @ network.implicit[2]
    torch.testing.assert_close(network(ratings)[0], network.mean + network.items[:, 0] + implied)
