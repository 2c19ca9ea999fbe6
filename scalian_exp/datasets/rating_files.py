"""Read ratings from text files; messages about a broken line name its file and number."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from scalian_exp.datasets.identity import hash_of
from scalian_exp.datasets.rating_tables import Line, number_of
from scalian_exp.datasets.table_files import records
from scalian_exp.refusal import Refusal


class Triples(NamedTuple):
    """Ratings as three tensors (n,): user indices, item indices and values."""

    users: Tensor
    items: Tensor
    values: Tensor

    def part(self, indices: Tensor) -> "Triples":
        """Return the ratings at these indices."""
        return Triples(self.users[indices], self.items[indices], self.values[indices])

    @property
    def identity(self) -> dict[str, Any]:
        """Fingerprint of these ratings; see identity.py."""
        hashes = [hashlib.sha256(column.numpy().tobytes()).hexdigest() for column in self]
        return {"size": len(self.values), "hash": hash_of(hashes)}


def rating_lines(file: Path, separator: str, header: bool = False) -> Iterator[Line]:
    """Yield the ratings of a file whose lines begin with user, item and rating.

    Raises:
        Refusal: if a line has too few fields, or an empty one.
    """
    for number, fields in records(file, separator):
        if header and number == 1:
            continue
        if len(fields) < 3 or not all(field.strip() for field in fields[:3]):
            raise Refusal(
                f"{file}, line {number}: {separator.join(fields)!r} lacks a user, item and rating, separated by "
                f"{separator!r}; repair or remove the line."
            )
        user, item, rating = fields[:3]
        yield Line(intern(user), intern(item), intern(rating), file, number)


def triples(
    lines: Iterable[Line],
    users: dict[str, int],
    items: dict[str, int],
    levels: Sequence[float],
    continuous: bool = False,
) -> Triples:
    """Convert lines to ratings by number; if a pair of user and item occurs again, the last rating counts.

    Args:
        lines: the ratings as text.
        users: name → index.
        items: name → index.
        levels: the values that a rating can have.
        continuous: also allow values between the first and the last level.

    Raises:
        Refusal: if a rating is not allowed, or a user or item is unknown.
    """
    allowed, pairs, values = set(levels), array("q"), array("f")
    for line in lines:
        value = number_of(line)
        if value not in allowed and not (continuous and levels[0] <= value <= levels[-1]):
            if continuous:
                why = f"outside of {levels[0]:g} to {levels[-1]:g}"
            else:
                why = f"none of {', '.join(f'{level:g}' for level in levels)}"
            raise Refusal(
                f"{line.place}: the rating {line.rating!r} is {why}; correct it, or set dataset.levels to the possible "
                "ratings (with dataset=ratings_csv, auto reads them from the file)."
            )
        if line.user not in users or line.item not in items:
            what = f"user {line.user!r}" if line.user not in users else f"item {line.item!r}"
            raise Refusal(f"{line.place}: {what} is not among those that the data set lists; correct the line.")
        pairs.append(users[line.user] * len(items) + items[line.item])
        values.append(value)
    keys = np.array(pairs)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    last = np.empty(len(first), np.float32)
    last[which] = values  # where a pair occurs again, assigned again
    order = first.argsort()  # of the lines
    rated = torch.from_numpy(keys[first[order]])
    return Triples(rated // max(len(items), 1), rated % max(len(items), 1), torch.from_numpy(last[order]))


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Assign consecutive indices to names, sorted numerically if all are numbers, otherwise alphabetically."""
    distinct = set(names)
    if all(name.isdecimal() for name in distinct):
        return {name: number for number, name in enumerate(sorted(distinct, key=int))}
    return {name: number for number, name in enumerate(sorted(distinct))}
