"""What somebody may like: an old user, or a new one who names some titles."""

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
"""of a taste, told in titles"""


class Taste(NamedTuple):
    """What a model makes of one user."""

    scores: Tensor
    """of all items, (items,)"""
    weights: Tensor | None
    """share in each feature, as deviation from the mean user, (F,); None of a model without features"""


class Recommend(Action):
    """A list of what is new to a user, the best first, recommendations.csv; and the features in which the user differs
    most from others, each by the titles that it likes and dislikes, taste.csv.

    What is liked counts as the highest rating, what is disliked as the lowest. Where rows are users, a new user is a
    row like others. Where rows are items, the columns are the users that were learned, and a new one is taken for
    another draw from their population: see `conditioned`.

    Args:
        liked: titles, divided by semicolons.
        disliked: the same.
        user: instead, the name of a user in the data.
        n: how many.
    """

    def __init__(
        self,
        liked: str | None = None,
        disliked: str | None = None,
        user: str | None = None,
        n: PositiveInt = 10,
    ):
        if user is not None and not (liked is None and disliked is None):
            raise Refusal("user=… is one taste and liked=… or disliked=… another; give one of the two.")
        if user is None and liked is None and disliked is None:
            raise Refusal("Say whose taste it is: liked='one title;another' (and disliked=…), or else user=….")
        self.liked, self.disliked, self.user, self.n = liked, disliked, user, n

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
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
            raise Refusal("This model learns from likes alone, and there is none: give liked=…, or another user.")
        if not rated and self.disliked:
            print("This model learns from likes alone: disliked=… changes nothing but that these titles are left out.")
        new = (ratings == 0) & (counts > 0)
        best = taste.scores.cpu().masked_fill(~new, -torch.inf).topk(min(self.n, int(new.sum()))).indices.tolist()
        shown = task.on_scale(taste.scores) - task.shift if rated else taste.scores
        rows = [(rank, data.titles[i], f"{shown[i]:.2f}", int(counts[i])) for rank, i in enumerate(best, 1)]
        columns = ("rank", "title", "predicted rating" if rated else "log-probability", "ratings")
        tell(f"recommended to {self.who(data, ratings)}", columns, rows)
        files = [write(folder / "recommendations.csv", columns, rows)]
        features = task.features(data)
        if features is not None and taste.weights is not None:
            liking = told(taste.weights.cpu(), features[0].cpu(), counts, data.titles)
            tell("this taste, by the features in which it differs most from others", FEATURE_COLUMNS, liking)
            files.append(write(folder / "taste.csv", FEATURE_COLUMNS, liking))
        return files

    def index(self, data: Any, table: Tensor) -> int:
        """The number of a user.

        Raises:
            Refusal: if there is none of this name, or without ratings.
        """
        if self.user not in data.user_names:
            names = data.user_names
            raise Refusal(f"There is no user {self.user!r} among the {len(names)}, {names[0]} to {names[-1]}.")
        index: int = data.user_names.index(self.user)
        if not bool((table[index] > 0).any()):
            raise Refusal(
                f"User {self.user} has no ratings but those of the test split, so nothing is known of this taste; give "
                "liked=… instead."
            )
        return index

    def named(self, data: Any, counts: Tensor) -> Tensor:
        """The ratings of somebody who names titles, (items,)."""
        ratings = torch.zeros(data.items)
        for said, level in ((self.liked, data.levels[-1]), (self.disliked, data.levels[0])):
            for title in (part.strip() for part in (said or "").split(";")):
                item = find(title, data.titles, counts.tolist()) if title else None
                if item is not None and ratings[item] not in (0, level):
                    raise Refusal(f"{data.titles[item]} is both liked and disliked; decide.")
                if item is not None:
                    ratings[item] = level
        if not bool((ratings > 0).any()):
            raise Refusal("No title is named; give some: liked='one title;another'.")
        return ratings

    def who(self, data: Any, ratings: Tensor) -> str:
        liked, disliked = (
            few([data.titles[item] for item in chosen.nonzero().flatten().tolist()])
            for chosen in (ratings >= data.liked, (ratings > 0) & (ratings == data.levels[0]))
        )
        but = f" and disliked {disliked}" if disliked else ""
        return f"{'user ' + self.user if self.user else 'you'}, who liked {liked or 'nothing'}{but}"


def few(titles: list[str], most: int = 3) -> str:
    """The first of some titles, and how many more there are."""
    return ", ".join(titles[:most]) + (f" and {len(titles) - most} more" if len(titles) > most else "")


def taste_of_known(task: Any, data: Any, index: int) -> Taste:
    """Of a user whose ratings the model has learned from."""
    rows = data.splits["test"].rating.to(task.device, task.dtype)
    found = task.features(data)
    weights = None if found is None else found[1][index]
    scores = task.scores(rows[index : index + 1])[0] if data.rows == "users" else task.scores(rows)[:, index]
    return Taste(scores, weights)


def taste_of_new(task: Any, data: Any, ratings: Tensor) -> Taste:
    """Of somebody with these ratings, (items,)."""
    row = ratings.to(task.device, task.dtype).unsqueeze(0)
    found = task.features(data)
    if data.rows == "users":
        if found is None:
            return Taste(task.scores(row)[0], None)
        mean = task.network.codes(data.splits["test"].rating.to(row)).float().mean(0)
        return Taste(task.scores(row)[0], task.network.codes(row)[0].float() - mean)
    validation = data.splits["val"]
    target = validation.target.to(row)
    noise = float((task.scores(validation.rating.to(row)) - target)[target > 0].square().mean())
    items = data.splits["test"].rating.to(row)
    users = (items > 0).any(0)
    parts = [task.scores(items).T, *([] if found is None else [found[1]])]
    population = torch.cat([part.double() for part in parts], 1)[users]
    expected = conditioned(population, ratings.nonzero().flatten(), ratings[ratings > 0].double(), noise).float()
    return Taste(expected[: data.items], None if found is None else expected[data.items :])


def conditioned(population: Tensor, observed: Tensor, values: Tensor, noise: float) -> Tensor:
    """What is to be expected of another member of a population, of whom some numbers were observed.

    The population is taken for a normal distribution, of its own mean and covariance C; the mean then is
    mean + C[:, o] (C[o, o] + noise)⁻¹ (values − mean[o]). Where the numbers are linear in some weights of each
    member, as predicted ratings are in a decoder's, this is ridge regression of the weights, towards their mean and in
    their own metric.

    Args:
        population: (members, D).
        observed: which of the D numbers, (n,).
        values: what they were, (n,).
        noise: variance of a value around the member's own number.
    """
    observed = observed.to(population.device)
    mean = population.mean(0)
    centred = population - mean
    covariance = centred.T @ centred[:, observed] / len(population)
    within = covariance[observed] + noise * torch.eye(len(observed)).to(population)
    return mean + covariance @ torch.linalg.solve(within, values.to(population) - mean[observed])


FEATURE_COLUMNS = ("feature", "more of", "less of")


def told(weights: Tensor, features: Tensor, counts: Tensor, titles: list[str]) -> list[tuple[Any, ...]]:
    """Number, likes and dislikes of the features in which a taste differs most from the mean one.

    Args:
        weights: the taste's share in each feature, (F,).
        features: of the items, (items, F).
        counts: ratings of each item, (items,).
        titles: of the items.
    """
    rows: list[tuple[Any, ...]] = []
    for feature in (weights.abs() * features.std(0)).argsort(descending=True)[:FEATURES].tolist():
        signed = features[:, feature] * weights[feature].sign()
        rows.append((feature + 1, *["; ".join(titles[i] for i in end) for end in strongest(signed, counts, 5)]))
    return rows


def tell(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column in ("title", "more of", "less of") else "right")
    for row in rows:
        table.add_row(*[str(value) for value in row])
    display(table)


def write(file: Path, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
    return file
