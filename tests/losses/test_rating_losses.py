"""Losses on ratings, against gradients and sums computed one rating at a time."""

import math
from unittest.mock import patch

import numpy as np
import pytest
import torch
from dense_tables import in_columns
from torch import Tensor

from scalian_exp.losses.ratings import MultinomialELBO, RatingDivergence, SquaredRatingError
from scalian_exp.networks.rating_rbm import Rated, RatingRBM
from scalian_exp.networks.ratings import AutoRec, MultVAE, RatingBias


def batch(rows: int = 6, columns: int = 4) -> dict[str, Tensor]:
    rating = torch.randint(1, 4, (rows, columns)).double() * (torch.rand(rows, columns) < 0.6)
    rating[2] = 0
    return {"rating": rating, "target": rating, "known": (rating > 0) | (torch.rand(rows, columns) < 0.2)}


def statistics(network: RatingRBM, rating: Tensor, known: Tensor) -> dict[str, np.ndarray]:
    """Return ⟨v h⟩, ⟨v⟩, ⟨h⟩ and ⟨r h⟩ over the rows, by loops over rows, columns and features."""
    weight, hidden_bias = network.weight.detach().numpy(), network.hidden_bias.detach().numpy()
    sums = {name: np.zeros_like(value.detach().numpy()) for name, value in network.named_parameters()}
    for row, values in enumerate(rating.tolist()):
        inputs = hidden_bias.copy()
        for column, value in enumerate(values):
            if value:
                inputs += weight[3 * column + int(value) - 1]
            if known[row, column]:
                inputs += network.rated_weight.detach().numpy()[column]
        hidden = 1 / (1 + np.exp(-inputs))
        for column, value in enumerate(values):
            if value:
                sums["weight"][3 * column + int(value) - 1] += hidden / len(rating)
                sums["visible_bias"][3 * column + int(value) - 1] += 1 / len(rating)
            if known[row, column]:
                sums["rated_weight"][column] += hidden / len(rating)
        sums["hidden_bias"] += hidden / len(rating)
    return sums


def test_the_gradient_is_that_of_contrastive_divergence() -> None:
    """It is ⟨v h⟩ after Gibbs sampling minus ⟨v h⟩ of the data, with unrated columns in neither."""
    network, data = RatingRBM(4, [1.0, 2.0, 3.0], 2, conditional=True).double(), batch()
    for weight in network.parameters():
        torch.nn.init.normal_(weight)
    fantasies: list[Rated] = []
    sample = network.gibbs

    def watched(rated: Rated, steps: int, known: Tensor) -> Rated:
        assert steps == 4
        fantasies.append(sample(rated, steps, known))
        return fantasies[-1]

    with patch.object(network, "gibbs", watched):
        RatingDivergence(k=4, k_end=4, weight_decay=0.3)(network, data, 0).backward()
    fantasy = torch.zeros_like(data["rating"])
    fantasy[fantasies[0].rows, fantasies[0].columns] = fantasies[0].states.double() + 1
    assert torch.equal(fantasy > 0, data["rating"] > 0)
    positive = statistics(network, data["rating"], data["known"])
    negative = statistics(network, fantasy, data["known"])
    for name, parameter in network.named_parameters():
        decay = 0.0
        if name == "weight":
            by_column = parameter.detach().numpy().reshape(4, 3, 2)
            decay = 0.3 * (by_column - by_column.mean(0)).reshape(12, 2)
        elif name == "rated_weight":
            decay = 0.3 * parameter.detach().numpy()
        np.testing.assert_allclose(parameter.grad, negative[name] - positive[name] + decay, atol=1e-12)


def test_k_grows_with_the_epoch() -> None:
    loss = RatingDivergence(k=1, k_end=9, growth_epochs=4)
    assert [loss.steps(epoch) for epoch in range(6)] == [1, 3, 5, 7, 9, 9]


def test_outside_training_the_loss_is_the_negative_log_probability_of_the_targets() -> None:
    network, data = RatingRBM(2, [1.0, 2.0], 1).double(), {"known": torch.ones(2, 2, dtype=torch.bool)}
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.3], [-0.2], [1.0], [0.5]]))
        network.visible_bias.copy_(torch.tensor([0.1, 0.0, -0.4, 0.2]))
        network.hidden_bias.fill_(0.7)
    data["rating"] = torch.tensor([[2.0, 0.0], [0.0, 0.0]]).double()
    data["target"] = torch.tensor([[0.0, 1.0], [2.0, 0.0]]).double()

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    first, second = sigmoid(0.7 - 0.2), sigmoid(0.7)
    of_first = sigmoid((-0.4 + 1.0 * first) - (0.2 + 0.5 * first))  # level 1 against level 2
    of_second = sigmoid((0.0 - 0.2 * second) - (0.1 + 0.3 * second))
    expected = -(math.log(of_first) + math.log(of_second)) / 2
    assert float(RatingDivergence()(network, data)) == pytest.approx(expected)


def test_squared_error_by_hand() -> None:
    network = RatingBias(3, 0, 0)
    network.start_from(
        *in_columns(torch.tensor([[4.0, 2.0, 3.0]]))
    )  # so that column means are predicted where a row is empty
    data = {"rating": torch.zeros(2, 3), "target": torch.tensor([[5.0, 0.0, 1.0], [0.0, 2.0, 0.0]])}
    assert float(SquaredRatingError(0.5)(network, data)) == pytest.approx(((5 - 4) ** 2 + (1 - 3) ** 2 + 0) / 2)


def test_the_penalty_applies_to_weights_but_not_to_biases() -> None:
    network = AutoRec(3, 2)
    data = {"rating": torch.tensor([[5.0, 0.0, 1.0]])}
    data["target"] = data["rating"]
    difference = SquaredRatingError(0.5)(network, data, epoch=0) - SquaredRatingError()(network, data)
    squares = network.encoder.weight.square().sum() + network.decoder.weight.square().sum()
    assert difference.item() == pytest.approx(0.5 * float(squares), rel=1e-5)
    assert torch.equal(SquaredRatingError(0.5)(network, data), SquaredRatingError()(network, data))  # not in validation


def test_unrated_columns_have_no_gradient() -> None:
    network = AutoRec(3, 2)
    data = {"rating": torch.tensor([[5.0, 0.0, 1.0], [2.0, 0.0, 2.0]])}
    data["target"] = data["rating"]
    SquaredRatingError()(network, data).backward()
    for gradient in (network.decoder.weight.grad, network.decoder.bias.grad, network.encoder.weight.grad.T):  # type: ignore[union-attr]
        assert gradient is not None
        assert bool((gradient[1] == 0).all())
        assert bool((gradient[[0, 2]] != 0).all())


def test_the_multinomial_bound_by_hand() -> None:
    network = MultVAE(4, 4.0, [3], 2).eval()
    data = {"rating": torch.tensor([[5.0, 0.0, 4.0, 2.0], [1.0, 0.0, 0.0, 5.0]])}
    data["target"] = torch.tensor([[0.0, 4.0, 1.0, 0.0], [5.0, 4.0, 0.0, 3.0]])
    with patch("torch.randn_like", torch.zeros_like):
        logits, kl = network.bound(data["rating"])
        loss = MultinomialELBO(beta=0.3)(network, data)
    shares = torch.softmax(logits, 1)
    likelihoods = [shares[0, 1].log(), shares[1, 0].log() + shares[1, 1].log()]
    expected = sum(-likelihood + 0.3 * k for likelihood, k in zip(likelihoods, kl, strict=True)) / 2
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_beta_grows_with_the_epoch() -> None:
    loss = MultinomialELBO(beta=0.2, warmup_epochs=4)
    assert [loss.beta_at(epoch) for epoch in (0, 1, 4, 9, None)] == pytest.approx([0, 0.05, 0.2, 0.2, 0.2])
    assert MultinomialELBO(beta=0.2).beta_at(0) == 0.2
