"""Base class of rating data: a table whose rows are users or items.

Batches are dicts of rows: rating (B, M), which a prediction may see, and target (B, M), on which it is scored, both
float and 0 where there is no rating; known (B, M), bool, whether a pair is rated in any split. Scales that reach 0 or
below are shifted above it, see batches.py. In training, rating and target are equal. In validation, the target is held
out of the training ratings. In the test, the target is the test split and rating is everything else. With
hold_out=users, validation and test have users of their own: the target is a fifth of their ratings, rating the others.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from scipy.sparse import csr_array
from torch import Tensor

from scalian_exp.batches import above_zero
from scalian_exp.datasets.base import SPLIT_SEED, Data, Examples
from scalian_exp.datasets.folds import divided
from scalian_exp.datasets.identity import EXAMPLES, hash_of
from scalian_exp.datasets.rating_files import Triples
from scalian_exp.datasets.rating_splits import RatingRows, held_out_users, in_triples
from scalian_exp.datasets.sparse_table import SparseTable
from scalian_exp.ranges import Fold, Fraction, PositiveInt
from scalian_exp.refusal import Refusal


@dataclass
class RatingSource:
    """The ratings of a data set's files, with the names of their users and items."""

    users: list[str]
    """Names of the users, in the order of their indices."""
    items: list[str]
    """Names of the items, in the order of their indices."""
    titles: list[str]
    """Title of each item."""
    train: Triples
    """Training ratings."""
    test: Triples | None = None
    """Test ratings; None if part of the training ratings is to be held out."""
    genres: list[str] = field(default_factory=list)
    """First genre of each item, where they are known."""


CUTOFFS: Mapping[str, Mapping[str, Sequence[int]]] = MappingProxyType(
    {"ratings": {"ndcg": (10,), "recall": (20,)}, "users": {"ndcg": (100,), "recall": (20, 50)}}
)
"""`hold_out` → ranking metric → numbers of recommendations; for users those of Liang et al. 2018"""


class Ratings(Data, ABC):
    """Base class of ratings of items by users; subclasses implement `read`.

    Args:
        users: number of users; may exceed those in the files: as columns the others have no ratings, as rows they are
            left out.
        items: number of items, likewise.
        levels: the values that a rating can have, ascending.
        liked: lowest rating that means the item was liked.
        rows: what the rows of the table are: users or items.
        batch_size: rows per step.
        val_share: fraction of the training ratings, or of the users, held out for validation.
        fold: "k/n", which holds out part k of n of the training ratings instead.
        test_share: fraction of all ratings, where the data set has no test split, or of the users, held out for it.
        hold_out: what validation and test hold out: some ratings of all users, or whole users, of whom most ratings are
            folded in and the others predicted. See rating_splits.py; a test split of the data set is then not used.

    Raises:
        Refusal: if the levels can't be used, or users are to be held out by folds or of a table with items as rows.
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
        fold: Fold | None = None,
        hold_out: Literal["ratings", "users"] = "ratings",
    ):
        super().__init__(batch_size)
        if list(levels) != sorted(set(levels)):
            raise Refusal(f"dataset.levels={list(levels)} must be ascending, each level once.")
        if not levels:
            raise Refusal("dataset.levels=[] has no rating; give the values that a rating can have.")
        if liked > levels[-1]:
            raise Refusal(
                f"dataset.liked={liked:g} is above all dataset.levels={list(levels)}, so nothing could be liked; set "
                f"it to the lowest rating of a liked item: dataset.liked={levels[-1]:g} or less."
            )
        if hold_out == "users" and rows == "items":
            raise Refusal(
                "dataset.hold_out=users tests on users that training has not seen, but a network of items' rows "
                "(dataset.rows=items) has weights for each user; use a model of users' rows, such as multvae, rbm_cf "
                "or autorec_users, or dataset.hold_out=ratings."
            )
        if hold_out == "users" and fold is not None:
            raise Refusal(
                f"dataset.fold={fold} divides the ratings of all users; with dataset.hold_out=users, leave it out and "
                "set dataset.val_share and dataset.test_share, the fractions of the users."
            )
        self.users, self.items, self.rows, self.scale = users, items, rows, list(levels)
        self.shift = above_zero(levels)
        """Offset added to the ratings of the files to obtain those in the tables."""
        self.levels, self.liked = [level + self.shift for level in levels], liked + self.shift
        """Levels and threshold in the tables; `scale` has the levels in the files."""
        self.val_share, self.test_share, self.fold, self.hold_out = val_share, test_share, fold, hold_out
        self.cutoffs = CUTOFFS[hold_out]
        """Ranking metric → numbers of recommendations that it considers."""
        self.history = SparseTable(csr_array((0, 0)))
        """The table (N, M) of all ratings that the test's predictions may see, of all users: empty until `setup`."""
        self.candidates: Tensor | None = None
        """Items that rankings contain, bool (items,); None for all that are rated."""
        self.user_names: list[str] = []
        """Names of the users, as the lists below: empty until `setup` has run."""
        self.item_names: list[str] = []
        self.titles: list[str] = []
        self.genres: list[str] = []

    @abstractmethod
    def read(self) -> RatingSource:
        """Read all ratings, with the names of users and items."""

    def setup(self, stage: str | None = None) -> None:
        """Read the ratings, hold out validation (and test) ratings, and build the tables.

        Raises:
            Refusal: if there are more users or items than configured, or if a split would be empty or overlap.
        """
        if self.splits:
            return
        source = self.read()
        for name, names, most in (("users", source.users, self.users), ("items", source.items, self.items)):
            if len(names) > most:
                raise Refusal(
                    f"There are {len(source.users)} users and {len(source.items)} items, but dataset.{name} is {most}; "
                    f"set dataset.users={max(len(source.users), self.users)} "
                    f"dataset.items={max(len(source.items), self.items)}."
                )
        self.user_names, self.item_names = source.users, source.items
        if self.rows == "users":
            self.users = len(source.users)
        else:
            self.items = len(source.items)
        self.titles, self.genres = source.titles, source.genres
        for name, part in (("training", source.train), ("test", source.test)):
            if part is not None and len(part.values) == 0:
                raise Refusal(f"There are no {name} ratings, so there is nothing to learn or to measure; give some.")
        identities = self.divided_by_users(source) if self.hold_out == "users" else self.divided_by_ratings(source)
        self.identity = {
            "users": hash_of(self.user_names),  # the meaning of the network's inputs
            "items": hash_of(self.item_names),
            EXAMPLES: identities,
        }

    def divided_by_ratings(self, source: RatingSource) -> dict[str, dict[str, Any]]:
        """Fill the splits with different ratings of the same users, and return the splits' fingerprints."""
        given, test = (source.train, source.test) if source.test else self.parts(source.train, self.test_share, "test")
        if self.fold:
            train, val = map(given.part, divided(len(given.values), self.fold))
        else:
            train, val = self.parts(given, self.val_share, "val")
        seen, held, scored = (self.table(part) for part in (train, val, test))
        self.history = seen + held
        whole = self.history + scored
        if both := len(self.history.values) + len(scored.values) - len(whole.values):
            raise Refusal(f"{both} ratings of the test split are also among the training ratings; remove them there.")
        self.splits = {
            "train": RatingRows(seen, seen, whole),
            "val": RatingRows(seen, held, whole),
            "test": RatingRows(self.history, scored, whole),
        }
        return {"train": train.identity, "val": val.identity, "test": test.identity}

    def divided_by_users(self, source: RatingSource) -> dict[str, dict[str, Any]]:
        """Fill the splits with different users, and return the splits' fingerprints."""
        parts = [part for part in (source.train, source.test) if part is not None]
        tables = [self.table(part) for part in parts]
        table = SparseTable(tables[0].cells.maximum(tables[-1].cells))
        shares = {"val": self.val_share, "test": self.test_share}
        self.history, target, users = held_out_users(table, self.liked, shares)
        learned = self.history.rows(users["train"])
        self.candidates = learned.where(learned.values >= self.liked).counts() > 0
        whole = self.history + target
        self.splits = {
            name: RatingRows(self.history.rows(chosen), target.rows(chosen), whole.rows(chosen))
            for name, chosen in users.items()
        }
        self.splits["train"] = RatingRows(learned, learned, learned)
        return {name: in_triples(whole, chosen).identity for name, chosen in users.items()}

    def parts(self, ratings: Triples, share: float, name: str) -> tuple[Triples, Triples]:
        """Split ratings into those that remain and a share held out, the same for every run's seed.

        Raises:
            Refusal: if either part would be empty.
        """
        size = len(ratings.values)
        count = round(share * size)
        if not 0 < count < size:
            raise Refusal(
                f"dataset.{name}_share={share:g} of {size} ratings must take some and leave some; give another "
                "share, or more ratings."
            )
        order = torch.randperm(size, generator=torch.Generator().manual_seed(SPLIT_SEED))
        return ratings.part(order[count:]), ratings.part(order[:count])

    def table(self, ratings: Triples) -> SparseTable:
        """Build the table (users, items), transposed if rows are items."""
        return self.by_user(SparseTable.of(ratings, (self.users, self.items), self.shift))

    def by_user(self, table: SparseTable) -> SparseTable:
        """Return a table (N, M) with users as rows, transposing it if rows are items."""
        return table if self.rows == "users" else table.T

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that users, items and splits are those that a checkpoint was trained on.

        Raises:
            Refusal: if they differ.
        """
        inputs = ("users", "items")
        if any(state_dict.get(name, self.identity[name]) != self.identity[name] for name in inputs):
            raise Refusal(
                "The users or items of the ratings have changed since this run began, so its network's inputs no "
                "longer match them; put the old files back, or start a new run."
            )
        super().load_state_dict(state_dict)

    def prepare(self, batch: Examples) -> Examples:
        """Convert ratings to the network's floating-point type."""
        return {**batch, "rating": batch["rating"].to(self.dtype), "target": batch["target"].to(self.dtype)}
