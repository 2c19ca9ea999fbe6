"""Matrix factorisation, against least squares for each user and gradients through the solution."""

import math

import numpy as np
import torch
from torch import Tensor

from scalian_exp.networks.ratings import MatrixFactorisation


def table(rows: int = 6, columns: int = 5, share: float = 0.6) -> Tensor:
    ratings = torch.randint(1, 6, (rows, columns)).double()
    return ratings * (torch.rand(rows, columns) < share)


def factorisation() -> MatrixFactorisation:
    network = MatrixFactorisation(7, 3, ridge=0.8).double()
    torch.nn.init.normal_(network.items)
    network.start_from(table(20, 7))
    return network


def test_a_diverged_factorisation_predicts_nan_instead_of_raising() -> None:
    network = factorisation()
    with torch.no_grad():
        network.items[2, 1] = torch.nan
    assert network(table(20, 7)).isnan().any()


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
