"""Ratings read from text files; a broken line is named with its file and number."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from scalian_exp.datasets.identity import hash_of
from scalian_exp.datasets.rating_tables import Line, number_of
from scalian_exp.datasets.table_files import records
from scalian_exp.refusal import Refusal


class Triples(NamedTuple):
    """n ratings, by the numbers of their users and items."""

    users: Tensor
    items: Tensor
    values: Tensor

    def part(self, indices: Tensor) -> "Triples":
        return Triples(self.users[indices], self.items[indices], self.values[indices])

    @property
    def identity(self) -> dict[str, Any]:
        """What tells these ratings from others, see identity.py."""
        hashes = [hashlib.sha256(column.numpy().tobytes()).hexdigest() for column in self]
        return {"size": len(self.values), "hash": hash_of(hashes)}


def rating_lines(file: Path, separator: str, header: bool = False) -> Iterator[Line]:
    """The ratings of a file whose lines begin with user, item and rating.

    Raises:
        Refusal: if a line has too few fields, or an empty one.
    """
    for number, fields in records(file, separator):
        if header and number == 1:
            continue
        if len(fields) < 3 or not all(field.strip() for field in fields[:3]):
            raise Refusal(
                f"{file}, line {number}: {separator.join(fields)!r} has no user, item and rating, divided by "
                f"{separator!r}; repair or remove the line."
            )
        user, item, rating = fields[:3]
        yield Line(user, item, rating, f"{file}, line {number}")


def triples(
    lines: Iterable[Line],
    users: dict[str, int],
    items: dict[str, int],
    levels: Sequence[float],
    continuous: bool = False,
) -> Triples:
    """Ratings by number, each pair of user and item once: of several the last one counts.

    Args:
        users: name → number.
        items: the same.
        levels: the values that a rating can have.
        continuous: or any between the first and the last.

    Raises:
        Refusal: if a rating is none of the levels, or somebody or something is unknown.
    """
    allowed, found = set(levels), dict[tuple[int, int], float]()
    for line in lines:
        value = number_of(line)
        if value not in allowed and not (continuous and levels[0] <= value <= levels[-1]):
            if continuous:
                known = f"outside of {levels[0]:g} to {levels[-1]:g}"
            else:
                known = f"none of {', '.join(f'{level:g}' for level in levels)}"
            raise Refusal(
                f"{line.place}: the rating {line.rating!r} is {known}; "
                "correct it, or say with dataset.levels which ratings there are (of ratings_csv, auto reads them)."
            )
        if line.user not in users or line.item not in items:
            what = f"user {line.user!r}" if line.user not in users else f"item {line.item!r}"
            raise Refusal(f"{line.place}: {what} is not among those that the data set lists; correct the line.")
        found[users[line.user], items[line.item]] = value
    numbers = torch.tensor(list(found), dtype=torch.long).view(-1, 2)
    return Triples(numbers[:, 0], numbers[:, 1], torch.tensor(list(found.values()), dtype=torch.float32))


def numbered(names: Iterable[str]) -> dict[str, int]:
    """name → number, by number where all are numbers, else by name."""
    distinct = set(names)
    if all(name.isdecimal() for name in distinct):
        return {name: number for number, name in enumerate(sorted(distinct, key=int))}
    return {name: number for number, name in enumerate(sorted(distinct))}
