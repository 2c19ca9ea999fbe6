"""Networks that predict ratings, against parameter counts, closed forms and slow implementations."""

import itertools
import math

import numpy as np
import pytest
import torch
from dense_tables import in_columns
from small_networks import count
from torch import Tensor

from scalian_exp.losses.ratings import MultinomialELBO
from scalian_exp.networks.matrix_factorisation import MatrixFactorisation, SVDPlusPlus
from scalian_exp.networks.rating_rbm import Rated, RatingRBM, level_counts
from scalian_exp.networks.ratings import AutoRec, MultVAE, Popularity, RatingBias

USERS, ITEMS = 943, 1682
LEVELS = [1.0, 2.0, 3.0, 4.0, 5.0]


def test_parameter_counts() -> None:
    """The counts for MovieLens 100k follow from the layers' formulas."""
    assert count(RatingRBM(ITEMS, LEVELS, 100)) == 849_510 == ITEMS * 5 * 100 + ITEMS * 5 + 100
    assert count(RatingRBM(ITEMS, LEVELS, 100, conditional=True)) == 849_510 + 168_200
    assert count(RatingRBM(3706, LEVELS, 100)) == 1_871_630
    assert count(AutoRec(USERS, 500)) == 944_443
    assert count(AutoRec(ITEMS, 500)) == 1_684_182
    assert count(MultVAE(ITEMS, 4.0)) == 2_381_682
    assert count(MatrixFactorisation(ITEMS, 20)) == ITEMS * 21
    assert count(SVDPlusPlus(ITEMS, 20)) == ITEMS * 41  # the paper's are these and 21 of each user, who is folded in
    assert count(RatingBias(ITEMS)) == 0


def table(rows: int = 6, columns: int = 5, share: float = 0.6) -> Tensor:
    ratings = torch.randint(1, 6, (rows, columns)).double()
    return ratings * (torch.rand(rows, columns) < share)


def machine(columns: int = 5, features: int = 3, conditional: bool = False) -> RatingRBM:
    network = RatingRBM(columns, LEVELS, features, conditional).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.7)
    return network


def energy(network: RatingRBM, row: Tensor, hidden: tuple[int, ...], known: Tensor) -> float:
    """Return −Σ over rated columns of (W h + b) − c h − h D r, unit by unit (Salakhutdinov et al. 2007, eq. 2, 8)."""
    total = 0.0
    for f, on in enumerate(hidden):
        total -= network.hidden_bias[f].item() * on
    for column, rating in enumerate(row.tolist()):
        if rating:
            unit = column * 5 + int(rating) - 1
            total -= network.visible_bias[unit].item()
            total -= sum(network.weight[unit, f].item() * on for f, on in enumerate(hidden))
        if network.conditional and known[column]:
            total -= sum(network.rated_weight[column, f].item() * on for f, on in enumerate(hidden))
    return total


@pytest.mark.parametrize("conditional", [False, True])
def test_free_energy_sums_over_all_hidden_states(conditional: bool) -> None:
    network, ratings = machine(conditional=conditional), table()
    ratings[2] = 0  # a user without ratings
    known = (ratings > 0) | (torch.rand_like(ratings) < 0.3)
    energies = network.free_energy(network.rated(ratings), known)
    for row in range(len(ratings)):
        states = itertools.product((0, 1), repeat=3)
        sums = [-energy(network, ratings[row], state, known[row]) for state in states]
        assert float(energies[row]) == pytest.approx(-math.log(sum(math.exp(value) for value in sums)))


def test_codes_and_predictions_by_hand() -> None:
    """Expected ratings are means of normalised softmaxes, both for rated and for other columns."""
    network, ratings = machine(), table()
    codes, predicted = network.codes(ratings), network(ratings)
    for row, values in enumerate(ratings.tolist()):
        inputs = network.hidden_bias.detach().numpy().copy()
        for column, rating in enumerate(values):
            if rating:
                inputs += network.weight.detach().numpy()[column * 5 + int(rating) - 1]
        hidden = 1 / (1 + np.exp(-inputs))
        np.testing.assert_allclose(codes[row].detach().numpy(), hidden)
        for column in range(5):
            block = slice(5 * column, 5 * column + 5)
            logits = network.weight.detach().numpy()[block] @ hidden + network.visible_bias.detach().numpy()[block]
            shares = np.exp(logits) / np.exp(logits).sum()
            assert float(predicted[row, column]) == pytest.approx(float(shares @ np.array(LEVELS)))
    assert 1 <= float(predicted.min()) <= float(predicted.max()) <= 5


def test_predictions_of_extreme_weights_stay_on_the_scale() -> None:
    network = machine()
    with torch.no_grad():
        network.weight.mul_(1e3)
    predicted = network(table())
    assert 1 <= float(predicted.min()) <= float(predicted.max()) <= 5


def test_unrated_columns_have_no_influence() -> None:
    """Weights of a column that a row hasn't rated change neither its features nor its free energy."""
    network, ratings = machine(), table()
    ratings[:, 3] = 0
    before = network.codes(ratings), network.free_energy(network.rated(ratings))
    with torch.no_grad():
        network.weight[15:20] += 9
        network.visible_bias[15:20] += 9
    assert torch.equal(before[0], network.codes(ratings))
    assert torch.equal(before[1], network.free_energy(network.rated(ratings)))


def test_gibbs_steps_preserve_the_joint_distribution() -> None:
    """A row with two ratings has 25 joint states; chains that start from the exact distribution keep it."""
    network = machine(columns=3)
    states = list(itertools.product(range(5), repeat=2))
    rows = torch.tensor([[a + 1, 0, b + 1] for a, b in states]).double()
    exact = torch.softmax(-network.free_energy(network.rated(rows)), 0).detach()
    draws = torch.multinomial(exact, 40_000, replacement=True)
    with torch.no_grad():
        moved = network.gibbs(network.rated(rows[draws]), 3)
    assert torch.equal(moved.columns, network.rated(rows[draws]).columns)
    pairs = moved.states.view(-1, 2)
    counts = torch.bincount(pairs[:, 0] * 5 + pairs[:, 1], minlength=25) / len(draws)
    assert float((counts - exact).abs().max()) < 0.012


def test_rare_levels_are_drawn_as_often_in_mixed_precision() -> None:
    """In bfloat16, noise would have 256 values, and a level of probability 0.005 come up with 0.003."""
    network, wanted = RatingRBM(1, LEVELS, 2), torch.tensor([0.5, 0.3, 0.15, 0.045, 0.005])
    with torch.no_grad():
        network.weight.zero_()
        network.visible_bias.copy_(wanted.log())
        rated = network.rated(torch.ones(200_000, 1))
        with torch.autocast("cpu", torch.bfloat16):
            drawn = network.gibbs(rated, 1).states
    shares = torch.bincount(drawn, minlength=5) / len(drawn)
    # the biases themselves are rounded to 8 bits, which moves a probability by up to 2 %
    torch.testing.assert_close(shares, wanted, rtol=0.1, atol=0)


def test_biases_start_from_the_frequencies_of_the_levels() -> None:
    network, ratings = machine(), table(2000, 5, 0.5)
    network.start_from(*in_columns(ratings))
    shares = torch.softmax(network.visible_bias.view(5, 5), 1)
    for column in range(5):
        for level in range(5):
            rated = ratings[:, column][ratings[:, column] > 0]
            assert float(shares[column, level]) == pytest.approx(float((rated == level + 1).double().mean()), abs=0.01)
    ratings[:, 2] = 0
    network.start_from(*in_columns(ratings))
    unrated = torch.softmax(network.visible_bias.view(5, 5), 1)[2]
    overall = level_counts(*in_columns(ratings), network.levels, 5).sum(0)
    np.testing.assert_allclose(unrated.detach(), overall / overall.sum(), atol=1e-3)


def test_effects_are_derivatives_of_the_expected_ratings() -> None:
    network = machine()
    hidden = torch.zeros(1, 3, dtype=torch.double, requires_grad=True)
    expected = torch.softmax(network.visible_input(hidden), -1) @ network.levels
    for column in range(5):
        (gradient,) = torch.autograd.grad(expected[0, column], hidden, retain_graph=True)
        torch.testing.assert_close(network.effects()[column], gradient[0])


def test_levels_may_be_half_numbers() -> None:
    network = RatingRBM(2, [0.5, 1.0, 1.5, 2.0], 2)
    rated = network.rated(torch.tensor([[0.5, 0.0], [1.5, 2.0], [0.0, 0.0]]))
    expected = Rated(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), torch.tensor([0, 2, 3]), torch.tensor([0, 1, 3]))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(rated, expected, strict=True))


def test_damped_means_by_hand() -> None:
    network = RatingBias(3, column_damping=2, row_damping=1)
    network.start_from(*in_columns(torch.tensor([[5.0, 3.0, 0.0], [1.0, 0.0, 0.0]])))
    mean = 3.0
    first, second = (2 - 2) / (2 + 2), 0 / (1 + 2)
    row = ((5 - mean - first) + (3 - mean - second)) / (2 + 1)
    predicted = network(torch.tensor([[5.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0, 5.0, 0.0]]))
    np.testing.assert_allclose(predicted[0], [mean + first + row, mean + second + row, mean + row], rtol=1e-6)
    np.testing.assert_allclose(predicted[1], [3, 3, 3])
    np.testing.assert_allclose(predicted[2], [4, 4, 4])
    assert network.column_count.tolist() == [2, 1, 0]


def test_autorec_by_hand() -> None:
    network, ratings = AutoRec(5, 3), table(4, 5).float()
    encoder, decoder = network.encoder, network.decoder
    hidden = 1 / (1 + np.exp(-(ratings.numpy() @ encoder.weight.detach().numpy().T + encoder.bias.detach().numpy())))
    output = hidden @ decoder.weight.detach().numpy().T + decoder.bias.detach().numpy()
    np.testing.assert_allclose(network(ratings).detach(), output, rtol=1e-5)


def test_popularity_by_hand() -> None:
    """Likes are 4 and 5: two in column one, one in column three; with one added to each, 3/6, 1/6, 2/6."""
    network = Popularity(3, liked=4.0)
    network.start_from(*in_columns(torch.tensor([[5.0, 1.0, 4.0], [4.0, 3.0, 0.0]])))
    shares = torch.tensor([3 / 6, 1 / 6, 2 / 6]).log()
    torch.testing.assert_close(network(torch.zeros(2, 3)), shares.expand(2, 3))
    loss = MultinomialELBO()(network, {"rating": torch.zeros(1, 3), "target": torch.tensor([[5.0, 2.0, 4.0]])})
    assert float(loss) == pytest.approx(-math.log(3 / 6) - math.log(2 / 6))


def test_multvae_sees_only_likes_and_ranks_by_a_softmax() -> None:
    network = MultVAE(6, liked=4.0, hidden=[5], latent_dim=2).eval()
    row = torch.tensor([[5.0, 1.0, 0.0, 4.0, 3.0, 0.0]])
    other = torch.tensor([[4.0, 0.0, 2.0, 5.0, 0.0, 1.0]])
    assert torch.equal(network(row), network(other))
    assert float(network(row).exp().sum()) == pytest.approx(1)
    mean, log_variance = network.moments(row)
    normal = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    exact = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(network.bound(row)[1], exact)
    assert torch.isfinite(network(torch.zeros(1, 6))).all()
