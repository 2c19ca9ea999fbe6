"""Splits of a table of ratings: by ratings, where all users are in all splits, or by users.

Liang, Krishnan, Hoffman & Jebara 2018, "Variational autoencoders for collaborative filtering", section 4, call these
weak and strong generalisation.
"""

from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from scalian_exp.datasets.base import SPLIT_SEED, Batched, Examples
from scalian_exp.datasets.rating_files import Triples
from scalian_exp.datasets.sparse_table import SparseTable
from scalian_exp.refusal import Refusal

LEAST_LIKES, TARGET_SHARE = 5, 0.2
"""likes that a user needs; share of a held-out user's ratings that is to be predicted (Liang et al., section 4.1)"""


class RatingRows(Batched):
    """Rows of the tables rating, target and known, each (N, M).

    Args:
        rating: what a prediction may see.
        target: what it is scored on.
        whole: the ratings of all splits; `known`, bool, is where there are any.
    """

    def __init__(self, rating: SparseTable, target: SparseTable, whole: SparseTable):
        self.rating, self.target, self.whole = rating, target, whole

    def __getitem__(self, indices: Tensor) -> Examples:
        rating = self.rating[indices]
        target = rating if self.target is self.rating else self.target[indices]  # the same in training
        known = rating if self.whole is self.rating else self.whole[indices]
        return {"rating": rating, "target": target, "known": known > 0}

    def __len__(self) -> int:
        return len(self.rating)


class HeldOut(NamedTuple):
    """A table (users, items) whose users are divided among the splits."""

    given: SparseTable
    """(users, items): all ratings of training users, and those of the others that are folded in"""
    target: SparseTable
    """(users, items): the ratings of held-out users that are to be predicted"""
    users: dict[str, Tensor]
    """split → indices of its users, ascending"""


def without_likes(hold_out: str, split: str, liked: float) -> tuple[str, str]:
    """Return why no rating that a split is scored on is liked, as a clause that begins a sentence, and what to do.

    Args:
        hold_out: `ratings` or `users`, see `Ratings`.
        split: `validation` or `test`.
        liked: lowest rating that counts as liked, in the scale of the files.
    """
    if hold_out == "users":  # each has enough likes, of which some that training users share weren't enough to hide any
        least = ceil(1 / TARGET_SHARE)
        return (
            f"No {split} user likes {least} items or more that a training user likes too",
            "hold out fewer users, dataset.val_share and dataset.test_share, or give more ratings",
        )
    share = {"validation": "val_share", "test": "test_share"}[split]
    return (
        f"No {split} rating is {liked:g} or more",
        f"raise dataset.{share}, or lower dataset.liked, now dataset.liked={liked:g}",
    )


def held_out_users(table: SparseTable, liked: float, shares: dict[str, float]) -> HeldOut:
    """Hold out users of a table (users, items) for validation and test, and hide a fifth of their ratings.

    As Liang et al. 2018 do, users with fewer than five likes are left out, and so are, of held-out users, ratings of
    items that no training user likes. Likes and other ratings are divided separately, so that exactly a fifth (rounded
    down) of a user's likes is hidden. The same for every run's seed.

    Args:
        table: the ratings of all users.
        liked: lowest rating that counts as liked.
        shares: `val` and `test` → fraction of the users.

    Raises:
        Refusal: if a split would be without users.
    """
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    likes = table.where(table.values >= liked)
    able = (likes.row_counts() >= LEAST_LIKES).nonzero().flatten()
    order = able[torch.randperm(len(able), generator=generator)]
    sizes = {name: round(share * len(able)) for name, share in shares.items()}
    for name, size in sizes.items():
        if not size or sum(sizes.values()) >= len(able):
            raise Refusal(
                f"dataset.{name}_share={shares[name]:g} of {len(able)} users with {LEAST_LIKES} likes or more must "
                "take some and leave some for training; give other shares, or more users."
            )
    test, val, train = order.split([sizes["test"], sizes["val"], len(able) - sum(sizes.values())])
    users = {"train": train.sort().values, "val": val.sort().values, "test": test.sort().values}
    learned = (likes.rows(users["train"]).counts() > 0)[table.columns]
    given, target = torch.zeros_like(learned), torch.zeros_like(learned)
    places = torch.arange(len(learned)).split(table.row_counts().tolist())
    given[torch.cat([places[user] for user in users["train"].tolist()])] = True
    for user in torch.cat([users["val"], users["test"]]).tolist():
        like = table.values[places[user]] >= liked
        for kind in (like, ~like):
            chosen = places[user][kind & learned[places[user]]]
            chosen = chosen[torch.randperm(len(chosen), generator=generator)]
            hidden, shown = chosen.tensor_split([int(TARGET_SHARE * len(chosen))])
            target[hidden], given[shown] = True, True
    return HeldOut(table.where(given), table.where(target), users)


def in_triples(table: SparseTable, users: Tensor) -> Triples:
    """Return the ratings of some users, by index, in a table (users, items)."""
    chosen = table.rows(users)
    return Triples(users.repeat_interleave(chosen.row_counts()), chosen.columns, chosen.values)
