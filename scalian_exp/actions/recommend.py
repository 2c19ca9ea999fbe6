"""Recommend items to a known user, or to a new one who names some titles."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.table import Table
from torch import Tensor

from scalian_exp.actions.action import Action, data_of
from scalian_exp.actions.titles import find
from scalian_exp.checkpoint import Loaded
from scalian_exp.commandline.terminal import display
from scalian_exp.figures.recommendation import strongest
from scalian_exp.ranges import PositiveInt
from scalian_exp.refusal import Refusal

FEATURES = 3
"""Number of features by which a taste is described."""


class Taste(NamedTuple):
    """A model's predictions for one user."""

    scores: Tensor
    """Predicted score of every item, (items,)."""
    weights: Tensor | None
    """Weight of each feature, as deviation from the mean user, (F,); None for models without features."""


class Recommend(Action):
    """Recommendations for a user, and a description of the user's taste.

    Writes recommendations.csv, the unrated items with the highest scores, and taste.csv, the features in which the user
    differs most from others, each described by titles at both of its ends. Liked titles count as the highest rating and
    disliked ones as the lowest. If the table's rows are users, a new user is simply another row. If they are items, the
    columns are the users of the training data, and a new user is treated as another draw from their population: see
    `conditioned`.

    Args:
        liked: titles, separated by semicolons.
        disliked: titles, separated by semicolons.
        user: the name of a user in the data, instead of titles.
        n: number of recommendations.
    """

    def __init__(
        self,
        liked: str | None = None,
        disliked: str | None = None,
        user: str | None = None,
        n: PositiveInt = 10,
    ):
        if user is not None and not (liked is None and disliked is None):
            raise Refusal("user=… is one taste and liked=… or disliked=… another; give only one of them.")
        if user is None and liked is None and disliked is None:
            raise Refusal("Give the taste of a new user: liked='one title;another' (and disliked=…), or user=….")
        self.liked, self.disliked, self.user, self.n = liked, disliked, user, n

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Score the items, print the tables and write them to recommendations.csv and taste.csv.

        Raises:
            Refusal: if the user or a title is unknown, or nothing is known of the taste.
        """
        data, task = data_of(model), model.task
        table = data.by_user(data.splits["test"].rating)
        counts = (table > 0).sum(0)
        if self.user is not None:
            index = self.index(data, table)
            ratings, taste = table[index], taste_of_known(task, data, index)
        else:
            ratings = self.named(data, counts)
            taste = taste_of_new(task, data, ratings)
        rated = task.network.predicts_ratings
        if not rated and not bool((ratings >= data.liked).any()):
            raise Refusal("This model learns only from likes, and there are none: give liked=…, or another user.")
        if not rated and self.disliked:
            print("This model learns only from likes: disliked=… merely leaves these titles out.")
        new = (ratings == 0) & (counts > 0)
        best = taste.scores.cpu().masked_fill(~new, -torch.inf).topk(min(self.n, int(new.sum()))).indices.tolist()
        shown = task.on_scale(taste.scores) - task.shift if rated else taste.scores
        rows = [(rank, data.titles[i], f"{shown[i]:.2f}", int(counts[i])) for rank, i in enumerate(best, 1)]
        columns = ("rank", "title", "predicted rating" if rated else "log-probability", "ratings")
        tell(f"recommended to {self.who(data, ratings)}", columns, rows)
        files = [write(folder / "recommendations.csv", columns, rows)]
        features = task.features(data)
        if features is not None and taste.weights is not None:
            description = strongest_features(taste.weights.cpu(), features[0].cpu(), counts, data.titles)
            tell("this taste, by the features in which it differs most from others", FEATURE_COLUMNS, description)
            files.append(write(folder / "taste.csv", FEATURE_COLUMNS, description))
        return files

    def index(self, data: Any, table: Tensor) -> int:
        """Return the index of the user `user`.

        Raises:
            Refusal: if there is no such user, or one without training ratings.
        """
        if self.user not in data.user_names:
            names = data.user_names
            raise Refusal(f"There is no user {self.user!r} among the {len(names)}, {names[0]} to {names[-1]}.")
        index: int = data.user_names.index(self.user)
        if not bool((table[index] > 0).any()):
            raise Refusal(
                f"User {self.user} has ratings only in the test split, so nothing is known of this taste; give liked=… "
                "instead."
            )
        return index

    def named(self, data: Any, counts: Tensor) -> Tensor:
        """Return the ratings of a new user who names liked and disliked titles, (items,).

        Raises:
            Refusal: if a title is unknown, ambiguous, or both liked and disliked, or if none is given.
        """
        ratings = torch.zeros(data.items)
        for given, level in ((self.liked, data.levels[-1]), (self.disliked, data.levels[0])):
            for title in (part.strip() for part in (given or "").split(";")):
                item = find(title, data.titles, counts.tolist()) if title else None
                if item is not None and ratings[item] not in (0, level):
                    raise Refusal(f"{data.titles[item]} is both liked and disliked; remove it from one of them.")
                if item is not None:
                    ratings[item] = level
        if not bool((ratings > 0).any()):
            raise Refusal("No title is given; name some: liked='one title;another'.")
        return ratings

    def who(self, data: Any, ratings: Tensor) -> str:
        """Describe the user by some of the titles liked and disliked."""
        liked, disliked = (
            few([data.titles[item] for item in chosen.nonzero().flatten().tolist()])
            for chosen in (ratings >= data.liked, (ratings > 0) & (ratings == data.levels[0]))
        )
        but = f" and disliked {disliked}" if disliked else ""
        return f"{'user ' + self.user if self.user else 'you'}, who liked {liked or 'nothing'}{but}"


def few(titles: list[str], most: int = 3) -> str:
    """Join the first titles and say how many more there are."""
    return ", ".join(titles[:most]) + (f" and {len(titles) - most} more" if len(titles) > most else "")


def taste_of_known(task: Any, data: Any, index: int) -> Taste:
    """Return the taste of a user whose ratings the model has learned from."""
    rows = data.splits["test"].rating.to(task.device, task.dtype)
    features = task.features(data)
    weights = None if features is None else features[1][index]
    scores = task.scores(rows[index : index + 1])[0] if data.rows == "users" else task.scores(rows)[:, index]
    return Taste(scores, weights)


def taste_of_new(task: Any, data: Any, ratings: Tensor) -> Taste:
    """Return the taste of a new user with these ratings, (items,)."""
    row = ratings.to(task.device, task.dtype).unsqueeze(0)
    features = task.features(data)
    if data.rows == "users":
        if features is None:
            return Taste(task.scores(row)[0], None)
        mean = task.network.codes(data.splits["test"].rating.to(row)).float().mean(0)
        return Taste(task.scores(row)[0], task.network.codes(row)[0].float() - mean)
    validation = data.splits["val"]
    target = validation.target.to(row)
    noise = float((task.scores(validation.rating.to(row)) - target)[target > 0].square().mean())
    items = data.splits["test"].rating.to(row)
    users = (items > 0).any(0)
    parts = [task.scores(items).T, *([] if features is None else [features[1]])]
    population = torch.cat([part.double() for part in parts], 1)[users]
    expected = conditioned(population, ratings.nonzero().flatten(), ratings[ratings > 0].double(), noise).float()
    return Taste(expected[: data.items], None if features is None else expected[data.items :])


def conditioned(population: Tensor, observed: Tensor, values: Tensor, noise: float) -> Tensor:
    """Return the conditional mean (D,) of a population's new member, given noisy observations of some of its numbers.

    The population is modelled as a normal distribution with its empirical mean and covariance C; the conditional mean
    is mean + C[:, o] (C[o, o] + noise)⁻¹ (values − mean[o]). If the numbers are linear in weights of each member, as
    predicted ratings are in a decoder's, this is ridge regression of the weights, towards their mean and in the metric
    of their covariance.

    Args:
        population: the known members' numbers, (members, D).
        observed: indices of the observed numbers, (n,).
        values: the observations, (n,).
        noise: variance of an observation around the true number.
    """
    observed = observed.to(population.device)
    mean = population.mean(0)
    centred = population - mean
    covariance = centred.T @ centred[:, observed] / len(population)
    within = covariance[observed] + noise * torch.eye(len(observed)).to(population)
    return mean + covariance @ torch.linalg.solve(within, values.to(population) - mean[observed])


FEATURE_COLUMNS = ("feature", "more of", "less of")


def strongest_features(weights: Tensor, features: Tensor, counts: Tensor, titles: list[str]) -> list[tuple[Any, ...]]:
    """Return number, likes and dislikes of the features in which a taste differs most from the mean.

    Args:
        weights: the taste's weight of each feature, (F,).
        features: features of the items, (items, F).
        counts: number of ratings of each item, (items,).
        titles: titles of the items.
    """
    rows: list[tuple[Any, ...]] = []
    for feature in (weights.abs() * features.std(0)).argsort(descending=True)[:FEATURES].tolist():
        signed = features[:, feature] * weights[feature].sign()
        rows.append((feature + 1, *["; ".join(titles[i] for i in end) for end in strongest(signed, counts, 5)]))
    return rows


def tell(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column in ("title", "more of", "less of") else "right")
    for row in rows:
        table.add_row(*[str(value) for value in row])
    display(table)


def write(file: Path, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Path:
    """Write a table as a CSV file and return its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
    return file
