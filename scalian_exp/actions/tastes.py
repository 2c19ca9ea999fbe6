"""Predict the ratings of a known or a new user."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from scalian_exp.precision import widened
from scalian_exp.tasks.features import Features


class Taste(NamedTuple):
    """A model's predictions for one user."""

    scores: Tensor
    """Predicted score of every item, (items,)."""
    weights: Tensor | None
    """Weight of each feature, as deviation from the mean user, (F,); None for models without features."""


def taste_of_known(task: Any, data: Any, features: Features | None, index: int) -> Taste:
    """Predict the taste of a user whose ratings were in the training data."""
    weights = None if features is None else features.users[index]
    if data.rows == "users":
        return Taste(task.scores(data.history.row(index).to(task.device, task.dtype).unsqueeze(0))[0], weights)
    return Taste(data.history.mapped(lambda rows: task.scores(rows.to(task.device, task.dtype))[:, index]), weights)


def taste_of_new(task: Any, data: Any, features: Features | None, ratings: Tensor) -> Taste:
    """Predict the taste of a new user from these ratings, (items,)."""
    row = ratings.to(task.device, task.dtype).unsqueeze(0)
    if data.rows == "users":
        weights = None if features is None else task.network.codes(row)[0].float() - features.centre
        return Taste(task.scores(row)[0], weights)
    validation = data.splits["val"]
    target = validation.target.dense().to(row)
    noise = float((task.scores(validation.rating.dense().to(row)) - target)[target > 0].square().mean())
    items = data.history.dense().to(row)
    users = (items > 0).any(0)
    parts = [task.scores(items).T, *([] if features is None else [features.users])]
    population = torch.cat([widened(part) for part in parts], 1)[users]
    expected = conditioned(population, ratings.nonzero().flatten(), ratings[ratings > 0], noise).float()
    return Taste(expected[: data.items], None if features is None else expected[data.items :])


def conditioned(population: Tensor, observed: Tensor, values: Tensor, noise: float) -> Tensor:
    """Return the conditional mean (D,) of a population's new member, given noisy observations of some of its values.

    The population is modelled as a normal distribution with its empirical mean and covariance C; the conditional mean
    is mean + C[:, o] (C[o, o] + noise)⁻¹ (values − mean[o]). If the values are linear in weights of each member, as
    predicted ratings are in a decoder's, this is ridge regression of the weights, towards their mean and in the metric
    of their covariance.

    Args:
        population: the known members' values, (members, D).
        observed: indices of the observed values, (n,).
        values: the observations, (n,).
        noise: variance of an observation around the true value.
    """
    observed = observed.to(population.device)
    mean = population.mean(0)
    centred = population - mean
    covariance = centred.T @ centred[:, observed] / len(population)
    within = covariance[observed] + noise * torch.eye(len(observed)).to(population)
    return mean + covariance @ torch.linalg.solve(within, values.to(population) - mean[observed])
