"""Recommend items to a known user, or to a new one who names some titles."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.table import Table
from torch import Tensor

from scalian_exp.actions.action import Action, data_of
from scalian_exp.actions.tastes import Taste, taste_of_known, taste_of_new
from scalian_exp.actions.titles import find, separated, sharing, twins
from scalian_exp.checkpoint import Loaded
from scalian_exp.commandline.terminal import display
from scalian_exp.datasets.sparse_table import SparseTable
from scalian_exp.figures.recommendation import strongest
from scalian_exp.ranges import PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.capabilities import HasFeatures
from scalian_exp.tasks.features import Features, features_of
from scalian_exp.tasks.offers import offers

FEATURES = 3
"""Number of features by which a taste is described."""


class Listing(NamedTuple):
    """A table to print and to write."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


class Recommend(Action):
    """Recommendations for a user, and a description of the user's taste.

    Writes recommendations.csv, the unrated items with the highest scores, and taste.csv, the features in which the user
    differs most from others, each described by titles at both of its ends. A title that several items share names all
    of them, and none of them is recommended to a user who rated one. Liked titles count as the highest rating and
    disliked ones as the lowest. If the table's rows are users, a new user is simply another row. If they are items, the
    columns are the users of the training data, and a new user is treated as another draw from their population: see
    `conditioned`.

    Args:
        liked: titles, separated by semicolons.
        disliked: titles, separated by semicolons.
        user: the name of a user in the data, instead of titles.
        count: number of recommendations.
    """

    def __init__(
        self,
        liked: str | None = None,
        disliked: str | None = None,
        user: str | None = None,
        count: PositiveInt = 10,
    ):
        if user is not None and not (liked is None and disliked is None):
            raise Refusal("user=… is one taste and liked=… or disliked=… another; give only one of them.")
        if user is None and liked is None and disliked is None:
            raise Refusal("Give the taste of a new user: liked='one title;another' (and disliked=…), or user=….")
        self.liked, self.disliked, self.user, self.count = liked, disliked, user, count

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Score the items, print the tables and write them to recommendations.csv and taste.csv.

        Raises:
            Refusal: if the user or a title is unknown, or nothing is known of the taste.
        """
        data, task = data_of(model), model.task
        table = data.by_user(data.history)
        counts = table.counts()
        features = features_of(task, data) if offers(task.network, HasFeatures) else None
        ratings, taste = self.taste(task, data, features, table, counts)
        lists = {"recommendations.csv": self.recommendations(task, data, ratings, taste, counts)}
        if features is not None and taste.weights is not None:
            rows = strongest_features(taste.weights.cpu(), features.items.cpu(), counts, data.titles)
            title = "this taste, by the features in which it differs most from others"
            lists["taste.csv"] = Listing(title, FEATURE_COLUMNS, rows)
        for listing in lists.values():
            print_listing(*listing)
        return [write(folder / name, listing.columns, listing.rows) for name, listing in lists.items()]

    def taste(
        self, task: Any, data: Any, features: Features | None, table: SparseTable, counts: Tensor
    ) -> tuple[Tensor, Taste]:
        """Return the user's ratings, (items,), and what the model predicts from them."""
        if self.user is None:
            ratings = self.named(data, counts)
            return ratings, taste_of_new(task, data, features, ratings)
        index = self.index(data, table)
        return table.row(index), taste_of_known(task, data, features, index)

    def recommendations(self, task: Any, data: Any, ratings: Tensor, taste: Taste, counts: Tensor) -> Listing:
        """List the unrated items with the highest scores.

        Raises:
            Refusal: if the model learns only from likes, and there are none.
        """
        rated = task.network.predicts_ratings
        if not rated and not bool((ratings >= data.liked).any()):
            raise Refusal("This model learns only from likes, and there are none: give liked=…, or another user.")
        if not rated and self.disliked:
            print("This model learns only from likes: disliked=… merely leaves these titles out.")
        new = (ratings == 0) & (counts > 0)
        new[twins(ratings.nonzero().flatten().tolist(), data.titles)] = False
        best = taste.scores.cpu().masked_fill(~new, -torch.inf).topk(min(self.count, int(new.sum()))).indices.tolist()
        shown = task.on_scale(taste.scores) - task.shift if rated else taste.scores
        rows = [(rank, *identity(data, i), f"{shown[i]:.2f}", int(counts[i])) for rank, i in enumerate(best, 1)]
        score = "predicted rating" if rated else "score"
        columns = ("rank", *identity_columns(data), score, "ratings")
        return Listing(f"recommended to {self.described_user(data, ratings)}", columns, rows)

    def index(self, data: Any, table: SparseTable) -> int:
        """Return the index of the user `user`.

        Raises:
            Refusal: if there is no such user, or one without training ratings.
        """
        if self.user not in data.user_names:
            names = data.user_names
            raise Refusal(f"There is no user {self.user!r} among the {len(names)}, {names[0]} to {names[-1]}.")
        index: int = data.user_names.index(self.user)
        if not bool((table.row(index) > 0).any()):
            raise Refusal(
                f"No rating of user {self.user} may be used, as those of the test may not, so nothing is known of this "
                "taste; give liked=… instead."
            )
        return index

    def named(self, data: Any, counts: Tensor) -> Tensor:
        """Return the ratings of a new user who names liked and disliked titles, (items,).

        Raises:
            Refusal: if a title is unknown, ambiguous, or both liked and disliked, or if none is given.
        """
        ratings = torch.zeros(data.items)
        for given, level in ((self.liked, data.levels[-1]), (self.disliked, data.levels[0])):
            for title in separated(given or "", data.titles):
                items = find(title, data.titles, counts.tolist())
                if len(items) > 1:
                    print(sharing(items, data.titles, data.item_names))
                for item in items:
                    if ratings[item] not in (0, level):
                        raise Refusal(f"{data.titles[item]} is both liked and disliked; remove it from one of them.")
                    ratings[item] = level
        if not bool((ratings > 0).any()):
            raise Refusal("No title is given; name some: liked='one title;another'.")
        return ratings

    def described_user(self, data: Any, ratings: Tensor) -> str:
        """Describe the user by some of the titles liked and disliked."""
        liked, disliked = (
            first_titles(list(dict.fromkeys(data.titles[item] for item in chosen.nonzero().flatten().tolist())))
            for chosen in (ratings >= data.liked, (ratings > 0) & (ratings == data.levels[0]))
        )
        but = f" and disliked {disliked}" if disliked else ""
        return f"{'user ' + self.user if self.user else 'you'}, who liked {liked or 'nothing'}{but}"


def first_titles(titles: list[str], most: int = 3) -> str:
    """Join the first titles and say how many more there are."""
    return ", ".join(titles[:most]) + (f" and {len(titles) - most} more" if len(titles) > most else "")


def identity_columns(data: Any) -> tuple[str, ...]:
    """Return the names of the columns that identify an item: its id, if the data set has ids, and its title."""
    return ("title",) if data.item_names == data.titles else ("item", "title")


def identity(data: Any, item: int) -> tuple[str, ...]:
    """Return an item's values in these columns."""
    return (data.item_names[item], data.titles[item])[-len(identity_columns(data)) :]


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


def print_listing(title: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column in ("title", "more of", "less of") else "right")
    for row in rows:
        table.add_row(*[str(value) for value in row])
    display(table)


def write(file: Path, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> Path:
    """Write a table as a CSV file and return its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
    return file
