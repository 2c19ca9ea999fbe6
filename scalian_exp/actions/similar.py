"""List the items of a recommender that are most similar to a title, and save the features of all items."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from scalian_exp.actions.action import Action, data_of
from scalian_exp.actions.recommend import identity, identity_columns, print_listing, write
from scalian_exp.actions.titles import find, separated, sharing
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.recommendation import most_rated
from scalian_exp.ranges import PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.features import features_of

QUERIES = 5
"""number of the most rated items that are compared if no title is given"""


class Similar(Action):
    """The items whose features point most nearly the same way as a title's, and the features of all items.

    Each feature is measured by how much it makes users differ: its values are multiplied by the standard deviation of
    the users' shares in it. The similarity is the cosine of two items' deviations from the mean item. Neighbours are
    sought among the 300 most rated items, because few ratings determine no features. Writes similar.csv, and items.csv
    with a line of these features for each rated item. A title that several items share names all of them.

    Args:
        title: titles, separated by semicolons; the most rated ones if None.
        count: number of neighbours.
    """

    def __init__(self, title: str | None = None, count: PositiveInt = 10):
        self.title, self.count = title, count

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Print the neighbours of each title, and write similar.csv and items.csv.

        Raises:
            Refusal: if a title is unknown, ambiguous or unrated, or none is given.
        """
        data = data_of(model)
        counts = data.by_user(data.history).counts()
        described = features_of(model.task, data)
        features = (described.items * described.users.std(0)).cpu()
        known = most_rated(counts)
        directions = normalize(features - features[counts > 0].mean(0), dim=1)
        rows = []
        columns = (*identity_columns(data), "similarity", "ratings")
        for query in self.queries(data, counts):
            near = neighbours(directions, query, known, self.count)
            similarities = (directions[near] @ directions[query]).tolist()
            listed = [(*identity(data, i), f"{s:.3f}", int(counts[i])) for i, s in zip(near, similarities, strict=True)]
            shared = f", item {data.item_names[query]}" if data.titles.count(data.titles[query]) > 1 else ""
            print_listing(f"similar to {data.titles[query]}{shared}", columns, listed)
            rows += [(data.titles[query] + shared, rank, *row) for rank, row in enumerate(listed, 1)]
        rated = counts.nonzero().flatten().tolist()
        names = tuple(f"feature_{number}" for number in range(1, features.shape[1] + 1))
        lines = [
            (*identity(data, i), int(counts[i]), *(f"{value:.7g}" for value in features[i].tolist())) for i in rated
        ]
        return [
            write(folder / "similar.csv", ("query", "rank", *columns), rows),
            write(folder / "items.csv", (*identity_columns(data), "ratings", *names), lines),
        ]

    def queries(self, data: Any, counts: Tensor) -> list[int]:
        """Return the numbers of the items that are asked for."""
        if self.title is None:
            return most_rated(counts)[:QUERIES].tolist()
        given = separated(self.title, data.titles)
        if not given:
            raise Refusal("title= names nothing; name some: title='one title;another', or leave it out.")
        result: list[int] = []
        for title in given:
            items = find(title, data.titles, counts.tolist())
            if len(items) > 1:
                print(sharing(items, data.titles, data.item_names))
            rated = [item for item in items if counts[item]]
            if not rated:
                name = data.titles[items[0]]
                raise Refusal(f"{name} has no training ratings, so nothing is known of it; name another title.")
            result += rated
        return result


def neighbours(directions: Tensor, query: int, known: Tensor, count: int) -> list[int]:
    """Return the numbers of the known items whose directions (N, F) are closest to the query's, nearest first."""
    others = known[known != query]
    order = (directions[others] @ directions[query]).argsort(descending=True, stable=True)
    nearest: list[int] = others[order[:count]].tolist()
    return nearest
