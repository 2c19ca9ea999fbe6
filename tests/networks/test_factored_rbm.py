"""The factored machine of Salakhutdinov et al. 2007, section 5, W = A B: against the full one, and by enumeration."""

import itertools
import math
from unittest.mock import patch

import numpy as np
import torch
from small_networks import count
from torch import Tensor

from scalian_exp.losses.ratings import RatingDivergence
from scalian_exp.networks.rating_rbm import Rated, RatingRBM

LEVELS = [1.0, 2.0, 3.0]


def machine(columns: int = 3, features: int = 4, factors: int | None = 2, conditional: bool = False) -> RatingRBM:
    network = RatingRBM(columns, LEVELS, features, conditional, factors).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.8)
    return network


def full(network: RatingRBM) -> RatingRBM:
    """Return the machine with the same weights, unfactored."""
    other = RatingRBM(network.columns, LEVELS, len(network.hidden_bias), network.conditional).double()
    state = {name: value for name, value in network.state_dict().items() if name != "mixing"}
    other.load_state_dict({**state, "weight": network.state_dict()["weight"] @ network.state_dict()["mixing"]})
    return other


def table(rows: int = 6, columns: int = 3) -> Tensor:
    ratings = torch.randint(1, 4, (rows, columns)).double() * (torch.rand(rows, columns) < 0.6)
    ratings[2] = 0
    return ratings


def test_parameter_counts_by_the_formula() -> None:
    """C (M K + F) for A and B, beside M K + F biases: for MovieLens 100k less than a third of the full machine's."""
    five = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert count(RatingRBM(1682, five, 100, factors=30)) == 263_810 == 30 * (1682 * 5 + 100) + 1682 * 5 + 100
    assert count(RatingRBM(1682, five, 100, conditional=True, factors=30)) == 263_810 + 1682 * 100


def test_it_is_the_full_machine_whose_weights_are_the_product() -> None:
    network, ratings = machine(conditional=True), table()
    other, known = full(network), (ratings > 0) | (torch.rand_like(ratings) < 0.3)
    rated = network.rated(ratings)
    torch.testing.assert_close(network.free_energy(rated, known), other.free_energy(rated, known))
    torch.testing.assert_close(network.codes(ratings, known), other.codes(ratings, known))
    torch.testing.assert_close(network(ratings, known), other(ratings, known))
    torch.testing.assert_close(network.deviation(), other.deviation())
    torch.testing.assert_close(network.effects(), other.effects())
    draws = []
    for each in (network, other):
        torch.manual_seed(3)
        draws.append(each.gibbs(rated, 4, known).states)
    assert torch.equal(*draws)


def test_the_product_starts_as_widely_as_full_weights() -> None:
    one, other = RatingRBM(400, LEVELS, 50, factors=10), RatingRBM(400, LEVELS, 50)
    assert one.mixing is not None
    torch.testing.assert_close((one.weight @ one.mixing).std(), other.weight.std(), rtol=0.1, atol=0)


def statistics(network: RatingRBM, rows: Tensor) -> np.ndarray:
    """Return ⟨v h⟩ over rows of ratings, (columns · K, features), by loops."""
    total, weight = np.zeros((9, 4)), (network.weight @ network.mixing).detach().numpy()
    for row in rows.tolist():
        units = [3 * column + int(rating) - 1 for column, rating in enumerate(row) if rating]
        hidden = 1 / (1 + np.exp(-network.hidden_bias.detach().numpy() - weight[units].sum(0)))
        for unit in units:
            total[unit] += hidden / len(rows)
    return total


def test_gradients_are_the_papers() -> None:
    """With D = ⟨v h⟩_data − ⟨v h⟩_T, ΔA = ε D Bᵀ and ΔB = ε Aᵀ D; the loss's gradients are their opposites."""
    network, data, fantasies = machine(), table(), list[Rated]()
    sample = network.gibbs

    def watched(rated: Rated, steps: int, known: Tensor) -> Rated:
        fantasies.append(sample(rated, steps, known))
        return fantasies[-1]

    with patch.object(network, "gibbs", watched):
        RatingDivergence(k=3, k_end=3)(network, {"rating": data, "target": data, "known": data > 0}, 0).backward()
    fantasy = torch.zeros_like(data)
    fantasy[fantasies[0].rows, fantasies[0].columns] = fantasies[0].states.double() + 1
    difference = statistics(network, data) - statistics(network, fantasy)
    a, b = network.weight, network.mixing
    assert b is not None
    np.testing.assert_allclose(a.grad, -difference @ b.detach().numpy().T, atol=1e-12)
    np.testing.assert_allclose(b.grad, -a.detach().numpy().T @ difference, atol=1e-12)


def log_likelihood(network: RatingRBM, rows: Tensor) -> float:
    """Return the mean log p(row) by summing over all states of features and of rated columns, unit by unit."""
    a, b = network.weight.detach().numpy(), network.mixing.detach().numpy()
    visible, hidden = network.visible_bias.detach().numpy(), network.hidden_bias.detach().numpy()

    def summed(units: list[int]) -> float:
        total = 0.0
        for h in itertools.product((0, 1), repeat=4):
            energy = -sum(visible[unit] for unit in units) - float(hidden @ h)
            energy -= sum(a[u, c] * b[c, j] * h[j] for u in units for c in range(2) for j in range(4))
            total += math.exp(-energy)
        return total

    result = 0.0
    for row in rows.tolist():
        columns = [column for column, rating in enumerate(row) if rating]
        states = itertools.product(range(3), repeat=len(columns))
        every = [[3 * c + state for c, state in zip(columns, chosen, strict=True)] for chosen in states]
        own = [3 * column + int(row[column]) - 1 for column in columns]
        result += math.log(summed(own) / sum(summed(units) for units in every)) / len(rows)
    return result


def test_the_free_energys_gradient_is_that_of_the_exact_likelihood() -> None:
    """∇ log p = E_model[∇F] − ∇F(data), by autograd with all states enumerated, equals finite differences of log p."""
    network, rows = machine(), torch.tensor([[1.0, 0.0, 3.0], [2.0, 2.0, 0.0]]).double()
    loss = torch.zeros((), dtype=torch.double)
    for row in rows:
        columns = row.nonzero().flatten()
        every = torch.zeros(3 ** len(columns), 3).double()
        every[:, columns] = torch.cartesian_prod(*[torch.arange(1.0, 4.0).double()] * len(columns))
        energies = network.free_energy(network.rated(every))
        share = torch.softmax(-energies, 0).detach()
        loss = loss + (network.free_energy(network.rated(row.unsqueeze(0)))[0] - share @ energies) / len(rows)
    loss.backward()
    for parameter in (network.weight, network.mixing):
        assert parameter is not None
        assert parameter.grad is not None
        for index in np.ndindex(*parameter.shape):
            values = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    parameter[index] += step
                    values.append(log_likelihood(network, rows))
                    parameter[index] -= step
            slope = (values[0] - values[1]) / 2e-5
            assert abs(slope + float(parameter.grad[index])) < 1e-8
