"""Ratings as a table whose rows are users or items.

Batches are dicts of rows: rating (B, M), what a prediction may see, and target (B, M), what it is scored on, float and
0 where there is none; known (B, M), bool: which pairs are rated in any split, without how. Scales that reach 0 or below
are shifted above it, see batches.py. In training rating and target are the same; at validation the target is held out
of the training ratings, and at the test it is the test split's, while rating is all that isn't.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from scalian_exp.batches import above_zero
from scalian_exp.datasets.base import SPLIT_SEED, Batched, Data, Examples
from scalian_exp.datasets.identity import EXAMPLES, hash_of
from scalian_exp.datasets.rating_files import Triples
from scalian_exp.ranges import Fraction, PositiveInt
from scalian_exp.refusal import Refusal


@dataclass
class RatingSource:
    """What a data set's files hold."""

    users: list[str]
    """their names"""
    items: list[str]
    titles: list[str]
    train: Triples
    test: Triples | None = None
    """None: part of the training ratings is to be held out"""
    genres: list[str] = field(default_factory=list)
    """the first of each item, where they are known"""


class RatingRows(Batched):
    """Rows of the tables (N, M)."""

    def __init__(self, rating: Tensor, target: Tensor, known: Tensor):
        self.rating, self.target, self.known = rating, target, known

    def __getitem__(self, indices: Tensor) -> Examples:
        tables = {"rating": self.rating, "target": self.target, "known": self.known}
        return {name: table.index_select(0, indices) for name, table in tables.items()}

    def __len__(self) -> int:
        return len(self.rating)


class Ratings(Data, ABC):
    """Who rated what how; a subclass reads it.

    Args:
        users: how many there are, at least: those that the files lack have no ratings.
        items: the same.
        levels: the values that a rating can have, ascending.
        liked: ratings from this one on say that the item was liked.
        rows: of the table: users or items.
        batch_size: rows a step.
        val_share: part of the training ratings that is held out for validation.
        test_share: part of all ratings that is held out for the test, where the data set has no split of its own.
    """

    noun: ClassVar = "ratings"

    def __init__(
        self,
        users: PositiveInt,
        items: PositiveInt,
        levels: Sequence[float],
        liked: float = 4.0,
        rows: Literal["users", "items"] = "users",
        batch_size: PositiveInt = 64,
        val_share: Fraction = 0.05,
        test_share: Fraction = 0.1,
    ):
        super().__init__(batch_size)
        if list(levels) != sorted(set(levels)):
            raise Refusal(f"dataset.levels={list(levels)} must be ascending, each level once.")
        if not levels:
            raise Refusal("dataset.levels=[] has no rating; give the values that a rating can have.")
        if liked > levels[-1]:
            raise Refusal(
                f"dataset.liked={liked:g} is above all dataset.levels={list(levels)}: nothing could be liked; say from "
                f"which rating on something is: dataset.liked={levels[-1]:g} or less."
            )
        self.users, self.items, self.rows, self.scale = users, items, rows, list(levels)
        self.shift = above_zero(levels)
        """what ratings in the tables have more than those in the files"""
        self.levels, self.liked = [level + self.shift for level in levels], liked + self.shift
        """as in the tables; `scale` has the levels of the files"""
        self.val_share, self.test_share = val_share, test_share
        self.user_names: list[str] = []
        """once `setup` has run"""
        self.item_names: list[str] = []
        self.titles: list[str] = []
        self.genres: list[str] = []

    @abstractmethod
    def read(self) -> RatingSource:
        """All ratings, and what they are of."""

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        source = self.read()
        for name, found, most in (("users", source.users, self.users), ("items", source.items, self.items)):
            if len(found) > most:
                raise Refusal(
                    f"There are {len(source.users)} users and {len(source.items)} items, but dataset.{name} is {most}; "
                    f"say dataset.users={max(len(source.users), self.users)} "
                    f"dataset.items={max(len(source.items), self.items)}."
                )
        self.user_names, self.item_names = source.users, source.items
        self.titles, self.genres = source.titles, source.genres
        for name, part in (("training", source.train), ("test", source.test)):
            if part is not None and len(part.values) == 0:
                raise Refusal(f"There are no {name} ratings, so there is nothing to learn or to measure; give some.")
        given, test = (source.train, source.test) if source.test else self.parts(source.train, self.test_share, "test")
        train, val = self.parts(given, self.val_share, "val")
        seen, held, scored = (self.table(part) for part in (train, val, test))
        known = (seen + held + scored) > 0
        if both := int(((seen + held > 0) & (scored > 0)).sum()):
            raise Refusal(f"{both} ratings of the test split are among the training ones as well; remove them there.")
        self.identity = {
            "users": hash_of(self.user_names),  # which the network's inputs stand for
            "items": hash_of(self.item_names),
            EXAMPLES: {"train": train.identity, "val": val.identity, "test": test.identity},
        }
        self.splits = {
            "train": RatingRows(seen, seen, known),
            "val": RatingRows(seen, held, known),
            "test": RatingRows(seen + held, scored, known),
        }

    def parts(self, ratings: Triples, share: float, name: str) -> tuple[Triples, Triples]:
        """The ratings that are kept, and those held out: the same for every seed of a run."""
        size = len(ratings.values)
        count = round(share * size)
        if not 0 < count < size:
            raise Refusal(
                f"dataset.{name}_share={share:g} of {size} ratings must leave some and take some; give another "
                "share, or more ratings."
            )
        order = torch.randperm(size, generator=torch.Generator().manual_seed(SPLIT_SEED))
        return ratings.part(order[count:]), ratings.part(order[:count])

    def table(self, ratings: Triples) -> Tensor:
        """(users, items), or transposed where rows are items; 0 where there is no rating."""
        table = torch.zeros(self.users, self.items)
        table[ratings.users, ratings.items] = ratings.values + self.shift
        return table if self.rows == "users" else table.T.contiguous()

    def by_user(self, table: Tensor) -> Tensor:
        """A table (N, M) with users as rows."""
        return table if self.rows == "users" else table.T

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        inputs = ("users", "items")
        if any(state_dict.get(name, self.identity[name]) != self.identity[name] for name in inputs):
            raise Refusal(
                "The users or items of the ratings have changed since this run began, and its network no longer knows "
                "which is which; put the old files back, or start a new run."
            )
        super().load_state_dict(state_dict)

    def prepare(self, batch: Examples) -> Examples:
        return {**batch, "rating": batch["rating"].to(self.dtype), "target": batch["target"].to(self.dtype)}
